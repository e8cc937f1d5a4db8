# SPDX-License-Identifier: Apache-2.0
"""`nervenet node [APP]`: be a node until a signal comes; without an app one for workflows given as data."""

from __future__ import annotations

import argparse

from nervenet.cli.commands.app import load_app
from nervenet.config import Config
from nervenet.mesh import Mesh
from nervenet.process.place import end_with_supervisor, own_place


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
    place = own_place()
    if place is None and args.processes > 1:
        from nervenet.process.supervisor import supervise_processes

        return supervise_processes(
            "node", args.argv, config, args.processes, ready_file=args.ready_file, quiet=args.quiet
        )
    if place is not None:
        config, args.ready_file = place.settings(config), place.ready_file
        end_with_supervisor(config.drain_ms / 1000)
    mesh = load_app(args.app) if args.app is not None else Mesh("stored")
    from nervenet.process import run_node

    return run_node(mesh, config, ready_file=args.ready_file, quiet=args.quiet)
