# SPDX-License-Identifier: Apache-2.0
"""The command `nervenet`: parse, run one command, answer with an exit code.

    main(["list", "--state", "failed", "--json"])   # 0

`arguments` knows every command and flag, `commands/` does one thing each, `render/` turns contract messages into text,
`failures` says what went wrong and with which exit code. Nothing heavy is imported before it is known which command
runs: `nervenet --help` costs an interpreter and argparse. argparse rather than click or typer for that reason, and
because flags that hold for all commands may then stand before or behind the command's name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nervenet.cli.arguments import parse
from nervenet.cli.failures import report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code; `argv` without the program's name."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core would write beside our sentences
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parse(given)
        code = args.run(args) if args is not None else 0
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # the border: each becomes a sentence and an exit code
        return report(error, given)
    return code
