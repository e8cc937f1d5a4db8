# SPDX-License-Identifier: Apache-2.0
"""Redis, as the orchestrator uses it: where events come from, where effects go, and what is loaded after a restart.

    central:<ns>:starts            stream   requests of clients
    central:<ns>:results           stream   results of workers
    central:<ns>:tasks:<capability> stream  with the group `workers`
    central:<ns>:replies:<client>  stream   results of workflows, for the client that started them
    central:<ns>:wf:<id>           hash     the saved state of a workflow
    central:<ns>:open              set      ids of the workflows that are not closed

`starts` and `results` hold only what is not yet applied: the write that carries the effects of an event also removes it. So a new
orchestrator reads both streams from their beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from .definitions import DEFINITIONS, Keeps
from .engine import Close, Create, Dispatch, Effect, Event, SaveAttempt, SaveStep, StartRequested, StepEnded, Workflow

Command = tuple[str | bytes | int, ...]
Entry = tuple[bytes, dict[bytes, bytes]]

GROUP: Final = "workers"
BLOCK_MS: Final = 2000
MOST_AT_ONCE: Final = 1000
RETENTION_S: Final = 7 * 86_400
REPLIES_KEPT: Final = 100_000
LOADED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Keys:
    namespace: str

    @property
    def starts(self) -> str:
        return f"central:{self.namespace}:starts"

    @property
    def results(self) -> str:
        return f"central:{self.namespace}:results"

    @property
    def open(self) -> str:
        return f"central:{self.namespace}:open"

    @property
    def workflow_prefix(self) -> bytes:
        return f"central:{self.namespace}:wf:".encode()

    def tasks(self, capability: str) -> str:
        return f"central:{self.namespace}:tasks:{capability}"

    def replies(self, client: str) -> str:
        return f"central:{self.namespace}:replies:{client}"

    def worker(self, worker: str) -> str:
        return f"central:{self.namespace}:worker:{worker}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and the entry of the stream that carried it."""

    stream: str
    entry_id: bytes
    event: Event


def connect(url: str) -> Redis:
    """One connection. No command is retried: after an error nobody knows whether Redis has done it, and the process ends."""
    return Redis.from_url(url, single_connection_client=True, retry=Retry(NoBackoff(), 0))


def entries_of(reply: Any) -> Iterator[tuple[str, list[Entry]]]:
    """The streams of an answer to XREAD, with what is new in each. redis-py has a list or a dict, by the protocol that it speaks."""
    for stream, entries in (reply.items() if isinstance(reply, dict) else reply) or ():
        yield stream.decode(), entries


async def make_group(redis: Redis, stream: str) -> None:
    try:
        await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


class Store:
    """One connection for blocking reads, one for writes."""

    def __init__(self, url: str, namespace: str) -> None:
        self.keys = Keys(namespace)
        self._reads: Redis = connect(url)
        self._writes: Redis = connect(url)
        self._last: dict[str, bytes] = {self.keys.results: b"0", self.keys.starts: b"0"}
        self._workflow = self.keys.workflow_prefix
        self._tasks = self.keys.tasks("").encode()
        self._replies = self.keys.replies("").encode()

    async def prepare(self) -> None:
        for capability in {step.decode() for each in DEFINITIONS.values() for step in each.steps}:
            await make_group(self._writes, self.keys.tasks(capability))

    async def close(self) -> None:
        await self._reads.aclose()
        await self._writes.aclose()

    async def read(self, most: int = MOST_AT_ONCE) -> list[Delivery]:
        """What has come in; waits for the first event."""
        deliveries: list[Delivery] = []
        reply: Any = None
        while not reply:
            positions: dict[Any, Any] = dict(self._last)
            reply = await self._reads.xread(positions, count=most, block=BLOCK_MS)
        for stream, entries in entries_of(reply):
            deliveries += [Delivery(stream, entry_id, _event(stream == self.keys.starts, f)) for entry_id, f in entries]
            self._last[stream] = entries[-1][0]
        return deliveries

    async def commit(self, deliveries: Sequence[Delivery], effects: Iterable[Effect]) -> None:
        """All effects, and the removal of the events that they follow from, in one MULTI: all of it, or nothing."""
        async with self._writes.pipeline(transaction=True) as pipe:
            created: list[bytes] = []
            closed: list[bytes] = []
            for effect in effects:
                for command in self.commands(effect):
                    pipe.execute_command(*command)
                match effect:
                    case Create(workflow):
                        created.append(workflow.id)
                    case Close(workflow):
                        closed.append(workflow.id)
                    case _:
                        pass
            if created:
                pipe.sadd(self.keys.open, *created)
            if closed:
                pipe.srem(self.keys.open, *closed)
            for stream in self._last:
                if done := [each.entry_id for each in deliveries if each.stream == stream]:
                    pipe.xdel(stream, *done)
            await pipe.execute()

    async def commit_one_by_one(self, delivery: Delivery, effects: Iterable[Effect]) -> None:
        """The naive form: each command is awaited before the next one is sent. A crash in between leaves a half."""
        redis = self._writes
        for effect in effects:
            for command in self.commands(effect):
                await redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here
            match effect:
                case Create(workflow):
                    await redis.sadd(self.keys.open, workflow.id)
                case Close(workflow):
                    await redis.srem(self.keys.open, workflow.id)
                case _:
                    pass
        await redis.xdel(delivery.stream, delivery.entry_id)

    async def dispatch(self, tasks: Iterable[Dispatch]) -> None:
        """Send tasks again, after a restart of the naive form."""
        async with self._writes.pipeline(transaction=False) as pipe:
            for task in tasks:
                for command in self.commands(task):
                    pipe.execute_command(*command)
            await pipe.execute()

    def commands(self, effect: Effect) -> list[Command]:
        match effect:
            case Create(workflow):
                created = (
                    b"definition",
                    workflow.definition.name,
                    b"client",
                    workflow.client,
                    b"input",
                    workflow.input,
                )
                return [("HSET", self._workflow + workflow.id, *created, b"step", 0, b"attempt", 1)]
            case SaveStep(workflow, value):
                at = (b"step", workflow.step, b"attempt", 1, _result_field(workflow, workflow.step - 1), value)
                return [("HSET", self._workflow + workflow.id, *at)]
            case SaveAttempt(workflow):
                return [("HSET", self._workflow + workflow.id, b"attempt", workflow.attempt)]
            case Dispatch(workflow_id, capability, step, attempt, value):
                fields = (b"w", workflow_id, b"s", step, b"a", attempt, b"v", value)
                return [("XADD", self._tasks + capability, "*", *fields)]
            case Close(workflow, status, value):
                key, reply = self._workflow + workflow.id, (b"w", workflow.id, b"status", status, b"v", value)
                return [
                    ("HSET", key, b"status", status, b"result", value),
                    ("EXPIRE", key, RETENTION_S),
                    ("XADD", self._replies + workflow.client, "MAXLEN", "~", REPLIES_KEPT, "*", *reply),
                ]

    async def load(self) -> list[Workflow]:
        """Every open workflow, as it was saved."""
        saved: Any = await self._writes.smembers(self.keys.open)
        ids: list[bytes] = list(saved)
        found: list[Workflow] = []
        for start in range(0, len(ids), LOADED_AT_ONCE):
            page = ids[start : start + LOADED_AT_ONCE]
            async with self._writes.pipeline(transaction=False) as pipe:
                for workflow_id in page:
                    pipe.hgetall(self._workflow + workflow_id)
                hashes = await pipe.execute()
            found += [_saved(workflow_id, each) for workflow_id, each in zip(page, hashes, strict=True) if each]
        return found


def _result_field(workflow: Workflow, step: int) -> bytes:
    return b"result:%d" % step if workflow.definition.keeps is Keeps.ALL else b"last"


def _event(is_start: bool, fields: dict[bytes, bytes]) -> Event:
    if is_start:
        return StartRequested(fields[b"w"], fields[b"d"], fields[b"c"], fields[b"v"])
    return StepEnded(fields[b"w"], int(fields[b"s"]), int(fields[b"a"]), fields[b"v"], fields.get(b"e", b""))


def _saved(workflow_id: bytes, fields: dict[bytes, Any]) -> Workflow:
    workflow = Workflow(workflow_id, DEFINITIONS[fields[b"definition"]], fields[b"client"], fields[b"input"])
    workflow.step, workflow.attempt = int(fields[b"step"]), int(fields[b"attempt"])
    steps = range(workflow.step) if workflow.definition.keeps is Keeps.ALL else range(min(workflow.step, 1))
    workflow.results = [fields[_result_field(workflow, step)] for step in steps]
    return workflow
