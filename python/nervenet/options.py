# SPDX-License-Identifier: Apache-2.0
"""The frozen options: how a call is retried, timed and routed, and how a workflow is started.

    CAREFUL = CallOptions(retry=RetryPolicy(max_attempts=3, on_exhausted="escalate"),
                          timeouts=Timeouts(attempt=timedelta(minutes=2)))

A field that is left out is *unset* and inherits, field by field, nested ones too: mesh defaults < agent < call; labels
merge key by key. The defaults are in one place, the dataclasses `Resolved` and `ResolvedStart`, which are what the
rest of the product reads: plain numbers, every question answered. Mistakes are refused where the option is written,
not where it is used.

Unset is a value of its own because None already says something: `max_attempts=None` is "no limit".
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args


class _Unset(enum.Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset.UNSET

OnExhausted = Literal["fail", "escalate"]
Policy = Literal["least_loaded", "round_robin", "sticky", "queue"]
OnCancel = Literal["request", "wait", "leave"]
IfExists = Literal["same", "error", "restart_if_closed"]
Durability = Literal["normal", "strict"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def check_name(name: Any, what: str, *, step: bool = True) -> str:
    """Give `name` back if it can be a name; with `step` also one that can begin a step's name."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise ValueError(f"{what} {name!r} is not a name: letters, digits, '_' and '-', a letter first, at most 63")
    if step and name == "ask":
        raise ValueError(f"{what} cannot be named 'ask': the steps of ctx.ask have this name")
    return name


class FrozenMap(Mapping[str, str]):
    """A mapping that stays as it is and hashes, so that options can be keys of a cache."""

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = dict(items)
        self._hash = hash(frozenset(self._items.items()))

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self._items)


EMPTY = FrozenMap({})


class _OptionsBase:
    """What the option classes share: repr of what is set, merging, and the checks of their fields."""

    none_is_unset: ClassVar[bool] = False

    if not TYPE_CHECKING:  # checkers know the fields

        def __new__(cls, *values: object, **named: object) -> Self:
            own = fields(cls)
            known = [one.name for one in own]
            if len(values) > sum(not one.kw_only for one in own):
                raise TypeError(f"{cls.__name__} takes its fields by name: {', '.join(f'{one}=…' for one in known)}")
            refuse_unknown(cls.__name__, {name: named[name] for name in named if name not in known}, known)
            return super().__new__(cls)

    def is_set(self, name: str) -> bool:
        """Whether this field has a value of its own.

        Args:
            name: Name of the field.
        """
        value = getattr(self, name)
        return value is not UNSET and not (value is None and self.none_is_unset)

    def given(self) -> dict[str, Any]:
        """The fields that are set, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if self.is_set(f.name)}  # type: ignore[arg-type]  # every subclass is a dataclass

    def merge(self, other: Self, /) -> Self:
        """These options, with the fields that `other` sets on top.

        Args:
            other: The stronger options, of the same class.

        Returns:
            New options. Nested options and labels are merged too.
        """
        mine, theirs = self.given(), other.given()
        return type(self)(**mine | {name: _merged(mine.get(name), value) for name, value in theirs.items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"

    def _refuse(self, name: str, expected: str) -> None:
        raise ValueError(f"{type(self).__name__}.{name} is {getattr(self, name)!r}: {expected}")

    def _check_number(self, name: str, at_least: float, at_most: float = float("inf"), *, whole: bool = False) -> None:
        value = getattr(self, name)
        if value is UNSET:
            return
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not at_least <= value <= at_most:
            bound = f"at least {at_least:g}" if at_most == float("inf") else f"from {at_least:g} to {at_most:g}"
            self._refuse(name, f"a {'whole ' if whole else ''}number, {bound}")

    def _check_time(self, name: str) -> None:
        value = getattr(self, name)
        if value is UNSET or value is None:
            return
        if not isinstance(value, timedelta):
            self._refuse(name, "a timedelta, e.g. timedelta(seconds=30)")
        if value <= timedelta(0):
            self._refuse(name, "longer than zero")

    def _check_choice(self, name: str, choices: Any) -> None:
        if self.is_set(name) and getattr(self, name) not in get_args(choices):
            self._refuse(name, "one of " + ", ".join(get_args(choices)))

    def _freeze_map(self, name: str) -> None:
        value = getattr(self, name)
        if value is UNSET or value is None:
            return
        if not isinstance(value, Mapping) or not all(isinstance(s, str) for pair in value.items() for s in pair):
            self._refuse(name, 'a mapping of strings to strings, e.g. {"team": "legal"}')
        object.__setattr__(self, name, FrozenMap(value))


_ATTEMPTS = {"retries", "retry", "max_retries", "retry_policy", "attempts", "max_attempts"}
_ATTEMPT = {"timeout", "time_limit", "attempt_timeout", "start_to_close_timeout"}


def refuse_unknown(owner: str, named: Mapping[str, object], known: Collection[str]) -> None:
    """The TypeError of somebody who was given names that it does not know; it says how the first would be said."""
    for name, value in named.items():
        near = _meant(owner, name, value) or next(iter(difflib.get_close_matches(name, known, 1)), "")
        ending = f". Did you mean {near}?" if near else ""
        raise TypeError(f"{owner} has no option {name!r}; its options are {', '.join(known)}{ending}")


def _meant(owner: str, name: str, value: object) -> str:
    """How to say what that name is for, in the class of options that it belongs to ("" if in none)."""
    said = repr(value) if isinstance(value, (int, str)) else "…"
    if owner in ("@mesh.workflow", "StartOptions"):
        whole = f"{name}={said}"
        return f"options=StartOptions({whole})" if owner[0] == "@" and name in _FIELDS["StartOptions"] else ""
    if name in _ATTEMPTS:
        name = "max_attempts"
    elif name in _ATTEMPT:
        name, said = "attempt", f"timedelta(seconds={said})"
    for inner, outer in (("RetryPolicy", "retry"), ("Timeouts", "timeouts"), ("Selection", "selection")):
        if name in _FIELDS[inner]:
            whole = f"{name}={said}" if owner == inner else f"{outer}={inner}({name}={said})"
            return whole if owner in _FIELDS else f"options=CallOptions({whole})"
    return f"options=CallOptions({name}={said})" if name in _FIELDS["CallOptions"] and owner not in _FIELDS else ""


def _merged(mine: Any, theirs: Any) -> Any:
    if isinstance(mine, _OptionsBase) and isinstance(theirs, _OptionsBase):
        return mine.merge(theirs)
    if isinstance(mine, FrozenMap):
        return FrozenMap({**mine, **theirs})
    return theirs


@dataclass(frozen=True, kw_only=True, repr=False)
class RetryPolicy(_OptionsBase):
    """How often and when a failed attempt is followed by another one.

    By default a call is attempted five times. The pause after the n-th failed attempt is
    `initial_interval * multiplier ** (n - 1)`, at most `max_interval`, with up to `jitter` of it added or subtracted
    at random: 1 s, 2 s, 4 s, 8 s. An agent that asks for a longer pause (`AgentError(retry_after=…)`) gets it.

    Every failure is retried, except:

    - failures with the code INVALID_INPUT, PAYLOAD_TOO_LARGE, POLICY_DENIED or CANCELED;
    - failures that were raised with `AgentError(retryable=False)`, or have such an error among their causes;
    - failures whose type, or the type of one of their causes, is in `non_retryable`.

    An agent that stops or goes silent with a task does not use up `max_attempts`. The task is tried again at once
    after the first such loss, then with the pauses of this policy. A task that loses at least three agents in a row
    is suspected of ending them, unless something else explains the losses (several tasks share a loss, other
    agents die too, or an agent was told to end). Twenty losses in a row stop any task. `on_agent_loss` says what
    follows.

        CAREFUL = CallOptions(retry=RetryPolicy(max_attempts=3, non_retryable=[CardDeclined]))

    Attributes:
        max_attempts: Attempts, the first one included. None: no limit. Default: 5.
        initial_interval: Pause after the first failed attempt. Default: 1 s.
        max_interval: Longest pause. Default: 60 s.
        multiplier: Factor from one pause to the next, at least 1. Default: 2.0.
        jitter: Share of the pause that is random, from 0 to 1. Default: 0.2.
        non_retryable: Types of failures that end the step at once: exception classes, or their names. A class
            stands for its own name only, not for its subclasses. Default: none.
        avoid_failed_agents: Prefer agents on which this task has not failed yet. Default: False.
        on_exhausted: What follows the last attempt, or a failure that is not retried: `"fail"` fails the step
            (`CallFailed` in the workflow), `"escalate"` asks a human first. Default: `"fail"`.
        on_agent_loss: What follows when the task is suspected of ending its agents: `"escalate"` asks a human,
            `"fail"` fails the step with the code AGENT_LOST. Default: `"escalate"`.

    Raises:
        ValueError: A field is out of its bounds. The message names it and the values that it takes.
    """

    max_attempts: int | None = UNSET
    initial_interval: timedelta = UNSET
    max_interval: timedelta = UNSET
    multiplier: float = UNSET
    jitter: float = UNSET
    non_retryable: Collection[str | type[Exception]] = UNSET
    avoid_failed_agents: bool = UNSET
    on_exhausted: OnExhausted = UNSET
    on_agent_loss: OnExhausted = UNSET

    def __post_init__(self) -> None:
        if self.max_attempts is not None:
            self._check_number("max_attempts", 1, whole=True)
        self._check_time("initial_interval")
        self._check_time("max_interval")
        self._check_number("multiplier", 1)
        self._check_number("jitter", 0, 1)
        self._check_choice("on_exhausted", OnExhausted)
        self._check_choice("on_agent_loss", OnExhausted)
        if self.non_retryable is not UNSET:
            if isinstance(self.non_retryable, str):
                self._refuse("non_retryable", "a collection of types or their names, e.g. [CardDeclined]")
            names = tuple(error if isinstance(error, str) else error.__name__ for error in self.non_retryable)
            object.__setattr__(self, "non_retryable", names)


@dataclass(frozen=True, kw_only=True, repr=False)
class Timeouts(_OptionsBase):
    """How long the parts of a call may take. None, or a field that is left out everywhere, means: no limit.

    Only `accept` has a limit by default, so a slow model call is never stopped unless you ask for it. An attempt
    that runs out of time fails with the code TIMEOUT and is retried by the RetryPolicy. A step that runs out of
    `total` or `queue` raises `CallTimedOut` in the workflow.

        CallOptions(timeouts=Timeouts(attempt=timedelta(minutes=2), total=timedelta(minutes=10)))

    Attributes:
        attempt: One attempt, counted from the moment when an agent claims the task. Default: no limit.
        total: The whole call, with all attempts and pauses. Default: no limit.
        queue: From sending the task until an agent claims it. After that the step fails without another attempt.
            Default: no limit.
        accept: How long an agent that was chosen for a task may take to claim it. After that the task goes to
            another agent. Default: 5 s.
        heartbeat: The longest silence between two calls of `task.progress`, `emit`, `checkpoint` or `check` in
            the handler. Default: no limit.

    Raises:
        ValueError: A field is no timedelta, or not longer than zero.
    """

    attempt: timedelta | None = UNSET
    total: timedelta | None = UNSET
    queue: timedelta | None = UNSET
    accept: timedelta | None = UNSET
    heartbeat: timedelta | None = UNSET

    def __post_init__(self) -> None:
        for name in ("attempt", "total", "queue", "accept", "heartbeat"):
            self._check_time(name)


@dataclass(frozen=True, kw_only=True, repr=False)
class Selection(_OptionsBase):
    """Which agent gets the task.

        CallOptions(selection=Selection("least_loaded", match={"accelerator": "gpu"}))

    Attributes:
        policy: `"least_loaded"`: the agent with the smallest share of its slots in use. `"round_robin"`: one agent
            after the other. `"sticky"`: the same agent for the same `sticky_key`, while it lives. `"queue"`: no
            choice, the first agent that is free takes it. Default: `"least_loaded"`.
        match: Labels that the agent must have, all of them. Default: none.
        sticky_key: What stays together under the policy `"sticky"`, for example a customer id. That policy needs it.

    Raises:
        ValueError: A field has a value that it cannot take, or the policy `"sticky"` has no `sticky_key`.
    """

    policy: Policy = field(default=UNSET, kw_only=False)
    match: Mapping[str, str] = UNSET
    sticky_key: str | None = UNSET

    def __post_init__(self) -> None:
        self._check_choice("policy", Policy)
        self._freeze_map("match")
        if self.policy == "sticky" and not (self.is_set("sticky_key") and self.sticky_key):
            self._refuse("sticky_key", 'policy "sticky" needs one, e.g. sticky_key=customer_id')


@dataclass(frozen=True, kw_only=True, repr=False)
class CallOptions(_OptionsBase):
    """How one call, or all calls of an agent or a mesh, are made.

    Options are merged field by field, also inside `retry`, `timeouts` and `selection`: those of the mesh, then those
    of the agent, then those of the call. `labels` are merged key by key.

        SLOW = CallOptions(timeouts=Timeouts(attempt=timedelta(minutes=30)))
        await ctx.call(think, turns, options=SLOW)

    Attributes:
        retry: How failed attempts are repeated. Default: five attempts, see RetryPolicy.
        timeouts: How long things may take. Default: no limits except `accept`, see Timeouts.
        selection: Which agent gets the task. Default: the least loaded one.
        labels: Labels of the task. For a child workflow: the labels of the child. Default: none.
        step: Name of the step, for one call. A named step keeps its name when a call is added before it.
            Default: the name of the agent or workflow, with a number from the second call on (`think.2`).
        on_cancel: What a canceled call does with its running attempt. `"request"` asks the agent to stop and continues
            at once. `"wait"` continues when the agent has stopped. `"leave"` lets the attempt run.
            Default: `"request"`.

    Raises:
        ValueError: A field has a value that it cannot take. The message names the field and what it takes.
    """

    none_is_unset: ClassVar[bool] = True

    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    selection: Selection | None = None
    labels: Mapping[str, str] | None = None
    step: str | None = None
    on_cancel: OnCancel = UNSET

    def __post_init__(self) -> None:
        self._freeze_map("labels")
        self._check_choice("on_cancel", OnCancel)
        if self.step is not None:
            check_name(self.step, "step")

    def resolve(self) -> Resolved:
        """These options with the default of every field that is not set."""
        return resolve(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class StartOptions(_OptionsBase):
    """How a workflow is started.

        await client.start(review, doc, id="review-118", options=StartOptions(labels={"team": "legal"}))

    Attributes:
        labels: Labels of the workflow, to find it by (`client.list(labels=…)`). Its tasks carry them too.
            Default: none.
        timeout: Limit for the whole run. When it passes, the workflow ends as TIMED_OUT. Default: no limit.
        if_exists: What happens when the workflow id exists. `"same"`: the same definition and input return the existing
            run, anything else raises AlreadyExists. `"error"`: AlreadyExists always. `"restart_if_closed"`: a
            closed workflow begins its next run. Default: `"same"`.
        durability: `"strict"` refuses the start (PreconditionFailed, reason DURABILITY_UNAVAILABLE) on a mesh that
            could lose its last second when Redis crashes. Default: what the mesh has.
        abandon_children: For `ctx.start` only: the child continues when the run that started it closes. By default
            the child is canceled then.

    Raises:
        ValueError: A field has a value that it cannot take. The message names the field and what it takes.
    """

    none_is_unset: ClassVar[bool] = True

    labels: Mapping[str, str] | None = None
    timeout: timedelta | None = None
    if_exists: IfExists = UNSET
    durability: Durability | None = None
    abandon_children: bool = UNSET

    def __post_init__(self) -> None:
        self._freeze_map("labels")
        self._check_time("timeout")
        self._check_choice("if_exists", IfExists)
        self._check_choice("durability", Durability)

    def resolve(self) -> ResolvedStart:
        """These options with the default of every field that is not set."""
        return resolve_start(self)


_FIELDS = {
    each.__name__: [one.name for one in fields(each)]
    for each in (RetryPolicy, Timeouts, Selection, CallOptions, StartOptions)
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """CallOptions with every question answered; times in milliseconds. These are the defaults of the product."""

    max_attempts: int | None = 5
    initial_ms: int = 1_000
    max_ms: int = 60_000
    multiplier: float = 2.0
    jitter: float = 0.2
    non_retryable: tuple[str, ...] = ()
    avoid_failed_agents: bool = False
    escalate: bool = False
    escalate_loss: bool = True
    attempt_ms: int | None = None
    total_ms: int | None = None
    queue_ms: int | None = None
    accept_ms: int | None = 5_000
    heartbeat_ms: int | None = None
    policy: Policy = "least_loaded"
    match: Mapping[str, str] = EMPTY
    sticky_key: str | None = None
    labels: Mapping[str, str] = EMPTY
    step: str | None = None
    on_cancel: OnCancel = "request"


@dataclass(frozen=True, slots=True)
class ResolvedStart:
    """StartOptions with every question answered."""

    labels: Mapping[str, str] = EMPTY
    timeout_ms: int | None = None
    if_exists: IfExists = "same"
    durability: Durability | None = None
    abandon_children: bool = False


DEFAULTS = Resolved()


@lru_cache(maxsize=1024)
def resolve(*layers: CallOptions | None) -> Resolved:
    """What these layers, weakest first, come to; None is a layer that sets nothing."""
    merged = CallOptions()
    for layer in layers:
        merged = merged.merge(layer) if layer is not None else merged
    plain: dict[str, Any] = {}
    for group in (merged.retry, merged.timeouts, merged.selection, merged):
        plain |= group.given() if group is not None else {}
    for name in ("retry", "timeouts", "selection"):
        plain.pop(name, None)
    for name in ("attempt", "total", "queue", "accept", "heartbeat", "initial_interval", "max_interval"):
        if name in plain:
            plain[name.removesuffix("_interval") + "_ms"] = to_ms(plain.pop(name))
    if "on_exhausted" in plain:
        plain["escalate"] = plain.pop("on_exhausted") == "escalate"
    if "on_agent_loss" in plain:
        plain["escalate_loss"] = plain.pop("on_agent_loss") == "escalate"
    return Resolved(**plain) if plain else DEFAULTS


@lru_cache(maxsize=256)
def resolve_start(*layers: StartOptions | None) -> ResolvedStart:
    """The same for StartOptions."""
    merged = StartOptions()
    for layer in layers:
        merged = merged.merge(layer) if layer is not None else merged
    plain = merged.given()
    if "timeout" in plain:
        plain["timeout_ms"] = to_ms(plain.pop("timeout"))
    return ResolvedStart(**plain)


def to_ms(span: timedelta | None) -> int | None:
    """Whole milliseconds, at least one."""
    return None if span is None else max(1, span // timedelta(milliseconds=1))
