# SPDX-License-Identifier: Apache-2.0
"""Decides what a caller may do, from the rules of a policy file. Pure: no I/O, no clock.

    policy = Policy(read_policy(text, "policy.yaml"))
    policy.decide(caller, "/nervenet.v1.CoordinatorService/CancelWorkflow", "orders")      # Decision, or BY_REQUEST
    policy.decide(caller, path, "orders", Item(workflow="invoice"))                        # Decision

The rules come first, the first one that fits decides. Then the caller's roles: one of those that the call needs, with limits
that its request keeps. Everything else is denied. A condition that cannot be evaluated, for example because a claim is not
there, never lets anybody in: a role and a rule that allows do not fit then, a rule that denies does.

What depends on the caller alone is evaluated once for each caller and namespace, and remembered by the identity of the
Caller object: `Identity` gives the same object for the same credentials.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from nervenet.security.policy_file import Binding, Limits, PolicyFile, Rule, fits
from nervenet.security.roles import ACCESS, Access, Role, rpc_name

if TYPE_CHECKING:
    from nervenet.expressions import Expression
    from nervenet.security.caller import Caller

__all__ = ["BY_REQUEST", "Decision", "Held", "Item", "Policy"]

MOST_REMEMBERED: Final = 10_000
"""Decisions, of one policy."""


class Item(NamedTuple):
    """One thing that a request names: a capability, or a workflow's definition and labels."""

    capability: str = ""
    workflow: str = ""
    labels: Mapping[str, str] = {}


_NOTHING: Final = Item()
Labels = tuple[tuple[str, str], ...]


class Held(NamedTuple):
    """A role that a caller has in a namespace, and the entry of the policy that gives it."""

    role: Role
    binding: Binding


class Decision(NamedTuple):
    """What was decided, and why.

    Attributes:
        allowed: Whether the call may be made.
        by: The rule or the role's entry that decides; "" where nothing gives a right.
        line: Its line in the policy file; 0 where there is none.
        role: The role that allows it; "" where a rule does.
        reason: Of a refusal, for ErrorInfo: `NO_ROLE`, `ROLE_MISSING`, `DENIED_BY_RULE`, `OUT_OF_LIMITS`.
        words: Why, in words for the caller.
        is_limited: Whether the role that allows it is limited, so that other workflows of the namespace are not for the caller.
    """

    allowed: bool
    by: str = ""
    line: int = 0
    role: str = ""
    reason: str = ""
    words: str = ""
    is_limited: bool = False


class _ByRequest(Enum):
    BY_REQUEST = "by request"


BY_REQUEST: Final = _ByRequest.BY_REQUEST
"""What the request names decides."""
Answer = Decision | Literal[_ByRequest.BY_REQUEST]


class Policy:
    """One reading of a policy file."""

    def __init__(self, file: PolicyFile) -> None:
        self.file = file
        self._held: OrderedDict[tuple[int, str], tuple[Caller, tuple[Held, ...]]] = OrderedDict()
        self._answers: OrderedDict[tuple[int, str, str, str, str, Labels], tuple[Caller, Answer]] = OrderedDict()
        rules = (rule.when.names for rule in file.rules if rule.when is not None)
        self._reads_labels = any("labels" in names for names in rules) or any(
            binding.limits.labels for binding in file.bindings
        )

    def __repr__(self) -> str:
        return f"<Policy {self.file.name}: {len(self.file.bindings)} roles, {len(self.file.rules)} rules>"

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of roles and of rules."""
        return len(self.file.bindings), len(self.file.rules)

    def held(self, caller: Caller, namespace: str) -> tuple[Held, ...]:
        """The caller's roles in a namespace, in the order of the file."""
        key = (id(caller), namespace)
        known = self._held.get(key)
        if known is not None and known[0] is caller:
            return known[1]
        values = {"subject": caller.subject, "means": caller.means, "claims": caller.claims, "ns": namespace}
        found = tuple(
            Held(binding.role, binding)
            for binding in self.file.bindings
            if fits(namespace, binding.namespaces)
            and (not binding.subjects or fits(caller.subject, binding.subjects))
            and (not binding.means or caller.means in binding.means)
            and _holds(binding.when, values, otherwise=False)
        )
        _remember(self._held, key, (caller, found))
        return found

    def may_use(self, caller: Caller, namespace: str) -> bool:
        """Whether the caller has any right in a namespace. Where not, the namespace does not exist for it."""
        if self.held(caller, namespace):
            return True
        values = self._values(caller, "", namespace, Item())
        return any(
            rule.allows
            and fits(namespace, rule.namespaces)
            and (rule.by_request or _reads_rpc(rule) or _holds(rule.when, values, otherwise=False))
            for rule in self.file.rules
        )

    def decide(self, caller: Caller, path: str, namespace: str, item: Item | None = None) -> Answer:
        """Decide about a call. Without an item, BY_REQUEST says that it depends on one."""
        named = item or _NOTHING
        labels = tuple(sorted(named.labels.items())) if self._reads_labels and named.labels else ()
        key = (id(caller), path, namespace, named.capability, "-" if item is None else f"={named.workflow}", labels)
        known = self._answers.get(key)
        if known is not None and known[0] is caller:
            return known[1]
        answer = self._decide(caller, path, namespace, item)
        _remember(self._answers, key, (caller, answer))
        return answer

    def _decide(self, caller: Caller, path: str, namespace: str, item: Item | None) -> Answer:
        access = ACCESS.get(path)
        if access is None:
            return Decision(False, reason="ROLE_MISSING", words="no role has the right to it in this version")
        if access.is_open:
            return Decision(True, "open")
        values = self._values(caller, path, namespace, item or Item())
        for rule in self.file.rules:
            if path not in rule.rpcs or not fits(namespace, rule.namespaces):
                continue
            if item is None and rule.by_request:
                return BY_REQUEST
            if _holds(rule.when, values, otherwise=not rule.allows):
                return _of_rule(rule)
        return self._of_roles(self.held(caller, namespace), access, path, item)

    def _of_roles(self, held: tuple[Held, ...], access: Access, path: str, item: Item | None) -> Answer:
        fitting = [one for one in held if one.role in access.roles]
        if not fitting:
            return _without_role(held, access, path)
        for one in fitting:
            if not _limits(one.binding.limits, access):
                return Decision(True, one.binding.name, one.binding.line, one.role)
        if item is None:
            return BY_REQUEST
        for one in fitting:
            if _within(one.binding.limits, access, item):
                return Decision(True, one.binding.name, one.binding.line, one.role, is_limited=True)
        limits = " or ".join(str(one.binding.limits) for one in fitting)
        what = f"capability {item.capability!r}" if access.about == "capability" else f"workflow {item.workflow!r}"
        words = f"the role {fitting[0].role} is limited to {limits}, and this is {what}"
        return Decision(False, fitting[0].binding.name, fitting[0].binding.line, reason="OUT_OF_LIMITS", words=words)

    def _values(self, caller: Caller, path: str, namespace: str, item: Item) -> dict[str, Any]:
        return {
            "subject": caller.subject,
            "means": caller.means,
            "claims": caller.claims,
            "ns": namespace,
            "roles": sorted({one.role.value for one in self.held(caller, namespace)}),
            "rpc": rpc_name(path),
            "capability": item.capability,
            "workflow": item.workflow,
            "labels": item.labels,
        }


def _holds(when: Expression | None, values: dict[str, Any], *, otherwise: bool) -> bool:
    """Whether a condition is true; `otherwise` where it cannot be evaluated."""
    if when is None:
        return True
    from nervenet.expressions import ExpressionFailed

    try:
        found = when(values)
    except ExpressionFailed:
        return otherwise
    return found is True or (otherwise and found is not False)


def _reads_rpc(rule: Rule) -> bool:
    return rule.when is not None and "rpc" in rule.when.names


def _of_rule(rule: Rule) -> Decision:
    if rule.allows:
        return Decision(True, rule.name, rule.line)
    because = f": {rule.because}" if rule.because else ""
    words = f"the rule {rule.name!r} denies it{because}"
    return Decision(False, rule.name, rule.line, reason="DENIED_BY_RULE", words=words)


def _without_role(held: tuple[Held, ...], access: Access, path: str) -> Decision:
    assert access.least is not None
    if not held:
        return Decision(
            False, reason="NO_ROLE", words=f"it has no role here, and {rpc_name(path)} needs {access.least}"
        )
    has = ", ".join(sorted({one.role.value for one in held}))
    words = f"{rpc_name(path)} needs the role {access.least}, and it has {has}"
    return Decision(False, reason="ROLE_MISSING", words=words)


def _limits(limits: Limits, access: Access) -> bool:
    """Whether these limits concern calls of this kind."""
    if access.about == "capability":
        return bool(limits.capabilities) and limits.capabilities != ("*",)
    return access.about == "workflow" and limits.of_workflows


def _within(limits: Limits, access: Access, item: Item) -> bool:
    if access.about == "capability":
        return limits.fit_capability(item.capability)
    return limits.fit_workflow(item.workflow, item.labels)


def _remember(memory: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Keep the newest: the value holds the caller, so that no other object can get its id."""
    memory[key] = value
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)
