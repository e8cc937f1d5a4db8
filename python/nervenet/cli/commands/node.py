# SPDX-License-Identifier: Apache-2.0
"""`nervenet node [APP]`: be a node until a signal comes; without an app one for workflows given as data."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.app import load_app
from nervenet.config import Config
from nervenet.mesh import Mesh


def run(args: argparse.Namespace) -> int:
    config = Config.load(
        address=args.address,
        namespaces=args.namespace,
        listen=args.listen,
        insecure=args.insecure or None,
        http=args.http,
    )
    config.require("redis", "a node")
    config.require("etcd", "a node")
    mesh = load_app(args.app) if args.app is not None else Mesh("stored")
    from nervenet.process import run_node

    return run_node(mesh, config, ready_file=args.ready_file, quiet=args.quiet)
