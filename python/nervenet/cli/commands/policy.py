# SPDX-License-Identifier: Apache-2.0
"""`nervenet policy`: check a policy file, ask it who may do what and why, print the built-in one. No mesh is asked."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nervenet.cli.context import screen, settings
from nervenet.cli.failures import ExitCode, UsageError
from nervenet.cli.render import policies as render
from nervenet.cli.render.policies import Explained
from nervenet.security.caller import Caller
from nervenet.security.policies import Policies, built_in_text, load_policy
from nervenet.security.policy import BY_REQUEST, Item, Policy
from nervenet.security.roles import ACCESS, JUDGED_AS, rpc_name
from nervenet.security.yaml_text import Mistakes

if TYPE_CHECKING:
    from collections.abc import Mapping


def run_check(args: argparse.Namespace) -> int:
    try:
        policy = load_policy(Path(args.file))
    except Mistakes as error:
        if args.json:
            found = [{"line": one.place.line, "column": one.place.column, "message": one.words} for one in error.found]
            print(json.dumps({"file": args.file, "mistakes": found}))
        else:
            print(error, file=sys.stderr)
        return ExitCode.USAGE
    if args.json:
        print(json.dumps({"file": args.file, "roles": policy.size[0], "rules": policy.size[1], "mistakes": []}))
    else:
        screen(args).lines(render.summary(policy))
    return ExitCode.DONE


def run_show(args: argparse.Namespace) -> int:
    path = settings(args).policy
    print(built_in_text() if path is None else Path(path).read_text("utf-8"), end="")
    return ExitCode.DONE


def run_explain(args: argparse.Namespace) -> int:
    """Exit code 1: it is denied."""
    config = settings(args)
    given = args.policy or config.policy
    policy = load_policy(Path(given)) if given else Policies(None).current
    found = explain(policy, _caller(args), args.rpc, config.namespace, _item(args))
    if args.json:
        print(json.dumps(as_json(policy, found)))
    else:
        screen(args).lines(render.explained(policy, found))
    return ExitCode.DONE if found.decision.allowed else ExitCode.FAILED


def explain(policy: Policy, caller: Caller, rpc: str, namespace: str, item: Item) -> Explained:
    """What a policy says about one call. Raises UsageError for an RPC that does not exist."""
    path = _path(rpc)
    standing = policy.decide(caller, path, namespace)
    by_request = standing is BY_REQUEST
    decision = policy.decide(caller, path, namespace, item) if by_request else standing
    assert decision is not BY_REQUEST
    return Explained(caller, rpc_name(path), namespace, item, decision, policy.held(caller, namespace), by_request)


def as_json(policy: Policy, found: Explained) -> Mapping[str, Any]:
    decision = found.decision
    return {
        "allowed": decision.allowed,
        "rpc": found.rpc,
        "namespace": found.namespace,
        "subject": found.caller.subject,
        "means": found.caller.means,
        "roles": sorted({one.role.value for one in found.held}),
        "by": decision.by,
        "line": decision.line,
        "role": decision.role,
        "reason": decision.reason,
        "because": decision.words,
        "policy": policy.file.name,
        "depends_on_request": found.asked_item,
    }


def _path(rpc: str) -> str:
    found = [path for path in ACCESS if rpc in (path, path.lstrip("/"), rpc_name(path))]
    if not found:
        import difflib

        close = difflib.get_close_matches(rpc, [rpc_name(path) for path in ACCESS], 1)
        hint = f": did you mean {close[0]}?" if close else ""
        raise UsageError(f"--rpc {rpc}: there is no such RPC{hint}")
    return JUDGED_AS.get(found[0], found[0])


def _caller(args: argparse.Namespace) -> Caller:
    """`--as` is a name, or JSON with the claims; then its `sub` is the name."""
    claims: dict[str, Any] = {}
    subject = args.caller
    for text, flag in ((args.caller if args.caller.startswith("{") else "", "--as"), (args.claims or "", "--claims")):
        if not text:
            continue
        try:
            claims = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{flag} is no JSON: {error}") from None
        if not isinstance(claims, dict):
            raise UsageError(f'{flag} is a JSON object of claims, like {{"sub": "ci", "groups": ["dev"]}}')
        subject = str(claims.get("sub", "")) if flag == "--as" else subject
    means: Literal["none", "shared", "token", "jwt", "mtls"] = args.means or _guessed(subject)
    return Caller(subject, means, claims)


def _guessed(subject: str) -> Literal["mtls", "jwt"]:
    return "mtls" if subject.startswith("spiffe://") else "jwt"


def _item(args: argparse.Namespace) -> Item:
    labels = dict(_label(text) for text in args.label or ())
    return Item(args.capability or "", args.workflow or "", labels)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--label {text}: it reads NAME=VALUE")
    return name, value
