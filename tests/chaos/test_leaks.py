# SPDX-License-Identifier: Apache-2.0
"""The leak checker can fail: each kind of thing that nobody explains, put there on paper, is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.leaks import Remains, Stream, leaks
from tests.chaos.registry import Member

NODE, AGENT = "n-aaaaaaaa", "chaos-bbbbbbbb"
P = "nn:t:"


def tidy() -> Remains:
    """One closed workflow, one that waits for a human, a node and an agent."""
    waits = {
        "run": "1",
        "owner": NODE,
        "e:start": "1-1",
        "e:attempt:work#1": "2-2",
        "e:escalated:work#1": "3-3",
        "c:work": f"1 {AGENT} 5 9 0 0",
    }
    there = Remains(
        "t", heads={"done": {"run": "1", "owner": NODE, "closed": "9", "e:task:work": "8-2"}, "waits": waits}
    )
    there.keys = {
        f"{P}wf:{{done}}": 900,
        f"{P}wf:{{done}}:journal": 900,
        f"{P}wf:{{done}}:view": 900,
        f"{P}wf:{{waits}}": -1,
        f"{P}wf:{{waits}}:journal": -1,
        f"{P}running": -1,
        f"{P}escalations": -1,
        f"{P}closed:{{2026-01-01}}": 900,
        f"{P}owned:{{{NODE}}}": -1,
        f"{P}wake:{{{NODE}}}": -1,
        f"{P}inbox:{{{AGENT}}}": -1,
        f"{P}queue:{{work}}": -1,
        f"{P}queues:{{work}}": -1,
    }
    there.members = {
        f"{P}running": ["waits"],
        f"{P}escalations": ["waits/work#1"],
        f"{P}closed:{{2026-01-01}}": ["done"],
        f"{P}owned:{{{NODE}}}": ["waits"],
        f"{P}queues:{{work}}": [""],
    }
    there.streams = {
        f"{P}wake:{{{NODE}}}": Stream(),
        f"{P}inbox:{{{AGENT}}}": Stream(groups={"agents": {AGENT: 0}}),
        f"{P}queue:{{work}}": Stream(groups={"agents": {AGENT: 0}}),
    }
    there.registered = [Member("nodes", NODE, "a"), Member("agents", AGENT, "b"), Member("load", AGENT, "")]
    return there


def add(key: str, ttl: int = -1) -> Callable[[Remains], None]:
    return lambda there: there.keys.update({P + key: ttl})


def put(key: str, *members: str) -> Callable[[Remains], None]:
    return lambda there: there.members.update({P + key: list(members)})


def stream(key: str, held: Stream) -> Callable[[Remains], None]:
    def do(there: Remains) -> None:
        there.keys[P + key] = -1
        there.streams[P + key] = held

    return do


def head(workflow: str, **fields: str) -> Callable[[Remains], None]:
    changed = {name.replace("__", ":"): value for name, value in fields.items()}
    return lambda there: there.heads.update({workflow: {**there.heads[workflow], **changed}})


def nobody(kind: str) -> Callable[[Remains], None]:
    def do(there: Remains) -> None:
        there.registered = [one for one in there.registered if one.kind != kind]

    return do


def test_a_tidy_mesh_has_no_leaks() -> None:
    assert leaks(tidy(), {"done", "waits"}) == []


@pytest.mark.parametrize(
    ("litter", "named"),
    [
        (add("wf:{ghost}"), "wf:{ghost}"),
        (add("wf:{ghost}:ckpt"), "no head"),
        (add("wf:{done}:live"), "lives for ever"),
        (add("wf:{done}", -1), "lives for ever"),
        (add("tmp:{x}"), "does not know"),
        (lambda there: there.keys.update({"stray": -1}), "nothing of ours"),
        (head("done", c__work="1 x 5 9 0 0"), "a claim of work, which is over"),
        (head("waits", c__other="1 chaos-cccccccc 5 9 0 0"), "is gone"),
        (put("running", "waits", "done"), "done is not open"),
        (put("running"), "waits is open and not in it"),
        (put("escalations", "waits/work#1", "done/work#1"), "nobody is asked"),
        (put("escalations"), "is asked and not in it"),
        (put(f"owned:{{{NODE}}}"), "is owned and not in it"),
        (put(f"owned:{{{NODE}}}", "waits", "done"), "done is not open"),
        (put("closed:{2026-01-01}"), "listed on no day"),
        (stream(f"inbox:{{{AGENT}}}", Stream(["5-0"])), "1 entries"),
        (stream(f"wake:{{{NODE}}}", Stream(["5-0"])), "1 entries"),
        (stream("queue:{work}", Stream(groups={"agents": {"chaos-cccccccc": 0}})), "consumer chaos-cccccccc"),
        (stream("queue:{work}", Stream(groups={"agents": {AGENT: 2}})), "2 entries are pending"),
        (stream("inbox:{chaos-cccccccc}", Stream()), "chaos-cccccccc is gone"),
        (stream("wake:{n-cccccccc}", Stream()), "n-cccccccc is gone"),
        (nobody("nodes"), "its owner n-aaaaaaaa is gone"),
        (nobody("agents"), "a load without its agent"),
    ],
)
def test_litter_is_named(litter: Callable[[Remains], None], named: str) -> None:
    there = tidy()
    litter(there)
    if any(key.endswith(":ckpt") for key in there.keys):
        there.members[f"{P}wf:{{ghost}}:ckpt"] = ["work"]
    assert any(named in f"{key} {words}" for _, key, words in leaks(there, {"done", "waits"}))
