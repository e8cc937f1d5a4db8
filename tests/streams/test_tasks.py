# SPDX-License-Identifier: Apache-2.0
"""What an agent and a gateway share: deliveries, progress, claims and polls, with a link that only notes the commands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet.records import FailureCode, Payload
from nervenet.redis_link.faults import ConnectionLost, LinkError
from nervenet.streams.data_plane import DataPlane
from nervenet.streams.keys import Keys
from nervenet.streams.queues import Delivered, parse_requirement
from nervenet.streams.tasks import deliveries as module
from nervenet.streams.tasks import progress
from nervenet.streams.tasks.attempt import AttemptKey, StopReason, TaskAttempt, TaskAverages
from nervenet.streams.tasks.deliveries import Deliveries
from nervenet.streams.tasks.progress import LIVE_ENTRIES, ProgressPublisher
from nervenet.streams.tasks.queue_poller import _Rereads


class Attempt(TaskAttempt):
    is_claimed = True  # type: ignore[assignment]


class NotingLink:
    """Notes each command; the test sets the replies."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.replies: list[asyncio.Future[Any]] = []

    def send(self, *command: Any) -> asyncio.Future[Any]:
        self.sent.append(command)
        self.replies.append(asyncio.get_running_loop().create_future())
        return self.replies[-1]

    def answer(self, error: LinkError | None = None) -> None:
        for reply in self.replies:
            reply.set_result(1) if error is None else reply.set_exception(error)
        self.replies.clear()


@pytest.fixture
def link() -> Any:
    return NotingLink()


def attempt() -> Attempt:
    return Attempt(AttemptKey("w", 1, "work", 2), "greet", "n-aaaaaaaa", 1, "agent-a", b"inbox", b"1-0")


async def test_the_deliveries_of_one_tick_are_dropped_together_and_stay_in_hand_until_then(link: Any) -> None:
    deliveries = Deliveries(link)
    deliveries.in_hand.update({(b"inbox", b"1-0"), (b"inbox", b"2-0"), (b"queue", b"3-0")})
    deliveries.drop(b"inbox", b"1-0")
    deliveries.drop(b"queue", b"3-0")
    deliveries.drop(b"inbox", b"2-0")
    deliveries.drop(b"")  # an agent brought it along: there is no entry
    assert not link.sent
    await asyncio.sleep(0)
    assert [command[:2] for command in link.sent] == [
        ("XDEL", b"inbox"),
        ("XACK", b"inbox"),
        ("XDEL", b"queue"),
        ("XACK", b"queue"),
    ]
    assert link.sent[0][2:] == (b"1-0", b"2-0")
    assert not deliveries.unknown(b"inbox", [Delivered(b"1-0", b"task")]), "a second reading is no news yet"
    link.answer()
    await asyncio.sleep(0)
    assert not deliveries.in_hand


async def test_a_drop_is_repeated_when_the_connection_broke(link: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DATA_PLANE_RETRY", 0.01)
    deliveries = Deliveries(link)
    deliveries.drop(b"inbox", b"1-0")
    await asyncio.sleep(0)
    link.answer(ConnectionLost("the connection broke"))
    await asyncio.sleep(0.05)
    assert [command[0] for command in link.sent] == ["XDEL", "XACK", "XDEL", "XACK"]


async def test_progress_is_published_once_and_before_the_outcome(link: Any) -> None:
    publisher = ProgressPublisher(DataPlane(link, Keys("test"), None, None), lambda: 5, 1_000)  # type: ignore[arg-type]
    one = attempt()
    one.add_part(1, Payload("json", b"1"))
    one.fraction, one.message, one.news = 0.5, "half", True
    publisher.announce(one)
    publisher.announce(one)
    publisher.flush(one)
    publisher.flush(one)
    xadd, expire, hint = link.sent
    assert xadd[:2] == ("XADD", Keys("test").live("w")) and xadd[4] <= LIVE_ENTRIES
    assert xadd.count(b"p") == 2 and expire[0] == "PEXPIRE"
    assert hint[0] == "EVALSHA" and hint[-1] == Keys("test").head("w")


async def test_progress_after_a_silence_goes_at_once_and_what_follows_is_collected(
    link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_EVERY", 0.2)
    publisher = ProgressPublisher(DataPlane(link, Keys("test"), None, None), lambda: 5, 1_000)  # type: ignore[arg-type]
    one = attempt()

    def say(*numbers: int) -> None:
        for n in numbers:
            one.add_part(n, Payload("json", b"1"))
            publisher.announce(one)

    say(1, 2, 3)
    assert not link.sent, "what is said in one tick goes together"
    await asyncio.sleep(0.01)
    assert [command[0] for command in link.sent] == ["XADD", "PEXPIRE", "EVALSHA"]
    assert link.sent[0].count(b"p") == 3
    link.sent.clear()
    say(4)
    await asyncio.sleep(0.01)
    say(5)
    await asyncio.to_thread(say, 6)
    assert not link.sent
    await asyncio.sleep(0.3)
    assert [command[0] for command in link.sent] == ["XADD", "EVALSHA"]
    assert link.sent[0].count(b"p") == 3


def test_pending_entries_are_read_again_after_a_reconnect_and_once_more_later() -> None:
    rereads = _Rereads()
    assert not rereads.due(1, 0.0), "a first connection has lost nothing"
    assert rereads.due(2, 1.0)
    assert not rereads.due(2, 1.1)
    assert rereads.due(2, 60.0) and not rereads.due(2, 61.0)
    rereads.again(62.0)
    assert not rereads.due(2, 61.9) and rereads.due(2, 62.0)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        (b"", True),
        (b'{"match":{"gpu":"yes"},"version":"2"}', True),
        (b'{"match":{"gpu":"yes"}}', True),
        (b'{"match":{"gpu":"no"}}', False),
        (b'{"match":{"zone":"a"}}', False),
        (b'{"version":"3"}', False),
    ],
)
def test_which_queues_a_capability_serves(text: bytes, met: bool) -> None:
    requirement = parse_requirement(text)
    assert requirement is not None and requirement.is_met_by("2", {"gpu": "yes"}) is met


def test_what_a_stop_means() -> None:
    assert StopReason.GONE.failure("work", "agent") is None
    failure = StopReason.TIMEOUT.failure("work", "agent")
    assert failure is not None and (failure.code, failure.type) == (FailureCode.TIMEOUT, "Timeout")
    for reason in (StopReason.DRAINED, StopReason.LEFT):
        failure = reason.failure("work", "gateway")
        assert failure is not None and (failure.code, failure.source) == (FailureCode.AGENT_DRAINED, "gateway")


def test_averages_follow_the_newest_tasks() -> None:
    averages = TaskAverages()
    for _ in range(100):
        averages.ended(200, True)
    assert averages.average_ms == pytest.approx(200, rel=0.01) and averages.error_rate == pytest.approx(1, rel=0.01)
    averages.ended(200, False)
    assert averages.error_rate < 0.91
