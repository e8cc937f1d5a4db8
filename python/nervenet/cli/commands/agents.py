# SPDX-License-Identifier: Apache-2.0
"""`nervenet agents list|describe|tasks|drain|resume`."""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import agents as render
from nervenet.cli.render.plain_json import plain
from nervenet.cli.values import labels, seconds, span
from nervenet.v1 import registry_service_pb2 as registry


def run_list(args: argparse.Namespace) -> int:
    wanted = labels(args.label)

    async def work(context: CommandContext) -> None:
        response = await _all(context, capability=args.capability or "", labels=wanted)
        screen = context.screen
        if args.json:
            queues = ({"queue": plain(queue)} for queue in response.queues)
            screen.rows([*response.agents, *queues], response, "agents", "queues")
            return
        view = screen.view()
        below = (render.ejected, render.queues, render.registry_trouble)
        screen.lines([*render.listed(response, view), *(line for each in below for line in each(response, view))])
        screen.note(render.list_footer(response, context.config.namespace))

    return ask_mesh(args, work)


async def _all(context: CommandContext, **filters: Any) -> Any:
    wanted = {"page_size": 1000, "include_ejections": True, **filters}
    whole = await context.mesh.call("ListAgents", **wanted)
    while whole.next_page_token:
        page = await context.mesh.call("ListAgents", page_token=whole.next_page_token, **wanted)
        whole.agents.extend(page.agents)
        whole.next_page_token = page.next_page_token
    return whole


def run_describe(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("DescribeAgent", agent_id=args.id)
        screen = context.screen
        if args.json:
            screen.message(response)
        else:
            view = screen.view()
            screen.lines([*render.described(response, view), *render.ejected(await _only(context, args.id), view)])

    return ask_mesh(args, work)


async def _only(context: CommandContext, agent_id: str) -> registry.ListAgentsResponse:
    """Its entry in the list, which says whether it is ejected; the agent itself does not know."""
    agents = (await _all(context)).agents
    return registry.ListAgentsResponse(agents=[one for one in agents if one.agent.agent_id == agent_id])


def run_tasks(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("ListActiveTasks", agent_id=args.id)
        screen = context.screen
        if args.json:
            screen.rows(response.tasks, response, "tasks")
            return
        screen.lines(render.active(response, screen.view()))
        if not response.tasks:
            screen.note(f"{args.id} runs nothing.")

    return ask_mesh(args, work)


def run_drain(args: argparse.Namespace) -> int:
    grace: dict[str, Any] = {} if args.grace is None else {"grace": seconds(span(args.grace, "--grace"))}

    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("DrainAgent", agent_id=args.id, **grace)
        if args.json:
            context.screen.message(response)
        context.screen.note(render.drained(response, args.id))

    return ask_mesh(args, work)


def run_resume(args: argparse.Namespace) -> int:
    async def work(context: CommandContext) -> None:
        response = await context.mesh.call("ResumeAgent", agent_id=args.id)
        if args.json:
            context.screen.message(response)
        context.screen.note(render.resumed(response, args.id))

    return ask_mesh(args, work)
