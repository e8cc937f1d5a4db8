# SPDX-License-Identifier: Apache-2.0
"""`NervenetFlowPersistence`: the state of CrewAI's flows in Redis or Valkey. It needs no node, no agent and no etcd.

    @persist(NervenetFlowPersistence(redis="redis://localhost:6379/0"))
    class Trip(Flow[TripState]): ...

    Trip().kickoff(inputs={"id": "trip-7", "city": "Oslo"})   # the same id after a crash: the state is loaded first

Two keys for each flow, in one slot of a Redis Cluster:

    nn:<namespace>:flows:{<id>}            the newest state, JSON: {"method": …, "state": …}
    nn:<namespace>:flows:{<id>}:feedback   the question to a human that is open, JSON: {"state": …, "context": …}

CrewAI reads the newest state alone, so an older one is not kept: a flow's data does not grow with its steps. Each change
is one SET with its time to live, which can run twice with the same result, as it does when an answer is lost.

CrewAI encodes what JSON does not know with `str`, and the state comes back changed. Here it is refused.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from crewai.flow.persistence import FlowPersistence
from pydantic import BaseModel, Field, PrivateAttr
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nervenet.errors import NervenetError
from nervenet.integrations.link_thread import LinkThread, StoreSettings
from nervenet.redis_link.address import parse
from nervenet.redis_link.link import Link

if TYPE_CHECKING:
    from crewai.flow.async_feedback.types import PendingFeedbackContext

__all__ = ["FlowStateUnavailable", "NervenetFlowPersistence"]


class FlowStateUnavailable(NervenetError):
    """Redis did not store or return the state of a flow. The message has Redis' reason and the cure. Kick the flow off
    again with the same id: it continues from its last state."""


class NervenetFlowPersistence(FlowPersistence):
    """Keeps the state of flows in Redis or Valkey: one server, one that sentinels watch, or a Redis Cluster.

    One object serves all threads and event loops of a process, and connects at its first use.

    Attributes:
        redis: URL of Redis, in the forms of nervenet's setting `redis`. Default: `NERVENET_REDIS`, else the local server.
        namespace: Which flows share ids. Default: `NERVENET_NAMESPACE`, else "default".
        ttl: How long the state stays after its last change. None: until you delete it.
        wait: Seconds for which the first connection is tried.
        patience: Seconds for which a command is repeated while its error may pass, as in a failover.

    Raises:
        BadAddress: `redis` is no URL of Redis.
        FlowStateUnavailable: From `save_state` and `load_state`: Redis refused, or did not answer in time. CrewAI turns
            it into a RuntimeError with its message when it saves.
    """

    persistence_type: str = Field(default="NervenetFlowPersistence")
    redis: str = Field(default_factory=lambda: os.environ.get("NERVENET_REDIS", "redis://localhost:6379/0"))
    namespace: str = Field(
        default_factory=lambda: os.environ.get("NERVENET_NAMESPACE", "default"), pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
    )
    ttl: timedelta | None = Field(default=None)
    wait: float = Field(default=5.0, gt=0)
    patience: float = Field(default=30.0, gt=0)
    _redis: LinkThread[Link] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the URL and the time to live. Pydantic calls it.

        Args:
            context: Not used.
        """
        super().model_post_init(context)
        parse(self.redis)
        if self.ttl is not None and self.ttl < timedelta(seconds=1):
            raise ValueError(f"ttl is {self.ttl}: give at least one second, or None for no limit")
        settings = StoreSettings(
            url=self.redis,
            name="nervenet-flows",
            owner="NervenetFlowPersistence",
            data="the state of flows",
            unavailable=FlowStateUnavailable,
            wait=self.wait,
            patience=self.patience,
        )
        self._redis = LinkThread(settings, _itself)

    def init_db(self) -> None:
        """Nothing: Redis needs no tables, and the connection is made at the first use."""

    def save_state(self, flow_uuid: str, method_name: str, state_data: dict[str, Any] | BaseModel) -> None:
        """Store the state after a method.

        Args:
            flow_uuid: Id of the flow.
            method_name: The method that has ended.
            state_data: The whole state.

        Raises:
            FlowStateUnavailable: Redis did not store it.
            ValueError: A value of the state cannot become JSON. The message has its path.
        """
        self._set(self._key(flow_uuid), {"method": method_name, "state": _plain(state_data)})

    def load_state(self, flow_uuid: str) -> dict[str, Any] | None:
        """The newest state of a flow. None: there is none.

        Args:
            flow_uuid: Id of the flow.

        Raises:
            FlowStateUnavailable: Redis did not return it.
        """
        found = self._get(self._key(flow_uuid))
        return None if found is None else found["state"]

    def save_pending_feedback(
        self, flow_uuid: str, context: PendingFeedbackContext, state_data: dict[str, Any] | BaseModel
    ) -> None:
        """Store the state of a flow that waits for a human, and what it asks.

        Args:
            flow_uuid: Id of the flow.
            context: The question, and where the flow goes on.
            state_data: The whole state.
        """
        self.save_state(flow_uuid, context.method_name, state_data)
        self._set(self._key(flow_uuid, ":feedback"), {"state": _plain(state_data), "context": context.to_dict()})

    def load_pending_feedback(self, flow_uuid: str) -> tuple[dict[str, Any], PendingFeedbackContext] | None:
        """The state and the question of a flow that waits for a human. None: it does not wait.

        Args:
            flow_uuid: Id of the flow.
        """
        from crewai.flow.async_feedback.types import PendingFeedbackContext

        found = self._get(self._key(flow_uuid, ":feedback"))
        return None if found is None else (found["state"], PendingFeedbackContext.from_dict(found["context"]))

    def clear_pending_feedback(self, flow_uuid: str) -> None:
        """The human has answered.

        Args:
            flow_uuid: Id of the flow.
        """
        self._call("DEL", self._key(flow_uuid, ":feedback"))

    def delete(self, flow_uuid: str) -> None:
        """Remove everything of a flow.

        Args:
            flow_uuid: Id of the flow.
        """
        self._call("DEL", self._key(flow_uuid), self._key(flow_uuid, ":feedback"))

    def close(self) -> None:
        """Close the connection. The end of the process closes it too."""
        self._redis.close()

    def _key(self, flow: str, suffix: str = "") -> str:
        if not flow or "{" in flow or "}" in flow:
            raise ValueError(f"the flow's id {flow!r} is empty or has a brace: choose another one")
        return f"nn:{self.namespace}:flows:{{{flow}}}{suffix}"

    def _call(self, *words: str | bytes | int) -> Any:
        return self._redis.wait(lambda link: _answer(link, words))

    def _set(self, key: str, record: dict[str, Any]) -> None:
        life = () if self.ttl is None else ("PX", self.ttl // timedelta(milliseconds=1))
        self._call("SET", key, json.dumps(record), *life)

    def _get(self, key: str) -> dict[str, Any] | None:
        stored = self._call("GET", key)
        if stored is None:
            return None
        record: dict[str, Any] = json.loads(stored)
        return record


def _itself(link: Link) -> Link:
    return link


async def _answer(link: Link, words: tuple[str | bytes | int, ...]) -> Any:
    return await link.call(*words)


def _plain(state: dict[str, Any] | BaseModel) -> dict[str, Any]:
    """The state as JSON values."""
    try:
        plain: dict[str, Any] = to_jsonable_python(state)
    except PydanticSerializationError as error:
        raise ValueError(
            f"the state of the flow cannot be stored as JSON ({error}): keep it in a field of a type that pydantic can "
            "serialize, or leave it out of the state"
        ) from error
    return plain
