# SPDX-License-Identifier: Apache-2.0
"""CEL, the language of expressions in workflows given as data: checked when it is written, pure when it is evaluated.

    language = Language(["input", "steps.extract"])
    double = language.compile("steps.extract.pages * 2")     # BadExpression: what is wrong, with line and column
    double.names, double.kind                                # {"steps.extract"}, "dyn"
    double({"steps.extract": {"pages": 4}})                  # 8, or ExpressionFailed

It hides the library, which is Google's own for Python (docs/decisions/0013), and fixes the one thing in it that does
not replay: a map is gone through in the order of its hash table, another one in each process. So the checked tree is
rewritten before it is planned: whatever a comprehension goes through is first put in order. For the same reason the keys
of every map that comes out are sorted.

Nothing here reads a clock or a file; an expression that goes on for more than 10,000 iterations is ended by the library.
"""

from __future__ import annotations

import base64
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from nervenet.errors import NervenetError
from nervenet.expressions._cel import cel_pb2

__all__ = ["BadExpression", "Expression", "ExpressionFailed", "Flaw", "Language"]


class Flaw(NamedTuple):
    """One thing that is wrong with an expression; `unknown` is the name that means nothing, where it is that."""

    line: int
    column: int
    words: str
    unknown: str = ""


class BadExpression(NervenetError, ValueError):
    """It cannot be understood: its author's fault; `flaws` says where."""

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__("; ".join(f"line {flaw.line}, column {flaw.column}: {flaw.words}" for flaw in flaws))
        self.flaws = flaws


class ExpressionFailed(NervenetError):
    """It is sound, but not for these values (a key that is not there, a division by zero): the definition's fault, or
    that of the caller that gave the values."""


class Expression:
    """One checked expression. `names` are the variables it reads, `kind` is what it gives: "bool", "int", "string",
    "list", "map", …, and "dyn" where only the values will tell."""

    __slots__ = ("_evaluate", "kind", "names", "text")

    def __init__(self, text: str, names: frozenset[str], kind: str, evaluate: Callable[[dict[str, Any]], Any]) -> None:
        self.text = text
        self.names = names
        self.kind = kind
        self._evaluate = evaluate

    def __repr__(self) -> str:
        return f"<Expression {self.text!r}: {self.kind}>"

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Its value as plain JSON data (bytes where the whole value is bytes). Raises ExpressionFailed."""
        bound = {name: values[name] for name in self.names}
        if self.text in bound:
            return bound[self.text]  # a variable alone is that value as it is, integers of any size included
        return _plain(self._evaluate(bound))


class Language:
    """CEL with these variables, whose names may have dots. Equal sets of names share what is costly to make."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._cel = _environment(self._names)

    def compile(self, text: str) -> Expression:
        """Raises BadExpression."""
        text = text.strip()
        try:
            checked = self._cel.compile(text)
        except RuntimeError as error:
            raise BadExpression(tuple(_flaws(str(error), text))) from None
        try:
            packed = cel_pb2.Packed.FromString(checked.serialize())
            tree = cel_pb2.CheckedExpr.FromString(packed.value)
            _put_in_order(tree)
            packed.value = tree.SerializeToString()
            program = self._cel.deserialize(packed.SerializeToString())
        except (DecodeError, RuntimeError):  # protobuf reads a hundred messages within each other
            raise BadExpression((Flaw(1, 1, _TOO_DEEP),)) from None
        names = frozenset(_free(tree.expr))
        kind = str(checked.return_type().name()).partition("<")[0].lower()

        def evaluate(values: dict[str, Any]) -> Any:
            try:
                value = program.eval(data=values)
                if value.type().name() == "ERROR":
                    raise ExpressionFailed(_reason(str(value.value())))
                return value.plain_value()
            except RuntimeError as error:
                raise ExpressionFailed(_reason(str(error))) from None

        return Expression(text, names, kind, evaluate)


# ── the order of maps ────────────────────────────────────────────────────────────────────────────────────────────────

_IN_ORDER: Final = "@in_order"  # no name that an expression can say
_OVERLOADS: Final = ("@in_order_map", "@in_order_list")


@lru_cache(maxsize=256)
def _environment(names: frozenset[str]) -> Any:
    from cel_expr_python import cel  # 16 MB of library, for those alone who have an expression
    from cel_expr_python.ext import ext_bindings, ext_math, ext_strings

    of_map, of_list = _OVERLOADS
    in_order = cel.FunctionDecl(
        _IN_ORDER,
        [
            cel.Overload(of_map, cel.Type.LIST, [cel.Type.MAP], impl=_keys_in_order),
            cel.Overload(of_list, cel.Type.LIST, [cel.Type.LIST], impl=_as_it_is),
        ],
    )
    return cel.NewEnv(
        variables=dict.fromkeys(sorted(names), cel.Type.DYN),
        extensions=[ext_strings.ExtStrings(), ext_math.ExtMath(), ext_bindings.ExtBindings()],
        functions=[in_order],
    )


def _keys_in_order(entries: Mapping[Any, Any]) -> list[Any]:
    return sorted(entries, key=lambda key: (type(key).__name__, key))


def _as_it_is(elements: list[Any]) -> list[Any]:
    return elements


def _put_in_order(tree: cel_pb2.CheckedExpr) -> None:
    """Every `range.map(…)` becomes `@in_order(range).map(…)`."""
    free = itertools.count(1 + max(itertools.chain((node.id for node in _nodes(tree.expr)), tree.reference_map)))
    for node in list(_nodes(tree.expr)):
        if node.WhichOneof("kind") == "comprehension":
            given = cel_pb2.Expr()
            given.CopyFrom(node.comprehension.iter_range)
            call = cel_pb2.Expr(id=next(free), call=cel_pb2.Call(function=_IN_ORDER, args=[given]))
            tree.reference_map[call.id].overload_id.extend(_OVERLOADS)
            node.comprehension.iter_range.CopyFrom(call)


def _nodes(node: cel_pb2.Expr) -> Iterator[cel_pb2.Expr]:
    """The tree from its leaves, so that a node that is copied has its inner ones done."""
    for below, _ in _below(node):
        yield from _nodes(below)
    yield node


def _free(node: cel_pb2.Expr, own: frozenset[str] = frozenset()) -> Iterator[str]:
    """The variables that it reads, but for those that a comprehension around it makes."""
    if node.WhichOneof("kind") == "ident" and node.ident.name not in own:
        yield node.ident.name
    for below, made in _below(node):
        yield from _free(below, own | made)


def _below(node: cel_pb2.Expr) -> Iterator[tuple[cel_pb2.Expr, frozenset[str]]]:
    """What it is made of, each with the variables that it sees besides."""
    nothing: frozenset[str] = frozenset()
    match node.WhichOneof("kind"):
        case "select":
            yield node.select.operand, nothing
        case "call":
            if node.call.HasField("target"):
                yield node.call.target, nothing
            yield from ((each, nothing) for each in node.call.args)
        case "list":
            yield from ((each, nothing) for each in node.list.elements)
        case "struct":
            yield from ((each, nothing) for entry in node.struct.entries for each in (entry.key, entry.value))
        case "comprehension":
            of = node.comprehension
            result, step = frozenset({of.accu_var}), frozenset({of.accu_var, of.iter_var, of.iter_var2})
            yield from ((of.iter_range, nothing), (of.accu_init, nothing))
            yield from ((of.loop_condition, step), (of.loop_step, step), (of.result, result))


# ── values and words ─────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(value: Any) -> Any:
    """As JSON has it; keys sorted."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return _inner(value)


def _inner(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionFailed(f"it gives {value}: JSON has no such number")
        return value
    if isinstance(value, list):
        return [_inner(each) for each in value]
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise ExpressionFailed(f"it gives a map with the key {odd[0]!r}: JSON has text keys only; use string(…)")
        return {key: _inner(value[key]) for key in sorted(value)}
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value / timedelta(seconds=1):.9f}".rstrip("0").rstrip(".") + "s"
    raise ExpressionFailed(f"it gives a {type(value).__name__}, which is no JSON value")


_FLAW: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)'")
_TOO_DEEP: Final = "it is nested too deep; take it apart in steps with a value"
_TRAILER: Final = re.compile(r" \[[A-Z_]+\]$")


def _flaws(said: str, text: str) -> Iterator[Flaw]:
    found = False
    for match in _FLAW.finditer(said):
        found = True
        line, column, words = int(match[1]), int(match[2]), _reason(match[3])
        if undeclared := _UNDECLARED.match(words):
            name = undeclared[1]
            at = _line(text, line).find(name)
            yield Flaw(line, at + 1 if at >= 0 else column, f"nothing is called {name!r}", name)
        else:
            yield Flaw(line, column, words.partition(" expecting ")[0].replace("Syntax error: ", ""))
    if not found:
        yield Flaw(1, 1, _TOO_DEEP if "recursion" in said else _reason(said))


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1] if number <= len(lines) else ""


def _reason(said: str) -> str:
    """What the library says, without its own codes."""
    words = _TRAILER.sub("", said).partition(": ")
    reason = words[2] if words[0].isupper() and words[2] else said
    reason = _TRAILER.sub("", reason)
    if f"overloads found : {_IN_ORDER}(" in reason:
        what = reason.partition(f"{_IN_ORDER}(")[2].rstrip(")")
        return f"only a list or a map can be gone through, this is {what}"
    if reason.startswith("Applying SELECT to non-message"):
        return "a field is read of what has no fields (null, a number, a text, a list)"
    return reason.replace(" : ", ": ").replace(" in map: ", " in the map: ")
