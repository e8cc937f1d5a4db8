# SPDX-License-Identifier: Apache-2.0
"""What the signature of a handler says: `async def review(ctx: Context, doc: Doc) -> Summary`.

    shape = analyse(fn, "review", ContextBase, {})
    shape.input, shape.output                        # (Doc, Summary)

`Task` and `Context` live above this module, so handlers are recognised by the marker classes that those inherit from,
or, where an annotation cannot be evaluated because it is imported for checkers only, by their names.
"""

from __future__ import annotations

import inspect
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class TaskBase:
    """Marks `Task`: an optional first parameter of a handler."""


class ContextBase:
    """Marks `Context`: the first parameter of a workflow."""


class Shape(NamedTuple):
    """What a signature says: whether Task or Context comes first, then the payload, then the answer."""

    marked: bool
    takes_payload: bool
    parameter: str
    input: Any
    output: Any
    is_async: bool


def analyse(fn: Callable[..., Any], name: str, marker: type, local: Mapping[str, Any]) -> Shape:
    """The shape of a handler. A TypeError says what is wrong with it.

    `marker` is what its first parameter may be, `local` are the names visible where it is defined.
    """
    inner = underlying(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{name!r} is a generator: return one value, and send parts with task.emit(part)")
    signature = inspect.signature(fn)
    parameters = _positional(signature, name)
    hints = _Annotations(inner, name, local)
    marked = bool(parameters) and hints.is_marker(parameters[0], marker)
    if marker is ContextBase and not marked:
        raise TypeError(
            f"workflow {name!r}: its first parameter must be the Context: async def {name}(ctx: Context, …)"
        )
    if marker is not ContextBase and parameters and hints.is_marker(parameters[0], ContextBase):
        raise TypeError(
            f"agent {name!r}: only workflows have a Context; the first parameter of an agent may be task: Task"
        )
    payloads = parameters[1:] if marked else parameters
    if len(payloads) > 1:
        found = ", ".join(p.name for p in payloads)
        raise TypeError(
            f"{name!r} has {len(payloads)} payload parameters ({found}): a task carries one. "
            "Make them one model or dataclass."
        )
    output = hints.of("return", signature.return_annotation)
    given = hints.of(payloads[0].name, payloads[0].annotation) if payloads else None
    parameter = payloads[0].name if payloads else ""
    return Shape(marked, bool(payloads), parameter, given, output, is_async(fn))


def is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(underlying(fn))


def _positional(signature: inspect.Signature, name: str) -> list[inspect.Parameter]:
    """The parameters that a call can fill. Keyword-only ones with a default (functools.partial makes them) stay out."""
    found = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{name!r} takes {parameter}: a task has one input. Make it one model or list.")
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise TypeError(f"{name!r} has a keyword-only parameter {parameter.name!r}: the input is positional.")
            continue
        found.append(parameter)
    return found


class _Annotations:
    """Annotations of one function, evaluated one by one where they are strings."""

    def __init__(self, fn: Callable[..., Any], name: str, local: Mapping[str, Any]) -> None:
        self._globals: dict[str, Any] = getattr(fn, "__globals__", {})
        self._local = dict(local)
        self._name = name

    def of(self, parameter: str, annotation: Any) -> Any:
        what = "its return type" if parameter == "return" else f"parameter {parameter!r}"
        if annotation is inspect.Parameter.empty:
            raise TypeError(
                f"{self._name!r}: {what} has no annotation, so its type is unknown. "
                f"Write {'-> None or the type' if parameter == 'return' else f'{parameter}: the type (or Any)'}."
            )
        try:
            return self._evaluate(annotation)
        except NameError as error:
            raise TypeError(
                f"{self._name!r}: {what} is annotated {annotation!r}, but {error}. "
                "Import or define it above the function, not under TYPE_CHECKING."
            ) from None

    def is_marker(self, parameter: inspect.Parameter, marker: type) -> bool:
        annotation = parameter.annotation
        try:
            found = self._evaluate(annotation)
        except NameError:
            head = str(annotation).partition("[")[0].rpartition(".")[2]
            return head == marker.__name__.removesuffix("Base")
        origin = get_origin(found) or found
        return isinstance(origin, type) and issubclass(origin, marker)

    def _evaluate(self, annotation: Any) -> Any:
        holder = SimpleNamespace(__annotations__={"it": annotation})
        found = get_type_hints(holder, self._globals, self._local, include_extras=True)["it"]
        return None if found is type(None) else found


def underlying(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The plain function inside: of a partial, a bound method, a decorated function, an object with `__call__`."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif (wrapped := getattr(fn, "__wrapped__", None)) is not None:
            fn = wrapped
        elif inspect.isfunction(fn) or inspect.isbuiltin(fn) or inspect.isclass(fn):
            return fn
        else:
            fn = type(fn).__call__
