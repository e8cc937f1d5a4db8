# SPDX-License-Identifier: Apache-2.0
"""What `nervenet policy` says to people."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from nervenet.cli.render import text
from nervenet.security.roles import Role, rpc_name

if TYPE_CHECKING:
    from nervenet.security.caller import Caller
    from nervenet.security.policy import Decision, Held, Item, Policy


class Explained(NamedTuple):
    """A decision, with what it was asked and the roles that the caller has."""

    caller: Caller
    rpc: str
    namespace: str
    item: Item
    decision: Decision
    held: tuple[Held, ...]
    asked_item: bool
    """Whether the decision depends on the capability, workflow or labels."""


def summary(policy: Policy) -> list[Text]:
    """The roles and rules, in their order."""
    roles, rules = policy.size
    lines = [
        Text(f"{policy.file.name} is a policy with {text.plural(roles, 'role')} and {text.plural(rules, 'rule')}.")
    ]
    for binding in policy.file.bindings:
        who = " and ".join(
            part
            for part in (
                f"subject {' or '.join(binding.subjects)}" if binding.subjects else "",
                f"means {' or '.join(binding.means)}" if binding.means else "",
                " ".join(binding.when.text.split()) if binding.when is not None else "",
            )
            if part
        )
        limits = f"   {binding.limits}" if str(binding.limits) else ""
        where = ", ".join(binding.namespaces)
        lines.append(Text("  " + text.clean(f"line {binding.line:<4} {binding.role:9} in {where}: {who}{limits}")))
    for rule in policy.file.rules:
        names = ", ".join(sorted(rpc_name(path) for path in rule.rpcs)[:4])
        more = len(rule.rpcs) - 4
        names += f" and {more} more" if more > 0 else ""
        verb = "allows" if rule.allows else "denies"
        lines.append(Text("  " + text.clean(f"line {rule.line:<4} rule {rule.name!r} {verb} {names}")))
    if not any(binding.role is Role.NODE for binding in policy.file.bindings):
        lines.append(Text("! Nothing gives the role node, so the nodes of a mesh cannot ask each other.", "yellow"))
    return lines


def explained(policy: Policy, found: Explained) -> list[Text]:
    """The decision, and how it came about."""
    decision = found.decision
    who = found.caller.subject or "a caller without a name"
    verb = "may" if decision.allowed else "may not"
    style = "green" if decision.allowed else "red"
    lines = [Text(text.clean(f"{who} ({found.caller.means}) {verb} call {found.rpc} in {found.namespace}."), style)]
    at = f" ({policy.file.name}:{decision.line})" if decision.line else ""
    if decision.role:
        lines.append(Text("  " + text.clean(f"It has the role {decision.role} by {decision.by!r}{at}.")))
    elif decision.by == "open":
        lines.append(Text("  It is open to everybody."))
    elif decision.allowed:
        lines.append(Text("  " + text.clean(f"The rule {decision.by!r}{at} allows it.")))
    else:
        lines.append(Text("  " + text.clean(f"{decision.reason}: {decision.words}{at}.")))
    roles = defaultdict(list)
    for one in found.held:
        roles[one.role.value].append(one.binding.line)
    has = ", ".join(f"{role} (line {', '.join(map(str, at_lines))})" for role, at_lines in sorted(roles.items()))
    lines.append(Text(f"  Its roles there: {has or 'none'}."))
    if found.asked_item:
        lines.append(Text("  It depends on the request: --capability, --workflow and --label say what it names."))
    return lines
