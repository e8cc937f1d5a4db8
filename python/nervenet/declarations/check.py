# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a workflow as data: every problem, each with the path of the field and what to do.

    steps[2].depends_on[0]: no step 'extrct'; did you mean 'extract'?
    steps[2].call.input: line 1, column 1: 'steps.extract' is not over when this step begins: add 'extract' to depends_on

Pure: the same problems for the same declaration, in the order of the fields. A declaration without problems can be
interpreted; only its expressions can still fail, on values that nobody knows yet.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from nervenet.declarations.records import (
    AskAction,
    CallAction,
    ChildAction,
    ComputeAction,
    Declaration,
    DeclaredStep,
    SleepAction,
)
from nervenet.expressions import BadExpression, Expression, Flaw, Language
from nervenet.options import check_name

ALWAYS: Final = ("input", "workflow")
"""What every expression sees."""
ASK: Final = "ask"
"""What the journal calls a question of code: here the name of a question too, if of anything."""
MOST_STEPS: Final = 1_000
MOST_AT_A_TIME: Final = 1_000

_STEP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_RESERVED: Final = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
        *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)
_KINDS: Final = {
    "bool": "true or false",
    "list": "a list",
    "string": "a text",
}


class Problem(NamedTuple):
    """One of them: where (`steps[2].call.input`), and what."""

    path: str
    words: str

    def __str__(self) -> str:
        return f"{self.path}: {self.words}"


def check(declaration: Declaration) -> list[Problem]:
    """Every problem of it; empty: it can run."""
    return [
        *_names(declaration),
        *_references(declaration),
        *_cycles(declaration),
        *_Expressions(declaration).problems(),
    ]


def language_of(declaration: Declaration) -> Language:
    """The names that its expressions may say; `check` says where they may."""
    steps = [f"steps.{step.name}" for step in declaration.steps if _can_be_said(step.name)]
    return Language([*ALWAYS, "item", "index", "error", *steps])


def edges(declaration: Declaration) -> dict[str, frozenset[str]]:
    """Of each step: all steps that are over when it begins, itself left out."""
    direct = _known_dependencies(declaration)
    before: dict[str, frozenset[str]] = {}
    for name in _in_order(declaration):
        before[name] = frozenset(direct[name]).union(*(before[each] for each in direct[name]))
    return before


def _can_be_said(name: str) -> bool:
    """Whether an expression can say it."""
    return _STEP_NAME.fullmatch(name) is not None and name not in _RESERVED


# ── names and numbers ────────────────────────────────────────────────────────────────────────────────────────────────


def _names(declaration: Declaration) -> Iterator[Problem]:
    yield from _named("name", declaration.name, "definition")
    if declaration.version < 1:
        yield Problem("version", f"{declaration.version}: a whole number, at least 1")
    if declaration.timeout_ms is not None and declaration.timeout_ms <= 0:
        yield Problem("timeout", "longer than zero, or left out")
    if declaration.retention_ms is not None and declaration.retention_ms <= 0:
        yield Problem("retention", "longer than zero, or left out")
    if not declaration.steps:
        yield Problem("steps", "none: a workflow has at least one step")
    if len(declaration.steps) > MOST_STEPS:
        yield Problem("steps", f"{len(declaration.steps)} of them, at most {MOST_STEPS}; for_each does one for many")
    counted = Counter(step.name for step in declaration.steps)
    for i, step in enumerate(declaration.steps):
        at = f"steps[{i}]"
        if not _STEP_NAME.fullmatch(step.name):
            yield Problem(
                f"{at}.name",
                f"{step.name!r} is not a name: a letter, then letters, digits and '_', at most 63 (expressions say it)",
            )
        elif step.name in _RESERVED or (step.name == ASK and not isinstance(step.action, AskAction)):
            yield Problem(f"{at}.name", f"{step.name!r} is taken: expressions or the journal use the word")
        elif counted[step.name] > 1:
            first = next(j for j, other in enumerate(declaration.steps) if other.name == step.name)
            if first != i:
                yield Problem(f"{at}.name", f"{step.name!r} is the name of steps[{first}] too")
        yield from _action(at, step)


def _named(path: str, name: str, what: str) -> Iterator[Problem]:
    try:
        check_name(name, what)
    except ValueError as error:
        yield Problem(path, str(error).removeprefix(f"{what} "))


def _action(at: str, step: DeclaredStep) -> Iterator[Problem]:
    action = step.action
    match action:
        case None:
            yield Problem(at, "does nothing: give one of call, ask, workflow, value, sleep")
        case CallAction():
            yield from _named(f"{at}.call.capability", action.capability, "capability")
        case ChildAction():
            yield from _named(f"{at}.workflow.definition", action.definition, "definition")
            if action.version < 0:
                yield Problem(f"{at}.workflow.version", f"{action.version}: 0 (the highest) or a version")
        case AskAction():
            yield from _ask(f"{at}.ask", action)
        case SleepAction() if action.span_ms <= 0:
            yield Problem(f"{at}.sleep", "longer than zero")
    yield from _repeated(at, step)
    if step.recover and isinstance(action, (ComputeAction, SleepAction)):
        yield Problem(f"{at}.recover", "only with call, ask or workflow: nothing else fails on its own")
    yield from _options(at, step)


def _repeated(at: str, step: DeclaredStep) -> Iterator[Problem]:
    action = step.action
    if step.for_each is not None:
        if isinstance(action, (ComputeAction, SleepAction)):
            word = "value" if isinstance(action, ComputeAction) else "sleep"
            cure = "; an expression can map a list: items.map(x, …)" if word == "value" else ""
            yield Problem(f"{at}.for_each", f"only with call, ask or workflow, not with {word}{cure}")
        if not 0 <= step.for_each.concurrency <= MOST_AT_A_TIME:
            yield Problem(f"{at}.for_each.concurrency", f"{step.for_each.concurrency}: from 1 to {MOST_AT_A_TIME}")


def _options(at: str, step: DeclaredStep) -> Iterator[Problem]:
    """What would be set in vain."""
    given = step.options.given()
    of_call = {"retry": "retry", "timeouts": "timeouts", "selection": "selection", "labels": "labels"}
    if isinstance(step.action, CallAction) or step.action is None:
        return
    for name, path in of_call.items():
        if name in given:
            yield Problem(f"{at}.{path}", "only with call")


def _ask(at: str, ask: AskAction) -> Iterator[Problem]:
    if ask.choices and ask.schema is not None:
        yield Problem(f"{at}.answer_schema", "either choices or a schema of the answer")
    for choice, n in Counter(ask.choices).items():
        if n > 1:
            yield Problem(f"{at}.choices", f"{choice!r} is listed twice")
    if "" in ask.choices:
        yield Problem(f"{at}.choices", "one of them is empty")
    if ask.deadline_ms is not None and ask.deadline_ms <= 0:
        yield Problem(f"{at}.deadline", "longer than zero, or left out")
    if ask.default is not None and ask.deadline_ms is None:
        yield Problem(f"{at}.default_answer", "stands when the deadline passes: give a deadline too")
    from nervenet.schemas import below, wrong_schema  # pydantic: a tenth of a second that commands do without

    wrong = wrong_schema(ask.schema) if ask.schema is not None else []
    for path, words in wrong:
        yield Problem(below(f"{at}.answer_schema", path), f"no JSON Schema: {words}")
    if ask.default is not None and not wrong:
        yield from _default(f"{at}.default_answer", ask, ask.default[0])


def _default(at: str, ask: AskAction, default: Any) -> Iterator[Problem]:
    """Why the default is no answer."""
    if ask.choices:
        if default not in ask.choices:
            yield Problem(at, f"{default!r} is not one of the choices {list(ask.choices)!r}")
    elif ask.schema is not None:
        from nervenet.schemas import below, misfits

        for path, words in misfits(default, ask.schema, strict=True):
            yield Problem(below(at, path), f"does not fit the schema: {words}")


# ── what depends on what ─────────────────────────────────────────────────────────────────────────────────────────────


def _references(declaration: Declaration) -> Iterator[Problem]:
    names = [step.name for step in declaration.steps]
    for i, step in enumerate(declaration.steps):
        for j, other in enumerate(step.depends_on):
            at = f"steps[{i}].depends_on[{j}]"
            if other == step.name:
                yield Problem(at, f"step {other!r} depends on itself")
            elif other not in names:
                yield Problem(at, f"no step {other!r}{_meant(other, names)}")
            elif other in step.depends_on[:j]:
                yield Problem(at, f"{other!r} is listed twice")


def _meant(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _known_dependencies(declaration: Declaration) -> dict[str, tuple[str, ...]]:
    """Of each step: what it depends on, if there is such a step and it is another one."""
    names = {step.name for step in declaration.steps}
    return {step.name: tuple(o for o in step.depends_on if o in names and o != step.name) for step in declaration.steps}


def _in_order(declaration: Declaration) -> list[str]:
    """The steps, each behind what it depends on; those of a cycle, and behind one, are missing."""
    open_ = {name: set(others) for name, others in _known_dependencies(declaration).items()}
    order: list[str] = []
    while ready := [name for name, left in open_.items() if not left]:
        order += ready
        for name in ready:
            del open_[name]
        for left in open_.values():
            left.difference_update(ready)
    return order


def _cycles(declaration: Declaration) -> Iterator[Problem]:
    """One problem for one cycle; the others show when it is fixed."""
    free = set(_in_order(declaration))
    direct = {name: others for name, others in _known_dependencies(declaration).items() if name not in free}
    if not direct:
        return
    walk = [next(iter(direct))]
    while walk.count(walk[-1]) == 1:
        walk.append(next(name for name in direct[walk[-1]] if name in direct))
    ring = walk[walk.index(walk[-1]) :]
    i, step = next((i, s) for i, s in enumerate(declaration.steps) if s.name == ring[0] and ring[1] in s.depends_on)
    at = f"steps[{i}].depends_on[{step.depends_on.index(ring[1])}]"
    yield Problem(at, f"a cycle: {' → '.join(ring)}")


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Expressions:
    """Every expression. What a step sees is known only where everything before it is sound; else it may see all."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._language = language_of(declaration)
        self._all = frozenset(step.name for step in declaration.steps)

    def problems(self) -> Iterator[Problem]:
        before = edges(self._declaration)
        unsound = {step.name for step in self._declaration.steps if not self._all.issuperset(step.depends_on)}
        for i, step in enumerate(self._declaration.steps):
            over = before.get(step.name, self._all)
            hidden = unsound.isdisjoint({step.name, *over})
            yield from self._step(f"steps[{i}]", step, over if hidden else self._all)
        if self._declaration.output:
            yield from self._one("output", self._declaration.output, self._all)

    def _step(self, at: str, step: DeclaredStep, over: frozenset[str]) -> Iterator[Problem]:
        element = ("item", "index") if step.for_each is not None else ()
        for path, text, more, kind in expressions_of(step):
            needed = not text and (path in ("for_each.items", "ask.question", "value"))
            if needed:
                yield Problem(f"{at}.{path}", "an expression is needed")
            elif text:
                sees = (*(element if more != "whole" else ()), *(("error",) if more == "error" else ()))
                yield from self._one(f"{at}.{path}", text, over, sees, kind)

    def _one(
        self, path: str, text: str, over: frozenset[str], more: Sequence[str] = (), kind: str = ""
    ) -> Iterator[Problem]:
        try:
            found = self._language.compile(text)
        except BadExpression as error:
            for flaw in error.flaws:
                yield Problem(path, f"line {flaw.line}, column {flaw.column}: {self._words(flaw, more)}")
            return
        yield from self._out_of_sight(path, found, over, more)
        if kind and found.kind not in (kind, "dyn"):
            yield Problem(path, f"gives {_given(found.kind)}, {_KINDS[kind]} is needed")

    def _out_of_sight(
        self, path: str, found: Expression, over: frozenset[str], more: Sequence[str]
    ) -> Iterator[Problem]:
        seen = {*ALWAYS, *more, *(f"steps.{name}" for name in over)}
        for name in sorted(found.names - seen):
            line, column = _position(found.text, name)
            yield Problem(path, f"line {line}, column {column}: {_hidden(name)}")

    def _words(self, flaw: Flaw, more: Sequence[str]) -> str:
        if not flaw.unknown:
            return flaw.words
        first, _, rest = flaw.unknown.partition(".")
        if first == "steps":
            name = rest.partition(".")[0]
            if not name:
                return "'steps' alone is no value: steps.<name> is that of a step"
            return f"no step {name!r}{_meant(name, self._all)}"
        known = [*ALWAYS, "steps", *more]
        near = _meant(first, known)
        return f"{flaw.words}{near}" if near else f"{flaw.words}; there are {', '.join(known)}"


def expressions_of(step: DeclaredStep) -> Iterator[tuple[str, str, str, str]]:
    """Path, text, what it sees beyond the step ("whole": neither item nor index; "error": also the failure), and the
    kind that is needed, of every expression that a step can have."""
    yield "condition", step.condition, "whole", "bool"
    yield "publish", step.publish, "whole", ""
    if step.for_each is not None:
        yield "for_each.items", step.for_each.items, "whole", "list"
    match step.action:
        case CallAction(_, input):
            yield "call.input", input, "", ""
            selection = step.options.selection
            if selection is not None and selection.is_set("sticky_key") and selection.sticky_key:
                yield "selection.sticky_key", selection.sticky_key, "", "string"
        case ChildAction(_, _, input):
            yield "workflow.input", input, "", ""
        case AskAction():
            yield "ask.question", step.action.question, "", "string"
            yield "ask.context", step.action.context, "", ""
        case ComputeAction(value):
            yield "value", value, "whole", ""
    yield "recover", step.recover, "error", ""


def _hidden(name: str) -> str:
    if name == "error":
        return "'error' is known in recover only"
    if name in ("item", "index"):
        return f"{name!r} is known only in what for_each repeats"
    step = name.partition(".")[2]
    return f"{name!r} is not over when this step begins: add {step!r} to depends_on"


def _position(text: str, name: str) -> tuple[int, int]:
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    before = text[: found.start()] if found is not None else ""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _given(kind: str) -> str:
    return {"bool": "true or false", "string": "a text", "list": "a list", "null": "null"}.get(
        kind, f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    )
