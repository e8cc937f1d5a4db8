# SPDX-License-Identifier: Apache-2.0
"""The command `nervenet`: parse, run one command, answer with an exit code.

    main(["list", "--state", "failed", "--json"])   # 0

`arguments` knows every command and flag, `usage` explains a wrong command line, each module of `commands/` does one thing,
`render/` turns contract messages into text, `failures` says what went wrong and with which exit code. Nothing heavy is
imported before it is known which command runs: `nervenet --help` costs an interpreter and argparse. argparse rather than
click or typer for that reason, and because flags of all commands may then come before or after the command's name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nervenet.cli.arguments.tree import complete, parse
from nervenet.cli.failures import report
from nervenet.heap import collect_seldom


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `argv` is without the program's name."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core would write between our lines
    if argv is None:  # this process is ours alone
        collect_seldom()
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
            return complete()
        args = parse(given)
        if args is not None:
            args.argv = given
        code = args.run(args) if args is not None else 0
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # the border: each becomes a message and an exit code
        return report(error, given)
    return code
