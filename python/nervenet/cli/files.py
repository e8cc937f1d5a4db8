# SPDX-License-Identifier: Apache-2.0
"""Files of workflows as data: YAML or JSON → plain data, and the line of every path in it.

YAML here is that of 2009 (1.2) with the core schema, which JSON is a part of: `yes`, `no`, `on` and dates are texts, a name
that stands twice is refused. PyYAML reads the older one, hence the resolvers below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nervenet.cli.failures import UsageError
from nervenet.errors import InvalidRequest


class File(NamedTuple):
    """One that was read. `lines` says where each path begins (`steps[2].call` → 14)."""

    name: str
    data: Any
    lines: dict[str, int]

    def refused(self, fields: Sequence[tuple[str, str]]) -> InvalidRequest:
        """These problems, each with its line: `audit.yaml:14: steps[2].call.input: …`."""
        told = [(path.removeprefix("definition").removeprefix("."), words) for path, words in fields]
        lines = [f"{self._place(path)}: {path + ': ' if path else ''}{words}" for path, words in told]
        error = InvalidRequest("\n".join(lines), code="INVALID_ARGUMENT", reason="INVALID_FIELD")
        error.fields = tuple(fields)
        return error

    def _place(self, path: str) -> str:
        """What is missing stands where it should: in what is around it."""
        while path not in self.lines and path:
            path = re.sub(r"(\.[^.\[]*|\[\d+\]|^[^.\[]*)$", "", path)
        return f"{self.name}:{self.lines.get(path, 1)}"


def read(name: str) -> File:
    """Raises UsageError with the line."""
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start})") from None
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # between values only: JSON has none inside of texts
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise UsageError(f"{name} is empty")
        return File(name, loader.construct_document(node), dict(_lines("", node)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
        raise UsageError(f"{place}: {error.problem or error.context or 'this is no YAML'}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: {error}") from None
    finally:
        loader.dispose()


def _lines(path: str, node: yaml.Node) -> Iterator[tuple[str, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield from _lines(inner, value)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for i, each in enumerate(node.value):
            yield from _lines(f"{path}[{i}]", each)


class _Loader(yaml.SafeLoader):
    """See the module."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own way to say it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a name is a text", key.start_mark)
            if key.value in seen:
                words = f"{key.value!r} stands here and in line {seen[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, words, key.start_mark)
            seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


for _tag, _pattern, _first in (
    ("null", r"~|null|", "~n\0"),
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), [*_first, ""])
_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)
