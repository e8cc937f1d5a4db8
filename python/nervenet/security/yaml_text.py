# SPDX-License-Identifier: Apache-2.0
"""YAML in which each value knows its place, for files whose mistakes must be told with line and column.

    root = parse(text, "policy.yaml")                    # Mistakes: "policy.yaml:3:7: …"
    root.entries["roles"].items[0].place                 # Place(4, 5)

It makes no plain data: who reads the file asks each node for what it should be (`text_of`, `texts_of`, …), and notes what is
wrong in a list, so that one run of a check tells all mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.errors import ConfigError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node

__all__ = ["MOST_VALUES", "Mistake", "Mistakes", "Place", "Reader", "Value", "parse"]

MOST_VALUES: Final = 100_000
"""In one file. Each takes about 1 kB."""


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


class Mistake(NamedTuple):
    """One thing that is wrong in a file."""

    place: Place
    words: str


class Mistakes(ConfigError):
    """A file that cannot be used. `found` says what is wrong with it, in the order of its lines."""

    def __init__(self, name: str, found: list[Mistake]) -> None:
        self.found = sorted(found)
        super().__init__("\n".join(f"{name}:{one.place.line}:{one.place.column}: {one.words}" for one in self.found))


class Value:
    """A node of the file. Exactly one of `text`, `items` and `entries` is not None."""

    def __init__(self, node: Node, source: list[str]) -> None:
        from ruamel.yaml.nodes import ScalarNode

        self.place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
        self._node = node
        self._source = source
        self.text: str | None = str(node.value) if isinstance(node, ScalarNode) else None
        self.items: list[Value] | None = None
        self.entries: dict[str, Value] | None = None
        self.keys: dict[str, Place] = {}

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "text" if self.text is not None else "list" if self.items is not None else "mapping"

    def inside(self, line: int, column: int) -> Place:
        """The place in the file of a line and column (from 1) of this text."""
        style = getattr(self._node, "style", None)
        if style in ("|", ">"):
            first = self.place.line  # the line after the one with the `|`, counted from 0
            body = self._source[first] if first < len(self._source) else ""
            return Place(first + line, len(body) - len(body.lstrip()) + column)
        quote = 1 if style in ("'", '"') else 0
        return Place(self.place.line, self.place.column + quote + column - 1) if line == 1 else self.place


def parse(text: str, name: str) -> Value:
    """The file as a tree of values. Raises Mistakes."""
    from ruamel.yaml import YAML  # 15 ms, for those who have a policy
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if node is None:
            raise Mistakes(name, [Mistake(Place(1, 1), "the file is empty")])
        return _Tree(text, name).value(node)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)
        raise Mistakes(name, [Mistake(place, str(error.problem or error.context or "this is no YAML"))]) from None
    except YAMLError as error:
        raise Mistakes(name, [Mistake(Place(1, 1), str(error))]) from None
    except RecursionError:
        raise Mistakes(name, [Mistake(Place(1, 1), "it is nested too deeply")]) from None


class _Tree:
    """Makes the values of one file. Aliases are values of their own, so a short file can mean very many."""

    def __init__(self, text: str, name: str) -> None:
        self._source = text.splitlines()
        self._name = name
        self._left = MOST_VALUES

    def value(self, node: Node, above: frozenset[int] = frozenset()) -> Value:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        value = Value(node, self._source)
        if id(node) in above:
            raise Mistakes(self._name, [Mistake(value.place, "a value cannot contain itself")])
        self._left -= 1
        if self._left < 0:
            words = f"the file has more than {MOST_VALUES:,} values, those that aliases repeat included"
            raise Mistakes(self._name, [Mistake(value.place, words)])
        within = above | {id(node)}
        if isinstance(node, SequenceNode):
            value.items = [self.value(each, within) for each in node.value]
        elif isinstance(node, MappingNode):
            value.entries = {}
            for key, place, each in _pairs(node, self._name):
                if key in value.entries:
                    raise Mistakes(self._name, [Mistake(place, f"{key!r} is in line {value.keys[key].line} already")])
                value.keys[key] = place
                value.entries[key] = self.value(each, within)
        return value


def _pairs(node: MappingNode, name: str) -> Iterator[tuple[str, Place, Node]]:
    from ruamel.yaml.nodes import ScalarNode

    for key, value in node.value:
        place = Place(key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, ScalarNode):
            raise Mistakes(name, [Mistake(place, "a key must be text")])
        yield str(key.value), place, value


class Reader:
    """Takes a mapping apart, and notes what is wrong in `mistakes`."""

    def __init__(self, value: Value, what: str, known: Mapping[str, str], mistakes: list[Mistake]) -> None:
        """`known`: the keys that may be there, each with what it holds."""
        self.value = value
        self._what = what
        self._mistakes = mistakes
        self._entries = value.entries or {}
        if value.entries is None:
            self.wrong(value, f"{what} is a mapping with {', '.join(known)}, not a {value.kind}")
        for key in self._entries:
            if key not in known:
                close = _closest(key, known)
                self._mistakes.append(
                    Mistake(value.keys[key], f"{what} has no {key!r}{close}; it has {', '.join(known)}")
                )

    def wrong(self, value: Value, words: str) -> None:
        """Note a mistake."""
        self._mistakes.append(Mistake(value.place, words))

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def get(self, key: str) -> Value | None:
        return self._entries.get(key)

    def text(self, key: str) -> str:
        """The text under a key; "" where there is none."""
        value = self._entries.get(key)
        if value is None:
            return ""
        if value.text is None or not value.text.strip():
            self.wrong(value, f"{key} is a text, not {'empty' if value.text is not None else 'a ' + value.kind}")
            return ""
        return value.text

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under a key; () where there is none."""
        value = self._entries.get(key)
        if value is None:
            return ()
        if not value.items or any(not each.text for each in value.items):
            self.wrong(value, f"{key} is a list of texts, as in [a, b], with at least one")
            return ()
        return tuple(str(each.text) for each in value.items)

    def list_of(self, key: str) -> list[Value]:
        """The list under a key; [] where there is none."""
        value = self._entries.get(key)
        if value is None:
            return []
        if value.items is None:
            self.wrong(value, f"{key} is a list: each entry begins with '- '")
            return []
        return value.items

    def map_of(self, key: str) -> dict[str, str]:
        """The mapping of texts under a key; {} where there is none."""
        value = self._entries.get(key)
        if value is None:
            return {}
        if not value.entries or any(each.text is None for each in value.entries.values()):
            self.wrong(value, f"{key} is a mapping of texts, as in {{team: billing}}, with at least one")
            return {}
        return {name: str(each.text) for name, each in value.entries.items()}


def _closest(word: str, known: Mapping[str, str]) -> str:
    import difflib  # only for a message

    found = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
