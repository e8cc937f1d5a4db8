# SPDX-License-Identifier: Apache-2.0
"""`make demo`: a whole mesh on this machine audits every distribution installed here, through the public client.

KEEP=1 leaves it up to look around, until Ctrl-C; KILL=node or KILL=agent kills one with -9 half-way (KILL=node:TERM asks it to leave).
`--only NAME,NAME` audits only these distributions, `--folder DIR` puts report, evidence and logs elsewhere. `--declared` runs
the same audit as data (audit.yaml), on nodes that have no code of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from ruamel.yaml import YAML

from nervenet import Client, NervenetError, Workflow, WorkflowHandle
from nervenet.dev.servers import backing

from . import effects, report
from .collect import OPEN, Outcome, outcomes
from .documents import canonical, installed
from .live import Moment, Pace, Screen, print_rows
from .models import Audit, Distribution
from .processes import AGENTS, NODES, ROOT, Mesh, Part, ProcessFailed
from .terminal import alone_on_the_terminal
from .workflow import licence_audit

DECLARED = Path(__file__).with_name("audit.yaml")
FOLDER = ROOT / "build" / "licence_audit"
LIMIT = 300.0
"""Seconds after which the audit counts as stuck."""

Audits = Mapping[str, tuple[Distribution, WorkflowHandle[Audit]]]


class Kill(NamedTuple):
    """Whom to kill half-way, and how."""

    kind: str
    signum: signal.Signals

    @classmethod
    def asked(cls, words: str) -> Kill | None:
        if not words:
            return None
        kind, _, how = words.partition(":")
        try:
            if kind not in ("node", "agent"):
                raise KeyError(kind)
            return cls(kind, signal.Signals[f"SIG{(how or 'KILL').upper()}"])
        except KeyError:
            raise SystemExit(f"KILL={words}: use KILL=node or KILL=agent, with :TERM for SIGTERM") from None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.licence_audit", allow_abbrev=False)
    parser.add_argument("--only", metavar="NAME,…", default="", help="audit only these distributions")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=FOLDER, help="for report, evidence and logs")
    parser.add_argument("--declared", action="store_true", help="run audit.yaml instead of workflow.py")
    args = parser.parse_args(argv)
    console = Console()
    only = {canonical(name.strip()) for name in args.only.split(",") if name.strip()}
    kill = Kill.asked(os.environ.get("KILL", ""))
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        return asyncio.run(_until_terminated(demo(console, kill, keep, only, args.folder.resolve(), args.declared)))
    except (NervenetError, ProcessFailed, TimeoutError) as error:
        console.print(f"✗ {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; nothing is left running.")
        return 130


async def _until_terminated(work: Coroutine[object, object, int]) -> int:
    """SIGTERM ends the demo as Ctrl-C does: through its own clean-up."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def demo(
    console: Console, kill: Kill | None, keep: bool, only: Collection[str], folder: Path, declared: bool = False
) -> int:
    screen = Screen(console)
    distributions = _wanted(installed(), only)
    namespace = f"audit-{uuid.uuid4().hex[:6]}"
    _fresh(folder)
    began = time.monotonic()
    async with (
        backing() as (redis, etcd),
        Mesh(redis.url, etcd.url, namespace, folder, code=not declared, dashboard=keep) as mesh,
    ):
        screen.say(
            f"{NODES} nodes and {len(AGENTS)} agents are up after {time.monotonic() - began:.1f} s "
            f"(namespace {namespace}, {mesh.address}); auditing {len(distributions)} distributions"
        )
        if keep:
            screen.say(f"Follow it in a browser: {mesh.dashboard}")
        async with Client(mesh.address, namespace=namespace) as client:
            began = time.monotonic()
            audits = await _start(client, distributions, declared)
            with screen.open():
                await _follow(client, mesh, screen, audits, kill, began)
            seconds = round(time.monotonic() - began, 1)
            found = await outcomes(client, audits)
        result, late = _report(found, mesh, seconds, keep)
        print_rows(console, result)
        _conclude(screen, result, late, found, mesh, keep)
        if keep:
            await _interrupted()
            screen.say("The mesh stops; nothing is left running.")
    return 1 if result.workflows.failed or late else 0


async def _interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM, which both end a demo that was kept as it should end."""
    over = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, over.set)
    with alone_on_the_terminal():
        await over.wait()


def _wanted(found: list[Distribution], only: Collection[str]) -> list[Distribution]:
    """All, or those that were named."""
    if missing := set(only) - {canonical(one.name) for one in found}:
        raise SystemExit(f"--only: not installed here: {', '.join(sorted(missing))}")
    return [one for one in found if not only or canonical(one.name) in only]


def _fresh(folder: Path) -> None:
    """An evidence file of this run alone."""
    for path in folder.glob("effects.sqlite*"):
        path.unlink()


async def _start(client: Client, distributions: list[Distribution], declared: bool) -> Audits:
    given = {f"audit-{canonical(one.name)}": one for one in distributions}
    if declared:
        stored = await client.put_definition(YAML(typ="safe").load(DECLARED.read_text("utf-8")))
        flow = Workflow.remote(stored.name, Distribution, Audit, version=stored.version)
        handles = await client.start_many(flow, given)
    else:
        handles = await client.start_many(licence_audit, given)
    return {workflow_id: (one, handles[workflow_id]) for workflow_id, one in given.items()}


async def _follow(client: Client, mesh: Mesh, screen: Screen, audits: Audits, kill: Kill | None, began: float) -> None:
    """Show the audit until nothing runs any more; half-way through kill whom we were asked to kill."""
    pace, note = Pace(), ""
    killed: Part | None = None
    while True:
        states = Counter([info.state async for info in client.list(definition=licence_audit.name)])
        running = sum(states[state] for state in OPEN) + len(audits) - states.total()
        load = effects.load(mesh.effects)
        moment = Moment(
            total=len(audits),
            done=states["SUCCEEDED"],
            waiting=states["WAITING_FOR_HUMAN"],
            failed=len(audits) - running - states["SUCCEEDED"] - states["WAITING_FOR_HUMAN"],
            load=load,
            seconds=time.monotonic() - began,
            per_second=pace.at(load.ended),
            note=note,
        )
        screen.show(moment)
        if not running:
            return
        if kill and killed is None and 3 * running <= 2 * len(audits):
            killed = mesh.victim(kill.kind)
            killed.kill(kill.signum)
            note = f"{kill.signum.name} to {killed.name} (pid {killed.pid}) with {running} workflows running"
            screen.say(note)
        mesh.check(spared=killed)
        if moment.seconds > LIMIT:
            raise TimeoutError(
                f"{running} workflows still run after {LIMIT:.0f} s; the logs are in {mesh.folder / 'logs'}"
            )
        await asyncio.sleep(0.02 if kill and killed is None else 0.25)


def _report(found: list[Outcome], mesh: Mesh, seconds: float, keep: bool) -> tuple[report.Report, list[str]]:
    recorded = {task: when for outcome in found for task, when in outcome.recorded.items()}
    states = Counter(outcome.row.state for outcome in found)
    succeeded, waiting = states["SUCCEEDED"], states["WAITING_FOR_HUMAN"]
    result = report.Report(
        distributions=len(found),
        workflows=report.Workflows(succeeded=succeeded, waiting=waiting, failed=len(found) - succeeded - waiting),
        tasks=report.Tasks(
            completed=len(recorded),
            attempts=effects.load(mesh.effects).started,
            duplicates_suppressed=sum(outcome.duplicates for outcome in found),
        ),
        rows=[outcome.row for outcome in found],
        nodes=NODES,
        agents=len(AGENTS),
        seconds=seconds,
    )
    details = {outcome.row.workflow_id: outcome.detail for outcome in found}
    kept = report.Kept(_flags(mesh), mesh.dashboard) if keep else None
    report.write(mesh.folder, result, details, title="Licence audit", kept=kept)
    return result, effects.late_starts(mesh.effects, recorded)


def _conclude(
    screen: Screen, result: report.Report, late: list[str], found: list[Outcome], mesh: Mesh, keep: bool
) -> None:
    flows, tasks = result.workflows, result.tasks
    screen.say(
        f"\n{result.distributions} distributions: {flows.succeeded} judged, {flows.waiting} wait for a human, "
        f"{flows.failed} failed; {tasks.completed} tasks in {tasks.attempts} attempts, {result.seconds} s"
    )
    if late:
        screen.say(f"✗ {len(late)} attempts began after their outcome was recorded: {', '.join(late[:5])}")
    screen.say(f"report   {_near(mesh.folder / 'report.html')}   {_near(mesh.folder / 'report.json')}")
    screen.say(f"effects  {_near(mesh.effects)}   logs  {_near(mesh.folder / 'logs')}")
    if keep:
        screen.say(f"\nThe mesh stays up until Ctrl-C. Its dashboard: {mesh.dashboard}")
        screen.say("In another terminal, in this folder:\n")
        for line in commands(found, mesh):
            screen.say(f"  {line}")
    else:
        screen.say("Nothing is left running. make demo KEEP=1 leaves it up, with commands to try.")


def commands(found: list[Outcome], mesh: Mesh) -> list[str]:
    """Shell lines about this run. Each is complete: it works when somebody pastes it alone."""
    nervenet, grpcurl = (_near(Path(sys.executable).with_name(name)) for name in ("nervenet", "grpcurl"))
    which = _flags(mesh)
    some = found[0].row.workflow_id
    asking = [outcome.row.escalation for outcome in found if outcome.row.escalation][:1]
    request = shlex.quote(json.dumps({"workflow_id": some}))
    return [
        f"{nervenet} top {which}",
        f"{nervenet} escalations list {which}",
        *(f"{nervenet} escalations resolve {question} {which}" for question in asking),
        f"{nervenet} show {some} {which}",
        f"{nervenet} agents list {which}",
        f"{grpcurl} -plaintext -d {request} {_living(mesh)[0]} nervenet.v1.CoordinatorService/GetWorkflow",
    ]


def _flags(mesh: Mesh) -> str:
    return f"--address {','.join(_living(mesh))} --namespace {mesh.namespace}"


def _living(mesh: Mesh) -> list[str]:
    return [node.address for node in mesh.nodes if node.alive]


def _near(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
