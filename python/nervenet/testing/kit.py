# SPDX-License-Identifier: Apache-2.0
"""What a test writes: stubs, a script of the world, and one run to look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import ParamSpec, TypeVar

from nervenet.definitions import Agent, Signal, Target, Workflow
from nervenet.errors import WorkflowCanceled, WorkflowFailed
from nervenet.payloads import ANY
from nervenet.records import NOTHING, Failure, FailureCode, State
from nervenet.testing.journal import Journal
from nervenet.testing.simulation import BEGIN_MS, ScriptedAnswer, Simulation, Stub, answers_of

if TYPE_CHECKING:
    from nervenet.durable.machine import Machine
    from nervenet.node.guards.replay_process import ReplayProcess

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # input and output, as everywhere in the signatures
O = TypeVar("O")  # noqa: E741
T_co = TypeVar("T_co", covariant=True)

_NOW = timedelta(0)


class Run(Generic[T_co]):
    """One run of a workflow in a test, from `WorkflowTest.run`.

    Attributes:
        journal: Its entries.
    """

    def __init__(self, workflow: Workflow[Any, T_co], machine: Machine, simulation: Simulation) -> None:
        self._workflow = workflow
        self._machine = machine
        self._calls = simulation.calls
        self.journal = Journal(machine.workflow_id, machine.run, simulation.entries)

    def __repr__(self) -> str:
        return f"<Run of {self._workflow.name} {self.state}, {len(self.journal)} entries, {self.elapsed}>"

    @property
    def state(self) -> str:
        """SUCCEEDED, FAILED, CANCELED or TIMED_OUT."""
        return str(self._machine.state)

    @property
    def result(self) -> T_co:
        """What the workflow returned.

        Raises:
            WorkflowFailed: It failed or timed out.
            WorkflowCanceled: It was canceled.
        """
        close = self._machine.result
        assert close is not None
        if close.state is State.SUCCEEDED:
            value: T_co = self._workflow.output.decode(close.output or NOTHING)
            return value
        failure = close.failure or Failure(FailureCode.INTERNAL, "no reason was recorded")
        kind = WorkflowCanceled if close.state is State.CANCELED else WorkflowFailed
        raise kind(failure, self._machine.workflow_id)

    @property
    def elapsed(self) -> timedelta:
        """From the first entry to the last, in the workflow's time."""
        return timedelta(milliseconds=self.journal.entries[-1].time_ms - BEGIN_MS)

    @property
    def view(self) -> Any:
        """What the code published last. None: nothing."""
        return None if self._machine.view is None else ANY.decode(self._machine.view)

    def calls(self, agent: Agent[I, Any] | Workflow[I, Any], /) -> list[I]:
        """The input of each call of an agent or child workflow, in order. Further attempts of a call are not counted.

        Args:
            agent: The agent or workflow.
        """
        return list(self._calls.get(agent.name, ()))


class Script:
    """Something that will happen at a time after the start, from `WorkflowTest.after`."""

    def __init__(self, test: WorkflowTest, after_ms: int) -> None:
        self._test = test
        self._after_ms = after_ms

    @overload
    def signal(self, signal: Target[[None], None], /) -> None: ...
    @overload
    def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> None:
        """A signal arrives.

        Args:
            signal: The signal.
            args: What it carries, one value or none.
        """
        if not isinstance(signal, Signal):
            raise TypeError(f"t.after(…).signal takes a Signal, not {signal!r}")
        value = args[0] if args else None
        number = len(self._test.script) + 1
        self._test.script.append((self._after_ms, lambda world: world.signal(signal, value, number)))

    def cancel(self) -> None:
        """Somebody cancels the workflow."""
        self._test.script.append((self._after_ms, Simulation.cancel))


class WorkflowTest:
    """Runs workflows in an ordinary test function: no servers, no event loop, and time that skips.

        t = WorkflowTest()
        t.stub(greet, lambda name: f"Hello, {name}")
        assert t.run(welcome, ["Ada"]).result == ["Hello, Ada"]

    After every entry the workflow is dropped and rebuilt from its journal, with another clock, other random numbers and
    another environment. If its code then asks for something else, the test fails and names the line. One instance may
    run several workflows, one after another.

    Args:
        seed: Decides `ctx.random` and `ctx.uuid`.
        crash_everywhere: Rebuild the workflow after every entry (every second one after 100, every third after 200, …,
            none after 1,000). False: never.
        other_process: Rebuild it in another process as well, with another hash seed. Only this finds code that depends
            on the order of a set of strings. It takes about half a second for each run, and the workflow must be at
            the top level of a module.
    """

    def __init__(self, *, seed: int = 0, crash_everywhere: bool = True, other_process: bool = False) -> None:
        self.seed = seed
        self.crash_everywhere = crash_everywhere
        self.other_process = other_process
        self.script: list[tuple[int, Callable[[Simulation], None]]] = []
        self._stubs: dict[str, Stub] = {}
        self._answers: dict[str, list[ScriptedAnswer]] = {}

    def stub(
        self,
        agent: Agent[I, O] | Workflow[I, O],
        fn: Callable[[I], O | Awaitable[O]] | BaseException | Sequence[O | BaseException],
        /,
        *,
        takes: timedelta = _NOW,
    ) -> None:
        """What answers instead of an agent or child workflow. A call without a stub fails the test.

        Args:
            agent: The agent or workflow.
            fn: A function of the input, an exception, or a list of results and exceptions, one for each attempt.
            takes: How long each attempt lasts, in the workflow's time.
        """
        self._stubs[agent.name] = Stub(agent, answers_of(agent, fn), _ms(takes))

    def after(self, delay: timedelta, /) -> Script:
        """Script something: `t.after(timedelta(days=3)).signal(approve, …)`.

        Args:
            delay: When it happens, counted from the start.
        """
        return Script(self, _ms(delay))

    def answer(self, question: str, value: object, /, *, after: timedelta = _NOW) -> None:
        """What a human answers to a question. Call it again for the next time that the same question is asked.

        Args:
            question: The words of the question.
            value: The answer. An exception refuses to answer: the step fails with it.
            after: How long the human takes.
        """
        self._answers.setdefault(question, []).append(ScriptedAnswer(value, _ms(after)))

    @overload
    def run(self, workflow: Target[[None], O], /) -> Run[O]: ...
    @overload
    def run(self, workflow: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> Run[O]: ...
    def run(self, workflow: Any, /, *args: Any, **kwargs: Any) -> Run[Any]:
        """Run a workflow to its end.

        Args:
            workflow: A workflow whose code is at hand.
            args: Its input, one value or none.

        Returns:
            The run, with its result and its journal.

        Raises:
            AssertionError: It waits for something that the test does not script, a call has no stub, or its code does
                not
                replay. The message names the line.
            Exception: The code raises a programming error, which would block the run: that error. With `on_error="fail"` it
                fails the run instead, as other exceptions do.
        """
        __tracebackhide__ = True
        if not isinstance(workflow, Workflow) or workflow.fn is None:
            raise TypeError(f"t.run takes a workflow with code in this process, not {workflow!r}")
        given = workflow.input.encode(args[0] if args else None)
        with _elsewhere(workflow) if self.other_process else nullcontext() as elsewhere:
            world = Simulation(
                workflow,
                self.seed,
                self._stubs,
                self._answers,
                crash_everywhere=self.crash_everywhere or self.other_process,
                elsewhere=elsewhere,
            )
            for after_ms, action in self.script:
                world.at(world.now_ms + after_ms, lambda action=action: action(world), outside=True)  # type: ignore[misc]  # default argument binds the loop's value
            world.run(given)
        return Run(workflow, world.machine, world)


@contextmanager
def _elsewhere(workflow: Workflow[Any, Any]) -> Iterator[ReplayProcess]:
    from nervenet.node.guards.replay_process import ReplayProcess

    with ReplayProcess([workflow]) as elsewhere:
        elsewhere.wait()
        if why := elsewhere.absent(workflow):
            raise ValueError(f"other_process=True: the other process cannot import {workflow.name}: {why}")
        yield elsewhere


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
