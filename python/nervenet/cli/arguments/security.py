# SPDX-License-Identifier: Apache-2.0
"""The commands of the group `mesh`: tokens, settings, permissions, policy and certificates."""

from __future__ import annotations

from nervenet.cli.arguments.command import Command, Parser, nothing
from nervenet.cli.usage import whole

__all__ = ["COMMANDS"]


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


def _redis_permissions(parser: Parser) -> None:
    roles = ("node", "agent", "checkpoints", "flows")
    parser.add_argument("role", nargs="+", choices=roles, help="what the process is and uses, as one user: agent flows")
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


COMMANDS = (
    Command(
        "mesh",
        "tokens new",
        "make a token for a caller, and its row for NERVENET_TOKENS_FILE",
        "tokens:run_new",
        _new_token,
    ),
    Command("mesh", "config show", "show every setting and its source", "config:run_show", nothing),
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
    Command("mesh", "policy show", "print the policy that counts here", "policy:run_show", nothing),
    Command("mesh", "certs dev", "make an authority and certificates for a trial", "certs:run_dev", _certs),
)
