# SPDX-License-Identifier: Apache-2.0
"""CEL as workflows use it: what it gives as JSON, what it refuses and where, and that it is the same in every process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from nervenet.expressions import BadExpression, ExpressionFailed, Language

VALUES: dict[str, Any] = {
    "input": {"l": [3, 1, 2], "m": {"z": 1, "y": {"q": 2, "a": 1}, "b": 3}, "s": "ü", "n": None, "big": 2**60 + 1},
    "steps.a": {"x": 1.5, "raw": True},
    "item": 10**30,
}
LANGUAGE = Language(VALUES)


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("input.l.map(i, i * 2)", [6, 2, 4], "list"),
        ("input.m.map(k, k)", ["b", "y", "z"], "list"),
        ("input.m.filter(k, input.m.exists(q, q > k))", ["b", "y"], "list"),
        ("[input.m].map(x, x.map(k, k))", [["b", "y", "z"]], "list"),
        ("input.big + 1", 2**60 + 2, "int"),
        ("item", 10**30, "dyn"),
        (" input.s + '!' ", "ü!", "string"),
        ("has(input.s) && !has(input.q)", True, "bool"),
        ("input.n == null ? 'none' : 'some'", "none", "string"),
        (
            "{'t': timestamp('2024-01-01T00:00:00Z'), 'd': duration('90s')}",
            {"d": "90s", "t": "2024-01-01T00:00:00Z"},
            "map",
        ),
        ("'%s is %d'.format(['a', 1])", "a is 1", "string"),
        ("'a,b'.split(',')", ["a", "b"], "list"),
        ("math.greatest(1, steps.a.x)", 1.5, "dyn"),
        ("cel.bind(x, input.l[0], [x, x])", [3, 3], "list"),
        ("b'ab'", b"ab", "bytes"),
        ("{'raw': b'ab'}", {"raw": "YWI="}, "map"),
    ],
)
def test_it_gives(text: str, value: Any, kind: str) -> None:
    expression = LANGUAGE.compile(text)
    assert (expression(VALUES), expression.kind) == (value, kind)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("1 +", (1, 4), "mismatched input '<EOF>'"),
        ("input.l +\n  stepss.a", (2, 3), "nothing is called 'stepss.a'"),
        ("size(1)", (1, 5), "found no matching overload for 'size' applied to '(int)'"),
        ("[1, 2", (1, 6), "mismatched input '<EOF>'"),
        ("", (1, 1), "mismatched input '<EOF>'"),
    ],
)
def test_it_refuses(text: str, where: tuple[int, int], words: str) -> None:
    with pytest.raises(BadExpression) as refused:
        LANGUAGE.compile(text)
    (flaw,) = refused.value.flaws
    assert ((flaw.line, flaw.column), flaw.words) == (where, words)


@pytest.mark.parametrize("levels", [17, 20, 25, 31, 100, 5_000])
@pytest.mark.parametrize(
    ("shape", "inmost"),
    [("input.l.map(x, @)", "1"), ("[1].exists(x, @)", "true"), ("{'a': @}", "1"), ("(@)", "1"), ("1 + (@)", "1")],
)
def test_what_is_nested_too_deep_is_refused_and_does_no_harm(shape: str, inmost: str, levels: int) -> None:
    before, after = shape.split("@")
    text = before * levels + inmost + after * levels
    said = "nothing"
    try:
        LANGUAGE.compile(text)
    except BadExpression as refused:
        said = str(refused)
    assert "it is nested too deep" in said or (said == "nothing" and levels < 100)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input.q", 'Key not found in the map: "q"'),
        ("input.n.x", "a field is read of what has no fields (null, a number, a text, a list)"),
        ("input.l[9]", "Index error: index=9 size=3"),
        ("1 / (input.l[1] - 1)", "divide by zero"),
        ("input.s.map(x, x)", "only a list or a map can be gone through, this is string"),
        ("{1: 2}", "it gives a map with the key 1: JSON has text keys only; use string(…)"),
        ("1.0 / 0.0", "it gives inf: JSON has no such number"),
        ("type(1)", "it gives a Type, which is no JSON value"),
    ],
)
def test_it_fails_on_values(text: str, words: str) -> None:
    expression = LANGUAGE.compile(text)
    with pytest.raises(ExpressionFailed) as failed:
        expression(VALUES)
    assert str(failed.value) == words


def test_it_says_which_variables_it_reads() -> None:
    assert LANGUAGE.compile("steps.a.x > 1.0 ? item : [item].map(input, input)[0]").names == {"steps.a", "item"}
    shadowed = LANGUAGE.compile("cel.bind(input, 1, [1, 2].map(item, item + input))")
    assert (shadowed.names, shadowed(VALUES)) == (frozenset(), [2, 3])


def test_what_never_ends_is_ended() -> None:
    endless = LANGUAGE.compile(
        "input.l.map(a, input.l.map(b, input.l.map(c, input.l.map(d, input.l.map(e, input.l)))))"
    )
    values = {**VALUES, "input": {"l": list(range(20))}}
    with pytest.raises(ExpressionFailed, match="Iteration budget exceeded"):
        endless(values)


PROGRAM = """
import json
from nervenet.expressions import Language
keys = [f"key-{i}" for i in range(50)]
expression = Language(["input"]).compile("{'order': input.map(k, k), 'whole': input, 'text': '%s'.format([input])}")
print(json.dumps(expression({"input": dict.fromkeys(keys, {"b": 1, "a": 2})})))
"""


def test_a_map_has_one_order_in_every_process() -> None:
    said = {subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout for _ in range(4)}
    (one,) = said
    assert json.loads(one)["order"] == sorted(f"key-{i}" for i in range(50))
