# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `people`: questions to people."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


def _escalations(parser: Parser) -> None:
    parser.add_argument("--workflow", metavar="ID", help="only those of this workflow")
    parser.add_argument("--limit", type=whole(1), default=50, metavar="N", help="at most N (50)")
    parser.add_argument("--next", metavar="TOKEN", help="continue after the last page")


def _escalation(parser: Parser) -> None:
    parser.add_argument("id", metavar="E", help="the escalation's id, for example review-118/ask")


def _resolve(parser: Parser) -> None:
    _escalation(parser)
    decision = parser.add_mutually_exclusive_group()
    decision.add_argument("--answer", metavar="V", help="one of the choices, or a value")
    decision.add_argument("--complete", metavar="JSON", help="the step's result: JSON, @file or -")
    decision.add_argument("--retry", type=whole(1), metavar="N", help="grant N more attempts")
    decision.add_argument("--fail", metavar="MSG", help="the step fails with this message")
    parser.add_argument("--comment", metavar="TEXT", help="for people; with --retry the handler reads it as its hint")


COMMANDS = (
    Command("people", "escalations list", "list open questions to humans", "escalations:run_list", _escalations),
    Command("people", "escalations show", "show one question with its context", "escalations:run_show", _escalation),
    Command("people", "escalations resolve", "answer a question", "escalations:run_resolve", _resolve),
)
