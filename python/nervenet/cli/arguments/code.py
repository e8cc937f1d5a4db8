# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `code`: what helps with the code of workflows."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, nothing, workflow

__all__ = ["COMMANDS"]


def _replay(parser: Parser) -> None:
    parser.add_argument(
        "app",
        metavar="APP",
        help="hello.py or pkg.module, with :NAME if it has several meshes; or a workflow as data: flow.yaml",
    )
    parser.add_argument("journals", metavar="JOURNAL", nargs="*", help="files from journal export or from the test kit")
    parser.add_argument("--running", action="store_true", help="the journals of all open workflows")


def _completion(parser: Parser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


COMMANDS = (
    Command("code", "replay", "replay journals with the code, before a deploy", "replay:run", _replay),
    Command("code", "journal export", "write a journal as a file that replay reads", "journal:run_export", workflow),
    Command("code", "completion", "print the completion script of a shell", "completion:run", _completion),
    Command("code", "version", "print the versions of nervenet, Python and gRPC", "version:run", nothing),
)
