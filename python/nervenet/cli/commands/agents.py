# SPDX-License-Identifier: Apache-2.0
"""`nervenet agents list|describe|drain|resume`."""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.render import agents as render
from nervenet.cli.session import Session, ask_mesh
from nervenet.cli.values import labels, span


def run_list(args: argparse.Namespace) -> int:
    wanted = labels(args.label)

    async def work(session: Session) -> None:
        response = await _all(session, capability=args.capability or "", labels=wanted)
        screen = session.screen
        if args.json:
            screen.message(response)
            return
        view = screen.view()
        screen.lines([*render.listed(response, view), *render.queues(response, view)])
        screen.note(render.list_footer(response, session.config.namespace))

    return ask_mesh(args, work)


async def _all(session: Session, **filters: Any) -> Any:
    whole = await session.mesh.call("ListAgents", page_size=1000, **filters)
    while whole.next_page_token:
        page = await session.mesh.call("ListAgents", page_size=1000, page_token=whole.next_page_token, **filters)
        whole.agents.extend(page.agents)
        whole.next_page_token = page.next_page_token
    return whole


def run_describe(args: argparse.Namespace) -> int:
    async def work(session: Session) -> None:
        response = await session.mesh.call("DescribeAgent", agent_id=args.id)
        screen = session.screen
        if args.json:
            screen.message(response)
        else:
            screen.lines(render.described(response, screen.view()))

    return ask_mesh(args, work)


def run_drain(args: argparse.Namespace) -> int:
    grace: dict[str, Any] = {} if args.grace is None else {"grace": render.seconds(span(args.grace, "--grace"))}

    async def work(session: Session) -> None:
        response = await session.mesh.call("DrainAgent", agent_id=args.id, **grace)
        if args.json:
            session.screen.message(response)
        session.screen.note(render.drained(response, args.id))

    return ask_mesh(args, work)


def run_resume(args: argparse.Namespace) -> int:
    async def work(session: Session) -> None:
        response = await session.mesh.call("ResumeAgent", agent_id=args.id)
        if args.json:
            session.screen.message(response)
        session.screen.note(render.resumed(response, args.id))

    return ask_mesh(args, work)
