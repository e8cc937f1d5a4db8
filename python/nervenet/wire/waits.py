# SPDX-License-Identifier: Apache-2.0
"""What a workflow waits for, as one sentence: `fetch queued 12 min: no live agent serves it`.

The sentence is made of a `Wait` of the contract and of words for times. The contract's own sentence has absolute moments
(`MOMENTS`), so it stays true; the command line puts in durations as of now.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from nervenet.v1 import common_pb2 as common
from nervenet.v1 import workflow_pb2 as pb
from nervenet.wire.values import timestamp_ms


class TimeWords(NamedTuple):
    """How times are said. Each function takes milliseconds since the epoch."""

    age: Callable[[int], str]
    """`12 min`, or `since 2026-05-01T09:12:04.131Z`."""
    moment: Callable[[int], str]
    """`09:00`, behind "until" and "at"."""
    ahead: Callable[[int], str]
    """`in 6 d`, or `at …`."""


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


MOMENTS: Final = TimeWords(lambda ms: f"since {iso(ms)}", iso, lambda ms: f"at {iso(ms)}")


def wait_words(wait: pb.Wait, times: TimeWords = MOMENTS, *, clean: Callable[[str], str] = str) -> str:
    """The sentence. `clean` makes text of users harmless for where it is shown."""
    make = _WORDS.get(wait.kind)
    return (
        f"waits for something that this release does not know ({wait.kind})"
        if make is None
        else clean(make(wait, times))
    )


def failure_words(failure: common.Failure) -> str:
    """`RateLimited: 429 from api`."""
    if not failure.type and failure.message:
        return failure.message
    kind = failure.type or common.FailureCode.Name(failure.code).removeprefix("FAILURE_CODE_")
    return f"{kind}: {failure.message}" if failure.message else kind


def _since(wait: pb.Wait, times: TimeWords) -> str:
    return times.age(timestamp_ms(wait.since_time)) if wait.HasField("since_time") else ""


def _many(wait: pb.Wait, what: str) -> str:
    return f"{what} ×{wait.count}" if wait.count > 1 else what


def _age(wait: pb.Wait, times: TimeWords) -> str:
    """`12 min`; of several `, the oldest 12 min`."""
    since = _since(wait, times)
    if not since:
        return ""
    return f", the oldest {since}" if wait.count > 1 else f" {since}"


def _behind(wait: pb.Wait, times: TimeWords) -> str:
    """`, 3 h` or ` since …`: the age behind a whole sentence."""
    since = _since(wait, times)
    if wait.count > 1:
        return _age(wait, times)
    return f" {since}" if since.startswith("since ") else f", {since}" if since else ""


def _blocked(wait: pb.Wait, times: TimeWords) -> str:
    return f"blocked{_age(wait, times)}: {wait.reason}" if wait.reason else f"blocked{_age(wait, times)}"


def _node(wait: pb.Wait, times: TimeWords) -> str:
    return wait.reason


def _retry(wait: pb.Wait, times: TimeWords) -> str:
    when = times.ahead(timestamp_ms(wait.due_time)) if wait.HasField("due_time") else "now"
    first = ", the oldest" if wait.count > 1 else ""
    return f"retries {_many(wait, _task(wait))}{first} {when} after {failure_words(wait.last_failure)}{_attempt(wait, ' ')}"


def _human(wait: pb.Wait, times: TimeWords) -> str:
    due = f" (due {times.ahead(timestamp_ms(wait.due_time)).removeprefix('at ')})" if wait.HasField("due_time") else ""
    more = f" and {wait.count - 1} more" if wait.count > 1 else ""
    return f"asks a human: {wait.question}{due}{more}"


def _queued(wait: pb.Wait, times: TimeWords) -> str:
    why = f": {wait.reason}" if wait.reason else ""
    return f"{_many(wait, _task(wait))} queued{_age(wait, times)}{why}{_attempt(wait, ' ')}"


def _running(wait: pb.Wait, times: TimeWords) -> str:
    done = f", {wait.fraction:.0%}".replace("%", " %") if wait.HasField("fraction") else ""
    task = _many(wait, _task(wait))
    if wait.stuck:
        silent = _for(times, timestamp_ms(wait.alive_time))
        first = ", the oldest" if wait.count > 1 else ""
        return f"{task} running without a sign of life{first} {silent} on {wait.agent_id}{done}{_attempt(wait, ' ')}"
    return f"{task} running{_age(wait, times)} on {wait.agent_id}{done}{_attempt(wait, ' ')}"


def _for(times: TimeWords, ms: int) -> str:
    said = times.age(ms)
    return said if said.startswith("since ") else f"for {said}"


def _child(wait: pb.Wait, times: TimeWords) -> str:
    more = f" and {wait.count - 1} more" if wait.count > 1 else ""
    return f"waits for child {wait.workflow_id}{more}{_behind(wait, times)}"


def _delivery(wait: pb.Wait, times: TimeWords) -> str:
    more = f" and {wait.count - 1} more" if wait.count > 1 else ""
    return f"sends signal {wait.signal} to {wait.workflow_id}{more}{_behind(wait, times)}"


def _signal(wait: pb.Wait, times: TimeWords) -> str:
    return f"waits for signal {_many(wait, wait.signal)}{_behind(wait, times)}"


def _sleep(wait: pb.Wait, times: TimeWords) -> str:
    more = f" (the first of {wait.count})" if wait.count > 1 else ""
    return f"sleeps until {times.moment(timestamp_ms(wait.due_time))}{more}"


def _limit(wait: pb.Wait, times: TimeWords) -> str:
    more = f" (the first of {wait.count})" if wait.count > 1 else ""
    return f"gives up at {times.moment(timestamp_ms(wait.due_time))}{more}"


def _task(wait: pb.Wait) -> str:
    """The capability of many steps, otherwise the step, which is the name that other commands take."""
    return wait.capability if wait.count > 1 else wait.step or wait.capability


def _attempt(wait: pb.Wait, before: str) -> str:
    """` (attempt 2 of 5)`; nothing for a first attempt."""
    if wait.attempt < 2:
        return ""
    of = f" of {wait.max_attempts}" if wait.max_attempts else ""
    return f"{before}(attempt {wait.attempt}{of})"


_WORDS: Final[dict[int, Callable[[pb.Wait, TimeWords], str]]] = {
    pb.WAIT_KIND_BLOCKED: _blocked,
    pb.WAIT_KIND_NODE: _node,
    pb.WAIT_KIND_RETRY: _retry,
    pb.WAIT_KIND_HUMAN: _human,
    pb.WAIT_KIND_QUEUED: _queued,
    pb.WAIT_KIND_RUNNING: _running,
    pb.WAIT_KIND_CHILD: _child,
    pb.WAIT_KIND_DELIVERY: _delivery,
    pb.WAIT_KIND_SIGNAL: _signal,
    pb.WAIT_KIND_SLEEP: _sleep,
    pb.WAIT_KIND_TIME_LIMIT: _limit,
}
