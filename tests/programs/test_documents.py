# SPDX-License-Identifier: Apache-2.0
"""A document between other processes and a human: a node is killed while it asks, an agent when it has said its part."""

from __future__ import annotations

from typing import Any

from nervenet import Client, Resolution, WorkflowHandle
from tests.programs.world import WITHIN, agent, kill, kill_the_owner_of, two_nodes
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until


async def asked(client: Client, run: WorkflowHandle[Any], host: ProcessMesh) -> str:
    """Wait until it asks a human; the question's id."""
    found: list[str] = []

    async def open_question() -> bool:
        found.extend([e.id async for e in client.escalations(workflow_id=run.id)])
        return bool(found)

    await until(open_question, f"{run.id} asks", WITHIN, host)
    return found[0]


async def test_documents_with_a_node_killed_while_a_human_is_asked(host: ProcessMesh) -> None:
    doc = {"name": "letter", "text": "(c) Ada\n(c) Grace"}
    two_nodes(host, "documents")
    host.up(
        agent(host, "readers", "one", "--only", "extract,summarize"),
        agent(host, "readers", "other", "--only", "validate"),
    )
    async with host.client() as client:
        runs = {name: await client.start("review", doc, id=name) for name in ("peaceful", "rejected", "killed")}
        questions = {name: await asked(client, run, host) for name, run in runs.items()}
        await client.resolve(questions["peaceful"], Resolution.complete("yes"))
        peaceful = await runs["peaceful"].result(timeout=WITHIN)
        assert peaceful == {"text": "held by Ada and Grace"}
        await client.resolve(questions["rejected"], Resolution.complete("no", comment="odd", resolver="ana"))
        assert await runs["rejected"].result(timeout=WITHIN) == {"text": "rejected by ana: odd"}

        await kill_the_owner_of(runs["killed"], host)
        (again,) = [e async for e in client.escalations()]
        assert again.id == questions["killed"] and again.context == ["letter names no licence"]
        await client.resolve(again.id, Resolution.complete("yes"))
        assert await runs["killed"].result(timeout=WITHIN) == peaceful
        assert (await runs["killed"].info()).adoptions == 1


async def test_documents_with_an_agent_killed_before_the_other_one_has_come(host: ProcessMesh) -> None:
    """The facts are in the journal: whoever extracted them need not be asked again."""
    doc = {"name": "licence", "text": "(c) Ada\nlicence: MIT"}
    two_nodes(host, "documents")
    (first,) = host.up(agent(host, "readers", "first", "--only", "extract,summarize"))
    async with host.client() as client:
        run = await client.start("review", doc, id="killed")
        assert await anext(event.step async for event in run.watch() if event.kind == "task") == "extract"
        kill(first)
        host.up(agent(host, "readers", "second", "--only", "validate"), agent(host, "readers", "third"))
        assert await run.result(timeout=WITHIN) == {"text": "held by Ada"}
        steps = [event.step async for event in run.watch() if event.kind == "task"]
        assert steps == ["extract", "validate", "summarize"]
        assert await client.run("review", doc, id="peaceful") == {"text": "held by Ada"}
