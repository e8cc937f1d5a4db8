# SPDX-License-Identifier: Apache-2.0
"""Every command and flag. What a command does is in its module, which is imported when it runs.

`COMMANDS` has the order of the help page. Each command names its module in `commands/` and its function, `run(args) -> int`.
Flags of all commands may come before or after the command's name.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from nervenet.cli.ascii import encoding_of, fitting
from nervenet.cli.failures import UsageError
from nervenet.cli.usage import explained, whole

Parser = argparse.ArgumentParser


class Command(NamedTuple):
    """A line of the help page. `name` may be two words; `runs` is a `module:function` in `nervenet.cli.commands`."""

    group: str
    name: str
    says: str
    runs: str
    flags: Callable[[Parser], None]


# ── what each command takes ──────────────────────────────────────────────────────────────────────────────────────────


def _app(parser: Parser, *, needed: bool = True) -> None:
    more = "" if needed else "; without it: stored definitions only"
    parser.add_argument(
        "app",
        metavar="APP",
        nargs=None if needed else "?",
        help=f"hello.py or pkg.module, with :NAME if it has several meshes{more}",
    )
    parser.add_argument("--ready-file", metavar="F", help="write the addresses to F, as JSON, once it serves")


def _dev(parser: Parser) -> None:
    _app(parser)
    parser.add_argument(
        "--port", type=whole(0, 65535), default=7700, metavar="N", help="gRPC port of the first node; 0 = any (7700)"
    )
    parser.add_argument("--data", metavar="DIR", help="where the embedded servers keep their data (.nervenet)")
    parser.add_argument("--nodes", type=whole(1), default=1, metavar="N", help="number of nodes (1)")
    parser.add_argument("--no-reload", action="store_true", help="do not restart when a file of the app changes")


def _node(parser: Parser) -> None:
    _app(parser, needed=False)
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (127.0.0.1:7700)")
    parser.add_argument("--http", metavar="HOST:PORT", help="where to serve HTTP (nowhere)")
    _processes(parser)
    _insecure(parser)


def _processes(parser: Parser) -> None:
    parser.add_argument(
        "--processes",
        type=whole(1, 256),
        default=1,
        metavar="N",
        help="run N of them under one supervisor, to use more cores; SIGHUP replaces them one by one (1)",
    )


def _insecure(parser: Parser) -> None:
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen to others without TLS or without knowing who calls (a closed network)",
    )


def _agent(parser: Parser) -> None:
    _app(parser)
    parser.add_argument("--only", action="append", default=[], metavar="CAP,…", help="serve only these capabilities")
    parser.add_argument("--name", help="name of the process, first part of its id (the mesh's name)")
    parser.add_argument(
        "--slots", type=whole(1), metavar="N", help="tasks that it runs at the same time, over all capabilities"
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="where its AgentService listens (127.0.0.1:0)")
    _processes(parser)
    _insecure(parser)


def _start(parser: Parser) -> None:
    parser.add_argument("definition", metavar="NAME", nargs="?", help="the workflow's name; not with -f")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="store the workflow in this YAML or JSON file, and start it"
    )
    parser.add_argument("--id", metavar="ID", help="the workflow's id; the same id and input start it once")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="a label to find it by; may be repeated"
    )
    parser.add_argument(
        "--version", type=whole(1), default=0, metavar="N", help="version of the definition (the highest live one)"
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end and print the result")
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait of --wait: 30s, 5m; after that exit code 7")
    _keep_waiting(parser)


def _keep_waiting(parser: Parser) -> None:
    parser.add_argument(
        "--keep-waiting", action="store_true", help="keep waiting while it is BLOCKED; without it exit code 8"
    )


def _call(parser: Parser) -> None:
    parser.add_argument("capability", metavar="CAP", help="name of the agent")
    parser.add_argument("input", metavar="INPUT", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument("--request-id", metavar="ID", help="the same id and input run it once")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="a label to find it by; may be repeated"
    )
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait: 30s, 5m; after that exit code 7")


def _list(parser: Parser) -> None:
    _which(parser)
    parser.add_argument("--limit", type=whole(1), default=50, metavar="N", help="at most N (50)")
    parser.add_argument("--next", metavar="TOKEN", help="continue after the last page")
    parser.add_argument("--archived", action="store_true", help="what is in the archive, the last closed first")
    parser.add_argument("--closed-since", metavar="TIME", help="closed after: 2h, 7d, 2026-05-01T09:12Z")
    parser.add_argument("--closed-until", metavar="TIME", help="closed before")


def _which(parser: Parser) -> None:
    parser.add_argument(
        "--state", action="append", default=[], metavar="S,…", help="running, waiting, blocked, failed, …"
    )
    parser.add_argument("--definition", metavar="NAME", help="only runs of this definition")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="only those with this label; may be repeated"
    )
    parser.add_argument("--since", metavar="TIME", help="started after: 2h, 7d, 2026-05-01T09:12Z")
    parser.add_argument(
        "--stuck",
        nargs="?",
        const="",
        metavar="SPAN",
        help="only what goes on only if somebody does something: blocked, without an agent (for 1m), without a sign of life (10m)",
    )
    parser.add_argument("--retrying", action="store_true", help="only those with a step that failed and is tried again")
    parser.add_argument(
        "--slow", nargs="?", const="", metavar="SPAN", help="only those older than SPAN (than 95 %% of their kind took)"
    )
    parser.add_argument("--waiting-for", metavar="TEXT", help="only those that wait for something with this text")


def _top(parser: Parser) -> None:
    parser.add_argument("--once", action="store_true", help="print one frame and end; so it is where nobody watches")
    parser.add_argument(
        "--sort", choices=("urgency", "age", "name"), default="urgency", help="the order of workflows (urgency)"
    )
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only workflows with this text in id, definition or waits"
    )
    parser.add_argument("--every", metavar="SPAN", default="2s", help="time between two frames (2s)")


def _doctor(parser: Parser) -> None:
    parser.add_argument(
        "--stuck",
        metavar="SPAN",
        default="",
        help="report tasks without an agent or a sign of life for SPAN (1m without an agent, 10m without a sign of life)",
    )


def _certs(parser: Parser) -> None:
    parser.add_argument("dir", metavar="DIR", help="the folder to write to")
    parser.add_argument(
        "--host",
        metavar="NAME",
        action="append",
        default=[],
        help="a further name or address at which the processes are dialled; may be repeated",
    )
    parser.add_argument("--days", type=whole(1, 3650), default=30, metavar="N", help="how long they are valid (30)")
    parser.add_argument("--force", action="store_true", help="issue the certificates again, by the same authority")
    parser.add_argument(
        "--new-ca", action="store_true", help="with --force: a new authority too; ca.pem keeps the old one beside it"
    )


def _workflow(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the workflow's id")


def _show(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the workflow's id")
    parser.add_argument("--failed", action="store_true", help="only steps that failed, each with the lines of code")
    parser.add_argument(
        "--slowest", nargs="?", type=whole(1), const=10, metavar="N", help="only the N steps that took longest (10)"
    )
    parser.add_argument("--all", action="store_true", help="every step on a line of its own")
    parser.add_argument(
        "--input",
        nargs="?",
        const="",
        metavar="STEP",
        help="also its input; that of STEP; with --failed those of the steps",
    )
    parser.add_argument("--result", action="store_true", help="also its whole result, and those of its steps")
    parser.add_argument("--journal", action="store_true", help="also its journal")


def _watch(parser: Parser) -> None:
    _workflow(parser)
    parser.add_argument("--partials", action="store_true", help="also what handlers emit")


def _result(parser: Parser) -> None:
    _workflow(parser)
    parser.add_argument("--timeout", metavar="SPAN", help="longest wait: 30s, 5m; after that exit code 7")
    _keep_waiting(parser)


def _signal(parser: Parser) -> None:
    _workflow(parser)
    parser.add_argument("signal", metavar="NAME", help="the signal's name")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="JSON, @file or - for standard input")
    parser.add_argument("--request-id", metavar="ID", help="the same id delivers it once")
    parser.add_argument(
        "--undeclared", action="store_true", help="send it even if the workflow's code does not receive it"
    )


def _cancel(parser: Parser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="the workflow's id; or filters")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the workflow and for people")
    _many(parser)


def _restart(parser: Parser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="the workflow's id; or filters")
    parser.add_argument("--reason", metavar="TEXT", help="why, for people")
    parser.add_argument(
        "--version", type=whole(1), default=0, metavar="N", help="version of the definition (the highest live one)"
    )
    _many(parser)


def _retry(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="the workflow's id; or filters")
    parser.add_argument("step", metavar="STEP", nargs="?", help="a step that asks a human for one more attempt")
    _many(parser)


def _many(parser: Parser) -> None:
    _which(parser)
    parser.add_argument(
        "--limit", type=whole(1), default=1000, metavar="N", help="at most N that the filters find (1000)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show which ones, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


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


def _agents(parser: Parser) -> None:
    parser.add_argument("--capability", metavar="NAME", help="only agents that serve this capability")
    parser.add_argument(
        "--label", action="append", default=[], metavar="k=v", help="only those with this label; may be repeated"
    )


def _one_agent(parser: Parser) -> None:
    parser.add_argument("id", metavar="A", help="the agent's id")


def _one_node(parser: Parser) -> None:
    parser.add_argument("id", metavar="NODE", help="the node's id")


def _drain(parser: Parser) -> None:
    _one_agent(parser)
    parser.add_argument("--grace", metavar="SPAN", help="how long running tasks may continue (the agent's setting)")


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


def _definitions(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this definition, with all its versions")


def _definition(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the definition's name")
    parser.add_argument("--version", type=whole(1), default=0, metavar="N", help="the version to show (the highest)")


def _put(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="YAML or JSON")
    parser.add_argument("--check", action="store_true", help="report what is wrong, store nothing")


def _redis_permissions(parser: Parser) -> None:
    parser.add_argument("role", choices=("node", "agent", "checkpoints", "flows"), help="the kind of process")
    _store_user(parser)


def _store_user(parser: Parser) -> None:
    parser.add_argument("--user", metavar="NAME", help="the name of the user (nervenet-ROLE)")


def _policy_file(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="the policy, YAML")


def _explain(parser: Parser) -> None:
    parser.add_argument(
        "--as",
        dest="caller",
        required=True,
        metavar="WHO",
        help="a caller's name, or its claims as JSON with their sub",
    )
    parser.add_argument("--rpc", required=True, metavar="NAME", help="what it calls, like CancelWorkflow")
    parser.add_argument("--policy", metavar="FILE", help="the policy (NERVENET_POLICY, or the built-in one)")
    parser.add_argument("--claims", metavar="JSON", help="the claims of its credentials")
    parser.add_argument(
        "--means",
        choices=("mtls", "jwt", "token", "shared", "none"),
        help="what proves who it is (mtls for spiffe://…, else jwt)",
    )
    parser.add_argument("--capability", metavar="C", help="what the agent would serve")
    parser.add_argument("--workflow", metavar="D", help="the definition of the workflow")
    parser.add_argument("--label", action="append", metavar="K=V", help="a label of the workflow; may be repeated")


def _new_token(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="whose token it is: the caller's name in rules and in the audit log"
    )
    parser.add_argument("--role", action="append", default=[], metavar="ROLE,…", help="what it may do; may be repeated")
    parser.add_argument(
        "--namespaces", action="append", default=[], metavar="N,…", help="only in these namespaces (in all)"
    )
    parser.add_argument("--expires", metavar="SPAN", help="how long it counts: 90d (without end)")
    parser.add_argument("--hash-of", metavar="FILE", help="the row of the token in FILE, instead of a new one")


def _nothing(parser: Parser) -> None:
    pass


COMMANDS = (
    Command("run", "dev", "the whole mesh on this machine, for development", "dev:run", _dev),
    Command("run", "node", "a node: hosts workflows, serves gRPC", "node:run", _node),
    Command("run", "agent", "an agent: runs the tasks of its capabilities", "agent:run", _agent),
    Command("act", "start", "start a workflow", "start:run", _start),
    Command("act", "call", "run one durable task without a workflow", "call:run", _call),
    Command("act", "signal", "send a signal to a workflow", "signal:run", _signal),
    Command("act", "cancel", "cancel workflows", "cancel:run", _cancel),
    Command("act", "retry", "replay a blocked workflow, or grant a step one more attempt", "retry:run", _retry),
    Command("act", "restart", "begin failed or blocked workflows again", "restart:run", _restart),
    Command("look", "list", "list workflows, newest first", "listing:run", _list),
    Command("look", "top", "follow the whole mesh: what is stuck, who is busy, what waits", "top:run", _top),
    Command("look", "show", "show one workflow with its steps", "show:run", _show),
    Command("look", "watch", "follow a workflow until it ends", "watch:run", _watch),
    Command("look", "result", "wait for a workflow and print its result", "result:run", _result),
    Command("people", "escalations list", "list open questions to humans", "escalations:run_list", _escalations),
    Command("people", "escalations show", "show one question with its context", "escalations:run_show", _escalation),
    Command("people", "escalations resolve", "answer a question", "escalations:run_resolve", _resolve),
    Command("mesh", "agents list", "list live agents and queues", "agents:run_list", _agents),
    Command("mesh", "agents describe", "show one agent with its capabilities", "agents:run_describe", _one_agent),
    Command("mesh", "agents tasks", "list what an agent runs now", "agents:run_tasks", _one_agent),
    Command("mesh", "agents drain", "let an agent finish its tasks and take no new ones", "agents:run_drain", _drain),
    Command("mesh", "agents resume", "let a drained agent take tasks again", "agents:run_resume", _one_agent),
    Command("mesh", "nodes list", "list live nodes", "nodes:run_list", _nothing),
    Command("mesh", "definitions list", "list workflows that are stored as data", "definitions:run_list", _definitions),
    Command("mesh", "definitions show", "show a stored workflow, as YAML", "definitions:run_show", _definition),
    Command("mesh", "definitions put", "store a version of a workflow", "definitions:run_put", _put),
    Command(
        "mesh", "nodes drain", "move its workflows to other nodes before you stop it", "nodes:run_drain", _one_node
    ),
    Command("mesh", "doctor", "examine the mesh, Redis and etcd, and say what to do", "doctor:run", _doctor),
    Command(
        "mesh",
        "tokens new",
        "make a token for a caller, and its row for NERVENET_TOKENS_FILE",
        "tokens:run_new",
        _new_token,
    ),
    Command("mesh", "config show", "show every setting and its source", "config:run_show", _nothing),
    Command(
        "mesh",
        "permissions redis",
        "print what a process may do in Redis, for ACL SETUSER",
        "permissions:run_redis",
        _redis_permissions,
    ),
    Command("mesh", "permissions etcd", "print what a node may do in etcd", "permissions:run_etcd", _store_user),
    Command("mesh", "policy check", "check a policy file, with line and column", "policy:run_check", _policy_file),
    Command("mesh", "policy explain", "say who may call what, and why", "policy:run_explain", _explain),
    Command("mesh", "policy show", "print the policy that counts here", "policy:run_show", _nothing),
    Command("mesh", "certs dev", "make an authority and certificates for a trial", "certs:run_dev", _certs),
    Command("code", "replay", "replay journals with the code, before a deploy", "replay:run", _replay),
    Command("code", "journal export", "write a journal as a file that replay reads", "journal:run_export", _workflow),
    Command("code", "completion", "print the completion script of a shell", "completion:run", _completion),
    Command("code", "version", "print the versions of nervenet, Python and gRPC", "version:run", _nothing),
)


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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
