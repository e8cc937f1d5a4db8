# SPDX-License-Identifier: Apache-2.0
"""What a client says when the mesh refuses: which error, of which standard kind, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from nervenet import Client, Context, Mesh, RequestError, Signal, StartOptions, WorkflowFailed, errors

mesh = Mesh("sentences")
go = Signal("go", str)


@mesh.agent
async def greet(name: str) -> str:
    return name


@mesh.workflow
async def quick(ctx: Context, n: int) -> int:
    return n


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(go)


Ask: TypeAlias = Callable[[Client], Coroutine[Any, Any, Any]]
STRICT = StartOptions(durability="strict")
ABANDONING = StartOptions(abandon_children=True)
REFUSED: list[tuple[type[Exception], Ask, str]] = [
    (errors.AlreadyExists, lambda c: c.start(quick, 2, id="q"), r"q exists with another input \(\w{12}, this one is \w{12}\)"),
    (errors.AlreadyExists, lambda c: c.start(quick, 1, id="q", options=StartOptions(if_exists="error")), "q exists and is"),
    (errors.AlreadyClosed, lambda c: c.handle("q").signal(go, "x"), "workflow q is SUCCEEDED and no longer accepts a signal"),
    (errors.NotFound, lambda c: c.handle("nobody").info(), "there is no workflow 'nobody' in namespace "),
    (errors.NotFound, lambda c: c.start("quik", 1), r"no live node has workflow 'quik' \(there are: quick, waits\)"),
    (errors.InvalidRequest, lambda c: c.start(quick, 1, id="a {b}"), "^workflow_id: 'a {b}' cannot be a workflow id: it starts"),
    (errors.Overloaded, lambda c: c.start("quick", "x" * (2 << 20)), r"^quick: input is 2 MiB, limit 1 MiB \(NERVENET_PAYLOAD"),
    (errors.PreconditionFailed, lambda c: c.start(quick, 1, options=STRICT), "this mesh is not strict: a crash of Redis can"),
    (ValueError, lambda c: c.start(quick, "one"), "^quick: input should be a valid integer"),
    (ValueError, lambda c: c.start(quick, 1, options=ABANDONING), "^quick: abandon_children is an option of ctx.start only"),
    (TypeError, lambda c: c.start(greet, "Ada"), r"^client.start takes a workflow, not <Agent greet.*: await client.call\(greet, …, request_id"),
    (TypeError, lambda c: c.call(quick, 1, request_id="r"), r"^client.call takes an agent, not <Workflow quick.*client.run\(quick, …\)"),  # type: ignore[arg-type]
    (errors.NotFound, lambda c: c.handle("nobody").result(timeout=30), "there is no workflow 'nobody' in namespace "),
    (ValueError, lambda c: anext(c.list(state="broken")), "there is no state 'broken'; there are: RUNNING, WAITING_FOR_HUMAN"),
    (TypeError, lambda c: c.start(quick, 1, 2), "'quick' takes one value, got 2: make them one model or dataclass"),
]  # fmt: skip


async def test_each_refusal_is_a_sentence_of_its_own_kind(mesh_client: Client) -> None:
    assert await mesh_client.run(quick, 1, id="q") == 1
    for kind, ask, words in REFUSED:
        with pytest.raises(kind, match=words):
            await ask(mesh_client)


async def test_a_cancel_is_told_as_one(mesh_client: Client) -> None:
    run = await mesh_client.start(waits, id="w")
    await run.cancel("enough")
    with pytest.raises(WorkflowFailed, match=r"^workflow w was canceled: enough$"):
        await run.result(timeout=10)


def test_refusals_have_their_standard_parents() -> None:
    parents = {
        errors.InvalidRequest: ValueError,
        errors.NotFound: LookupError,
        errors.Unavailable: ConnectionError,
        errors.Unauthorized: PermissionError,
    }
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RequestError)}
    assert kinds >= {errors.AlreadyExists, errors.AlreadyClosed, errors.Overloaded, errors.PreconditionFailed}
    for kind in kinds - {RequestError}:
        assert issubclass(kind, parents.get(kind, RequestError)), kind
    assert issubclass(errors.CallTimedOut, TimeoutError) and issubclass(errors.ConfigError, ValueError)
