# SPDX-License-Identifier: Apache-2.0
"""What can be called, started and signalled: Target, Agent, Workflow, Signal.

A definition is a description and nothing else: it is frozen, knows no connection, and is not callable, because a call
that looks local would hide whether it is durable. `Context`, `Client` and the test kit reach its `fn`.

The one trick of the typing: Agent, Workflow and Signal take plain type variables (`Agent[Doc, Facts]`) and inherit from
`Target[[In], Out]`, which is generic over a ParamSpec. `Context.call` checks its argument through `*args: P.args`, so
checkers know the declared type while they look at the argument (literals, TypedDicts, lists of subclasses); with a
plain type variable mypy gives up there (python/mypy#19201).
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    overload,
)

from typing_extensions import TypeForm, TypeVar

from nervenet.options import EMPTY, CallOptions, StartOptions, check_name
from nervenet.payloads import Codec
from nervenet.signatures import ContextBase, Shape, TaskBase, analyse, is_async, underlying

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import ModuleType

P = ParamSpec("P")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  # input and output, as everywhere in the signatures
O = TypeVar("O")  # noqa: E741

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of this interpreter. Only the same one replays a workflow's code, so it belongs to the definition."""

Run = Literal["auto", "thread", "process"]
OnError = Literal["block", "fail"]


@dataclass(frozen=True, eq=False, repr=False)
class Target(Generic[P, Out]):
    """Common base class of Agent, Workflow and Signal, for generic helpers of your own.

    Attributes:
        name: Its name in the mesh.
        input: How its input travels.
        output: How its result travels.
    """

    name: str
    input: Codec[Any]
    output: Codec[Any]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    if not TYPE_CHECKING:  # for checkers a target is simply not callable

        def __call__(self, *args: object, **kwargs: object) -> None:
            raise TypeError(self._not_callable())

    def _not_callable(self) -> str:
        return f"{type(self).__name__.lower()} {self.name!r} is not callable"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Agent(Target[[In], Out], Generic[In, Out]):
    """A capability: a handler of this mesh (`@mesh.agent`), or one of another process (`Agent.remote`).

    Pass it to `ctx.call` and `client.call`. Calling it directly raises TypeError.

    Attributes:
        name: Its name in the mesh.
        input: How its input travels.
        output: How its result travels.
        version: Version of the capability. `""`: any version will do (remote).
        options: Options that callers inherit.
        slots: Attempts that one process runs at the same time.
        labels: Labels that callers can match.
        run: `"auto"`, `"thread"` or `"process"`, see `Mesh.agent`.
        lifespan: Context manager function whose value is `task.resource`.
        fn: The handler. None when remote.
        is_async: Whether the handler is `async def`.
        takes_task: Whether the handler's first parameter is the Task.
        takes_payload: Whether the handler takes an input.
        parameter: Name of the input's parameter, with which errors about the input begin.
        description: Docstring of the handler.
        location: File and line of the handler.
    """

    version: str = "1"
    options: CallOptions | None = None
    slots: int = 10
    labels: Mapping[str, str] = EMPTY
    run: Run = "auto"
    lifespan: Callable[[], Any] | None = None
    fn: Callable[..., Any] | None = None
    is_async: bool = False
    takes_task: bool = False
    takes_payload: bool = True
    parameter: str = ""  # the payload's name: errors begin with it
    description: str = ""
    location: str = ""

    @overload  # plain classes: every checker; the second: unions, Literal, None (mypy 2, pyright)
    @staticmethod
    def remote(
        name: str, input: type[I], output: type[O], /, *, version: str | None = None, options: CallOptions | None = None
    ) -> Agent[I, O]: ...
    @overload
    @staticmethod
    def remote(
        name: str,
        input: TypeForm[I],
        output: TypeForm[O],
        /,
        *,
        version: str | None = None,
        options: CallOptions | None = None,
    ) -> Agent[I, O]: ...
    @staticmethod
    def remote(
        name: str, /, *types: Any, version: str | None = None, options: CallOptions | None = None
    ) -> Agent[Any, Any]:
        """Declare an agent in another language, or one whose imports are heavy.

            extract = Agent.remote("extract", Doc, Facts)

        Args:
            name: Name under which it is registered.
            input: Type of its input. None: it takes none.
            output: Type of its result. None: it returns none.
            version: Version that calls must get. Default: any version.
            options: Options that callers inherit.

        Raises:
            TypeError: There are not exactly two types, or one cannot travel as JSON.
            ValueError: The name cannot be used.
        """
        given, returned = _two(types, "Agent", name, f'to call it without types, use its name: ctx.call("{name}", …)')
        return Agent(
            check_name(name, "agent"),
            Codec.of(given),
            Codec.of(returned),
            version=version or "",
            options=options,
            takes_payload=given is not None,
        )

    def _not_callable(self) -> str:
        return (
            f"agent {self.name!r} is not callable: calls go through the mesh. In a workflow: "
            f"await ctx.call({self.name}, …); outside: await client.call({self.name}, …, request_id=…); "
            f"alone in a test: await run_agent({self.name}, …)"
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Workflow(Target[[In], Out], Generic[In, Out]):
    """A workflow definition: code of this mesh (`@mesh.workflow`), or of another process (`Workflow.remote`).

    Pass it to `client.start`, `client.run`, `ctx.call` and `ctx.start`. Calling it directly raises TypeError.

    Attributes:
        name: Its name in the mesh.
        input: How its input travels.
        output: How its result travels.
        version: Version of the definition. 0: the highest version that a live node has (remote).
        options: Options of its starts.
        defaults: Options of the calls that it makes, from its mesh.
        on_error: What a programming error does, `"block"` or `"fail"`, see `Mesh.workflow`.
        fn: The function. None when remote.
        takes_input: Whether the function takes an input.
        parameter: Name of the input's parameter, with which errors about the input begin.
        description: Docstring of the function.
        location: File and line of the function.
        runtime: What can replay it: the minor version of Python for code, a language version for workflows as data.
        retention: How long its closed runs can still be read. None: as long as the mesh keeps them.
        signals: The signals that it receives. None: they are found in its code.
    """

    version: int = 1
    options: StartOptions | None = None
    defaults: CallOptions | None = None
    on_error: OnError = "block"
    fn: Callable[..., Any] | None = None
    takes_input: bool = True
    parameter: str = ""
    description: str = ""
    location: str = ""
    runtime: str = PYTHON
    retention: timedelta | None = None
    signals: tuple[Signal[Any], ...] | None = None  # what its author says that it receives; None: found in its code
    _fingerprint: str = field(default="", kw_only=True)
    _call_sites: dict[int, Any] = field(default_factory=dict, init=False)
    """What the calls of one line have in common (`durable/context.py`), for all runs of this process."""

    @overload
    @staticmethod
    def remote(name: str, input: type[I], output: type[O], /, *, version: int | None = None) -> Workflow[I, O]: ...
    @overload
    @staticmethod
    def remote(
        name: str, input: TypeForm[I], output: TypeForm[O], /, *, version: int | None = None
    ) -> Workflow[I, O]: ...
    @staticmethod
    def remote(name: str, /, *types: Any, version: int | None = None) -> Workflow[Any, Any]:
        """Declare a workflow whose code is not at hand: enough to start it and to read its result.

            review = Workflow.remote("review", Doc, Summary)

        Args:
            name: Name of the workflow.
            input: Type of its input. None: it takes none.
            output: Type of its result. None: it returns none.
            version: Version to start. Default: the highest one that a live node has.

        Raises:
            TypeError: There are not exactly two types, or one cannot travel as JSON.
            ValueError: The name cannot be used.
        """
        given, returned = _two(
            types, "Workflow", name, f'to start it without types, use its name: client.start("{name}", …)'
        )
        check_name(name, "workflow")
        return Workflow(name, Codec.of(given), Codec.of(returned), version=version or 0, takes_input=given is not None)

    @property
    def retention_ms(self) -> int | None:
        """`retention` in milliseconds."""
        return None if self.retention is None else round(self.retention / timedelta(milliseconds=1))

    def fingerprint(self) -> str:
        """Hash of the module's source, read when the workflow was imported. `""` when remote."""
        return self._fingerprint

    def _not_callable(self) -> str:
        return (
            f"workflow {self.name!r} is not callable: in a workflow: await ctx.call({self.name}, …); "
            f"outside: await client.run({self.name}, …); in a test: WorkflowTest().run({self.name}, …)"
        )


class Signal(Target[[T], None], Generic[T]):
    """A message to a running workflow: `approve = Signal("approve", Approval)`.

    The workflow reads it with `ctx.receive(approve)`. Others send it with `handle.signal`, `ctx.signal` or `nervenet
    signal`.

    Args:
        name: Name of the signal.
        type: Type of the value that it carries. None: it carries none.

    Raises:
        TypeError: There is not exactly one type, or it cannot travel as JSON.
        ValueError: The name cannot be used.
    """

    @overload
    def __init__(self, name: str, type: type[T], /) -> None: ...
    @overload
    def __init__(self, name: str, type: TypeForm[T], /) -> None: ...
    def __init__(self, name: str, /, *carries: Any) -> None:
        if len(carries) != 1:
            raise TypeError(
                f'Signal("{name}", …) takes one type, that of its value: Signal("{name}", str); '
                f'Signal("{name}", None) carries nothing'
            )
        super().__init__(check_name(name, "signal", step=False), Codec.of(carries[0]), Codec.of(None))

    def _not_callable(self) -> str:
        return f"signal {self.name!r} is not callable: await handle.signal({self.name}, …)"


def _two(types: tuple[Any, ...], kind: str, name: str, or_else: str) -> tuple[Any, Any]:
    if len(types) != 2:
        raise TypeError(
            f'{kind}.remote("{name}", …) takes two types, of its input and its output: '
            f'{kind}.remote("{name}", str, str), None for none; {or_else}'
        )
    return types


class MeshDefinitions(Protocol):
    """What a process serves: the part of a Mesh that `process` needs, which must not depend on `mesh`."""

    name: str
    agents: dict[str, Agent[Any, Any]]
    workflows: dict[tuple[str, int], Workflow[Any, Any]]


# ── from a function to a definition ──────────────────────────────────────────────────────────────────────────────────


def define_agent(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    version: str = "1",
    slots: int | None = None,
    labels: Mapping[str, str] = EMPTY,
    run: Run = "auto",
    lifespan: Callable[[], Any] | None = None,
    options: CallOptions | None = None,
    local: Mapping[str, Any] | None = None,
) -> Agent[Any, Any]:
    """The Agent of a handler `[task: Task,] [payload: T] -> R`; a TypeError or ValueError says what is wrong with it.

    `local` are the names visible where the decorator stands, for annotations that name local classes.
    """
    name = _name_of(fn, name, "agent")
    shape = analyse(fn, name, TaskBase, local or {})
    _check_run(fn, name, run, shape)
    if slots is not None and not _whole(slots):
        raise ValueError(f"{name!r}: slots is {slots!r}: a whole number, at least 1")
    if lifespan is not None and not shape.marked:
        raise TypeError(
            f"{name!r} has a lifespan, but no Task parameter to read it from: add task: Task[…] as the first parameter"
        )
    return Agent(
        name,
        Codec.of(shape.input),
        Codec.of(shape.output),
        version=str(version),
        options=options,
        slots=slots or ((os.cpu_count() or 1) if run == "process" else 10),
        labels=CallOptions(labels=labels).labels or EMPTY,
        run=run,
        lifespan=lifespan,
        fn=fn,
        is_async=shape.is_async,
        takes_task=shape.marked,
        takes_payload=shape.takes_payload,
        parameter=shape.parameter,
        description=inspect.getdoc(underlying(fn)) or "",
        location=_location(fn),
    )


def define_workflow(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    version: int = 1,
    on_error: OnError = "block",
    options: StartOptions | None = None,
    defaults: CallOptions | None = None,
    signals: Collection[Signal[Any]] | None = None,
    retention: timedelta | None = None,
    local: Mapping[str, Any] | None = None,
) -> Workflow[Any, Any]:
    """The Workflow of an `async def name(ctx: Context[, input: T]) -> R`."""
    name = _name_of(fn, name, "workflow")
    if not _whole(version):
        raise ValueError(f"workflow {name!r}: version is {version!r}: a whole number, at least 1")
    check_on_error(on_error, f"workflow {name!r}")
    if not is_async(fn):
        raise TypeError(f"workflow {name!r} must be async def, because it awaits its agents")
    check_retention(retention, name)
    for each in signals or ():
        if not isinstance(each, Signal):
            raise TypeError(
                f'workflow {name!r}: signals= takes Signals, not {each!r}: approve = Signal("approve", Approval)'
            )
    shape = analyse(fn, name, ContextBase, local or {})
    return Workflow(
        name,
        Codec.of(shape.input),
        Codec.of(shape.output),
        version=version,
        options=options,
        defaults=defaults,
        on_error=on_error,
        fn=fn,
        takes_input=shape.takes_payload,
        parameter=shape.parameter,
        description=inspect.getdoc(underlying(fn)) or "",
        location=_location(fn),
        retention=retention,
        signals=None if signals is None else tuple(signals),
        _fingerprint=_module_fingerprint(underlying(fn)),
    )


def check_on_error(given: Any, whose: str) -> OnError:
    """`given`. Raises ValueError if it is no `on_error`."""
    if given not in ("block", "fail"):
        raise ValueError(f"{whose}: on_error is {given!r}: 'block' or 'fail'")
    return given  # type: ignore[no-any-return]  # narrowed above


def check_retention(given: Any, name: str) -> None:
    """Raises ValueError if it is no `retention`."""
    if given is not None and (not isinstance(given, timedelta) or given < timedelta(milliseconds=1)):
        raise ValueError(
            f"workflow {name!r}: retention is {given!r}: a timedelta above zero, such as timedelta(days=30)"
        )


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _name_of(fn: object, name: str | None, what: str) -> str:
    if isinstance(fn, Target) or not callable(fn):
        raise TypeError(f"@mesh.{what} takes a function, not {fn!r}")
    found = name or getattr(fn, "__name__", None)
    if found is None or found == "<lambda>":
        raise TypeError(f"this {what} has no name: pass mesh.{what}(name=…)")
    return check_name(found, what)


def _check_run(fn: Callable[..., Any], name: str, run: str, shape: Shape) -> None:
    if run not in ("auto", "thread", "process"):
        raise ValueError(f"{name!r}: run is {run!r}: 'auto', 'thread' or 'process'")
    if shape.is_async and run != "auto":
        raise TypeError(f"{name!r} is async def, which runs on the event loop: run={run!r} needs a plain def")
    if run == "process" and (not inspect.isfunction(fn) or "<" in fn.__qualname__):
        raise TypeError(f"{name!r}: run='process' needs a plain def at module level: a pool process imports it")


def _location(fn: Callable[..., Any]) -> str:
    code = getattr(underlying(fn), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else "?"


def _module_fingerprint(fn: Callable[..., Any]) -> str:
    module = sys.modules.get(fn.__module__)
    return _fingerprint_of(module) if module is not None else ""


@lru_cache(maxsize=256)
def _fingerprint_of(module: ModuleType) -> str:
    """Read while the module is being imported, so a later edit of the file does not change what this process says."""
    path = getattr(module, "__file__", None)
    try:
        source = Path(path).read_bytes() if path else b""
    except OSError:  # inside a zip, or gone
        source = b""
    return hashlib.blake2b(source, digest_size=8).hexdigest() if source else ""
