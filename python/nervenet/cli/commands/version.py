# SPDX-License-Identifier: Apache-2.0
"""`nervenet version`."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version


def run(args: argparse.Namespace) -> int:
    found = {"nervenet": installed("nervenet"), "python": platform.python_version(), "grpc": installed("grpcio")}
    if args.json:
        print(json.dumps(found))
    else:
        print(f"nervenet {found['nervenet']}   python {found['python']}, grpc {found['grpc']}")
    return 0


def installed(distribution: str) -> str:
    """The version of an installed distribution; "?" in a tree that was never installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "?"
