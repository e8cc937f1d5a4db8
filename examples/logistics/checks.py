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


class Crimes(dict[str, list[str]]):
    """Update → sentences. An update counts once, whatever else is wrong with it."""

    def add(self, update: str, words: str) -> None:
        self.setdefault(update, []).append(words)


@dataclass
class Verdict:
    """Of one part."""

    lost: Crimes = field(default_factory=Crimes)
    doubled: Crimes = field(default_factory=Crimes)
    wrong: Crimes = field(default_factory=Crimes)
    asked: int = 0
    answered: int = 0
    notified: int = 0
    taken_over: int = 0
    carrier_retries: int = 0
    repeated_in_flight: int = 0
    """Requests to the services outside that were made again, though the first one was answered, before their outcome was recorded."""

    @property
    def sentences(self) -> list[str]:
        kinds = (self.lost, self.doubled, self.wrong)
        return [f"{update}: {'; '.join(words)}" for crimes in kinds for update, words in crimes.items()]


async def judge(client: Client, loads: Sequence[Load], person: Person, ledger: Path) -> list[Verdict]:
    """A verdict for each part."""
    listed = [info async for info in client.list(definition=shipment_update.name)]
    rows = list(read(ledger))
    verdicts = [await _judge_part(client, load, person, listed, rows) for load in loads]
    planned = {one.update.id for load in loads for one in load.planned}
    for unplanned in {info.id for info in listed} - planned:
        verdicts[0].wrong.add(unplanned, "the nodes list a workflow that was not planned")
    return verdicts


async def _judge_part(
    client: Client, load: Load, person: Person, listed: Iterable[WorkflowInfo], ledger: Iterable[Row]
) -> Verdict:
    ids = {one.update.id for one in load.planned}
    workflows = [info for info in listed if info.id in ids]
    rows = [row for row in ledger if row["update"] in ids]
    verdict = Verdict(taken_over=sum(info.adoptions > 0 for info in workflows))
    _every_update_has_one_end(verdict, load, workflows)
    _every_message_was_sent_once(verdict, load, rows)
    _people_were_asked_where_needed(verdict, load.planned, person)
    await _nothing_was_repeated_in_vain(verdict, client, load.planned, rows)
    return verdict


def _every_update_has_one_end(verdict: Verdict, load: Load, workflows: Iterable[WorkflowInfo]) -> None:
    found: dict[str, list[WorkflowInfo]] = defaultdict(list)
    for info in workflows:
        found[info.id].append(info)
    for one in load.planned:
        update = one.update.id
        runs, end = found[update], load.ends.get(update)
        if not runs:
            verdict.lost.add(update, "no node knows it")
        elif len(runs) > 1 or runs[0].run != 1:
            verdict.doubled.add(update, f"the nodes list runs {[info.run for info in runs]}")
        elif runs[0].state != "SUCCEEDED":
            verdict.lost.add(update, f"its workflow is {runs[0].state}")
        if end is None or end.outcome is None:
            verdict.lost.add(update, f"its caller got {end.error if end and end.error else 'nothing'}")
        elif (end.outcome.update, end.outcome.end) != (update, one.end):
            verdict.wrong.add(update, f"it ended with {end.outcome.end!r} instead of {one.end!r}")


def _every_message_was_sent_once(verdict: Verdict, load: Load, rows: Iterable[Row]) -> None:
    receipts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["result"] == "sent":
            receipts[row["update"]].append(row["receipt"])
    for one in load.planned:
        update, wanted = one.update.id, int(one.end == NOTIFIED)
        sent = receipts[update]
        verdict.notified += len(sent) > 0
        if len(sent) < wanted:
            verdict.lost.add(update, "the customer got no message")
        elif len(sent) > wanted:
            verdict.doubled.add(update, f"{len(sent)} messages were sent instead of {wanted}")
        outcome = load.ends[update].outcome if update in load.ends else None
        if wanted and sent and outcome is not None and outcome.receipt not in sent:
            verdict.wrong.add(update, f"its outcome has the receipt {outcome.receipt!r}, but {sent} was sent")


def _people_were_asked_where_needed(verdict: Verdict, planned: Sequence[Planned], person: Person) -> None:
    questions = Counter(person.asked.values())
    ids: Collection[str] = {one.update.id for one in planned}
    verdict.asked = sum(count for each, count in questions.items() if each in ids)
    verdict.answered = sum(question in person.answered for question, each in person.asked.items() if each in ids)
    for one in planned:
        asked, wanted = questions[one.update.id], int(one.fault == PERSON)
        if asked < wanted:
            verdict.lost.add(one.update.id, "nobody was asked")
        elif asked > wanted:
            verdict.doubled.add(one.update.id, f"a person was asked {asked} times instead of {wanted}")


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
            verdict.wrong.add(update, f"the carrier did not answer {failed} times")
        if len(made) - failed > 1:
            recorded = await _recorded_at(client, update, STEPS[made[0]["what"]])
            late = sum(row["at"] >= recorded + MOMENT_S for row in made)
            verdict.repeated_in_flight += len(made) - failed - 1 - late
            if late:
                verdict.doubled.add(update, f"{made[0]['what']} was asked again after its outcome was recorded")


async def _recorded_at(client: Client, workflow_id: str, step: str) -> float:
    """When the outcome of a step entered the journal, in seconds since the epoch. Infinity: it never did."""
    async for event in client.handle(workflow_id).watch():
        if event.name == f"task:{step}":
            return event.time.timestamp()
    return float("inf")
