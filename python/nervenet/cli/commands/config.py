# SPDX-License-Identifier: Apache-2.0
"""`nervenet config show`: every setting, its value, and where that comes from."""

from __future__ import annotations

import argparse
import json

from nervenet.cli.context import screen, settings


def run_show(args: argparse.Namespace) -> int:
    config = settings(args)
    if args.json:
        print(json.dumps({name: {"value": value, "source": source} for name, value, source in config.shown()}))
        return 0
    from nervenet.cli.render.settings import shown

    out = screen(args)
    out.lines(shown(config.shown(), out.view()))
    return 0
