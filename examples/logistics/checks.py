# SPDX-License-Identifier: Apache-2.0
"""What was lost, and what was done twice: judged from the outside.

There are four independent witnesses: the plan of the generator, what the callers got, what the nodes list, and the ledger of the services
outside. The nodes' list is read after the run by a client of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nervenet import Client, WorkflowInfo

from .generate import PERSON, SILENT, Planned, read
from .load import Load
from .models import NOTIFIED
from .people import Person
from .workflow import shipment_update

STEPS: Final = {"delay": "estimate", "send": "notify"}
"""Which step makes which request."""
MOMENT_S: Final = 0.1
"""An attempt that an agent took before the outcome was recorded may begin this much later, behind other work of the agent."""

Row = Mapping[str, Any]


@dataclass
class Verdict:
    """Of one part. Each list has a sentence for each crime; all must be empty."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    answered: int = 0
    notified: int = 0
    taken_over: int = 0
    carrier_retries: int = 0
    repeated_in_flight: int = 0
    """Requests to the services outside that were made again although no answer had failed: their outcome was not recorded yet."""

    @property
    def crimes(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong]


async def listed(client: Client) -> list[WorkflowInfo]:
    """Every workflow of the run, as the nodes have it."""
    return [info async for info in client.list(definition=shipment_update.name)]


async def judge(client: Client, load: Load, person: Person, workflows: Sequence[WorkflowInfo], ledger: Path) -> Verdict:
    """All checks of one part."""
    ids = {one.update.id for one in load.planned}
    mine = [info for info in workflows if info.id.removesuffix("-again") in ids]
    rows = [row for row in read(ledger) if row["update"] in ids]
    verdict = Verdict(taken_over=sum(info.adoptions > 0 for info in mine))
    _every_update_has_one_end(verdict, load, mine)
    _every_message_was_sent_once(verdict, load.planned, rows, load)
    _people_were_asked_where_needed(verdict, load.planned, person)
    await _nothing_was_repeated_in_vain(verdict, client, load.planned, rows)
    return verdict


def _every_update_has_one_end(verdict: Verdict, load: Load, workflows: Iterable[WorkflowInfo]) -> None:
    found: dict[str, list[WorkflowInfo]] = defaultdict(list)
    for info in workflows:
        found[info.id.removesuffix("-again")].append(info)
    for one in load.planned:
        update = one.update.id
        runs, end = found[update], load.ends.get(update)
        if not runs:
            verdict.lost.append(f"{update}: no node knows it")
        elif [info.state for info in runs] != ["SUCCEEDED"]:
            kind = verdict.doubled if len(runs) > 1 else verdict.lost
            kind.append(f"{update}: the nodes list {', '.join(f'{info.id} {info.state}' for info in runs)}")
        elif runs[0].run != 1:
            verdict.doubled.append(f"{update}: it ran {runs[0].run} times")
        if end is None or end.outcome is None:
            verdict.lost.append(
                f"{update}: its caller got no outcome ({end.error if end and end.error else 'nothing'})"
            )
        elif (end.outcome.update, end.outcome.end) != (update, one.end):
            verdict.wrong.append(f"{update}: it ended with {end.outcome.end!r} instead of {one.end!r}")


def _every_message_was_sent_once(verdict: Verdict, planned: Sequence[Planned], rows: Iterable[Row], load: Load) -> None:
    receipts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["result"] == "sent":
            receipts[row["update"]].append(row["receipt"])
    for one in planned:
        update, wanted = one.update.id, int(one.end == NOTIFIED)
        sent = receipts[update]
        verdict.notified += len(sent) > 0
        if len(sent) < wanted:
            verdict.lost.append(f"{update}: the customer got no message")
        elif len(sent) > wanted:
            verdict.doubled.append(f"{update}: {len(sent)} messages were sent instead of {wanted}")
        outcome = load.ends[update].outcome if update in load.ends else None
        if wanted and sent and outcome is not None and outcome.receipt not in sent:
            verdict.wrong.append(f"{update}: its outcome has the receipt {outcome.receipt!r}, but {sent} was sent")


def _people_were_asked_where_needed(verdict: Verdict, planned: Sequence[Planned], person: Person) -> None:
    questions = Counter(person.asked.values())
    ids: Collection[str] = {one.update.id for one in planned}
    verdict.asked = sum(count for each, count in questions.items() if each in ids)
    verdict.answered = sum(question in person.answered for question, each in person.asked.items() if each in ids)
    for one in planned:
        asked, wanted = questions[one.update.id], int(one.fault == PERSON)
        if asked < wanted:
            verdict.lost.append(f"{one.update.id}: nobody was asked")
        elif asked > wanted:
            verdict.doubled.append(f"{one.update.id}: a person was asked {asked} times instead of {wanted}")


async def _nothing_was_repeated_in_vain(
    verdict: Verdict, client: Client, planned: Sequence[Planned], rows: Iterable[Row]
) -> None:
    """At least once allows a repetition while no outcome is recorded: after a failure, or after a crash. Not later."""
    silent = {one.update.id for one in planned if one.fault == SILENT}
    requests: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        requests[row["update"], row["key"]].append(row)
    for (update, _), made in requests.items():
        failed = sum(row["result"] == "no answer" for row in made)
        verdict.carrier_retries += failed
        if failed > int(update in silent):
            verdict.wrong.append(f"{update}: the carrier did not answer {failed} times")
        again = len(made) - failed - 1
        if again > 0:
            verdict.repeated_in_flight += again
            recorded = await _recorded_at(client, update, STEPS[made[0]["what"]])
            late = [row for row in made if recorded is not None and row["at"] >= recorded + MOMENT_S]
            verdict.doubled += [
                f"{update}: {row['what']} was asked again after its outcome was recorded" for row in late
            ]


async def _recorded_at(client: Client, workflow_id: str, step: str) -> float | None:
    """When the outcome of a step entered the journal, in seconds since the epoch."""
    async for event in client.handle(workflow_id).watch():
        if event.name == f"task:{step}":
            return event.time.timestamp()
    return None
