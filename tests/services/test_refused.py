# SPDX-License-Identifier: Apache-2.0
"""Refused at the door: what no code of the mesh would take is refused by every node, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, Field

from nervenet import Context, Mesh, Signal, Workflow, errors
from nervenet.client.raw import RawClient
from nervenet.node.node import Node
from nervenet.node.services import serve
from nervenet.process.together import serving
from nervenet.registry.layout import Layout
from tests.services.world import World
from tests.support.waiting import until


class Item(BaseModel):
    name: str
    price: float = Field(ge=0)


class Order(BaseModel):
    items: list[Item]
    note: str = ""


class Approval(BaseModel):
    by: str
    level: int = 1


approve = Signal("approve", Approval)
reject = Signal("reject", None)
misspelt = Signal("aprove", Approval)
wrong_type = Signal("approve", str)

shop = Mesh("shop")
desk = Mesh("desk")
empty = Mesh("empty")
order_elsewhere = Workflow.remote("order", Any, Any)


@shop.workflow
async def order(ctx: Context, order: Order) -> str:
    return (await ctx.receive(approve)).by + str(len(order.items))


@shop.workflow
async def either(ctx: Context) -> str:
    await ctx.receive(reject)
    return "rejected"


@shop.workflow
async def free(ctx: Context, name: str) -> str:
    return await ctx.receive(Signal(f"go-{name}", str))


@desk.workflow
async def asks_for(ctx: Context, items: Any) -> str:
    try:
        return str(await ctx.call(order_elsewhere, items))
    except errors.CallFailed as failed:
        return f"{failed.failure.code}: {failed.failure.message}"


@desk.workflow
async def signals(ctx: Context, to: str) -> list[str]:
    said = []
    for signal, value, more in (
        (misspelt, Approval(by="ana"), {}),
        (wrong_type, "yes", {}),
        (misspelt, Approval(by="ana"), {"undeclared": True}),
    ):
        try:
            await ctx.signal(to, signal, value, **more)  # type: ignore[misc]
            said.append("sent")
        except errors.CallFailed as failed:
            said.append(f"{failed.failure.type}: {failed.failure.message}")
    return said


class Shop:
    """The node that has the shop's code, one with the desk's, and one without code; each behind its own client."""

    def __init__(self, world: World, node: Node, code: RawClient, desk: RawClient, bare: RawClient) -> None:
        self.world, self.node, self.code, self.desk, self.bare = world, node, code, desk, bare

    @property
    def doors(self) -> dict[str, RawClient]:
        return {"with the code": self.code, "without it": self.bare}


def knows(node: Node, count: int) -> bool:
    return len(node.context.table.nodes) == count


def serves(node: Node, capability: str) -> bool:
    return any(capability in agent.capabilities for agent in node.context.table.agents.values())


async def opened(world: World, mesh: Mesh) -> Node:
    config = world.config(listen="127.0.0.1:0")
    return await world.stack.enter_async_context(Node.open(mesh.workflows, config, serve=serve))


@pytest.fixture
async def at(world: World) -> Shop:
    nodes = [await opened(world, mesh) for mesh in (shop, desk, empty)]
    for node in nodes:
        await until(partial(knows, node, 3))
    return Shop(world, nodes[0], *[await world.raw(node) for node in nodes])


async def refusal(call: Awaitable[Any]) -> dict[str, str]:
    """The fields of an INVALID_ARGUMENT and what is said of each."""
    with pytest.raises(errors.InvalidRequest) as error:
        await call
    assert (error.value.code, error.value.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    return dict(error.value.fields)


def start(raw: RawClient, id: str, given: Any, definition: str = "order", **more: Any) -> Awaitable[Any]:
    return raw.call("StartWorkflow", workflow_id=id, definition=definition, input={"json": json.dumps(given)}, **more)


def signal(raw: RawClient, id: str, name: str, value: Any = None, **more: Any) -> Awaitable[Any]:
    payload = {} if value is None else {"json": json.dumps(value)}
    return raw.call("SignalWorkflow", workflow_id=id, signal=name, payload=payload, **more)


GOOD = {"items": [{"name": "tea", "price": 2}]}
BAD = {"items": [{"name": "tea", "price": 2}, {"price": -1}, {"name": 7, "price": "free"}]}
PROBLEMS = {
    "input.items[1].name": "field required",
    "input.items[1].price": "input should be greater than or equal to 0, got -1",
    "input.items[2].name": "input should be a valid string, got 7",
    "input.items[2].price": "input should be a valid number, unable to parse string as a number, got 'free'",
}


async def test_an_input_that_does_not_fit_is_refused_with_every_path_and_its_id_is_free(at: Shop) -> None:
    for name, raw in at.doors.items():
        assert await refusal(start(raw, f"refused {name}".replace(" ", "-"), BAD)) == PROBLEMS
        assert await refusal(raw.call("StartWorkflow", workflow_id="o", definition="order")) == {
            "input": "no value is given: input should be an object, got None"
        }
    assert await at.node.context.link.call("KEYS", f"nn:{at.world.namespace}:*refused*") == []
    for raw in at.doors.values():  # what the decoder coerces is welcome, at both
        lax = {"items": [{"name": "tea", "price": "2.5"}], "more": 1}
        assert (await start(raw, f"lax-{id(raw)}", lax)).created
    assert (await start(at.bare, "refused-without-it", GOOD)).created


async def test_one_misfit_of_a_batch_costs_itself(at: Shop) -> None:
    for name, raw in at.doors.items():
        starts = [
            {"workflow_id": f"{name.split()[-1]}-{i}", "definition": "order", "input": {"json": json.dumps(given)}}
            for i, given in enumerate((GOOD, BAD, GOOD))
        ]
        outcomes = (await raw.call("StartWorkflows", requests=starts)).outcomes
        assert [outcome.created for outcome in outcomes] == [True, False, True]
        told = {problem.field: problem.description for problem in outcomes[1].error.fields}
        assert told == {f"requests[1].{path}": words for path, words in PROBLEMS.items()}
        assert outcomes[1].error.message == "input.items[1].name: field required (and 3 more)"


async def test_a_start_that_was_accepted_before_is_answered_as_it_was_then(at: Shop) -> None:
    async def accepted_before(id: str, given: Any) -> None:
        """By code of before, whose schema took it."""
        kept, at.node.checks.input = at.node.checks.input, lambda *_: []  # type: ignore[method-assign]
        await start(at.code, id, given)
        at.node.checks.input = kept  # type: ignore[method-assign]

    await accepted_before("old", BAD)
    for raw in at.doors.values():
        again = await start(raw, "old", BAD)
        assert not again.created and again.workflow.workflow_id == "old"
        assert await refusal(start(raw, "old", BAD, if_exists="IF_EXISTS_RESTART_IF_CLOSED")) == PROBLEMS
        assert "input.items" in await refusal(start(raw, "old", {"items": 1}))


async def test_a_child_whose_input_does_not_fit_is_not_started(at: Shop) -> None:
    begun = await start(at.desk, "parent", BAD, "asks_for", wait={"seconds": 10})
    said = begun.workflow.output.value.string_value
    assert said.startswith("INVALID_INPUT: input.items[1].name: field required; input.items[1].price: ")
    with pytest.raises(errors.NotFound):
        await at.bare.call("GetWorkflow", workflow_id="parent/order")


async def test_an_unknown_signal_is_refused_by_every_node_with_what_was_meant(at: Shop) -> None:
    await start(at.code, "o", GOOD)
    await start(at.code, "e", None, "either")
    for raw in at.doors.values():
        assert await refusal(signal(raw, "o", "aprove", {"by": "ana"})) == {
            "signal": "order v1 receives no signal 'aprove'; did you mean 'approve'? (it receives approve). Set "
            "`undeclared` to send it all the same"
        }
        assert await refusal(signal(raw, "o", "approve", {"level": "high"})) == {
            "payload.by": "field required",
            "payload.level": "input should be a valid integer, unable to parse string as an integer, got 'high'",
        }
        assert await refusal(signal(raw, "e", "reject", 7)) == {"payload": "input should be null, got 7"}
        assert (await signal(raw, "o", "aprove", {"by": "ana"}, undeclared=True)).created
    journal = await at.code.call("ListJournal", workflow_id="o")
    assert [entry.signal.signal for entry in journal.entries[1:]] == ["aprove", "aprove"]
    await signal(at.bare, "e", "reject")
    await signal(at.bare, "o", "approve", {"by": "ana", "level": "3"})
    for workflow_id, output in (("o", "ana1"), ("e", "rejected")):
        done = await at.bare.call("GetWorkflow", workflow_id=workflow_id, wait={"seconds": 10})
        assert done.workflow.output.value.string_value == output


async def test_where_the_code_makes_its_signals_every_name_is_taken(at: Shop) -> None:
    await start(at.code, "f", "ana", "free")
    for raw in at.doors.values():
        assert (await signal(raw, "f", "go-ben", 7)).created
    with pytest.raises(errors.NotFound):
        await signal(at.bare, "nobody", "go", 7)


async def test_a_workflow_that_sends_a_wrong_signal_is_told(at: Shop) -> None:
    await start(at.code, "o", GOOD)
    done = await start(at.desk, "sender", "o", "signals", wait={"seconds": 10})
    name, value, forced = (each.string_value for each in done.workflow.output.value.list_value.values)
    assert name.startswith("InvalidRequest: signal: order v1 receives no signal 'aprove'; did you mean 'approve'?")
    assert value == "InvalidRequest: payload: input should be an object, got 'yes'"
    assert forced == "sent"


async def test_a_repeated_signal_is_answered_as_it_was_the_first_time(at: Shop) -> None:
    await start(at.code, "o", GOOD)
    await signal(at.bare, "o", "aprove", {"by": "ana"}, request_id="mail-7", undeclared=True)
    for raw in at.doors.values():
        again = await signal(raw, "o", "aprove", {"by": "ana"}, request_id="mail-7")
        assert (again.sequence, again.created) == (2, False)


async def test_a_node_of_before_publishes_no_signals_and_nothing_is_refused_for_it(at: Shop) -> None:
    """The only node with the code registers as an older version does: with the input's schema and nothing else."""
    key = Layout(at.world.namespace).node(at.node.node_id)
    ours = json.loads(at.node.context.table.nodes[at.node.node_id].record)
    for definition in ours["definitions"]:
        for field in ("signals", "signalsComplete", "schemasMarked"):
            definition.pop(field, None)
    await at.node.status.session.put(key, json.dumps(ours).encode())
    other = await opened(at.world, empty)
    raw = await at.world.raw(other)
    await until(lambda: len(other.context.table.nodes) == 4)
    assert (await start(raw, "bad", BAD)).created  # created, and failed by its code, as before
    done = await raw.call("GetWorkflow", workflow_id="bad", wait={"seconds": 10})
    assert done.workflow.failure.code == 2  # INVALID_INPUT
    await start(raw, "o", GOOD)
    assert (await signal(raw, "o", "aprove", 7)).created
    # a node with the code may be of before too: one that would take it is enough
    assert await refusal(start(at.code, "bad-2", BAD)) == PROBLEMS


async def test_a_lone_task_that_no_live_agent_takes_is_refused(at: Shop) -> None:
    worker = Mesh("worker")

    @worker.agent
    async def price(item: Item) -> float:
        return item.price

    config = at.world.config(address=at.node.address)
    async with serving(worker, config, node=False, agents=True):
        for raw in at.doors.values():
            await until(partial(serves, at.node, "price"))
            given = {"json": json.dumps({"price": -1})}
            wrong = await refusal(raw.call("RunTask", request_id="t", capability="price", input=given))
            assert wrong == {"input.name": "field required", "input.price": PROBLEMS["input.items[1].price"]}
        fine = {"json": json.dumps({"name": "tea", "price": 2})}
        done = await at.bare.call("RunTask", request_id="t", capability="price", input=fine, wait={"seconds": 10})
        assert done.workflow.output.value.number_value == 2
