# SPDX-License-Identifier: Apache-2.0
"""A mesh in which a secret goes through everything that carries values.

The secret is in the input only. Everything else is made from it: results, signals, progress, partial output, checkpoints,
failures with details and causes, questions, what is published, children, pool processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from nervenet import AgentError, CallFailed, CallOptions, Context, Escalate, Mesh, RetryPolicy, Signal, Task
from nervenet.records import NOTHING
from tests.support.story import SOON, passed, record

mesh = Mesh("secrets")
more = Signal[str]("more", str)
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1))


@dataclass
class Doc:
    id: str
    secret: str
    weight: int = 1


class Refused(AgentError):
    pass


@mesh.agent(slots=8)
async def read(task: Task, doc: Doc) -> str:
    """Says the secret in every way that a handler has, fails once, and continues from its checkpoint."""
    before = task.restore(str) or ""
    task.progress(0.5, f"reading {doc.secret}")
    task.emit(doc.secret)
    task.checkpoint(f"half of {doc.secret}")
    if task.attempt == 1:
        record(doc.id, "first attempt")
        await passed(f"{doc.id}-read")
        raise ValueError(f"cannot read {doc.secret} yet")
    record(doc.id, f"continued from a checkpoint of {len(before)} characters")
    return f"read: {doc.secret}"


@mesh.agent(slots=8)
async def refuse(words: str) -> str:
    try:
        raise KeyError(words)
    except KeyError as error:
        raise Refused(f"refused {words}", details={"words": words}, retryable=False) from error


@mesh.agent(run="process", slots=2)
def pooled(task: Task, words: str) -> str:
    task.progress(0.1, words)
    return words.upper()


@mesh.agent(slots=8)
async def unsure(words: str) -> str:
    raise Escalate("Is this right?", suggestion=words, context={"words": words})


@mesh.workflow
async def below(ctx: Context, words: str) -> str:
    return f"below: {words}"


@mesh.workflow
async def everything(ctx: Context, doc: Doc) -> dict[str, str]:
    ctx.publish({"working on": doc.secret})
    found = await ctx.call(read, doc, options=SOON)
    try:
        await ctx.call(refuse, doc.secret)
        failed = ""
    except CallFailed as error:
        details = error.failure.details or NOTHING
        failed = f"{error.failure.message} / {details.data.decode()} / {error.is_a(KeyError)}"
    loud = await ctx.call(pooled, doc.secret)
    child = await ctx.call(below, doc.secret)
    signal = await ctx.receive(more)
    answer = await ctx.call(unsure, doc.secret)
    said = await ctx.ask("Release it?", answer=str, context={"doc": doc.secret})
    return {
        "found": found,
        "failed": failed,
        "loud": loud,
        "child": child,
        "signal": signal,
        "answer": answer,
        "said": said.value,
    }


@mesh.workflow
async def failing(ctx: Context, words: str) -> str:
    raise Refused(f"not with {words}", details=[words])


@mesh.workflow
async def broken(ctx: Context, words: str) -> str:
    return {"a": 1}[words]  # type: ignore[index]  # a KeyError with the words


@mesh.workflow
async def slow(ctx: Context, doc: Doc) -> str:
    """Two calls and a signal between them, to be continued elsewhere."""
    first = await ctx.call(pooled, doc.secret)
    record(doc.id, "first call done")
    signal = await ctx.receive(more)
    return first + signal + await ctx.call(pooled, doc.secret)


@mesh.workflow
async def twice(ctx: Context, words: str) -> str:
    """The same without a file beside it: it is replayed in another environment."""
    return await ctx.call(pooled, words) + await ctx.receive(more) + await ctx.call(pooled, words)
