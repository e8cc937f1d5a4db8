# SPDX-License-Identifier: Apache-2.0
"""`nervenet dev APP`: the whole mesh on this machine until a signal comes."""

from __future__ import annotations

import argparse
from pathlib import Path

from nervenet.cli.failures import Refused, Stopped, UsageError
from nervenet.config import Config


def run(args: argparse.Namespace) -> int:
    from nervenet.dev.describe import CannotLoad
    from nervenet.dev.folder import DataInUse
    from nervenet.dev.roles import RoleEnded
    from nervenet.dev.supervisor import Options, supervise

    options = Options(
        port=args.port,
        data=Path(args.data or ".nervenet"),
        nodes=args.nodes,
        reload=not args.no_reload,
        ready_file=Path(args.ready_file) if args.ready_file else None,
        quiet=args.quiet,
    )
    try:
        return supervise(args.app, Config.load(namespaces=args.namespace), options)
    except CannotLoad as error:
        raise UsageError(str(error)) from error
    except DataInUse as error:
        raise Refused(str(error)) from error
    except RoleEnded as error:
        raise Stopped(error.code) from error
