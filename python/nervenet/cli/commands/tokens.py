# SPDX-License-Identifier: Apache-2.0
"""`nervenet tokens new NAME`: make a token, and the row by which servers know it. Nothing is stored."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from nervenet.cli.context import screen
from nervenet.cli.failures import ExitCode, UsageError
from nervenet.cli.values import span, words
from nervenet.clock import SYSTEM
from nervenet.errors import ConfigError


def run_new(args: argparse.Namespace) -> int:
    from nervenet.security.named_tokens import hash_of, new_token, row_of

    roles = words(args.role)
    if not roles:
        raise UsageError("tokens new: say what the token is for: --role client")
    token = _from_file(args.hash_of) if args.hash_of else new_token()
    expires = None
    if args.expires:
        expires = datetime.fromtimestamp(SYSTEM.now_ms() // 1000 + span(args.expires, "--expires"), UTC)
    try:
        row = row_of(args.name, hash_of(token), roles, words(args.namespaces), expires)
    except ConfigError as error:
        raise UsageError(f"tokens new: {args.name!r} {error}") from None
    shown = screen(args)
    if args.json:
        given = {} if args.hash_of else {"token": token}
        shown.verbatim(json.dumps({"name": args.name, **given, "row": row}))
        return ExitCode.DONE
    if not args.hash_of:
        shown.note(f"The token of {args.name}. It is shown once, and kept nowhere:")
        shown.verbatim(f"{token}\n")
        shown.note("Its row, for the file that NERVENET_TOKENS_FILE of each node and agent names:")
    shown.verbatim(row.rstrip("\n"))
    return ExitCode.DONE


def _from_file(file: str) -> str:
    from nervenet.config.values import read_token

    if not Path(file).is_file():
        raise UsageError(f"tokens new: there is no file {file}")
    return read_token(file)
