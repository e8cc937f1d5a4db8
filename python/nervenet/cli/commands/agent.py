# SPDX-License-Identifier: Apache-2.0
"""`nervenet agent APP`: do the work of the mesh's agents until a signal comes."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.app import load_app
from nervenet.cli.values import words
from nervenet.config import Config
from nervenet.process.place import end_with_supervisor, own_place


def run(args: argparse.Namespace) -> int:
    config = Config.load(
        address=args.address, namespace=args.namespace, listen=args.listen, insecure=args.insecure or None
    )
    config.require("redis", "an agent")
    place = own_place()
    if place is None and args.processes > 1:
        from nervenet.process.supervisor import supervise_processes

        return supervise_processes(
            "agent", args.argv, config, args.processes, ready_file=args.ready_file, quiet=args.quiet
        )
    if place is not None:
        config, args.ready_file = place.settings(config), place.ready_file
        end_with_supervisor(config.drain_ms / 1000)
    mesh = load_app(args.app)
    from nervenet.process import run_agent

    return run_agent(
        mesh,
        config,
        only=words(args.only),
        name=args.name,
        slots=args.slots,
        ready_file=args.ready_file,
        quiet=args.quiet,
    )
