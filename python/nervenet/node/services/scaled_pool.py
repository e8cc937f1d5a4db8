# SPDX-License-Identifier: Apache-2.0
"""Which agents a ScaledObject of KEDA starts and stops, from the metadata of its trigger, and how many there should be.

Pure: `read_pool` refuses what it does not understand, so that a typing error is seen in KEDA's events and does not scale a
pool by nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from nervenet.config.values import parse_count, parse_duration
from nervenet.options import check_name
from nervenet.rpc.status import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_T = TypeVar("_T")

OWN: Final = ("capability", "version", "labels", "slots", "maxAge", "namespace")
KEDAS: Final = frozenset(
    {"scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsCertFile", "tlsClientCert", "tlsClientKey"}
)
"""What the same metadata holds for KEDA itself."""
MOST_CAPABILITIES: Final = 20


class ScaledPool(NamedTuple):
    """One pool of like agents. `max_age_ms` 0: the age of the oldest task does not count."""

    namespace: str
    capabilities: tuple[str, ...]
    version: str
    labels: Mapping[str, str]
    slots: int
    max_age_ms: int


class Demand(NamedTuple):
    """What a pool has to do: tasks that wait in the shared queues, tasks that agents have, the age of the oldest that
    waits, and the agents that are active."""

    waiting: int
    running: int
    oldest_ms: int
    agents: int

    @property
    def active(self) -> bool:
        """Whether there must be at least one agent."""
        return self.waiting + self.running > 0

    @property
    def tasks(self) -> int:
        """What is divided by the slots of one agent. Tasks that run count too: a busy pool is not made smaller."""
        return self.waiting + self.running

    def age(self) -> float:
        """What is divided by `maxAge`, in seconds: a pool whose oldest task has waited twice as long as it may is doubled."""
        return self.oldest_ms / 1000 * max(1, self.agents)


def read_pool(metadata: Mapping[str, str], namespaces: Collection[str]) -> ScaledPool:
    """From the trigger's metadata. `namespaces` are those that this process serves, the usual one first. Raises
    InvalidRequest."""
    for key in metadata:
        if key not in OWN and key not in KEDAS:
            raise invalid(f"scalerMetadata[{key}]", f"there is no such key; there are {', '.join(OWN)}")
    namespace = metadata.get("namespace") or next(iter(namespaces))
    if namespace not in namespaces:
        raise invalid("scalerMetadata[namespace]", f"this node does not serve {namespace!r}: ask a node of that one")
    return ScaledPool(
        namespace,
        _capabilities(metadata.get("capability", "")),
        metadata.get("version", ""),
        _labels(metadata.get("labels", "")),
        _one("slots", parse_count, metadata.get("slots") or "1", "a whole number, at least 1: the slots of one agent"),
        _one("maxAge", parse_duration, metadata.get("maxAge") or "0s", "a duration, e.g. 30s, 2m"),
    )


def _capabilities(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not 1 <= len(names) <= MOST_CAPABILITIES:
        raise invalid(
            "scalerMetadata[capability]",
            f"name what the pool's agents serve: one capability, or up to {MOST_CAPABILITIES} with commas between them",
        )
    for name in names:
        _one("capability", lambda value: check_name(value, "capability", step=False), name, "names of capabilities")
    return names


def _labels(text: str) -> Mapping[str, str]:
    pairs = [pair.strip().partition("=") for pair in text.split(",") if pair.strip()]
    if any(not key or not equals for key, equals, _ in pairs):
        raise invalid("scalerMetadata[labels]", "the labels of the pool's agents read key=value,key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _one(key: str, read: Callable[[str], _T], text: str, expected: str) -> _T:
    try:
        return read(text)
    except ValueError:
        raise invalid(f"scalerMetadata[{key}]", f"is {text[:80]!r}, and must be {expected}") from None
