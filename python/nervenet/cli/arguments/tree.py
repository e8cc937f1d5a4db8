# SPDX-License-Identifier: Apache-2.0
"""The tree of all commands: parsing, the help page, and what a shell may complete."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from nervenet.cli.arguments import acting, code, mesh, processes, questions, reading, security
from nervenet.cli.arguments.command import Parser
from nervenet.cli.ascii import encoding_of, fitting
from nervenet.cli.failures import UsageError
from nervenet.cli.usage import explained

__all__ = ["COMMANDS", "complete", "parse"]

COMMANDS = (
    *processes.COMMANDS,
    *acting.COMMANDS,
    *reading.COMMANDS,
    *questions.COMMANDS,
    *mesh.COMMANDS,
    *security.COMMANDS,
    *code.COMMANDS,
)


class _Parser(Parser):
    """Raises UsageError instead of printing and exiting. `-h` prints our own page if there is one."""

    page: Callable[[], str] | None = None

    def error(self, message: str) -> NoReturn:
        which = self.prog.removeprefix("nervenet").strip()
        message = explained(message, self._actions)
        hint = self.format_usage().strip() if message.startswith(("missing", "too many", "there is no flag")) else ""
        raise UsageError(f"{which}: {message}" if which else message, hint)

    def format_help(self) -> str:
        return fitting(self.page() if self.page else super().format_help(), encoding_of(sys.stdout))


def _common() -> Parser:
    """Flags of all commands. A flag that is not given leaves no attribute, so it may come before or after the
    command."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("all commands")
    group.add_argument("--address", metavar="A", help="host:port of any node(s) (NERVENET_ADDRESS, localhost:7700)")
    group.add_argument("--namespace", metavar="N", help="(NERVENET_NAMESPACE, default)")
    group.add_argument("--json", action="store_true", help="print plain JSON, an object per line; errors too")
    group.add_argument("--color", choices=("auto", "always", "never"), help="(auto; NO_COLOR is respected)")
    group.add_argument("--wide", action="store_true", help="shorten nothing")
    group.add_argument("-q", "--quiet", action="store_true", help="print no comments on stderr")
    group.add_argument("-v", "--verbose", action="store_true", help="more detail when something goes wrong")
    return common


_DEFAULTS = {
    "address": None, "namespace": None, "json": False, "color": "auto", "wide": False, "quiet": False, "verbose": False,
}  # fmt: skip


def parse(argv: Sequence[str]) -> argparse.Namespace | None:
    """The command line as `args` with `args.run`. None: only help was asked for, and it is printed."""
    try:
        args, unknown = _tree(argv).parse_known_args(list(argv))
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit:  # --help has printed its page
        return None
    if getattr(args, "runs", None) is None:
        print(fitting(_page(), encoding_of(sys.stdout)), end="")
        return None
    for name, value in _DEFAULTS.items():
        if not hasattr(args, name):
            setattr(args, name, value)
    args.run = _function(args.runs)
    return args


def _function(runs: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = runs.partition(":")
    found: Callable[[argparse.Namespace], int] = getattr(import_module(f"nervenet.cli.commands.{module}"), name)
    return found


def complete() -> int:
    """Answer a shell that asks what may come next, and exit."""
    from nervenet.cli.commands.completion import answer

    answer(_tree([]))
    return 0


def _tree(argv: Sequence[str]) -> Parser:
    common = _common()
    root = _Parser(prog="nervenet", parents=[common], allow_abbrev=False)
    root.add_argument("--version", action="store_const", const="version:run", dest="runs", help="print the version")
    root.set_defaults(parser=root)
    root.page = _page
    commands = root.add_subparsers(parser_class=_Parser, metavar="COMMAND")
    groups: dict[str, Any] = {}
    for command in COMMANDS:
        first, _, second = command.name.partition(" ")
        place = commands
        if second:
            if first not in groups:
                group = _child(commands, first, [common], "")
                groups[first] = group.add_subparsers(parser_class=_Parser, metavar="COMMAND", required=True)
            place = groups[first]
        own = _Parser(prog=f"nervenet {command.name}", add_help=False, allow_abbrev=False)
        command.flags(own)
        parser = _child(place, second or first, [own, common], command.says)
        parser.usage = own.format_usage().removeprefix("usage: ").strip()
        parser.set_defaults(runs=command.runs, parser=parser)
    _refuse_unknown(argv, [*commands.choices])
    return root


def _child(place: Any, name: str, parents: list[Parser], says: str) -> Parser:
    parser: Parser = place.add_parser(
        name, parents=parents, allow_abbrev=False, help=says, description=f"{says[:1].upper()}{says[1:]}."
    )
    return parser


def _refuse_unknown(argv: Sequence[str], known: Sequence[str]) -> None:
    """Refuse an unknown command with a suggestion, where argparse would list all of them."""
    first = next((word for word in argv if not word.startswith("-")), None)
    takes_value = {"--address", "--namespace", "--color"}
    if first is None or first in known or any(word in takes_value for word in argv[: argv.index(first)]):
        return
    close = difflib.get_close_matches(first, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "nervenet --help lists all commands"
    raise UsageError(f"there is no command {first}; {hint}")


def _page() -> str:
    """The help page: every command with its arguments and one line about it."""
    lines = ["Durable multi-agent workflows.", "", "usage: nervenet COMMAND …   (nervenet COMMAND --help explains it)"]
    group = ""
    for command in COMMANDS:
        label = command.group if command.group != group else ""
        if label:
            lines.append("")
        group = command.group
        lines.append(f"  {label:8}{command.name:22}{command.says}")
    lines += [
        "",
        "  all     --address A  --namespace N  --json  --color auto|always|never  --wide",
        "          -q  -v",
        "",
        "Try:  nervenet dev hello.py",
        "",
    ]
    return "\n".join(lines)
