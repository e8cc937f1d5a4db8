# SPDX-License-Identifier: Apache-2.0
"""Operations that few agents have: the operation of a capability, a compaction, and the withdrawal of a suspended response."""

from __future__ import annotations

import json
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability, durable_operation
from pydantic_ai.durable_exec import (
    DurableRunContext,
    ModelCancelSuspendedResponseParams,
    ModelCompactMessagesParams,
)
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestContext, ModelRequestParameters
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RunUsage

from nervenet import Context, Mesh
from nervenet.integrations.pydantic_ai import durable_agent
from nervenet.integrations.pydantic_ai.definitions import Definitions
from nervenet.integrations.pydantic_ai.durability import SPEC
from nervenet.integrations.pydantic_ai.transports import CancelTransport, CompactTransport, Contexts
from tests.frameworks.pydantic_ai.agents import says, scripted
from tests.frameworks.pydantic_ai.kit import handled

MODEL = TestModel()
MESSAGES: list[ModelMessage] = [ModelRequest([UserPromptPart("hi")]), ModelResponse([TextPart("hello")])]


class Audit(AbstractCapability[str]):
    """Writes down each request, in an agent."""

    id = "audit"
    written: list[tuple[str, int]]

    def __init__(self) -> None:
        self.written = []

    @durable_operation(name="record")
    async def record(self, ctx: RunContext[str], words: str) -> int:
        """Write it down."""
        self.written.append((f"{ctx.deps}: {words}", ctx.run_step))
        return len(self.written)

    async def before_model_request(
        self, ctx: RunContext[str], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Before each request."""
        assert await self.record(ctx, "asked") == 1
        return request_context


def test_the_operation_of_a_capability_is_a_step() -> None:
    audit, sent, mesh = Audit(), list[Any](), Mesh("m")
    desk = durable_agent(mesh, Agent(scripted(says("done")), deps_type=str, capabilities=[audit]), name="d")

    @mesh.workflow
    async def run(ctx: Context, question: str) -> str:
        return (await desk.run(ctx, question, deps="ana")).output

    found = handled(desk, seen=sent).run(run, "hi")
    assert found.result == "done "
    assert audit.written == [("ana: asked", 1)], "once, however often the run is replayed"
    assert found.journal.names[:2] == ["start", "task:d-hooks"]
    assert (sent[0]["op"], sent[0]["args"]) == ("audit.record", {"words": "asked"})


def parts() -> tuple[Contexts, Definitions]:
    agent = Agent(MODEL, deps_type=str)
    return Contexts(agent, SPEC, str, DurableRunContext), Definitions(agent)


def context() -> RunContext[Any]:
    return RunContext(deps="ana", model=MODEL, usage=RunUsage(requests=2), run_id="r", run_step=3)


def over_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_a_compaction_arrives() -> None:
    transport = CompactTransport(*parts())
    request = ModelRequestContext(
        model=MODEL,
        messages=MESSAGES,
        model_settings={"max_tokens": 7},
        model_request_parameters=ModelRequestParameters(),
    )
    request.streaming = True
    params = ModelCompactMessagesParams(
        "small", request_context=request, instructions="Keep names.", run_context=context()
    )
    found = transport.load(over_the_wire(transport.dump(params)), runtime=None)
    assert (found.model_id, found.instructions, found.request_context.streaming) == ("small", "Keep names.", True)
    assert found.request_context.model_settings == {"max_tokens": 7}
    assert [part.content for one in found.request_context.messages for part in one.parts] == ["hi", "hello"]  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.run_context.deps, found.run_context.run_step, found.run_context.usage.requests) == ("ana", 3, 2)


def test_the_withdrawal_of_a_response_arrives() -> None:
    transport = CancelTransport(*parts())
    response = ModelResponse([TextPart("half")], provider_response_id="resp-1", state="suspended")
    for ctx in (context(), None):
        params = ModelCancelSuspendedResponseParams(None, response=response, run_context=ctx)
        found = transport.load(over_the_wire(transport.dump(params)), runtime=None)
        assert (found.model_id, found.response) == (None, response)
        assert (found.run_context is None) is (ctx is None)
