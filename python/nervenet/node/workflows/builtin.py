# SPDX-License-Identifier: Apache-2.0
"""The definitions that every node has: `nervenet.task`, one task as a workflow of its own, and `nervenet.declared`.

The first is what RunTask starts, so that a program in any language can be its own coordinator: durable, and deduplicated by
its id `task/<request_id>`, with no other store of request ids. It carries input and output byte by byte. The second is never
started: by its runtime a node's record says that the node understands workflows given as data, and which language of them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import timedelta
from typing import Any, Final, NamedTuple

from nervenet.codecs.layout import fingerprint_of
from nervenet.definitions import Agent, Workflow, define_workflow
from nervenet.durable import Context
from nervenet.durable.declared import LANGUAGE
from nervenet.options import CallOptions, RetryPolicy, Selection, Timeouts
from nervenet.payloads import ANY, AS_IT_IS
from nervenet.records import Payload

TASK = "nervenet.task"
DECLARED = "nervenet.declared"


def options_of(given: dict[str, Any]) -> CallOptions:
    """CallOptions from JSON: `{"retry": …, "timeouts": …, "selection": …, "labels": …}`, times in milliseconds."""
    retry = dict(given.get("retry") or {})
    for name in ("initial_interval", "max_interval"):
        if name in retry:
            retry[name] = timedelta(milliseconds=retry[name])
    timeouts = {name: timedelta(milliseconds=ms) for name, ms in (given.get("timeouts") or {}).items()}
    return CallOptions(
        retry=RetryPolicy(**retry) if retry else None,
        timeouts=Timeouts(**timeouts) if timeouts else None,
        selection=Selection(**given["selection"]) if given.get("selection") else None,
        labels=given.get("labels") or None,
    )


class TaskRequest(NamedTuple):
    """One task: what to do, with which input. `options` as in `options_of`."""

    capability: str
    input: Payload
    options: dict[str, Any]

    def stored(self) -> Payload:
        """As the workflow's input: an object that people can read, in which JSON stands as it came.

        `data` comes second: so `_stored_task` finds its first byte without knowing the rest.
        """
        form, data, about = self.input
        parts = [b'{"capability":', _json(self.capability)]
        if form != "none":
            text = base64.b64encode(data).decode() if form == "bytes" else data.decode()
            parts += [_DATA, data if form == "json" else _json(text)]
        rest: dict[str, Any] = {"form": form}
        if about:
            rest["about"] = base64.b64encode(about).decode()
        if self.options:
            rest["options"] = self.options
        return Payload("json", b"".join((*parts, b",", _json(rest)[1:])))

    def identity(self) -> Payload:
        """What makes a second request the same task. How it is done may change between the two: the first one rules."""
        fingerprint = fingerprint_of(self.input)
        given = Payload("bytes", fingerprint) if fingerprint else self.input
        return self._replace(options={}, input=given).stored()


_DATA: Final = b',"data":'
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)  # it looks for the end of a value, not for the value


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _stored_task(payload: Payload) -> TaskRequest | None:
    """What `TaskRequest.stored` made; None for a task of an earlier release, whose value was decoded and encoded again."""
    text = payload.data.decode()
    capability, at = _DECODER.raw_decode(text, text.index(":") + 1)
    begin = end = at + len(_DATA)
    value = ""
    if text[at:begin] == _DATA.decode():
        value, end = _DECODER.raw_decode(text, _past_space(text, begin))
        at = end = _past_space(text, end)
    rest = json.loads("{" + text[at + 1 :])
    if "data" in rest:
        return None
    form = rest["form"]
    data = (
        text[begin:end].encode() if form == "json" else base64.b64decode(value) if form == "bytes" else value.encode()
    )
    given = Payload(form, data, base64.b64decode(rest.get("about", "")))
    return TaskRequest(capability, given, rest.get("options") or {})


def _past_space(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at


async def _task(ctx: Context, request: Any) -> Any:
    """The whole workflow: one call. Its failure is the workflow's, as it is."""
    task = _stored_task(request)
    if task is None:
        return await _reencoded_task(ctx, json.loads(request.data))
    agent: Agent[Payload, Payload] = Agent(task.capability, AS_IT_IS, AS_IT_IS, version="")
    return await ctx.call(agent, task.input, options=options_of(task.options))


async def _reencoded_task(ctx: Context, request: Any) -> Payload:
    """One whose journal began before tasks were carried as they are: replayed as it was made."""
    given = base64.b64decode(request["data"]) if request.get("form") == "bytes" else request.get("data")
    return ANY.encode(await ctx.call(request["capability"], given, options=options_of(request.get("options") or {})))


def builtin() -> dict[tuple[str, int], Workflow[Any, Any]]:
    """Name and version → definition."""
    return {
        (TASK, 1): dataclasses.replace(define_workflow(_task, name="task"), name=TASK, input=AS_IT_IS, output=AS_IT_IS),
        (DECLARED, 1): Workflow(DECLARED, ANY, ANY, runtime=LANGUAGE),
    }
