# SPDX-License-Identifier: Apache-2.0
"""The engine as Pydantic AI sees it: a durability capability on its public base, bound to one agent and one mesh."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic_ai.agent import AbstractAgent, EventStreamHandler
from pydantic_ai.capabilities import AbstractCapability, WrapRunHandler
from pydantic_ai.durable_exec import (
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    conversation_id_from_run_id,
    external_event_scope,
    replay_scope,
)
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import RunContext

from nervenet.integrations.pydantic_ai.approvals import EscalationWaiter
from nervenet.integrations.pydantic_ai.backend import Backend
from nervenet.integrations.pydantic_ai.encoding import RESULTS, plain
from nervenet.integrations.pydantic_ai.internals import disable_threads
from nervenet.integrations.pydantic_ai.running import ATTEMPT, WORKFLOW

SPEC = DurabilityEngineSpec(
    engine_name="nervenet",
    durable_unit_noun="task",
    durable_container_noun="workflow",
    codec=RESULTS,
    wrapped_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
    toolset_lifecycles={"function": "enter-never", "mcp": "enter-never", "dynamic": "enter-never"},
    journal_discovery=True,
    unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
)


class NervenetDurability(BaseDurabilityCapability[Any]):
    """Sends the operations of one agent to the mesh. `durable_agent` makes it.

    Args:
        name: The agent's name in the mesh.
        make_backend: Makes the backend for an agent.
        models: Models that a run may choose by name.
        stream: Whether events of the model go to watchers.
        deadline: How long an external event may take. None: no limit.
    """

    engine_spec = SPEC

    def __init__(
        self,
        *,
        name: str,
        make_backend: Callable[[AbstractAgent[Any, Any]], Backend],
        models: Mapping[str, Model] | None,
        stream: bool,
        deadline: timedelta | None = None,
    ) -> None:
        super().__init__(models=models, name=name)
        self._make_backend = make_backend
        self._stream, self._deadline = stream, deadline
        self._backend: Backend | None = None

    # ── how it is bound ──────────────────────────────────────────────────────────────────────────────────────────────

    def for_agent(self, agent: AbstractAgent[Any, Any]) -> AbstractCapability[Any]:
        """The bound capability: itself if it is, since a run passes it again."""
        return self if self._agent is not None else super().for_agent(agent)

    def _bind_to_agent(self, agent: AbstractAgent[Any, Any]) -> None:
        self._backend = self._make_backend(agent)
        self._bound_model_operations = self._bind_model_operations(self._backend, model_id=None, model_name="default")
        super()._bind_to_agent(agent)

    def get_durable_operation_backend(self) -> Backend:
        """The backend of the agent."""
        assert self._backend is not None
        return self._backend

    # ── in a workflow ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def in_durable_context(self) -> bool:
        """Whether the code of a workflow runs."""
        return WORKFLOW.get() is not None

    def get_default_run_id(self) -> str | None:
        """An id from the seed of the workflow."""
        ctx = WORKFLOW.get()
        return None if ctx is None else str(ctx.uuid())

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """An id that follows from the run's."""
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    def get_run_clock(self) -> Callable[[], datetime] | None:
        """The time of the last journal entry."""
        ctx = WORKFLOW.get()
        return None if ctx is None else ctx.now

    async def _resolve_model_for_request(self, model_id: str | None, run_context: RunContext[Any]) -> Model:
        """One of `models`, or what Pydantic AI finds. In an agent process the context has the capabilities of the agent and
        not those of the run, and this one comes with the run."""
        found = None if model_id is None else self._models_by_id.get(model_id)
        return await super()._resolve_model_for_request(model_id, run_context) if found is None else found

    async def wrap_run(self, ctx: RunContext[Any], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """No threads and no telemetry of replays; external events are questions to people."""
        if not self.in_durable_context:
            return await handler()
        with (
            disable_threads(),
            replay_scope(is_replaying=_always),
            external_event_scope(EscalationWaiter(self._deadline)),
        ):
            return await super().wrap_run(ctx, handler=handler)

    # ── streaming ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def has_wrap_run_event_stream(self) -> bool:
        """Whether the run asks models for streams."""
        return self._stream

    def _model_stream_event_handler(self) -> EventStreamHandler[Any] | None:
        return _to_watchers if self._stream else None


async def _to_watchers(_: RunContext[Any], events: AsyncIterable[AgentStreamEvent]) -> None:
    """Send each event of a model to those who watch the task."""
    task = ATTEMPT.get()
    async for event in events:
        if task is not None:
            task.emit(plain(event, "an event of the model"))


def _always() -> bool:
    return True
