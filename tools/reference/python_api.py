# SPDX-License-Identifier: Apache-2.0
"""The pages of the Python API and of the integrations: signatures, types and defaults as griffe reads them, explained by the docstrings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import griffe
from tables import table

ROOT = Path(__file__).resolve().parents[2]

# The modules whose `__all__` is public, and those of which every class is.
MODULES = ("nervenet", "nervenet.testing", "nervenet.dev")
WHOLE = ("nervenet.errors",)
# Public, but in no `__all__`: what the names above raise or take.
FURTHER = {
    "nervenet.payloads": ("InvalidPayload", "PayloadTooLarge"),
    "nervenet.mesh": ("LoadError",),
}
INTEGRATIONS = tuple(f"nervenet.integrations.{name}" for name in ("langgraph", "crewai", "pydantic_ai", "llm"))

# Classes whose values only nervenet makes: their constructors are nobody else's business.
MADE_BY_NERVENET = frozenset({
    "Target", "Agent", "Workflow", "Context", "Task", "Child", "WorkflowHandle", "SyncHandle", "Run", "Script", "AgentRun",
    "Conversation", "DurableAgent", "DurableCrew", "DurableGraph",
})  # fmt: skip

_INTRODUCTION = """\
Every public name, with its signature. In the options, `UNSET` means: inherited; the table has the default that applies when
nothing sets it. Times are `timedelta`, moments are aware `datetime`, unless a name ends in `_ms` (milliseconds). Arguments before `/` are
given by their place, those after `*` by their name.
"""
_OF_INTEGRATIONS = """\
Every public name of the integrations. Each one needs the extra of its name, for example `pip install 'nervenet[langgraph]'`.
"""


@cache
def _package() -> griffe.Module:
    logging.getLogger("griffe").setLevel(logging.ERROR)
    found = griffe.load(
        "nervenet", search_paths=[ROOT / "python"], docstring_parser="google", docstring_options={"warnings": False}
    )
    assert isinstance(found, griffe.Module)
    return found


def _public(modules: Iterable[str]) -> Iterator[tuple[str, list[griffe.Object]]]:
    """Each of these modules with its public names, in their order."""
    package = _package()
    seen: set[str] = set()
    for name in modules:
        module = package if name == "nervenet" else package[name.removeprefix("nervenet.")]
        if name in WHOLE:
            names = [each.name for each in module.classes.values() if not each.name.startswith("_")]
        elif name in FURTHER:
            names = list(FURTHER[name])
        else:
            names = [str(each).strip("'\"") for each in module.exports or ()]
        found = [_target(module[each]) for each in names]
        fresh = [each for each in found if each.path not in seen]
        seen |= {each.path for each in fresh}
        yield name, fresh


def _target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _members(owner: griffe.Object) -> Iterator[griffe.Object]:
    """Methods and properties that users call."""
    for name, member in owner.members.items():
        found = _target(member)
        if not name.startswith("_") and (isinstance(found, griffe.Function) or "property" in found.labels):
            yield found


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def page() -> str:
    return _page(_INTRODUCTION, (*MODULES, *WHOLE, *FURTHER))


def integrations_page() -> str:
    return _page(_OF_INTEGRATIONS, INTEGRATIONS)


def _page(introduction: str, modules: Iterable[str]) -> str:
    parts = [introduction]
    for module, names in _public(modules):
        parts.append(f"## {module}")
        for one in names:
            parts += _described(one, "###")
    return "\n\n".join(parts)


def _described(one: griffe.Object, level: str) -> Iterator[str]:
    yield f"{level} {_title(one)}"
    yield f"```py\n{_signature(one)}\n```"
    yield from _sections(one)
    if isinstance(one, griffe.Class):
        for member in _members(one):
            yield from _described(member, level + "#")


def _title(one: griffe.Object) -> str:
    parent = one.parent
    return (
        f"{parent.name}.{one.name}"
        if isinstance(parent, griffe.Class) and not parent.name.startswith("_")
        else one.name
    )


def _signature(one: griffe.Object) -> str:
    if isinstance(one, griffe.Class):
        bases = [str(base) for base in one.bases if not str(base).startswith(("_", "Generic", "ABC", "object"))]
        head = f"class {one.name}" + (f"({', '.join(bases)})" if bases else "")
        init = one.members.get("__init__")
        if isinstance(init, griffe.Function) and one.name not in MADE_BY_NERVENET:
            return "\n".join(f"{head}:" if at == 0 else line for at, line in enumerate(["", *_calls(init, "    ")]))
        return head
    if isinstance(one, griffe.Function):
        return "\n".join(_calls(one, ""))
    return f"{one.name}: {getattr(one, 'annotation', None)}"


def _calls(function: griffe.Function, indent: str) -> list[str]:
    """One signature for each way to call it."""
    calls = []
    for one in function.overloads or [function]:
        prefix = "async def" if "async" in one.labels else "def"
        parameters = _written(one)
        ending = f" -> {one.returns}" if one.returns is not None and one.name != "__init__" else ""
        line = f"{indent}{prefix} {one.name}({', '.join(parameters)}){ending}"
        if len(line) > 110:
            inner = "".join(f"{indent}    {each},\n" for each in parameters)
            line = f"{indent}{prefix} {one.name}(\n{inner}{indent}){ending}"
        calls.append(line)
    return calls


_STARS = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}


def _written(function: griffe.Function) -> list[str]:
    found: list[str] = []
    kinds = [each.kind for each in function.parameters]
    for at, one in enumerate(function.parameters):
        if one.kind is griffe.ParameterKind.keyword_only and not {"*"} & {each[:1] for each in found}:
            found.append("*")
        annotation = f": {one.annotation}" if one.annotation is not None else ""
        equals = " = " if annotation else "="
        default = "" if one.default is None or one.kind in _STARS else f"{equals}{one.default}"
        found.append(f"{_STARS.get(one.kind, '')}{one.name}{annotation}{default}")
        is_last = at + 1 == len(kinds) or kinds[at + 1] is not griffe.ParameterKind.positional_only
        if one.kind is griffe.ParameterKind.positional_only and is_last and one.name != "self":
            found.append("/")
    return [each for each in found if not re.fullmatch(r"self|cls", each)]


def _sections(one: griffe.Object) -> Iterator[str]:
    for section in one.docstring.parsed if one.docstring is not None else ():
        if isinstance(section, griffe.DocstringSectionText):
            yield section.value
        elif isinstance(section, griffe.DocstringSectionParameters):
            types = _types(one)
            rows = [
                (f"`{each.name}`", *types.get(each.name.lstrip("*"), ("", "")), each.description)
                for each in section.value
            ]
            yield table(("argument", "type", "default", "meaning"), rows)
        elif isinstance(section, griffe.DocstringSectionAttributes):
            yield table(("attribute", "type", "default", "meaning"), [_attribute(one, each) for each in section.value])
        elif isinstance(section, griffe.DocstringSectionReturns):
            yield "Returns: " + " ".join(" ".join(each.description.split()) for each in section.value)
        elif isinstance(section, griffe.DocstringSectionRaises):
            yield table(("raises", "when"), [(f"`{each.annotation}`", each.description) for each in section.value])


def _types(one: griffe.Object) -> dict[str, tuple[str, str]]:
    """Type and default of each parameter: the first that an overload gives."""
    function = one.members.get("__init__") if isinstance(one, griffe.Class) else one
    found: dict[str, tuple[str, str]] = {}
    for each in _overloads(function):
        for parameter in each.parameters:
            annotation = "" if parameter.annotation is None else f"`{parameter.annotation}`"
            given = parameter.default is not None and parameter.kind not in _STARS
            found.setdefault(parameter.name, (annotation, f"`{parameter.default}`" if given else ""))
    return found


def _overloads(function: object) -> list[griffe.Function]:
    """Its overloads, then itself, whose defaults are the real ones."""
    if not isinstance(function, griffe.Function):
        return []
    return [each for each in (*(function.overloads or ()), function) if "..." not in map(_default, each.parameters)]


def _default(parameter: griffe.Parameter) -> str:
    return str(parameter.default)


def _attribute(one: griffe.Object, attribute: griffe.DocstringAttribute) -> tuple[str, str, str, str]:
    member = one.members.get(attribute.name)
    found = _target(member) if member is not None else None
    annotation, value = getattr(found, "annotation", None), getattr(found, "value", None)
    words, default = str(attribute.description), ""
    if str(value) == "UNSET" or (
        str(value) == "None" and "Default: " in words
    ):  # an option: the words know what applies
        words, _, default = words.rpartition("Default: ")
    elif isinstance(one, griffe.Class) and "dataclass" in one.labels and value is not None:
        default = "" if str(value).startswith("field(") else f"`{value}`"
    return f"`{attribute.name}`", f"`{annotation}`" if annotation is not None else "", default.rstrip("."), words


# ── what is missing ──────────────────────────────────────────────────────────────────────────────────────────────────


def undocumented() -> list[str]:
    """Public classes, methods, properties, fields and parameters without words."""
    found: list[str] = []
    for _, names in _public((*MODULES, *WHOLE, *FURTHER, *INTEGRATIONS)):
        for one in names:
            members = list(_members(one)) if isinstance(one, griffe.Class) else []
            for each in (one, *members):
                found += [f"{each.path} {what}" for what in _missing(each)]
    return found


def _missing(one: griffe.Object) -> Iterator[str]:
    if one.docstring is None:
        yield "has no docstring"
        return
    if re.match(r"`\w+` for a program with an event loop", one.docstring.value):  # its other form says the rest
        return
    described: set[str] = set()
    for section in one.docstring.parsed:
        if isinstance(section, griffe.DocstringSectionParameters | griffe.DocstringSectionAttributes):
            described |= {each.name.lstrip("*") for each in section.value}
    for name in _needed(one):
        if name not in described:
            yield f"does not describe {name!r}"


def _needed(one: griffe.Object) -> set[str]:
    """The names that its docstring must describe."""
    if isinstance(one, griffe.Class):
        fields = {name for name, member in one.attributes.items() if _is_field(one, member)}
        return fields if one.name in MADE_BY_NERVENET else fields | _parameters(one.members.get("__init__"))
    return _parameters(one)


def _is_field(owner: griffe.Class, member: griffe.Object | griffe.Alias) -> bool:
    is_own = "instance-attribute" in member.labels and "property" not in member.labels
    return "dataclass" in owner.labels and is_own and not member.name.startswith("_")


def _parameters(function: object) -> set[str]:
    """What a caller may pass. `*args: P.args` of an overload is the one value that another overload names."""
    if not isinstance(function, griffe.Function):
        return set()
    given = function.overloads or [function]  # an implementation behind overloads takes anything
    names = {parameter.name for each in given for parameter in each.parameters}
    return names - {"self", "cls", "other", "kwargs"} - ({"args"} if {"input", "value"} & names else set())
