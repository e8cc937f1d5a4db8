# SPDX-License-Identifier: Apache-2.0
"""`nervenet doctor`: examine the mesh, Redis and etcd. Exit code 1 if something is wrong."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace

from nervenet.cli.context import CommandContext, ask_mesh
from nervenet.cli.doctor.archive_checks import archive_checks
from nervenet.cli.doctor.blob_checks import blob_checks
from nervenet.cli.doctor.certificates import certificate_checks
from nervenet.cli.doctor.credentials import credential_checks
from nervenet.cli.doctor.etcd_checks import etcd_checks
from nervenet.cli.doctor.mesh_checks import mesh_checks
from nervenet.cli.doctor.policy_checks import policy_checks
from nervenet.cli.doctor.redis_checks import redis_checks
from nervenet.cli.failures import ExitCode
from nervenet.cli.render import checks as render
from nervenet.cli.values import seconds, span


def run(args: argparse.Namespace) -> int:
    stuck = seconds(span(args.stuck, "--stuck")) if args.stuck else None

    async def work(context: CommandContext) -> int:
        config, screen = context.config, context.screen
        view = replace(screen.view(), people=False) if args.json else screen.view()
        parts = await asyncio.gather(
            redis_checks(config),
            archive_checks(config),
            blob_checks(config),
            etcd_checks(config),
            mesh_checks(config, context.mesh, view, stuck),
            asyncio.to_thread(credential_checks, config, view.now_ms),
        )
        found = [check for part in parts for check in part] + certificate_checks(config, view.now_ms)
        found += policy_checks(config)
        if args.json:
            screen.verbatim(json.dumps({"checks": [one._asdict() for one in found]}, ensure_ascii=False))
        else:
            screen.lines(render.listed(found, view))
            screen.note(render.summary(found))
        return ExitCode.FAILED if any(one.status == "error" for one in found) else ExitCode.DONE

    return ask_mesh(args, work)
