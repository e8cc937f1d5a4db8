# SPDX-License-Identifier: Apache-2.0
"""The program of a pool process: it imports the handlers, enters their lifespans, and runs one task after the other.

The handler runs in the main thread, as signals, C libraries and its own event loops expect. A second thread reads the
agent's messages. When the agent dies the worker ends at once, even in the middle of a handler: another agent runs the
task again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
import traceback
from queue import SimpleQueue
from typing import Any, NamedTuple

from nervenet import telemetry
from nervenet.agent.executors.common import Resources, prepare
from nervenet.agent.executors.frames import Unpacker, pack
from nervenet.agent.verdicts import Verdict, answered, outcome_entry, raised
from nervenet.clock import SYSTEM
from nervenet.codecs import PLAIN, open_codecs
from nervenet.definitions import Agent, define_agent
from nervenet.imports import end_with_owner, load_definitions
from nervenet.records import Failure, Payload
from nervenet.telemetry.log_fields import bind_attempt
from nervenet.timing import POOL_BEAT_EVERY
from nervenet.wire import decode_envelope, decode_payload


class FunctionLocation(NamedTuple):
    """Where a function is: in a module, or in the file of a script."""

    module: str
    file: str
    name: str

    def load(self) -> Any:
        found: Any = load_definitions(self.module, self.file)
        for part in self.name.split("."):
            found = getattr(found, part)
        return found


def load_agent(place: FunctionLocation, name: str, lifespan: FunctionLocation | None) -> Agent[Any, Any]:
    """The agent of that name. The name in the module is the agent, or the plain function that it was made from."""
    found = place.load()
    if isinstance(found, Agent) and found.name == name:
        return found
    fn: Any = found.fn if isinstance(found, Agent) else found
    return define_agent(fn, name=name, run="process", lifespan=lifespan.load() if lifespan else None)


class Pipe:
    """The worker's end of the socket, and the `Reporter` of the handler that runs."""

    def __init__(self, sock: socket.socket) -> None:
        self.cancelled = False
        self._sock = sock
        self._lock = threading.Lock()
        self._sent_at = 0.0

    def send(self, *frame: Any) -> None:
        with self._lock:
            self._sock.sendall(pack(*frame))

    def alive(self) -> None:
        now = time.monotonic()
        if now - self._sent_at >= POOL_BEAT_EVERY:
            self._sent_at = now
            self.send("alive")

    def progress(self, fraction: float | None, message: str) -> None:
        self.send("progress", fraction, message)

    def emit(self, part: Payload) -> None:
        self.send("emit", *part)

    def checkpoint(self, value: Payload) -> None:
        self.send("checkpoint", *value)


class Worker:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pipe = Pipe(sock)
        self._frames: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._agents: dict[str, Agent[Any, Any]] = {}
        self._resources = Resources()
        self._loop = asyncio.new_event_loop()
        self._limit = 0
        self._codecs = PLAIN
        self._telemetry = telemetry.OFF

    def main(self) -> int:
        threading.Thread(target=self._listen, name="nervenet-pipe", daemon=True).start()
        try:
            self._set_up(*self._frames.get()[1:])
        except BaseException as error:  # noqa: BLE001 - the agent reports it
            self._pipe.send("broken", "".join(traceback.format_exception(error)))
            return 1
        self._pipe.send("ready")
        while (frame := self._frames.get())[0] == "run":
            self._run(*frame[1:])
        self._loop.run_until_complete(self._resources.close())
        self._telemetry.shutdown()
        return 0

    def _listen(self) -> None:
        unpacker = Unpacker()
        while data := self._sock.recv(1 << 16):
            for frame in unpacker.feed(data):
                if frame[0] == "cancel":
                    self._pipe.cancelled = True
                else:
                    self._frames.put(frame)
        os._exit(0)  # the agent is gone

    def _set_up(
        self, path: list[str], agents: list[tuple[Any, ...]], limit: int, service: str, codec: str | None
    ) -> None:
        sys.path[:] = path
        self._codecs = open_codecs(codec)
        self._limit = limit
        for name, place, lifespan in agents:
            self._agents[name] = load_agent(
                FunctionLocation(*place), name, FunctionLocation(*lifespan) if lifespan else None
            )
        if service:  # after the imports: the user's code may have set up OpenTelemetry itself
            self._telemetry = telemetry.start(service, "agent")
        self._loop.run_until_complete(self._resources.enter(self._agents.values()))

    def _run(self, data: bytes, agent_id: str, started_ms: int, checkpoint: bytes | None) -> None:
        envelope = decode_envelope(data)
        agent = self._agents[envelope.capability]
        self._pipe.cancelled = False
        self._codecs.look()
        prepared = prepare(
            agent,
            envelope,
            self._pipe,
            self._resources.of(agent),
            started_ms=started_ms,
            checkpoint=None if checkpoint is None else decode_payload(checkpoint),
            payload_limit=self._limit,
            codecs=self._codecs,
        )
        verdict: Verdict
        usage: tuple[Any, ...] = ()
        if isinstance(prepared, Failure):
            verdict = prepared
        else:
            arguments, task = prepared
            bind_attempt(envelope.workflow_id, envelope.step, envelope.attempt, envelope.trace)
            with self._telemetry.activated(envelope.trace):
                verdict = self._call(agent, arguments)
            usage = task.spent if task is not None else ()
        codecs, limit, now = self._codecs, self._limit, SYSTEM.now_ms()
        entry = outcome_entry(envelope, agent_id, verdict, started_ms, now, usage, codecs=codecs, limit=limit)
        self._pipe.send("done", *entry)

    def _call(self, agent: Agent[Any, Any], arguments: tuple[Any, ...]) -> Verdict:
        assert agent.fn is not None
        limit = self._codecs.plain_limit(self._limit)
        try:
            value: Any = agent.fn(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes data
            return raised(agent, error, limit, SYSTEM.now_ms())
        return answered(agent, value, limit)


def main(descriptor: int, agent_pid: int) -> None:
    """The entry point of the process. It ignores SIGTERM: the agent handles signals that all processes get."""
    end_with_owner(agent_pid, descriptor)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = Worker(socket.socket(fileno=descriptor)).main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: threads of a library would keep the process alive
