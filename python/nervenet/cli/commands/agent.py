# SPDX-License-Identifier: Apache-2.0
"""`nervenet agent APP`: do the work of the mesh's agents until a signal comes."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.app import load_app
from nervenet.cli.values import words
from nervenet.config import Config


def run(args: argparse.Namespace) -> int:
    config = Config.load(
        address=args.address, namespace=args.namespace, listen=args.listen, insecure=args.insecure or None
    )
    config.require("redis", "an agent")
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
