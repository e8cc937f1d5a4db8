# SPDX-License-Identifier: Apache-2.0
"""Everybody outside the mesh: who starts workflows, signals, cancels, decides, begins again what is closed.

A client knows what it was told and nothing else. It asks any node that lives until one answers, so every call may have
happened before, or twice; what it was promised is kept in `Promise`, and `check.py` holds the mesh to it. Some leave in the
middle of a call, which cancels it at its node, as gRPC does; some of those never come back. What they left behind has to
end as well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from nervenet.errors import NervenetError
from nervenet.node.node import Node
from nervenet.node.workflows.start import Started
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import Action, Body, Cancel, Decided, Escalated, FailureCode, Outcome, Payload, Signaled
from nervenet.wire import decode_entry
from tests.simulation.check import Ledger, Promise, journal_key
from tests.simulation.flows import BEGGING, CHOICES, HEARD, RESTARTED, World
from tests.simulation.mesh import Member

PATIENCE = 3.0
LEAVING = 0.003
"""Seconds within which a caller leaves that does: about as long as a start takes."""
BATCHED = ("chain", "naps", "fan")
SETTLED = frozenset(("new", "exists", "closed", "over", "stale"))


class Clients:
    """`members` grows and shrinks meanwhile."""

    def __init__(
        self,
        members: list[Member],
        ledger: Ledger,
        chance: random.Random,
        world: World,
        tell: Callable[[str], None],
    ) -> None:
        self._world = world
        self._members, self._ledger, self._chance, self._tell = members, ledger, chance, tell
        self.promised: dict[str, Promise] = {}
        self.innocents_asked = 0
        self.ponder = 0.2
        """How many seconds people think at most before they decide."""
        self.leaving = 0.0
        """How many calls are cancelled by their caller."""
        self.left = 0
        self._begun: dict[str, Promise] = {}

    @property
    def owed(self) -> dict[str, Promise]:
        """What was promised, and what exists although nobody heard of it."""
        there = {one: promise for one, promise in self._begun.items() if journal_key(one) in self._ledger.run}
        return there | self.promised

    async def run(self, workflow_id: str, shape: str, n: int) -> None:
        """One workflow as its clients live it, from the start to their last word."""
        await asyncio.sleep(self._chance.random() * 0.02)
        if shape == "errs":
            self._world.wrong.add(n)
        await self._start(workflow_id, shape, n, "same")
        if shape in ("hears", "echoes"):
            await self._signal(workflow_id)
        elif shape == "stops":
            await self._cancel(workflow_id)
        elif shape == "asks" or shape in BEGGING:
            await asyncio.gather(*(self._decide(workflow_id, shape, n, who) for who in range(2)))
        elif shape == "errs":
            await self._repair(workflow_id, n)
        elif shape in RESTARTED and self._chance.random() < 0.3:
            await self._restart(workflow_id, shape, n + 50)

    async def _start(self, workflow_id: str, shape: str, n: int, if_exists: str) -> None:
        request = StartRequest(workflow_id, shape, _number(n), if_exists=if_exists)
        await self._until_answered(lambda node: node.starter.start(request))
        self.promised[workflow_id] = Promise(shape, n)
        self._tell(f"{workflow_id} accepted")

    async def batch(self, number: int) -> None:
        """Several starts in one call, by somebody who may leave and not come back."""
        await asyncio.sleep(self._chance.random() * 0.1)
        rows = [(f"{shape}-{number}{i}", shape, 1_000 * number + i) for i, shape in enumerate(BATCHED)]
        self._begun |= {workflow_id: Promise(shape, n) for workflow_id, shape, n in rows}
        requests = [StartRequest(workflow_id, shape, _number(n)) for workflow_id, shape, n in rows]
        outcomes = await self._until_answered(
            lambda node: node.starter.start_many(requests), returns=self._chance.random() < 0.5
        )
        for (workflow_id, _, _), outcome in zip(rows, outcomes or (), strict=bool(outcomes)):
            if isinstance(outcome, Started):
                self.promised[workflow_id] = self._begun[workflow_id]
                self._tell(f"{workflow_id} accepted in a batch")

    async def _restart(self, workflow_id: str, shape: str, n: int) -> None:
        while not self._closed(workflow_id):
            await asyncio.sleep(0.1)
        self._ledger.violations += self._ledger.outcome(workflow_id, self.promised[workflow_id])
        while not self._begun_again(workflow_id):  # where a crash took its end, it was found running
            await self._start(workflow_id, shape, n, "restart_if_closed")
            await asyncio.sleep(0.1)

    def _begun_again(self, workflow_id: str) -> bool:
        return sum(name == b"start" for _, name, _ in self._ledger.written.get(journal_key(workflow_id), ())) > 1

    async def _repair(self, workflow_id: str, n: int) -> None:
        """Somebody corrects the code at some time, and has the run replayed until it ends, also before that. Some begin it again
        instead, and repeat that until they are answered: this is one more run."""
        promise, corrected_at = (
            self.promised[workflow_id],
            asyncio.get_running_loop().time() + self._chance.random() * 4,
        )
        promise.runs, again = 1, self._chance.random() < 0.5
        if again:
            promise.runs = 2
        while not self._is_unreadable_end(workflow_id) and (again or not self._is_right(workflow_id, promise)):
            await asyncio.sleep(self._chance.random() * 0.5)
            if asyncio.get_running_loop().time() > corrected_at:
                self._world.wrong.discard(n)
            if again:
                if await self._once(lambda node: node.repair.restart(workflow_id, 1)):
                    self._tell(f"{workflow_id} begins again")
                    again = self._chance.random() < 0.3  # the answer was lost on its way
            else:
                await self._once(lambda node: node.repair.retry(workflow_id))

    def _is_right(self, workflow_id: str, promise: Promise) -> bool:
        return self._closed(workflow_id) and not [*self._ledger.outcome(workflow_id, promise)]

    def _is_unreadable_end(self, workflow_id: str) -> bool:
        """Whether it has ended, and may have ended in any way."""
        return self._closed(workflow_id) and journal_key(workflow_id) in self._ledger.garbled

    async def _once(self, call: Callable[[Node], Awaitable[Any]]) -> bool:
        """Ask some node. Returns whether it answered; it may go on all the same."""
        able = [member for member in self._members if member.kind == "node" and member.able]
        if not able:
            return False
        node = self._chance.choice(able)
        asked = node.process.run(said(call(node.thing)))
        await asyncio.wait((asked,), timeout=PATIENCE)
        return asked.done() and not asked.cancelled() and asked.result() is not None

    async def _signal(self, workflow_id: str) -> None:
        await asyncio.sleep(self._chance.random() * 0.2)
        await self._record(workflow_id, "signal:s", Signaled("word", _number(HEARD)))

    async def _cancel(self, workflow_id: str) -> None:
        await asyncio.sleep(self._chance.random() * 0.3)
        await self.cancel(workflow_id)

    async def cancel(self, workflow_id: str) -> None:
        """As somebody who sees that it is BLOCKED."""
        await self._record(workflow_id, "cancel", Cancel("enough", "client"))

    async def _record(self, workflow_id: str, name: str, body: Body) -> None:
        run, status = 1, "stale"
        while status in ("stale", "unknown"):  # a client names no run: the node looks; unknown: not written back yet
            record = lambda node, run=run: node.facts.record(workflow_id, run, name, body, "client")  # noqa: E731
            answer = await self._until_answered(record)
            status, run = answer.status, answer.run

    async def _decide(self, workflow_id: str, shape: str, n: int, who: int) -> None:
        """One of two people who both answer whatever is asked, each in their own way."""
        answered: set[tuple[str, int]] = set()
        while not self._closed(workflow_id):
            for step, k in self._questions(workflow_id) - answered:
                await asyncio.sleep(self._chance.random() * self.ponder)
                decided, outcome, means = _words(shape, n, who, k)
                status = await self._resolve(workflow_id, 1, step, k, decided, outcome)
                if status in SETTLED:
                    answered.add((step, k))
                if status == "new":
                    self.promised[workflow_id].said.append((f"{step}#{k}", means))
            await asyncio.sleep(0.05)

    async def help_with_lost_agents(self) -> None:
        """One who is asked about every step that is suspected of ending its agents, children's too: what is poison gets a
        result by hand, anything else another try."""
        while True:
            await asyncio.sleep(0.25)
            for key, run in list(self._ledger.run.items()):
                workflow_id = key[key.index(b"{") + 1 : key.index(b"}")].decode()
                shape, _, number = workflow_id.partition("-")
                if shape in BEGGING or b"close" in run:
                    continue
                for name, data in list(run.items()):
                    if name.startswith(b"escalated:") and b"decided:" + name[10:] not in run:
                        await self._help(workflow_id, key, name.decode(), data, shape, number)

    async def _help(self, workflow_id: str, key: bytes, name: str, data: bytes, shape: str, number: str) -> None:
        body = decode_entry(name, data, 1, 1).body
        assert isinstance(body, Escalated)
        failure = body.question.failure
        if failure is None or failure.code is not FailureCode.AGENT_LOST:
            return
        step, _, k = name.removeprefix("escalated:").rpartition("#")
        run = sum(written[1] == b"start" for written in self._ledger.written[key])
        decided, outcome = Decided(Action.RETRY, None, 1, "", "helper"), None
        if shape == "poisoned":
            value = _number(-(100 * int(number) + 1))
            decided, outcome = Decided(Action.COMPLETE, value, 0, "", "helper"), Outcome(value, None)
        status = await self._resolve(workflow_id, run, step, int(k), decided, outcome)
        if status == "new" and shape != "poisoned":
            self.innocents_asked += 1
            self._tell(f"{workflow_id} {name}: an innocent, tried again")

    async def _resolve(
        self, workflow_id: str, run: int, step: str, k: int, decided: Decided, outcome: Outcome | None
    ) -> str:
        words = (workflow_id, run, step, k, decided, outcome, None, decided.resolver)
        return str((await self._until_answered(lambda node: node.escalations.decide(*words))).status)

    def _questions(self, workflow_id: str) -> set[tuple[str, int]]:
        names = [name.decode() for name in self._ledger.run.get(journal_key(workflow_id), ())]
        asked = [name.removeprefix("escalated:").rpartition("#") for name in names if name.startswith("escalated:")]
        return {(step, int(k)) for step, _, k in asked}

    def _closed(self, workflow_id: str) -> bool:
        return b"close" in self._ledger.run.get(journal_key(workflow_id), ())

    async def _until_answered(self, call: Callable[[Node], Awaitable[Any]], *, returns: bool = True) -> Any:
        """The answer; None from one who left in the middle of the call and does not return."""
        while True:
            able = [member for member in self._members if member.kind == "node" and member.able]
            if not able:
                await asyncio.sleep(0.5)
                continue
            node = self._chance.choice(able)
            asked = node.process.run(said(call(node.thing)))
            if self._chance.random() < self.leaving:
                asyncio.get_running_loop().call_later(self._chance.random() * LEAVING, asked.cancel)
            await asyncio.wait((asked,), timeout=PATIENCE)
            if asked.done() and not asked.cancelled() and (answer := asked.result()) is not None:
                return answer
            if asked.cancelled():
                self.left += 1
                self._tell(f"a caller of {node.process} left")
                if not returns:
                    return None


async def said(call: Awaitable[Any]) -> Any:
    """The answer of a node, None where it refused or its Redis was away."""
    try:
        return await call or True
    except (NervenetError, OSError):
        return None


def _number(n: int) -> Payload:
    return Payload("json", str(n).encode())


def _words(shape: str, n: int, who: int, k: int) -> tuple[Decided, Outcome | None, int | None]:
    """What this person says, and what the workflow's output must be if it counts (None: anything that is right)."""
    person = f"person {who}"
    if shape in BEGGING and who == 0 and k < 3:
        return Decided(Action.RETRY, None, 1, "", person), None, None
    word = [*CHOICES][who]
    value, means = (
        (Payload("json", b'"%s"' % word.encode()), n + CHOICES[word]) if shape == "asks" else (_number(-n), -n)
    )
    return Decided(Action.COMPLETE, value, 0, "", person), Outcome(value, None), means
