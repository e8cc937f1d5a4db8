# SPDX-License-Identifier: Apache-2.0
"""Mesh: a set of agents and workflows.

    mesh = Mesh("hello")

    @mesh.agent(slots=8)
    async def greet(name: str) -> str:
        return f"Hello, {name}"

A mesh is inert: importing one reads no configuration, connects nowhere and starts nothing. It holds no global state
either, so two meshes in one process do not know of each other, and `include` composes files.

Most lines here are overloads: they are what turns a function's annotations into `Agent[In, Out]` for mypy and pyright.
Those with Task come first, because a handler with one parameter would otherwise match "a payload called task".
"""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from typing_extensions import TypeVar

from nervenet.definitions import Agent, Workflow, check_on_error, define_agent, define_workflow
from nervenet.errors import NervenetError
from nervenet.imports import refuse_here
from nervenet.options import EMPTY, CallOptions, StartOptions, check_name, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping

    from nervenet.agent.task import Task
    from nervenet.client.client import Client
    from nervenet.config import Config
    from nervenet.definitions import Signal
    from nervenet.durable.context import Context

I = TypeVar("I")  # noqa: E741  # input and output, as everywhere in the signatures
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True, default=None)


class LoadError(NervenetError):
    """A file or module that should hold a mesh has none, or cannot be imported. The message names the line."""


class _AgentDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[[Task[None], I], Awaitable[O]], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[None]], Awaitable[O]], /) -> Agent[None, O]: ...  # type: ignore[overload-overlap]  # a Task is never a payload
    @overload
    def __call__(self, fn: Callable[[I], Awaitable[O]], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[], Awaitable[O]], /) -> Agent[None, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[None], I], O], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[None]], O], /) -> Agent[None, O]: ...
    @overload
    def __call__(self, fn: Callable[[I], O], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[], O], /) -> Agent[None, O]: ...


class _ResourceAgentDecorator(Protocol[R_co]):
    """With `lifespan=` the handler must take `Task[R]`."""

    @overload
    def __call__(self, fn: Callable[[Task[R_co], I], Awaitable[O]], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[R_co]], Awaitable[O]], /) -> Agent[None, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[R_co], I], O], /) -> Agent[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[Task[R_co]], O], /) -> Agent[None, O]: ...


class _WorkflowDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[[Context, I], Coroutine[Any, Any, O]], /) -> Workflow[I, O]: ...
    @overload
    def __call__(self, fn: Callable[[Context], Coroutine[Any, Any, O]], /) -> Workflow[None, O]: ...


class Mesh:
    """A set of agents and workflows under one name.

    Making or importing a mesh reads no configuration, connects nowhere and starts nothing. `nervenet dev`, `nervenet
    node`, `nervenet agent`, `run` and `serve` do that.

        mesh = Mesh("hello")

        @mesh.agent
        async def greet(name: str) -> str:
            return f"Hello, {name}"

    Args:
        name: Name of the mesh: the service name in traces, and the first part of agent ids. Letters, digits,
            `_` and `-`, a letter first, at most 63 characters.
        defaults: Options of every call, weaker than those of the agent and of the call.
        on_error: What a programming error in one of its workflows does: `"block"` or `"fail"`, see `workflow`.

    Raises:
        ValueError: The name cannot be used, or `on_error` has another value.

    Attributes:
        name: Name of the mesh.
        defaults: Options of every call, weaker than those of the agent and of the call.
        on_error: What a programming error in one of its workflows does, `"block"` or `"fail"`.
        agents: The agents, by name.
        workflows: The workflows, by name and version.
    """

    def __init__(
        self, name: str, /, *, defaults: CallOptions | None = None, on_error: Literal["block", "fail"] = "block"
    ) -> None:
        self.name = check_name(name, "mesh", step=False)
        self.defaults = defaults
        self.on_error = check_on_error(on_error, f"mesh {name!r}")
        self.agents: dict[str, Agent[Any, Any]] = {}
        self.workflows: dict[tuple[str, int], Workflow[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"<Mesh {self.name} {len(self.workflows)} workflows, {len(self.agents)} agents>"

    @overload
    def agent(
        self,
        *,
        name: str | None = None,
        version: str = "1",
        slots: int | None = None,
        labels: Mapping[str, str] = ...,
        run: Literal["auto", "thread", "process"] = "auto",
        options: CallOptions | None = None,
    ) -> _AgentDecorator: ...
    @overload
    def agent(
        self,
        *,
        lifespan: Callable[[], AbstractAsyncContextManager[R]] | Callable[[], AbstractContextManager[R]],
        name: str | None = None,
        version: str = "1",
        slots: int | None = None,
        labels: Mapping[str, str] = ...,
        run: Literal["auto", "thread", "process"] = "auto",
        options: CallOptions | None = None,
    ) -> _ResourceAgentDecorator[R]: ...
    @overload
    def agent(self, fn: Callable[[Task[None], I], Awaitable[O]], /) -> Agent[I, O]: ...
    @overload
    def agent(self, fn: Callable[[Task[None]], Awaitable[O]], /) -> Agent[None, O]: ...  # type: ignore[overload-overlap]  # a Task is never a payload
    @overload
    def agent(self, fn: Callable[[I], Awaitable[O]], /) -> Agent[I, O]: ...
    @overload
    def agent(self, fn: Callable[[], Awaitable[O]], /) -> Agent[None, O]: ...
    @overload
    def agent(self, fn: Callable[[Task[None], I], O], /) -> Agent[I, O]: ...
    @overload
    def agent(self, fn: Callable[[Task[None]], O], /) -> Agent[None, O]: ...
    @overload
    def agent(self, fn: Callable[[I], O], /) -> Agent[I, O]: ...
    @overload
    def agent(self, fn: Callable[[], O], /) -> Agent[None, O]: ...
    def agent(
        self,
        fn: Any = None,
        *,
        name: str | None = None,
        version: str = "1",
        slots: int | None = None,
        labels: Mapping[str, str] = EMPTY,
        run: Literal["auto", "thread", "process"] = "auto",
        lifespan: Any = None,
        options: CallOptions | None = None,
        **unknown: object,
    ) -> Any:
        """Make a function an agent of this mesh: `[task: Task,] [input: T] -> R`, with annotations.

        Use it bare (`@mesh.agent`), with options (`@mesh.agent(slots=2)`), or call it with any callable
        (`mesh.agent(service.method)`). The docstring of the function describes the capability, its annotations are the
        schema of input and output. `async def` runs on the event loop, `def` in a thread.

            @mesh.agent(slots=4, lifespan=open_chat)
            async def think(task: Task[Chat], turns: list[Turn]) -> Turn: ...

        Args:
            fn: The handler.
            name: Name of the agent. Default: the name of the function.
            version: Version of the capability, which callers may ask for.
            slots: Attempts that one process runs at the same time. Default: 10, or the CPU count with `run="process"`.
            labels: Labels that callers can match (`Selection(match=…)`).
            run: `"auto"`: on the loop or in a thread. `"thread"`: in a thread. `"process"`: in a pool process, for
                CPU-bound work; this needs a plain `def` at module level.
            lifespan: A context manager function, synchronous or not. Each process that runs handlers enters it once and
                leaves it after draining. What it yields is `task.resource`.
            options: Options that callers inherit.

        Returns:
            The Agent, to be passed to `ctx.call` and `client.call`. It is not callable itself.

        Raises:
            TypeError: The signature has no annotation, more than one input, or another unusable form. The message says
                how to write it.
            ValueError: An option has a value that it cannot take, or the name is taken.
        """
        refuse_unknown("@mesh.agent", unknown, ("name", "version", "slots", "labels", "run", "lifespan", "options"))

        def decorate(fn: Any) -> Agent[Any, Any]:
            agent = define_agent(
                fn,
                name=name,
                version=version,
                slots=slots,
                labels=labels,
                run=run,
                lifespan=lifespan,
                options=_above(self.defaults, options),
                local=_names_where_decorated(),
            )
            return self._add_agent(agent)

        return decorate if fn is None else decorate(fn)

    @overload
    def workflow(
        self,
        *,
        name: str | None = None,
        version: int = 1,
        on_error: Literal["block", "fail"] | None = None,
        options: StartOptions | None = None,
        signals: Collection[Signal[Any]] | None = None,
        retention: timedelta | None = None,
    ) -> _WorkflowDecorator: ...
    @overload
    def workflow(self, fn: Callable[[Context, I], Coroutine[Any, Any, O]], /) -> Workflow[I, O]: ...
    @overload
    def workflow(self, fn: Callable[[Context], Coroutine[Any, Any, O]], /) -> Workflow[None, O]: ...
    def workflow(
        self,
        fn: Any = None,
        *,
        name: str | None = None,
        version: int = 1,
        on_error: Literal["block", "fail"] | None = None,
        options: StartOptions | None = None,
        signals: Collection[Signal[Any]] | None = None,
        retention: timedelta | None = None,
        **unknown: object,
    ) -> Any:
        """Make an `async def name(ctx: Context[, input: T]) -> R` a workflow of this mesh.

            @mesh.workflow(version=2)
            async def review(ctx: Context, doc: Doc) -> Summary: ...

        Args:
            fn: The function.
            name: Name of the workflow. Default: the name of the function.
            version: Two versions of one name can exist side by side. A start takes the highest one, runs keep theirs.
            on_error: What a programming error does (`KeyError`, `TypeError`, `AssertionError` and others, see
                docs/errors.md). `"block"`: it stops the run until corrected code is saved or deployed, then the run
                continues, and no step runs twice. `"fail"`: it fails the run, as every other exception does. Default:
                that of the mesh.
            options: Options of its starts.
            signals: The signals that it receives. Default: nervenet finds them in the code. Other signals are refused
                unless the sender passes `undeclared=True`.
            retention: How long its closed runs can still be read. Default: the mesh's setting `retention`.

        Returns:
            The Workflow, to be passed to `client.start`, `ctx.call` and `ctx.start`. It is not callable itself.

        Raises:
            TypeError: The function is not async, or its signature is not of this form.
            ValueError: An option has a value that it cannot take, or name and version are taken.
        """
        refuse_unknown("@mesh.workflow", unknown, ("name", "version", "on_error", "options", "signals", "retention"))

        def decorate(fn: Any) -> Workflow[Any, Any]:
            workflow = define_workflow(
                fn,
                name=name,
                version=version,
                on_error=on_error or self.on_error,
                options=options,
                defaults=self.defaults,
                signals=signals,
                retention=retention,
                local=_names_where_decorated(),
            )
            return self._add_workflow(workflow)

        return decorate if fn is None else decorate(fn)

    def include(self, *others: Mesh) -> None:
        """Add the agents and workflows that these meshes have now. They keep the defaults of their own mesh.

        Args:
            others: The meshes to add, for example of other files.

        Raises:
            ValueError: Two different definitions have the same name (and version).
        """
        for other in others:
            for agent in other.agents.values():
                self._add_agent(agent)
            for workflow in other.workflows.values():
                self._add_workflow(workflow)

    def serve(
        self, *, node: bool = True, agents: bool | Collection[Agent[Any, Any]] = True, config: Config | None = None
    ) -> AbstractAsyncContextManager[Client]:
        """Serve this mesh in your own process and event loop, and give a client of it.

            async with mesh.serve(node=False, agents=[think]) as client:    # in a web application's lifespan

        Leaving the block drains: running attempts finish or are given back, workflows move to other nodes.

        Args:
            node: Whether to be a node, which drives workflows.
            agents: True for all agents of this mesh, False for none, or those that this process serves.
            config: Settings. Default: `Config.load()`.

        Returns:
            A context manager that gives a Client.

        Raises:
            ConfigError: A setting is wrong or missing.
            Unavailable: Redis or etcd does not answer.
            NervenetError: The node failed later. The block is cancelled at its next `await` first.
        """
        from nervenet.config import Config
        from nervenet.process.together import serving

        return serving(self, config or Config.load(), node=node, agents=agents)

    def run(
        self, *, node: bool = True, agents: bool | Collection[Agent[Any, Any]] = True, config: Config | None = None
    ) -> None:
        """Serve as `serve` does until SIGTERM or SIGINT, then drain and return. A second signal stops at once.

        This takes over the process: signal handlers, logging, traces and the event loop. Put it under
        `if __name__ == "__main__":`, because nodes and pool processes import the file.

        Args:
            node: Whether to be a node, which drives workflows.
            agents: True for all agents of this mesh, False for none, or those that this process serves.
            config: Settings. Default: `Config.load()`.

        Raises:
            SystemExit: It could not serve, or a second signal stopped it.
        """
        refuse_here(f"mesh {self.name}")
        from nervenet.config import Config
        from nervenet.process import run_mesh

        if code := run_mesh(self, config or Config.load(), node=node, agents=agents):
            raise SystemExit(code)

    def _add_agent(self, agent: Agent[Any, Any]) -> Agent[Any, Any]:
        self._refuse_twice(agent, self.agents.get(agent.name))
        for workflow in self.workflows.values():
            self._refuse_twice(agent, workflow if workflow.name == agent.name else None)
        self.agents[agent.name] = agent
        return agent

    def _add_workflow(self, workflow: Workflow[Any, Any]) -> Workflow[Any, Any]:
        self._refuse_twice(workflow, self.workflows.get((workflow.name, workflow.version)))
        self._refuse_twice(workflow, self.agents.get(workflow.name))
        self.workflows[workflow.name, workflow.version] = workflow
        return workflow

    def _refuse_twice(
        self, new: Agent[Any, Any] | Workflow[Any, Any], old: Agent[Any, Any] | Workflow[Any, Any] | None
    ) -> None:
        if old is None or old is new:
            return
        hint = "or set version= on both" if isinstance(new, Workflow) and isinstance(old, Workflow) else "or remove one"
        raise ValueError(
            f"mesh {self.name!r} has two definitions named {new.name!r}: "
            f"{_kind(old)} at {old.location}, {_kind(new)} at {new.location}. Give one of them another name=, {hint}."
        )


def _above(weak: CallOptions | None, strong: CallOptions | None) -> CallOptions | None:
    return weak.merge(strong) if weak is not None and strong is not None else strong or weak


def _kind(target: Agent[Any, Any] | Workflow[Any, Any]) -> str:
    return f"workflow v{target.version}" if isinstance(target, Workflow) else "agent"


def _names_where_decorated() -> Mapping[str, Any]:
    """The local names of the function that is being executed around the decorator, for string annotations."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_locals if frame is not None else {}
