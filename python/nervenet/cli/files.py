# SPDX-License-Identifier: Apache-2.0
"""Files of workflows as data: YAML or JSON → plain data, and the line of every path in it.

YAML 1.2, of which JSON is a part: `yes`, `no`, `on` and dates are texts. A name that is used twice is refused. ruamel.yaml
parses the file into nodes; the values are made here, because ruamel would make dates, and because the lines are needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from nervenet.cli.failures import UsageError
from nervenet.errors import InvalidRequest


class File(NamedTuple):
    """A file that was read. `lines` has the line where each path begins (`steps[2].call` → 14)."""

    name: str
    data: Any
    lines: dict[str, int]

    def refused(self, fields: Sequence[tuple[str, str]]) -> InvalidRequest:
        """An error with the line number of each problem: `audit.yaml:14: steps[2].call.input: …`."""
        told = [(path.removeprefix("definition").removeprefix("."), words) for path, words in fields]
        lines = [f"{self._place(path)}: {path + ': ' if path else ''}{words}" for path, words in told]
        error = InvalidRequest("\n".join(lines), code="INVALID_ARGUMENT", reason="INVALID_FIELD")
        error.fields = tuple(fields)
        return error

    def _place(self, path: str) -> str:
        """The line of a path. For a field that is missing, the line of what should contain it."""
        while path not in self.lines and path:
            path = re.sub(r"(\.[^.\[]*|\[\d+\]|^[^.\[]*)$", "", path)
        return f"{self.name}:{self.lines.get(path, 1)}"


def read(name: str) -> File:
    """The file as plain data. Raises UsageError with the line number."""
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start})") from None
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # between values only: a JSON text contains no tab
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if node is None:
            raise UsageError(f"{name} is empty")
        reader = _YamlReader()
        return File(name, reader.value("", node), reader.lines)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
        raise UsageError(f"{place}: {error.problem or error.context or 'this is not YAML'}") from None
    except YAMLError as error:
        raise UsageError(f"{name}: {error}") from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply") from None


class _YamlReader:
    """Makes plain data of ruamel's nodes, and notes the line of each path."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._made: dict[int, Any] = {}

    def value(self, path: str, node: Node) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._made:  # an alias (`*x`): read once, or a few lines could stand for millions of values
            if self._made[id(node)] is _OPEN:
                raise _wrong(node, "a value cannot contain itself")
            return self._made[id(node)]
        self._made[id(node)] = _OPEN
        self._made[id(node)] = found = self._read(path, node)
        return found

    def _read(self, path: str, node: Node) -> Any:
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == f"{_TAG}map":
            return self._mapping(path, node)
        if isinstance(node, SequenceNode) and tag == f"{_TAG}seq":
            return [self.value(f"{path}[{at}]", each) for at, each in enumerate(node.value)]
        if isinstance(node, ScalarNode) and (tag == f"{_TAG}str" or (node.style is None and tag in _PLAIN)):
            return node.value if tag == f"{_TAG}str" or node.style is not None else _plain(node.value)
        raise _wrong(node, f"the tag {tag.replace(_TAG, '!!')} is not supported")

    def _mapping(self, path: str, node: MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise _wrong(key, "a name must be text")
            if key.value in seen:
                raise _wrong(key, f"{key.value!r} is in line {seen[key.value]} already")
            seen[key.value] = key.start_mark.line + 1
            inner = f"{path}.{key.value}" if path else str(key.value)
            self.lines[inner] = key.start_mark.line + 1
            found[key.value] = self.value(inner, value)
        return found


_OPEN = object()
_TAG = "tag:yaml.org,2002:"
# What ruamel makes of words without quotes. YAML's core schema has no dates: those are texts here.
_PLAIN = frozenset(f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float", "timestamp", "merge", "value"))
_CONSTANTS = {"~": None, "null": None, "": None, "true": True, "false": False}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _plain(word: str) -> Any:
    """A word without quotes: a number, true, false or null where JSON has it too, else a text."""
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _INT.fullmatch(word):
        return int(word)
    return float(word) if _FLOAT.fullmatch(word) else word


def _wrong(node: Node, words: str) -> MarkedYAMLError:
    return MarkedYAMLError(problem=words, problem_mark=node.start_mark)
