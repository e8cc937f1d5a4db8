# SPDX-License-Identifier: Apache-2.0
"""Escalations: the list, one question with its context, what was decided."""

from __future__ import annotations

import json
import shlex
from typing import Any

from rich.text import Text

from nervenet.cli.render import text
from nervenet.cli.render.table import Column, ids, prose, table
from nervenet.cli.render.text import DASH, View
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

_COLUMNS = (ids("ID"), Column("AGE"), Column("DUE"), Column("FROM"), prose("QUESTION", 24), prose("ANSWERS"))


def listed(response: service.ListEscalationsResponse, view: View) -> list[Text]:
    rows = [
        (
            short(one.escalation_id),
            view.when(one.create_time),
            _due(one.question, view),
            source(one.question),
            one.question.text,
            ", ".join(answers(one.question)),
        )
        for one in response.escalations
    ]
    return table(_COLUMNS, rows, view) if rows else []


def list_footer(
    response: service.ListEscalationsResponse, view: View, namespace: str, command: str = "nervenet escalations list"
) -> str:
    """How many are open, and how to list the next page: by `command`, which has the same filters."""
    found = response.escalations
    if not found:
        return f"Namespace {namespace} has no open question."
    oldest = min(text.millis(one.create_time) for one in found)
    more = f" More: {command} --next {response.next_page_token}" if response.next_page_token else ""
    again = (
        " An id ends in #2, #3, … when a step asks again."
        if any("#" in short(one.escalation_id) for one in found)
        else ""
    )
    age = text.span((view.now_ms - oldest) / 1000)
    return f"{max(response.open_count, len(found))} open, oldest {age}.{again}{more}"


def shown(one: workflow.Escalation, view: View, *, prompted: bool = False) -> list[Text]:
    """The question with everything that helps to answer it. If a person is `prompted`, how to answer comes after it."""
    asked = one.question
    lines = [Text(f"{_symbol(one)} {short(one.escalation_id)}", style=_style(one)), Text(f"  {text.clean(asked.text)}")]
    facts = [
        ("from", _from(one)),
        ("since", view.ago(one.create_time)),
        ("due", _due(asked, view) if asked.HasField("deadline") else ""),
        ("for", text.clean(asked.assignee)),
        ("context", _payload(asked, "context")),
        ("suggestion", _payload(asked, "suggestion")),
        ("default", _payload(asked, "default_answer")),
        ("failure", text.failure(asked.failure) if asked.HasField("failure") else ""),
        ("answers", "" if prompted else ", ".join(answers(asked))),
        ("decided", decision(one, view)),
    ]
    lines += [Text(f"  {name:11}{said}") for name, said in facts if said]
    if one.state == workflow.ESCALATION_STATE_OPEN and not prompted:
        lines.append(Text(f"→ nervenet escalations resolve {short(one.escalation_id)} {_try(asked)}"))
    return lines


def resolved(one: workflow.Escalation, view: View) -> Text:
    return Text(f"✓ {short(one.escalation_id)}  {decision(one, view)}", style="green")


def decision(one: workflow.Escalation, view: View) -> str:
    """`ana@example decided 40 s ago: no`."""
    if one.state == workflow.ESCALATION_STATE_EXPIRED:
        return f"nobody answered in time ({view.ago(one.resolve_time)})"
    if one.state == workflow.ESCALATION_STATE_WITHDRAWN:
        return "its step or workflow ended without an answer"
    if one.state != workflow.ESCALATION_STATE_RESOLVED:
        return ""
    made = one.resolution
    said = f"{made.resolver or 'somebody'} decided {view.ago(one.resolve_time)}: {_verdict(made)}"
    return said + (f" (“{text.clean(made.comment)}”)" if made.comment else "")


def exchange(one: workflow.Escalation, *, brief: bool = False) -> str:
    """Question and answer: `“Accept in spite of these?” → yes, “known issue”`; `brief`: the answer alone."""
    if one.state == workflow.ESCALATION_STATE_EXPIRED:
        said = "nobody answered in time"
    elif one.state == workflow.ESCALATION_STATE_RESOLVED:
        said = _verdict(one.resolution)
    else:
        said = "withdrawn"
    comment = f", “{text.clean(one.resolution.comment)}”" if one.resolution.comment else ""
    return f"{said}{comment}" if brief else f"“{text.clean(one.question.text)}” → {said}{comment}"


def is_open(one: workflow.Escalation) -> bool:
    return one.state in (workflow.ESCALATION_STATE_OPEN, workflow.ESCALATION_STATE_UNSPECIFIED)


def short(escalation_id: str) -> str:
    """The id as people see it: without `#1`, the number of the first question of a step."""
    return escalation_id.removesuffix("#1")


def source(asked: task.Question) -> str:
    """Who asks: `workflow`, `agent`, or `5 attempts` that all failed."""
    if asked.source == task.QUESTION_SOURCE_EXHAUSTED:
        return text.plural(asked.failure.attempt, "attempt") if asked.failure.attempt else "failed attempts"
    return "workflow" if asked.source == task.QUESTION_SOURCE_WORKFLOW else "agent"


def _from(one: workflow.Escalation) -> str:
    """`workflow review`, `5 attempts in review`."""
    who = source(one.question)
    between = " " if who == "workflow" else " in "
    return f"{who}{between}{one.definition}" if one.definition else who


def answers(asked: task.Question) -> list[str]:
    """The possible answers: the choices, those of the schema, or the decisions that are possible."""
    if asked.choices:
        return [text.clean(choice) for choice in asked.choices]
    schema = _schema(asked)
    if isinstance(schema.get("enum"), list):
        return [text.clean(word if isinstance(word, str) else json.dumps(word)) for word in schema["enum"]]
    if asked.source != task.QUESTION_SOURCE_WORKFLOW:
        return ["retry", "complete", "fail"]
    kind = schema.get("title") or schema.get("type")
    return ["true", "false"] if schema.get("type") == "boolean" else [str(kind) if kind else "JSON"]


def answer_json(asked: task.Question, said: str) -> str:
    """What a person typed as an answer, as JSON. Plain words stay text where the question asks for text."""
    kind = _schema(asked).get("type")
    if said in asked.choices or kind == "string":
        return json.dumps(said, ensure_ascii=False)
    try:
        json.loads(said)
    except ValueError:
        return json.dumps(said, ensure_ascii=False)
    return said


def suggestion_json(asked: task.Question) -> str | None:
    return str(text.value(asked.suggestion)) if asked.suggestion.WhichOneof("body") in ("json", "value") else None


def _schema(asked: task.Question) -> dict[str, Any]:
    try:
        schema = json.loads(asked.answer_schema or "{}")
    except ValueError:
        return {}
    if not isinstance(schema, dict):
        return {}
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found = schema.get("$defs", {}).get(name) if name else None
    return found if isinstance(found, dict) else schema


def _payload(asked: task.Question, name: str) -> str:
    found = getattr(asked, name)
    return text.payload(found) if found.WhichOneof("body") else ""


def _due(asked: task.Question, view: View) -> str:
    ms = text.millis(asked.deadline)
    if not ms:
        return DASH
    if not view.people:
        return text.iso(ms)
    return f"in {text.span((ms - view.now_ms) / 1000)}" if ms > view.now_ms else "now"


def _verdict(made: workflow.EscalationResolution) -> str:
    if made.action == workflow.ESCALATION_ACTION_COMPLETE:
        return text.scalar(made.value)
    if made.action == workflow.ESCALATION_ACTION_RETRY:
        return f"{text.plural(max(made.attempts, 1), 'attempt')} more"
    return "cancel the workflow" if made.action == workflow.ESCALATION_ACTION_CANCEL_WORKFLOW else "fail"


def _symbol(one: workflow.Escalation) -> str:
    return {workflow.ESCALATION_STATE_RESOLVED: "✓"}.get(one.state, "?" if is_open(one) else "–")


def _style(one: workflow.Escalation) -> str:
    return {workflow.ESCALATION_STATE_RESOLVED: "green"}.get(one.state, "yellow" if is_open(one) else "dim")


def _try(asked: task.Question) -> str:
    if asked.choices:
        return f"--answer {shlex.quote(asked.choices[0])}"
    if asked.source == task.QUESTION_SOURCE_WORKFLOW:
        return "--answer VALUE"
    return "--complete JSON | --retry N | --fail MSG"
