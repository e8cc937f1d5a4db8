# SPDX-License-Identifier: Apache-2.0
"""Which models with which faults, and which safeguards must be missed when they are taken away.

`SHORT` is explored in `make test`, `LONG` by `make model`. A *knock-out* is a model without one of its safeguards: the
checker has to object, and with these words. P1 to P8 are the counterexamples that the exploration of the design on paper
had found, before there was code; each is a knock-out here: the cure is taken away, and the sickness has to come back.
"""

from __future__ import annotations

from typing import Any, Final

from tests.model.archive import Archive
from tests.model.dispatch import Dispatch
from tests.model.engine import Model
from tests.model.escalation import Escalation
from tests.model.lives import Lives
from tests.model.ownership import Ownership
from tests.model.renew import Renew
from tests.model.restore import Restore

UNCLAIMED: Final[dict[str, bool]] = {"one_script": True, "drops_in_script": True, "begins_unclaimed": True}
SHORT: Final[dict[str, Model[Any]]] = {
    "dispatch: an agent and the owner die": Dispatch(agent_crashes=1, owner_deaths=1),
    "dispatch: an entry, a claim or a wake vanishes, an agent dies": Dispatch(losses=1, agent_crashes=1),
    "dispatch: a replaced owner lives on, an agent dies": Dispatch(owner_zombies=1, agent_crashes=1),
    "dispatch: a second copy, and the workflow expires": Dispatch(doubles=1, retention=True),
    "dispatch, in one script: an agent and the owner die": Dispatch(
        one_script=True, drops_in_script=True, agent_crashes=1, owner_deaths=1
    ),
    "dispatch, in one script: an entry, a claim or a wake vanishes, an agent dies": Dispatch(
        one_script=True, drops_in_script=True, losses=1, agent_crashes=1
    ),
    "dispatch, in one script: a replaced owner lives on, an agent dies": Dispatch(
        one_script=True, drops_in_script=True, owner_zombies=1, agent_crashes=1
    ),
    "dispatch, in one script: the owner dies, and nobody polls": Dispatch(
        one_script=True, drops_in_script=True, owner_deaths=1, polls=False
    ),
    "dispatch, in one script: an agent dies behind its append, and nobody polls": Dispatch(
        one_script=True, drops_in_script=True, agent_crashes=1, polls=False
    ),
    "dispatch, begun unclaimed: an agent and the owner die": Dispatch(**UNCLAIMED, agent_crashes=1, owner_deaths=1),
    "dispatch, begun unclaimed: an entry, a claim or a wake vanishes, an agent dies": Dispatch(
        **UNCLAIMED, losses=1, agent_crashes=1
    ),
    "dispatch, begun unclaimed: a replaced owner lives on, an agent dies": Dispatch(
        **UNCLAIMED, owner_zombies=1, agent_crashes=1
    ),
    "dispatch, begun unclaimed: a second copy, and the workflow expires": Dispatch(
        **UNCLAIMED, doubles=1, retention=True
    ),
    "ownership: a start for another node, a node dies": Ownership(others=True, crashes=1, spares=1),
    "ownership: a hand-over, a node dies": Ownership(born=True, drains=1, crashes=1, spares=1),
    "ownership: a hand-over whose wake is lost, and nobody walks what runs": Ownership(
        born=True, drains=1, lost_wakes=1, running_sweep=False
    ),
    "ownership: a start sleeps longer than the grace": Ownership(zombies=1, slow_starts=1),
    "ownership: nobody hears of a death": Ownership(nodes=1, spares=1, crashes=1, news=False),
    "ownership: begun again behind its end": Ownership(restarts=1),
    "ownership: begun again, and its node dies in the middle": Ownership(nodes=1, spares=1, restarts=1, crashes=1),
    "escalation: two people, a late success": Escalation(questions=1, owner_deaths=1),
    "runs: everything comes twice": Renew(),
    "runs: and the owner dies": Renew(doubles=1, owner_deaths=1),
    "runs: the code has an error, and what is BLOCKED is replayed or begun again": Renew(
        runs=1, doubles=1, signals=0, errors=1
    ),
    "restore: Redis loses its tail twice, the owner dies between": Restore(losses=2, owner_deaths=1),
    "restore: the owner hears messages, Redis loses its tail": Restore(messages=True),
    "restore: the owner's end is on its way, Redis loses its tail twice": Restore(in_flight=True, losses=2),
    "restore: a run begun at another node than the one before, Redis loses its tail": Restore(restarted=True),
    "restore: unloaded while it waits, Redis loses its tail": Restore(unloads=2),
    "restore: unloaded while it waits, Redis loses its tail, the owner dies": Restore(unloads=1, owner_deaths=1),
    "restore: unloaded, and nobody notices that Redis loses its tail": Restore(unloads=1, silent=True),
    "restore: what has closed is forgotten once it is on the disk, a loss": Restore(forgets=True),
    "restore: a load comes to its turn behind a loss": Restore(losses=2, late_loads=1),
    "restore: another node adopts from an owner who lives, beside a loss": Restore(adoptions=1),
    "restore: the same, and only the owner knows of a signal, beside a loss": Restore(adoptions=1, signals_here=True),
    "lives: the id is started again, or its next run is lost": Lives(losses=2, runs=2),
    "lives: begun again for a caller, and lost": Lives(starts=0, restarts=1),
    "archive: begun again, an archiving node dies": Archive(restarts=1, crashes=1),
    "archive: an archiving node is slow, the bookkeeping is done again": Archive(slow=1, books_again=1),
}
LONG: Final[dict[str, Model[Any]]] = {
    "dispatch: a zombie agent, failures": Dispatch(agent_zombies=1, failures=1),
    "dispatch: slow renewals, a zombie agent": Dispatch(slow_renewals=1, agent_zombies=1, failures=1),
    "dispatch: all of it": Dispatch(agent_crashes=1, owner_zombies=1, losses=1, failures=1),
    "dispatch, in one script: all of it": Dispatch(
        one_script=True, drops_in_script=True, agent_crashes=1, owner_zombies=1, losses=1, failures=1
    ),
    "dispatch, in one script: slow renewals, a zombie agent": Dispatch(
        one_script=True, drops_in_script=True, slow_renewals=1, agent_zombies=1, failures=1
    ),
    "dispatch, begun unclaimed: all of it": Dispatch(
        **UNCLAIMED, agent_crashes=1, owner_zombies=1, losses=1, failures=1
    ),
    "dispatch, begun unclaimed: slow renewals, a zombie agent": Dispatch(**UNCLAIMED, slow_renewals=1, agent_zombies=1),
    "dispatch: no wake ever arrives": Dispatch(wakes_arrive=False, agent_crashes=1, owner_zombies=1, losses=1),
    "ownership: three nodes": Ownership(nodes=3, others=True, crashes=1, losses=1),
    "ownership: begun again twice at once, a node dies": Ownership(nodes=1, spares=1, restarts=2, crashes=1),
    "ownership: begun again by a start that sleeps": Ownership(restarts=1, zombies=1, slow_starts=1),
    "ownership: a zombie and a crash": Ownership(others=True, zombies=1, crashes=1, spares=1),
    "ownership: a hand-over beside a zombie": Ownership(born=True, drains=1, zombies=1, spares=1),
    "escalation: two questions": Escalation(owner_deaths=1, lost_replies=1),
    "escalation: a cancel, a zombie owner": Escalation(questions=1, owner_zombies=1, cancels=1),
    "runs: three of them": Renew(runs=3, doubles=1, owner_deaths=1),
    "runs: the code has an error in two of them, the owner dies": Renew(signals=0, doubles=1, owner_deaths=1, errors=1),
    "restore: the owner hears messages, Redis loses its tail twice": Restore(messages=True, losses=2),
    "restore: another node adopts from an owner who lives, beside two losses": Restore(adoptions=1, losses=2),
    "restore: the same, and only the owner knows of a signal": Restore(adoptions=1, losses=2, signals_here=True),
    "restore: Redis loses its tail three times": Restore(losses=3, owner_deaths=1),
    "restore: unloaded twice, Redis loses its tail twice, the owner dies": Restore(losses=2, owner_deaths=1, unloads=2),
    "restore: what has closed is forgotten once it is on the disk, two losses": Restore(
        losses=2, owner_deaths=1, forgets=True
    ),
    "lives: started again, and told elsewhere": Lives(losses=2, runs=2, told_elsewhere=True),
    "lives: begun again for a caller, three losses": Lives(losses=3, starts=0, restarts=1),
    "lives: three losses": Lives(losses=3, runs=2),
    "archive: all of it, two nodes die": Archive(restarts=1, crashes=2, slow=1, books_again=1),
}
KnockOut = tuple[Model[Any], str]
"""The model, and how one of the promises that it breaks begins."""
NEVER_CLOSES: Final = "never again possible: the workflow closes"
KNOCK_OUTS: Final[dict[str, KnockOut]] = {
    "write once": (Dispatch(agent_zombies=1, write_once=False), "two agents are told that they won"),
    "owner check": (Dispatch(owner_zombies=1, agent_crashes=1, owner_check=False), "an owner's entry by a node"),
    "watch, rule 2": (Dispatch(agent_crashes=1, rule_2=False), NEVER_CLOSES),
    "watch, rule 3": (Dispatch(losses=1, rule_3=False), NEVER_CLOSES),
    "watch reads what it missed": (Dispatch(losses=1, polls=False), NEVER_CLOSES),
    "in one script: told to the owner that the head names": (
        Dispatch(one_script=True, owner_deaths=1, polls=False, compares_owner=False),
        NEVER_CLOSES,
    ),
    "in one script: only what was told is dropped": (
        Dispatch(one_script=True, drops_in_script=True, owner_deaths=1, polls=False, drops_after_wake=False),
        NEVER_CLOSES,
    ),
    "in two steps: an agent dies between them": (Dispatch(agent_crashes=1, polls=False), NEVER_CLOSES),
    "pending lists are read again": (Dispatch(lost_reads=1, pending_reread=False), NEVER_CLOSES),
    "bury": (Dispatch(agent_crashes=1, bury=False), "never again possible: nothing is left"),
    "a claim of the same attempt is busy": (Dispatch(doubles=1, busy=False), "one attempt runs on two"),
    "begun unclaimed: it is claimed a little later": (
        Dispatch(**UNCLAIMED, owner_deaths=1, claims_later=False),
        "one attempt runs on two",
    ),
    "begun unclaimed: a new owner waits for claims": (
        Dispatch(**UNCLAIMED, owner_deaths=1, waits_for_claims=False),
        "one attempt runs on two",
    ),
    "begun unclaimed: not what may have been sent before": (
        Dispatch(**UNCLAIMED, owner_deaths=1, first_copies=False),
        "one attempt runs on two",
    ),
    "begun unclaimed: what is pending under a dead agent is lost with it": (
        Dispatch(**UNCLAIMED, agent_crashes=1, counts_the_unclaimed=False),
        "an attempt that its agent died in",
    ),
    "a restart is marked": (Ownership(nodes=1, spares=1, restarts=1, crashes=1, marks=False), NEVER_CLOSES),
    "a restart's date": (
        Ownership(nodes=1, spares=1, restarts=1, crashes=1, slow_starts=1, mark_date=False),
        NEVER_CLOSES,
    ),
    "P1 the owner lives and does not know it": (
        Ownership(others=True, crashes=1, spares=1, remind=False),
        NEVER_CLOSES,
    ),
    "P1 the same in a hand-over": (Ownership(born=True, drains=1, crashes=1, spares=1, remind=False), NEVER_CLOSES),
    "P2 a creation has no date": (Ownership(zombies=1, slow_starts=1, not_after=False), NEVER_CLOSES),
    "P2 an id without a head is removed unseen": (Ownership(zombies=1, slow_starts=1, score_check=False), NEVER_CLOSES),
    "P3 in the stream, pending nowhere": (
        Dispatch(losses=1, agent_crashes=1, trim=False),
        "never again possible: nothing is left",
    ),
    "P3b pending under the dead": (Dispatch(agent_crashes=1, bury=False, living_consumer=False), NEVER_CLOSES),
    "P4 a decision is a second name for the outcome": (
        Escalation(questions=1, one_script=False),
        "person is told that it counts",
    ),
    "P4 a decision of what is over": (Escalation(questions=1, over_check=False), "person is told that it counts"),
    "P5 the owned set of the dead": (
        Ownership(nodes=1, spares=1, crashes=1, news=False, clean_owned=False),
        "never again possible: no set",
    ),
    "P6 closed, and still among the running": (
        Ownership(nodes=1, spares=1, crashes=1, finish_closed=False),
        "never again possible: no set",
    ),
    "P7 unknown for ever": (
        Dispatch(doubles=1, retention=True, drops_the_old=False),
        "never again possible: nothing is left",
    ),
    "P8 a failed attempt after the outcome": (
        Dispatch(agent_zombies=1, failures=1, attempt_after_outcome=False),
        "an agent is told that its failed attempt",
    ),
    "who loads it lists it": (
        Ownership(born=True, drains=1, lists_first=False, looks_again=False),
        "a node hosts what its set does not name",
    ),
    "who takes it out of a set looks again": (
        Ownership(born=True, drains=1, lost_wakes=1, running_sweep=False, looks_again=False),
        NEVER_CLOSES,
    ),
    "who gives it away lists it again": (
        Ownership(born=True, drains=1, lost_wakes=1, running_sweep=False, lists_again=False),
        NEVER_CLOSES,
    ),
    "the own sweep": (Ownership(others=True, losses=1, own_sweep=False), NEVER_CLOSES),
    "the sweep of what runs": (Ownership(nodes=1, spares=1, crashes=1, news=False, running_sweep=False), NEVER_CLOSES),
    "decided once": (Escalation(questions=1, decided_once=False), "two people are told"),
    "a decision needs its question": (Escalation(questions=1, asked_check=False), "a decision without"),
    "the cancel before the failed step": (Escalation(questions=1, cancel_first=False), "the code meets"),
    "the deadline is the owner's": (
        Escalation(questions=1, owner_zombies=1, owner_check=False),
        "an owner's entry by a node",
    ),
    "the list of questions is swept": (
        Escalation(questions=1, owner_deaths=1, list_sweep=False),
        "never again possible: the list",
    ),
    "an append names its run": (Renew(append_fence=False), "an entry crosses runs"),
    "a claim names its run": (Renew(claim_fence=False), "a claim crosses runs"),
    "a renewal names its run": (Renew(runs=1, doubles=1, signals=0, renew_fence=False), "a run that nobody"),
    "a close names its run": (Renew(close_fence=False), "an entry crosses runs"),
    "a request for the next run names the one before": (
        Renew(runs=1, doubles=2, signals=0, named_run=False),
        "a run that nobody",
    ),
    "an error blocks": (Renew(runs=1, doubles=0, signals=0, errors=1, blocks=False), "an error in the code"),
    "unread signals come along": (Renew(keep_unread=False), "a signal that was acknowledged"),
    "so do those behind the last folded entry": (Renew(keep_unfolded=False), "a signal that was acknowledged"),
    "a run begins with no marker": (Renew(clear_markers=False), NEVER_CLOSES),
    "nothing is believed before the journal is compared": (Restore(in_doubt=False), "the owner has gone on"),
    "old news is looked up": (Restore(messages=True, doubts_old_news=False), "the owner has gone on"),
    "what meets a doubted journal is sent again": (
        Restore(in_flight=True, losses=2, repeats_in_doubt=False),
        "never again possible: the workflow closes",
    ),
    "a later run counts, whoever had the one before": (
        Restore(restarted=True, later_run_counts=False),
        "never again possible: the workflow closes",
    ),
    "written back under the same ids": (
        Restore(same_ids=False, outcomes_wait=False),
        "an answer stands before its question",
    ),
    "what came meanwhile goes behind": (Restore(others_behind=False), "never again possible: what was"),
    "a name on both sides is one": (Restore(by_name=False), "a name is recorded twice"),
    "unloaded only where nothing is to do": (Restore(losses=0, unloads=1, unloads_only_quiet=False), NEVER_CLOSES),
    "an unloaded workflow's entries are remembered": (Restore(unloads=1, packs_entries=False), "never again possible"),
    "news loads": (Restore(losses=0, unloads=1, news_loads=False), NEVER_CLOSES),
    "what a load reads is compared": (
        Restore(unloads=1, silent=True, compares_when_loaded=False, outcomes_wait=False),
        "never again possible: what was",
    ),
    "a load begins again behind a loss": (
        Restore(unloads=1, loads_again_after_a_loss=False),
        "the owner has gone on",
    ),
    "a load waits until all is written back": (
        Restore(late_loads=1, loads_wait=False),
        "the owner has gone on",
    ),
    "what is to be read is remembered until it is read": (
        Lives(losses=2, starts=0, runs=2, keeps_until_read=False),
        NEVER_CLOSES,
    ),
    "what is begun again for a caller is remembered": (
        Lives(starts=0, restarts=1, remembers_restarts=False),
        "never again possible: a run that somebody was told of",
    ),
    "a start that is made again is the one that was there": (
        Lives(starts=0, told_elsewhere=True, same_start=False),
        "an end is undone",
    ),
    "what ran at a loss is compared": (Lives(marks_what_runs=False), "an outcome is recorded in another life"),
    "what is repeated is compared": (Lives(compares_what_is_repeated=False), "an outcome is recorded in another life"),
    "an append is for the server that was asked": (
        Lives(losses=2, looks_again=False),
        "an outcome is recorded in another life",
    ),
    "an outcome waits for the entry after which it was sent": (
        Restore(adoptions=1, outcomes_wait=False),
        "an answer stands before its question",
    ),
    "who is the owner no more records again what somebody was told": (
        Restore(adoptions=1, signals_here=True, says_again=False),
        "never again possible: what was",
    ),
    "what the owner records in doubt is remembered apart": (
        Restore(losses=2, signals_here=True, doubted_facts=False),
        "never again possible: what was",
    ),
    "an outcome that waits wakes the owner": (Restore(unloads=1, silent=True, gaps_wake=False), NEVER_CLOSES),
    "agents remember their outcomes": (Restore(agents_remember=False), "never again possible: what was"),
    "what has closed is forgotten only when it is on the disk": (
        Restore(forgets=True, asks_first=False),
        "never again possible: what was",
    ),
    "an answer counts for the server that was asked": (
        Restore(forgets=True, of_one_server=False),
        "never again possible: what was",
    ),
    "Redis waits for the archive": (Archive(waits=False), "Redis forgets a run"),
    "a run that is begun again is kept for the archive": (Archive(restarts=1, copies=False), "Redis forgets a run"),
    "what is in a batch is not listed again": (
        Archive(restarts=1, books_again=1, taken=False),
        "a run is in the archive twice",
    ),
    "what is archived is marked": (
        Archive(restarts=1, books_again=1, marks_count=False),
        "a run is in the archive twice",
    ),
    "a batch is sealed before it is written": (
        Archive(restarts=1, crashes=1, seals=False),
        "a run is in the archive twice",
    ),
    "the name of an object is its content": (Archive(crashes=1, named=False), "a run is in the archive twice"),
    "batches of the dead are taken over": (
        Archive(crashes=1, taken_over=False),
        "never again possible: each closed run",
    ),
    "listed for the archive before it leaves `running`": (
        Archive(crashes=1, listed_last=False),
        "never again possible: each closed run",
    ),
    "who begins it again lists it first": (
        Archive(restarts=1, lists_first=False),
        "never again possible: each closed run",
    ),
    "an object is never written again with less": (
        Archive(restarts=1, crashes=1, slow=1, marked_is_written=False),
        "Redis forgets a run",
    ),
}
