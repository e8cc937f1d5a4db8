# SPDX-License-Identifier: Apache-2.0
"""`nervenet list`: workflows, the newest first. Pages are joined into one answer until `--limit` is reached."""

from __future__ import annotations

import argparse
from typing import Any

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.render import workflows
from nervenet.cli.values import labels, repeated, seconds, since, span, states
from nervenet.clock import SYSTEM

PAGE = 1000
FILTERS = ("state", "definition", "label", "since", "stuck", "retrying", "slow", "waiting_for")
OF_LISTS = ("archived", "closed_since", "closed_until")


def run(args: argparse.Namespace) -> int:
    wanted, filters = states(args.state), filters_of(args)

    async def work(context: CommandContext) -> None:
        shown = {"archived": True} if args.archived else {"include_waits": True, "include_counts": True}
        response = await collect(context, args.limit, args.next or "", wanted, filters | shown | _by_close(args))
        screen = context.screen
        if args.json:
            screen.rows(response.workflows, response, "workflows")
            return
        screen.lines(workflows.listed(response, screen.view()))
        names = (*FILTERS, *OF_LISTS)
        filtered = any(getattr(args, name) not in (None, [], False) for name in names if name != "state")
        command = repeated("nervenet list", args, *names)
        if args.archived:
            screen.note(workflows.archived_footer(response, command))
            return
        namespace = context.config.namespace
        screen.note(workflows.list_footer(response, namespace, wanted=wanted, filtered=filtered, command=command))

    return ask_mesh(args, work)


def filters_of(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a ListWorkflowsRequest for the flags that choose workflows, without their states."""
    filters: dict[str, Any] = {"definition": args.definition or "", "labels": labels(args.label)}
    if args.since:
        filters["started_after"] = workflows.moment(since(args.since, SYSTEM.now_ms()))
    return filters | _by_waits(args)


def _by_close(args: argparse.Namespace) -> dict[str, Any]:
    """The filters by when workflows closed."""
    given = {"closed_after": args.closed_since, "closed_before": args.closed_until}
    return {name: workflows.moment(since(text, SYSTEM.now_ms())) for name, text in given.items() if text}


def _by_waits(args: argparse.Namespace) -> dict[str, Any]:
    """The filters by what workflows wait for."""
    found: dict[str, Any] = {"waiting_for": args.waiting_for or "", "retrying": args.retrying}
    for name in ("stuck", "slow"):
        after = getattr(args, name)
        found[name] = after is not None
        if after:
            found[f"{name}_after"] = seconds(span(after, f"--{name}"))
    return found


async def collect(context: CommandContext, limit: int, token: str, wanted: list[str], filters: dict[str, Any]) -> Any:
    """All pages as one answer, with at most `limit` workflows."""
    whole = None
    while True:
        room = limit - (len(whole.workflows) if whole else 0)
        page = await context.mesh.call(
            "ListWorkflows",
            page_size=min(room, PAGE),
            page_token=token,
            states=[f"WORKFLOW_STATE_{state}" for state in wanted],
            **filters,
        )
        if whole is None:
            whole = page
        else:
            whole.workflows.extend(page.workflows)
            whole.next_page_token, whole.namespace_count = page.next_page_token, page.namespace_count
            whole.uncounted = page.uncounted
            del whole.state_counts[:]
            whole.state_counts.extend(page.state_counts)
        token = page.next_page_token
        if not token or len(whole.workflows) >= limit:
            return whole
