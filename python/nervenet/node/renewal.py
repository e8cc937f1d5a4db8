# SPDX-License-Identifier: Apache-2.0
"""The next run of a workflow: `ctx.continue_as_new`.

It hides that a run ends without a `close`: one script takes the old journal away and begins the new one, so that
whoever awaits the workflow goes on waiting, and a crash leaves either the one run or the other. The next run has the
labels, time limit, parent and trace of the first; its time begins anew.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nervenet.durable import PYTHON
from nervenet.errors import RequestError
from nervenet.node.starting import request_hash
from nervenet.records import Entry, Start
from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.wire import decode_entry, encode_entry

if TYPE_CHECKING:
    from nervenet.durable import ContinueRun
    from nervenet.node.coordinator import Coordinator
    from nervenet.node.hosting import Host

_log = logging.getLogger(__name__)


class Renewal:
    """See the module. One for each node."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def continue_run(self, old: Coordinator, command: ContinueRun) -> None:
        """What can't be done for now (Redis away, no node with that code) is done again at the next look."""
        try:
            await self._continue(old, command)
        except (LinkError, RequestError) as error:
            _log.warning("%s: its next run is put off: %s", old.workflow_id, error)
            old.errands.append(command)
        except Exception:
            old.errands.append(command)  # or it would wait for ever; the log says why it does
            raise

    async def _continue(self, old: Coordinator, command: ContinueRun) -> None:
        host, workflow_id = self._host, old.workflow_id
        version, owner = self._place(workflow_id, command)
        await host.children.cancel_orphans(old)
        if owner != host.node_id:
            await host.ownership.own(owner, workflow_id)
        start, req = await self._start(old, command, version)
        if old.dropped:
            return
        data = encode_entry(start, host.node_id)
        answer = await host.journal.begin_next(
            workflow_id,
            old.run,
            host.node_id,
            owner,
            data,
            command.folded,
            command.unread,
            {"definition": command.definition, "version": version, "python": PYTHON},
        )
        if answer.status != "new":  # another owner's, or begun already and the answer was lost: read what is so
            host.reload(old, f"its next run is {answer.status}")
        elif owner != host.node_id:
            host.release(old, "the run is over")
            host.forget(old)
            host.wake(owner, workflow_id, answer.run, answer.id, "start")
            await host.ownership.own(owner, workflow_id)
            await host.disown(host.node_id, workflow_id)
        else:
            self._begin(old, answer.run, answer.id, start, data, req)

    def _place(self, workflow_id: str, command: ContinueRun) -> tuple[int, str]:
        """The version that it runs, and the owner: this node if it can."""
        host, name = self._host, command.definition
        version = command.version or host.highest_version(name)
        able = host.able(name, version)
        if host.node_id in able:
            return version, host.node_id
        owner = rendezvous(workflow_id, able)
        if owner is None:
            raise RequestError(f"no live node has {name!r}", code="NOT_FOUND", reason="DEFINITION_NOT_FOUND")
        return version, owner

    async def _start(self, old: Coordinator, command: ContinueRun, version: int) -> tuple[Start, bytes]:
        """Like the first one's but for the code, the input and the seed; and what made that start the same."""
        first = (await self._host.journal.read(old.workflow_id, count=1))[0]
        body = decode_entry(first.name, first.data, first.n, first.ms).body
        assert isinstance(body, Start)  # this run was folded from it
        start = replace(
            body,
            definition=command.definition,
            version=version,
            python=PYTHON,
            input=command.input,
            seed=self._host.entropy(16),
        )
        return start, old.req or request_hash(body.definition, body.input)

    def _begin(self, old: Coordinator, run: int, journal_id: bytes, start: Start, data: bytes, req: bytes) -> None:
        host = self._host
        ms, _, n = journal_id.partition(b"-")
        coordinator = host.new_coordinator(old.workflow_id, start.definition, start.version, run, start)
        coordinator.applied, coordinator.applied_ms, coordinator.req = int(n) - 1, int(ms), req
        host.replace(old, coordinator)
        coordinator.feed_own(Entry("start", start, int(n), int(ms), host.node_id), data)
        coordinator.catch_up()
