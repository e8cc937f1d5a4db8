# SPDX-License-Identifier: Apache-2.0
"""`nervenet retry`: replay a BLOCKED workflow now, or grant one more attempt to a step that asks for a decision.

A step of a run that is over cannot be retried: its failure is recorded, and the code has seen it. `nervenet restart`
begins the run again.
"""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.commands.many import Verb, act_on_many
from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.failures import ExitCode, Refused, Stopped
from nervenet.cli.render import escalations, workflows
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow


def run(args: argparse.Namespace) -> int:
    if args.step is not None:
        return ask_mesh(args, _retry_step)
    verb = Verb("retry", "retried", ("BLOCKED",), _retry)
    ids = [] if args.id is None else [args.id]
    return ask_mesh(args, lambda context: act_on_many(context, verb, ids))


async def _retry(context: CommandContext, workflow_id: str) -> None:
    response = await context.mesh.call("RetryWorkflow", workflow_id=workflow_id)
    screen, found = context.screen, response.workflow
    if screen.json:
        screen.message(response)
    screen.note(workflows.retried(response, workflow_id))
    if found.state == workflow.WORKFLOW_STATE_BLOCKED:
        screen.note(*workflows.blocked(found, screen.view_of_notes()))
        raise Stopped(ExitCode.BLOCKED)


async def _retry_step(context: CommandContext) -> None:
    """One more attempt for a step that has none left, and whose options ask a human then."""
    args, screen = context.args, context.screen
    which = f"{args.id}/{args.step}"
    found = (await context.mesh.call("GetWorkflow", workflow_id=args.id, payload_format="PAYLOAD_FORMAT_OMIT")).workflow
    step = next((each for each in found.tasks if each.step == args.step), None)
    if workflows.closed(found):
        words = (
            f"{args.id} has ended, and a failed step of it stays failed. To begin it again: nervenet restart {args.id}"
        )
        raise Refused(words)
    if step is None:
        raise Refused(f"{args.id} has no step {args.step!r}. Its steps: nervenet show {args.id}")
    if not step.escalation_id or step.escalation_id not in found.open_escalations:
        raise Refused(_why_not(found, step, which))
    asked = (await context.mesh.call("GetEscalation", escalation_id=step.escalation_id)).escalation
    if asked.question.source != task.QUESTION_SOURCE_EXHAUSTED:
        raise Refused(f"{which} asks a human, and has not failed. Answer it: nervenet escalations resolve {which}")
    resolution: dict[str, Any] = {"action": "ESCALATION_ACTION_RETRY", "attempts": 1, "resolver": context.me()}
    response = await context.mesh.call("ResolveEscalation", escalation_id=step.escalation_id, resolution=resolution)
    if screen.json:
        screen.message(response)
    screen.note(escalations.resolved(response.escalation, screen.view()))


def _why_not(found: Any, step: Any, which: str) -> str:
    if found.HasField("blocked"):
        return f"{found.workflow_id} is BLOCKED by its code, not by a step: nervenet retry {found.workflow_id}"
    if step.HasField("failure"):
        return f"{which} has failed, and the code has seen it. To begin again: nervenet restart {found.workflow_id}"
    return f"{which} has attempts left or is over: there is nothing to retry. nervenet show {found.workflow_id}"
