# SPDX-License-Identifier: Apache-2.0
"""No entry crosses runs: what was delivered for an earlier run comes again, late and doubled, while later ones go on.

The step has the same name in every run, so only the run tells them apart. An agent by hand keeps all that it ever got and sent
and, from a seed, repeats some of it at each task: claims, results, failures, renewals, signals, decisions, envelopes into inbox and
queue, news into the owner's wake.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from nervenet.durable.context import Context
from nervenet.mesh import Mesh
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Action, Attempt, Decided, Failure, FailureCode, Outcome, Payload, Signaled
from nervenet.streams.queues import OutgoingWake
from nervenet.wire import encode_entry, encode_envelope
from tests.node.hand import World, end_of, journal
from tests.support.waiting import until

if TYPE_CHECKING:
    from nervenet.node.node import Node
    from tests.node.hand import Hand, Task

RUNS, LIVES, LATE = 12, 3, 4
mesh = Mesh("apart")


@mesh.agent
async def tell(run: int) -> str:
    raise AssertionError("the tests answer by hand")


@mesh.workflow
async def grows(ctx: Context, told: list[str]) -> list[str]:
    told = [*told, await ctx.call(tell, len(told))]
    if len(told) < RUNS:
        ctx.continue_as_new(grows, told)
    return told


@pytest.fixture
def world(redis_url: str, etcd_url: str, namespace: str) -> World:
    return World(redis_url, etcd_url, namespace)


class Past:
    """Everything that an agent ever held, and what comes of doing it again; `answers` counts by what and answer."""

    def __init__(self, node: Node, hand: Hand, chance: random.Random) -> None:
        self._node, self._hand, self._chance = node, hand, chance
        self._tasks: list[tuple[Task, str]] = []
        self.answers: Counter[tuple[str, str]] = Counter()

    def keep(self, task: Task, journal_id: str) -> None:
        self._tasks.append((task, journal_id))

    async def strike(self) -> None:
        """Some of it again, each in every way."""
        for task, journal_id in self._chance.sample(self._tasks, min(len(self._tasks), LATE)):
            await self._answers_again(task)
            await self._carries_again(task, journal_id)

    async def _answers_again(self, task: Task) -> None:
        e, hand = task.envelope, self._hand
        where = e.workflow_id, e.run
        outcome = Outcome(Payload("json", b'"late"'), None, e.capability, e.digest, e.attempt, hand.id)
        failed = Attempt(Failure(FailureCode.APPLICATION, "late"), None, e.capability, e.digest, hand.id)
        said = Signaled("word", Payload("json", b'"late"'))
        decided = encode_entry(Decided(Action.COMPLETE, Payload("json", b'"late"'), 0, "", "late"), "late")
        self._count("claim", (await hand.claim(task)).status)
        self._count(
            "result", (await hand.journal.append(*where, f"task:{e.step}", encode_entry(outcome, hand.id))).status
        )
        self._count(
            "failure", (await hand.journal.append(*where, f"attempt:{e.step}#9", encode_entry(failed, hand.id))).status
        )
        self._count("renewal", str(await hand.journal.renew(*where, e.step, e.attempt, hand.id)))
        self._count("signal", (await self._node.facts.record(*where, "signal:late", said, "late")).status)
        self._count("decision", (await hand.journal.decide(*where, e.step, 1, decided)).status)

    async def _carries_again(self, task: Task, journal_id: str) -> None:
        e, hand = task.envelope, self._hand
        envelope = encode_envelope(e)
        await hand.queues.send_inbox(hand.id, envelope)
        await hand.queues.send_queue(e.capability, envelope)
        outcome = encode_entry(Outcome(Payload("json", b'"late"'), None, e.capability, e.digest, 1, hand.id), hand.id)
        await hand.queues.wake(
            OutgoingWake(self._node.node_id, e.workflow_id, e.run, journal_id.encode(), f"task:{e.step}", outcome)
        )

    def _count(self, what: str, answer: str) -> None:
        self.answers[what, answer] += 1


async def test_nothing_of_an_earlier_run_gets_into_a_later_one(world: World) -> None:
    seed = int(os.environ.get("NERVENET_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}: NERVENET_SEED={seed} repeats it")
    async with world.node(mesh) as node, world.agent("tell") as hand:
        await until(lambda: node.context.table.agents)
        past = Past(node, hand, random.Random(seed))
        ran: list[int] = []
        for life in range(LIVES):
            again = StartRequest("w", "grows", Payload("json", b"[]"), if_exists="restart_if_closed")
            assert (await node.starter.start(again)).created
            for turn in range(RUNS):
                task = await next_to_run(hand)
                run = task.envelope.run
                assert run == life * RUNS + turn + 1, "each start and each fresh journal is one more"
                assert list(await journal(node, "w")) == ["start"], f"run {run} began with something of another"
                await past.strike()
                answer = await hand.answer(task, b'"run %d"' % run)
                assert answer.status == "new", f"run {run} has its result already"
                past.keep(task, answer.id.decode() if isinstance(answer.id, bytes) else str(answer.id))
                ran.append(run)
            close = await end_of(node, "w")
            assert close.output is not None
            assert json.loads(close.output.data) == [f"run {life * RUNS + turn + 1}" for turn in range(RUNS)]
            await until(lambda: not node.hosted.coordinators)
            await past.strike()
    print(dict(past.answers))
    assert ran == list(range(1, LIVES * RUNS + 1))
    refused = {("claim", "stale"), ("result", "stale"), ("failure", "stale"), ("renewal", "False"), ("signal", "stale")}
    refused |= {("decision", "stale")}
    # Behind the close of its own run a result of that run is what stands there, which is no other run's business.
    own = {("claim", "stale"), ("result", "exists"), ("result", "closed"), ("failure", "exists"), ("failure", "closed")}
    own |= {("signal", "closed"), ("decision", "closed"), ("decision", "over"), ("signal", "stale")}
    assert refused <= set(past.answers) <= refused | own


async def next_to_run(hand: Hand) -> Task:
    """Read on, past copies of earlier runs, until one may be run."""
    while True:
        task = await hand.read()
        status = (await hand.claim(task)).status
        if status == "run":
            return task
        assert status == "stale", status
        await hand.queues.drop(task.stream, task.entry_id)
