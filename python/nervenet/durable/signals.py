# SPDX-License-Identifier: Apache-2.0
"""The signals that a workflow receives, found in its code, so that a wrong name is refused when it is sent.

    signals_of(review).names         # {"approve": (the codec of Approval,)}
    signals_of(review).complete      # True: there are no others

`ctx.receive` takes a `Signal`, and the code can only receive a Signal that it can reach: a global of the function or of
one that it refers to, an attribute of a module, a class or an object, an element of a list, or an import in a function.
So all reachable objects are searched, and each Signal found counts as received. Too many do no harm: they are accepted
too.

`complete` is False if a Signal may come from another place: the code creates Signals (`Signal(f"approve-{x}", …)`),
looks up names (`getattr`), uses a name or a module that does not exist yet, continues as a workflow whose code is not
here, or has too many objects. Then any name is accepted, unless `@mesh.workflow(signals=[…])` lists the signals.

Functions and classes of the standard library, of nervenet and of installed packages without nervenet are not searched:
user code must have passed them their Signals. No user code runs. Rejected: reading the calls of `ctx.receive` in the
source. They do not show the value of a helper's parameter.
"""

from __future__ import annotations

import builtins
import dis
import functools
import gc
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, get_args, get_origin

from nervenet.definitions import Signal, Target, Workflow
from nervenet.payloads import Codec

__all__ = ["Signals", "signals_of"]

MAX_CODE_OBJECTS: Final = 10_000
"""The number of reachable objects after which the search ends."""
_DYNAMIC: Final = frozenset({"getattr", "globals", "locals", "vars", "eval", "exec", "__import__", "import_module"})
"""Functions that look up objects by a name that is only known at run time."""
_PLAIN: Final = (str, bytes, int, float, complex, type(None), CodeType, ModuleType)
_HOLDERS: Final = frozenset(
    {"builtins", "types", "collections", "functools", "contextvars", "weakref", "queue", "enum"}
)
"""Modules of the standard library whose objects contain other objects."""


@dataclass(frozen=True)
class Signals:
    """The signals by name, with the codecs of their payloads. `complete`: there are no others."""

    names: Mapping[str, tuple[Codec[Any], ...]] = field(default_factory=dict)
    complete: bool = False


def signals_of(workflow: Workflow[Any, Any]) -> Signals:
    """The signals of a workflow whose code is here. A workflow given as data receives none."""
    search = _Search()
    if workflow.fn is not None:
        search.look(workflow)
    for signal in workflow.signals or ():
        search.found(signal)
    names = {name: tuple(codecs) for name, codecs in sorted(search.names.items())}
    return Signals(names, search.complete or workflow.signals is not None)


class _Search:
    """Searches all reachable objects, each once."""

    def __init__(self) -> None:
        self.names: dict[str, list[Codec[Any]]] = {}
        self.complete = True
        self._seen: dict[int, Any] = {}  # holds them, so that an id stays theirs
        self._left: list[Any] = []
        self._workflows: list[Workflow[Any, Any]] = []
        self._goes_on = False

    def found(self, signal: Signal[Any]) -> None:
        codecs = self.names.setdefault(signal.name, [])
        if all(codec.type != signal.input.type for codec in codecs):
            codecs.append(signal.input)

    def look(self, workflow: Workflow[Any, Any]) -> None:
        self._add(workflow.fn)
        self._add(workflow.input.type)
        while self._left:
            if len(self._seen) > MAX_CODE_OBJECTS:
                self.complete = False
                return
            for each in self._reached(self._left.pop()):
                self._add(each)
            if self._goes_on and not self._left:
                self._next_runs()

    def _add(self, thing: Any) -> None:
        if not isinstance(thing, _PLAIN) and id(thing) not in self._seen:
            self._seen[id(thing)] = thing
            self._left.append(thing)

    def _next_runs(self) -> None:
        """`ctx.continue_as_new`: the next run gets the unread signals."""
        for workflow in self._workflows:
            if workflow.fn is None:
                self.complete = False
            self._add(workflow.fn)
            for signal in workflow.signals or ():
                self.found(signal)
        self._workflows.clear()

    def _reached(self, thing: Any) -> Iterator[Any]:
        """The objects that this one refers to."""
        if thing is Signal:
            self.complete = False
        elif isinstance(thing, Target):
            yield from (thing.input.type, thing.output.type)  # values of these come into the code, with their methods
            if isinstance(thing, Signal):
                self.found(thing)
            elif isinstance(thing, Workflow):
                self._workflows.append(thing)
        elif isinstance(thing, FunctionType):
            if _is_looked_into(thing.__module__):
                yield from self._of_function(thing)
        else:
            yield from _held(thing)

    # ── code ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_function(self, function: FunctionType) -> Iterator[Any]:
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not yet set
                self.complete = False
        yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        yield from vars(function).values()
        for annotation in function.__annotations__.values():
            if (type_ := _evaluated(annotation, function)) is not Signal:
                yield type_
        for code in _codes(function.__code__):
            yield from self._of_code(code, function)

    def _of_code(self, code: CodeType, function: FunctionType) -> Iterator[Any]:
        names, there = set(code.co_names), function.__globals__
        modules = list(self._modules(code, function))
        self._goes_on |= "continue_as_new" in names
        if not _DYNAMIC.isdisjoint(names):
            self.complete = False
        for name in names & there.keys():
            thing = there[name]
            if isinstance(thing, ModuleType):
                modules.append(thing)
            else:
                yield thing
        seen: list[ModuleType] = []
        while modules:  # `flows.signals.approve`: each of the names, in each of the modules
            module = modules.pop()
            if module in seen or not _is_looked_into(module.__name__):
                continue
            seen.append(module)
            for name in names & vars(module).keys():
                thing = vars(module)[name]
                if isinstance(thing, ModuleType):
                    modules.append(thing)
                else:
                    yield thing

    def _modules(self, code: CodeType, function: FunctionType) -> Iterator[ModuleType]:
        """The imports of the code itself. A global name or a module that does not exist yet may become anything."""
        there = function.__globals__
        before: list[Any] = [None, None]
        for instruction in dis.get_instructions(code):
            name = str(instruction.argval)
            if instruction.opname == "LOAD_GLOBAL" and name not in there and not hasattr(builtins, name):
                self.complete = False
            elif instruction.opname == "IMPORT_NAME":
                name = _absolute(name, before[-2], there.get("__package__") or "")
                if name in sys.modules:
                    yield sys.modules[name]
                elif name.partition(".")[0] not in sys.stdlib_module_names:
                    self.complete = False
            before = [before[-1], instruction.argval]


def _absolute(name: str, level: object, package: str) -> str:
    if not isinstance(level, int) or not level:
        return name
    base = package.rsplit(".", level - 1)[0] if level > 1 else package
    return f"{base}.{name}" if name else base


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _evaluated(annotation: Any, function: FunctionType) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, function.__globals__)  # noqa: S307  # as typing.get_type_hints does
    except Exception:  # noqa: BLE001  # names that exist for checkers only
        return None


def _held(thing: Any) -> Iterator[Any]:
    """The objects that an object other than a function refers to."""
    if isinstance(thing, property):
        yield from (thing.fget, thing.fset)
    elif isinstance(thing, dict):
        yield from (*dict.keys(thing), *dict.values(thing))
    elif get_origin(thing) is not None:
        yield from get_args(thing)
    elif isinstance(thing, type):
        if _is_looked_into(thing.__module__):
            yield from (*vars(thing).values(), *thing.__mro__[1:])
    elif _is_holder(type(thing).__module__):
        yield from gc.get_referents(thing)


def _is_holder(module: str) -> bool:
    """Whether objects of a class that is defined there may hold a Signal of the user."""
    top = module.partition(".")[0]
    return top != "nervenet" and (top not in sys.stdlib_module_names or module in _HOLDERS)


@functools.lru_cache(maxsize=4096)
def _is_looked_into(name: str | None) -> bool:
    """Whether functions, classes and modules of that module may name a Signal of the user."""
    top = (name or "").partition(".")[0]
    if top == "nervenet" or (top in sys.stdlib_module_names and top != "__main__"):
        return False
    path = getattr(sys.modules.get(name or ""), "__file__", None) or ""
    return ("site-packages" not in path and "dist-packages" not in path) or _uses_nervenet(top)


@functools.lru_cache(maxsize=1024)
def _uses_nervenet(package: str) -> bool:
    """Whether a module of an installed package has something of nervenet in it."""
    modules = [module for name, module in tuple(sys.modules.items()) if name.partition(".")[0] == package]
    return any(
        str(getattr(each, "__module__", None) or getattr(each, "__name__", "")).partition(".")[0] == "nervenet"
        for module in modules
        for each in tuple(vars(module).values())
    )
