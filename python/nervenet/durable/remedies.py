# SPDX-License-Identifier: Apache-2.0
"""What a workflow is told when it does what cannot be durable: the call, the line, and what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable

__all__ = ["REMEDIES", "as_agent", "not_durable_message", "signature_as_written"]


def not_durable_message(call: str, title: str, where: str, cure: str) -> str:
    """`asyncio.to_thread() in workflow 'review' (review.py:31) cannot be replayed after a crash. Make it an agent:
    …`"""
    return f"{call} in workflow {title!r}{where} cannot be replayed after a crash. {cure}"


def as_agent(name: str, signature_and_argument: tuple[str, str] = ("(value: T) -> R", "value")) -> str:
    if not name.isidentifier():
        name = "work"
    signature, given = signature_and_argument
    return f"Make it an agent: @mesh.agent def {name}{signature}: …, then: await ctx.call({name}{', ' * bool(given)}{given})"


def _shown(annotation: object, function: Callable[..., object]) -> str:
    return inspect.formatannotation(annotation, base_module=function.__module__)


def signature_as_written(function: Callable[..., object]) -> tuple[str, str]:
    """A function's signature as its file has it, and its parameter; a general one for what no agent can have."""
    hints, names = dict(function.__annotations__), list(inspect.signature(function).parameters)
    if len(names) > 1 or {*names, "return"} != set(hints):
        return "(value: T) -> R", "value"
    words = {name: type_ if isinstance(type_, str) else _shown(type_, function) for name, type_ in hints.items()}
    given = "".join(names)
    return f"({given}: {words[given]}) -> {words['return']}" if given else f"() -> {words['return']}", given


_LOOP_IS_SHARED = "A workflow can't stop or run its loop: await the coroutine instead."
_SIGNAL = "Declare a Signal and wait for it: await ctx.receive(signal)"
_TASKS = "The loop's own tasks make sets iterate alike in every process: leave the factory alone."
REMEDIES = {
    "add_signal_handler": _SIGNAL,
    "remove_signal_handler": _SIGNAL,
    "call_soon_threadsafe": "Nothing outside may call in. " + _SIGNAL,
    "run_forever": _LOOP_IS_SHARED,
    "run_until_complete": _LOOP_IS_SHARED,
    "stop": _LOOP_IS_SHARED,
    "close": _LOOP_IS_SHARED,
    "set_task_factory": _TASKS,
}
