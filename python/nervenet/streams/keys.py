# SPDX-License-Identifier: Apache-2.0
"""Where everything lies in Redis, and which names may become part of a key.

Hides the spelling of keys and escalation ids: nobody else puts a colon or a brace together. Braces are Redis
Cluster hash tags, so all keys of one workflow share a slot and one script may touch them.

Why checked here: an id goes into keys, channels, hash fields and log lines unescaped. The check is a border function,
called once where a name comes in (`check_workflow_id`, and `check_name`, which the options own); the methods of `Keys` trust their arguments,
because they are called for every command.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from nervenet.options import check_name

__all__ = [
    "EscalationId",
    "Keys",
    "check_name",
    "check_namespace",
    "check_signal_id",
    "check_workflow_id",
    "escalation_id",
    "parse_escalation_id",
]

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WORKFLOW_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


class Keys:
    """The keys of one namespace, as bytes."""

    __slots__ = (
        "_closed",
        "_events",
        "_inbox",
        "_ns",
        "_owned",
        "_queue",
        "_queues",
        "_wake",
        "_wf",
        "definitions",
        "escalations",
        "namespace",
        "restarting",
        "running",
    )

    def __init__(self, namespace: str) -> None:
        self.namespace = check_namespace(namespace)
        ns = self._ns = f"nn:{namespace}:".encode()
        self._wf = ns + b"wf:{"
        self._events = ns + b"events:{"
        self._inbox = ns + b"inbox:{"
        self._queue = ns + b"queue:{"
        self._queues = ns + b"queues:{"
        self._wake = ns + b"wake:{"
        self._owned = ns + b"owned:{"
        self._closed = ns + b"closed:{"
        self.running = ns + b"running"
        self.restarting = ns + b"restarting"
        self.escalations = ns + b"escalations"
        self.definitions = ns + b"definitions"

    def __repr__(self) -> str:
        return f"<Keys {self.namespace}>"

    # ── of one workflow; all in one slot ─────────────────────────────────────────────────────────────────────────────

    def head(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}"

    def journal(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:journal"

    def live(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:live"

    def checkpoints(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:ckpt"

    def view(self, workflow_id: str) -> bytes:
        return self._wf + workflow_id.encode() + b"}:view"

    def written(self, workflow_id: str) -> tuple[bytes, bytes, bytes]:
        """Head, journal and checkpoints at once: what an append writes, on the hot path."""
        head = self._wf + workflow_id.encode() + b"}"
        return head, head + b":journal", head + b":ckpt"

    def events(self, workflow_id: str) -> bytes:
        """The pub/sub channel on which a hint comes when something happened to that workflow."""
        return self._events + workflow_id.encode() + b"}"

    # ── of one process ───────────────────────────────────────────────────────────────────────────────────────────────

    def inbox(self, process_id: str) -> bytes:
        return self._inbox + process_id.encode() + b"}"

    def wake(self, node_id: str) -> bytes:
        return self._wake + node_id.encode() + b"}"

    def owned(self, node_id: str) -> bytes:
        return self._owned + node_id.encode() + b"}"

    # ── of all ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def queue(self, capability: str, requirement: str = "") -> bytes:
        """The shared queue of a capability; `requirement` is the hash of labels and version that its tasks ask for."""
        tag = f"{capability}/{requirement}" if requirement else capability
        return self._queue + tag.encode() + b"}"

    def queues(self, capability: str) -> bytes:
        return self._queues + capability.encode() + b"}"

    def closed(self, day: str) -> bytes:
        return self._closed + day.encode() + b"}"

    def definition(self, name: str) -> bytes:
        return self._ns + b"definition:{" + name.encode() + b"}"

    # ── and back: whose key or channel is this ───────────────────────────────────────────────────────────────────────

    def every(self, kind: str) -> str:
        """The SCAN pattern for all keys of a kind: `inbox`, `wake`, `owned`, `queue`, `queues`, `closed`."""
        return f"nn:{self.namespace}:{kind}:{{*}}"

    def tag(self, key: bytes) -> str:
        """What stands between the braces of a key or channel: a workflow id, a process id, a capability, a day."""
        return key[key.index(b"{") + 1 : key.rindex(b"}")].decode()

    def tag_or_none(self, key: bytes) -> str | None:
        """`tag` of a key that anybody may have written."""
        try:
            return self.tag(key)
        except ValueError:
            return None


# ── ids of escalations ───────────────────────────────────────────────────────────────────────────────────────────────


class EscalationId(NamedTuple):
    """`<workflow_id>/<step>#<k>`, taken apart."""

    workflow_id: str
    step: str
    k: int


def escalation_id(workflow_id: str, step: str, k: int) -> str:
    return f"{workflow_id}/{step}#{k}"


def parse_escalation_id(text: str) -> EscalationId:
    """Takes `<workflow_id>/<step>#<k>` apart; ValueError where it is none."""
    workflow_id, slash, rest = text.rpartition("/")
    step, hash_, k = rest.rpartition("#")
    if not (slash and hash_ and step and k.isascii() and k.isdigit()):
        raise ValueError(
            f"{text!r} is not an escalation id: it reads <workflow id>/<step>#<number>, like review-7/ask#1"
        )
    return EscalationId(check_workflow_id(workflow_id), step, int(k))


# ── checks at the border ─────────────────────────────────────────────────────────────────────────────────────────────


def check_namespace(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(
            f"{namespace!r} cannot be a namespace: it starts with a letter or digit and has at most 63 of letters, digits and . _ -"
        )
    return namespace


def check_workflow_id(workflow_id: str) -> str:
    """Returns it, or raises ValueError with a sentence for whoever chose it."""
    return _check_id(workflow_id, "workflow id")


def check_signal_id(signal_id: str) -> str:
    """A signal id becomes part of an entry's name, so it is spelled like a workflow id."""
    return _check_id(signal_id, "signal id")


def _check_id(text: str, what: str) -> str:
    if not _WORKFLOW_ID.fullmatch(text):
        raise ValueError(
            f"{_short(text)} cannot be a {what}: it starts with a letter or digit and has at most 200 of letters,"
            " digits and . _ : / @ -"
        )
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
