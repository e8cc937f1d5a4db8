# SPDX-License-Identifier: Apache-2.0
"""Options: unset fields inherit, set ones win, mistakes are refused where they are written."""

from __future__ import annotations

import pickle
import re
from datetime import timedelta
from typing import Any

import pytest

from nervenet.definitions import Agent, Signal, Workflow
from nervenet.mesh import Mesh
from nervenet.options import (
    DEFAULTS,
    CallOptions,
    RetryPolicy,
    Selection,
    StartOptions,
    Timeouts,
    resolve,
    resolve_start,
)


class CardDeclined(Exception):
    pass


def test_without_options_the_documented_defaults_hold() -> None:
    assert resolve(None, None) is DEFAULTS
    assert (DEFAULTS.max_attempts, DEFAULTS.initial_ms, DEFAULTS.multiplier, DEFAULTS.max_ms) == (5, 1000, 2.0, 60_000)
    assert (DEFAULTS.jitter, DEFAULTS.accept_ms, DEFAULTS.escalate) == (0.2, 5000, False)
    assert DEFAULTS.attempt_ms is DEFAULTS.total_ms is DEFAULTS.queue_ms is DEFAULTS.heartbeat_ms is None


def test_layers_merge_field_by_field_the_call_being_the_strongest() -> None:
    mesh = CallOptions(retry=RetryPolicy(max_attempts=2, jitter=0.5), labels={"team": "legal"})
    agent = CallOptions(retry=RetryPolicy(max_attempts=3), timeouts=Timeouts(attempt=timedelta(minutes=2)))
    call = CallOptions(timeouts=Timeouts(total=timedelta(hours=1)), labels={"page": "7"}, step="page-7")
    found = resolve(mesh, agent, call)
    assert (found.max_attempts, found.jitter) == (3, 0.5)
    assert (found.attempt_ms, found.total_ms) == (120_000, 3_600_000)
    assert dict(found.labels) == {"team": "legal", "page": "7"}
    assert (found.step, found.on_cancel) == ("page-7", "request")


def test_none_says_something_where_it_can_be_said() -> None:
    limited = CallOptions(retry=RetryPolicy(max_attempts=3), timeouts=Timeouts(accept=timedelta(seconds=1)))
    unlimited = CallOptions(retry=RetryPolicy(max_attempts=None), timeouts=Timeouts(accept=None))
    assert (resolve(limited, unlimited).max_attempts, resolve(limited, unlimited).accept_ms) == (None, None)
    assert resolve(unlimited, CallOptions(retry=RetryPolicy(jitter=0))).max_attempts is None


def test_failure_types_are_given_as_classes_or_words() -> None:
    policy = RetryPolicy(non_retryable=[CardDeclined, "RateLimited"])
    assert resolve(CallOptions(retry=policy)).non_retryable == ("CardDeclined", "RateLimited")


def test_selection_merges_its_labels_and_keeps_its_policy() -> None:
    gpu = CallOptions(selection=Selection("round_robin", match={"gpu": "a100"}))
    found = resolve(gpu, CallOptions(selection=Selection(match={"region": "eu"})))
    assert found.policy == "round_robin"
    assert dict(found.match) == {"gpu": "a100", "region": "eu"}


def test_start_options_resolve_too() -> None:
    found = resolve_start(StartOptions(timeout=timedelta(days=1)), StartOptions(if_exists="error", labels={"a": "b"}))
    assert (found.timeout_ms, found.if_exists, found.durability) == (86_400_000, "error", None)
    assert found.abandon_children is False


def test_options_are_values_equal_hashable_picklable_and_later_changes_are_not_seen() -> None:
    labels = {"a": "b"}
    options = CallOptions(labels=labels, retry=RetryPolicy(max_attempts=1))
    labels["a"] = "changed"
    assert options == CallOptions(labels={"a": "b"}, retry=RetryPolicy(max_attempts=1))
    assert hash(options) == hash(pickle.loads(pickle.dumps(options)))
    assert repr(options) == "CallOptions(retry=RetryPolicy(max_attempts=1), labels={'a': 'b'})"


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (RetryPolicy, {"max_attempts": 0}, "RetryPolicy.max_attempts is 0: a whole number, at least 1"),
        (RetryPolicy, {"max_attempts": 2.5}, "a whole number"),
        (RetryPolicy, {"jitter": 2}, "from 0 to 1"),
        (RetryPolicy, {"multiplier": 0.5}, "at least 1"),
        (RetryPolicy, {"on_exhausted": "ask"}, "one of fail, escalate"),
        (RetryPolicy, {"non_retryable": "CardDeclined"}, "a collection"),
        (Timeouts, {"attempt": 30}, "a timedelta, e.g."),
        (Timeouts, {"total": timedelta(0)}, "longer than zero"),
        (Selection, {"policy": "fastest"}, "one of least_loaded, round_robin, sticky, queue"),
        (Selection, {"policy": "sticky"}, "sticky_key=customer_id"),
        (CallOptions, {"labels": {"a": 1}}, "a mapping of strings to strings"),
        (CallOptions, {"on_cancel": "now"}, "one of request, wait, leave"),
        (CallOptions, {"step": "page.7"}, "is not a name"),
        (CallOptions, {"step": "ask"}, "cannot be named 'ask'"),
        (StartOptions, {"if_exists": "maybe"}, "one of same, error, restart_if_closed"),
    ],
)
def test_a_mistake_is_refused_where_it_is_written(options: type[Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        options(**given)


@pytest.mark.parametrize(
    ("made", "given", "named", "sentences"),
    [
        (
            CallOptions,
            (),
            {"retries": 3},
            ["has no option 'retries'; ", "Did you mean retry=RetryPolicy(max_attempts=3)?"],
        ),
        (CallOptions, (), {"timeout": 30}, ["Did you mean timeouts=Timeouts(attempt=timedelta(seconds=30))?"]),
        (RetryPolicy, (), {"attempts": 3}, ["Did you mean max_attempts=3?"]),
        (StartOptions, (), {"label": {}}, ["has no option 'label'; ", "Did you mean labels?"]),
        (Timeouts, (timedelta(1),), {}, ["Timeouts takes its fields by name: attempt=…, total=…"]),
        (Mesh("m").agent, (), {"retries": 3}, ["options=CallOptions(retry=RetryPolicy(max_attempts=3))?"]),
        (Mesh("m").workflow, (), {"timeout": 3}, ["options=StartOptions(timeout=3)?"]),
        (Signal, ("go",), {}, ['takes one type, that of its value: Signal("go", str)']),
        (
            Agent.remote,
            ("see", str),
            {},
            ['takes two types, of its input and its output: Agent.remote("see", str, str)'],
        ),
        (Workflow.remote, ("see",), {}, ['client.start("see", …)']),
    ],
)
def test_what_is_not_there_is_answered_by_what_is(
    made: Any, given: tuple[Any, ...], named: dict[str, Any], sentences: list[str]
) -> None:
    with pytest.raises(TypeError) as refused:
        made(*given, **named)
    for sentence in sentences:
        assert sentence in str(refused.value)
