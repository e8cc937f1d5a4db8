# SPDX-License-Identifier: Apache-2.0
"""The short form of `make simulate`: some seeds, those that once found a defect, and that the checker can fail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FOUND = {
    (
        463,
        1,
    ): "the bookkeeping of an end took the next run of a restarted workflow out of `running`; its node died, nobody came",
    (
        7390,
        10,
    ): "a restart whose answer was lost was taken for somebody else's, and nobody put it back among the running",
    (1176, 1): "an attempt that found an outcome in its place was told to the owner under that outcome's number",
    (1216, 1): "the same, and the question that followed was never answered",
    (20010, 10): "a workflow whose adopters' answers were lost was blamed for the deaths of its nodes, and BLOCKED",
    (83996, 10): "an entry whose reply was lost, and that was pending no more, stayed in the inbox of a living agent",
    (91802, 10): "a node that left in the middle of an adoption was taken for a victim of what it adopted",
    (104307, 10): "so was one that was robbed of it before it could say that it lives",
    (
        2003200,
        1,
    ): "what a queue had handed to an agent that was cut off was not read again, because the queue was younger than its list of names",
    (4053, 10): "an agent whose first connection was cut never read again what it had been handed there",
    (270, 1): "a run that was to begin when Redis lost its workflow never began",
    (672, 1): "a run that was begun at another node than the run before was not written back",
    (1424, 1): "nor was the end of a later run, where Redis had that of the run before",
    (6122, 1): "a task went to a queue whose group Redis had lost, and no agent found it there",
    (8662, 1): "an end that was acknowledged by a journal in pieces was lost with the next crash",
    (
        8781,
        1,
    ): "an end that was acknowledged twice was not remembered, and agents wrote their outcomes into what was left",
    (12466, 1): "a signal that its owner had recorded itself was not remembered",
    (31754, 1): "a child that Redis had lost was taken for somebody else's, and its parent failed",
    (38462, 1): "a run that was to be written back waited for itself",
    (9030772, 1): "an owner that had not heard of the end of its run kept it in memory beside the next one",
    (
        9219711,
        1,
    ): "a run that had begun for a caller was lost before its owner hosted it, and another caller had been told of it",
    (
        9449565,
        1,
    ): "a signal that met a shortened journal was taken for folded, because an entry of its number had been, and the next crash took it",
    (9532252, 1): "a workflow was blocked after two deaths: its first owner, who took it back, was counted",
    (6516, 1): "a start that Redis had not answered began once more what another node was to write back",
    (54627, 1): "what had left memory was forgotten, because Redis had only the run before",
}
"""Seeds and copies that found a defect of the product, which is fixed. As code changes they become seeds like any other."""

FOUND_BY_CRASHES = {
    200269: "a run that had begun was read again when Redis lost it, and what the node had known of the run before was forgotten",
    201958: "a workflow was loaded, and ended once more, while its end was being written back",
    202472: "an outcome whose answer was lost went to the next life of its id",
    705980: "a start that another node had, and that Redis had lost meanwhile, was acknowledged and remembered too late",
    509084: "an outcome went to the next life of its id, which said that it was created before the crash",
    419322: "a start that somebody had only heard of was made again as another one, and its owner took that for a new life of what had ended",
    709656: "a node adopted a workflow, and found an outcome whose question the crash had taken with another outcome",
    858410: "a signal was lost whose workflow the former owner had made again, and which only the one that had adopted it knew",
    949222: "such a start went on at the second crash; and a task was sent while its journal was compared, whose outcome went to another life",
    302448: "starts that another node had made again meanwhile were remembered by nobody but that node, which had not read them yet",
}
"""The same, found with `--crashes`."""


def simulate(*args: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: what a schedule leaves in the middle of its work is never tidied up."""
    words = (sys.executable, "-m", "tests.simulation", *args)
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.long
def test_no_schedule_breaks_a_promise() -> None:
    done = simulate("--schedules", "40")
    assert done.returncode == 0, done.stderr
    assert "40 schedules (seeds 1 to 40)" in done.stdout


@pytest.mark.parametrize("copies", sorted({copies for _, copies in FOUND}))
def test_what_was_found_is_mended(copies: int) -> None:
    seeds = [seed for seed, its_copies in FOUND if its_copies == copies]
    done = simulate("--seed", *map(str, seeds), "--copies", str(copies))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("fingerprint") == len(seeds)


def test_what_crashes_of_redis_found_is_mended() -> None:
    done = simulate("--seed", *map(str, FOUND_BY_CRASHES), "--crashes")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("fingerprint") == len(FOUND_BY_CRASHES)


def test_what_was_wrong_in_the_simulation_itself_is_mended() -> None:
    """Its end came before an agent that was cut off had a new id, or before the last command of a walk; it did not start a node again that had
    given up, and was the last one; it took an earlier run in the archive's care for the open one."""
    done = simulate("--seed", "1700508", "9600823", "9933245", "1802216", "1802658")
    assert done.returncode == 0, done.stdout


def test_a_seed_replays_exactly() -> None:
    first, second = simulate("--seed", "7").stdout, simulate("--seed", "7").stdout
    assert "fingerprint" in first
    assert first == second


def test_a_broken_law_is_noticed() -> None:
    done = simulate("--schedules", "1000", "--sabotage", "run fencing")
    assert done.returncode == 1, done.stdout
    assert "across runs" in done.stderr
