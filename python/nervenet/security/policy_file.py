# SPDX-License-Identifier: Apache-2.0
"""A policy file as values: read strictly, its conditions compiled, every mistake told with line and column.

    written = read_policy(text, "policy.yaml")     # Mistakes: "policy.yaml:7:5: a role has no 'namespace' (did you mean …"
    written.bindings[0].role, written.rules[0].name

`docs/security.md` describes the file. It is two lists: `roles` says who has which role in which namespaces, `rules` are
exceptions that count before the roles, the first that fits. `nervenet.security.policy` decides with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from nervenet.security.roles import ACCESS, JUDGED_AS, Role, rpc_name
from nervenet.security.yaml_text import Mistake, Mistakes, Place, Reader, Value, parse

if TYPE_CHECKING:
    from nervenet.expressions import Expression

__all__ = ["Binding", "Limits", "PolicyFile", "Rule", "fits", "read_policy"]

OF_THE_CALLER: Final = ("subject", "means", "claims", "ns")
"""Names that the condition of a role may use: they are the same for all calls of a caller in a namespace."""
OF_THE_CALL: Final = (*OF_THE_CALLER, "roles", "rpc", "capability", "workflow", "labels")
OF_THE_REQUEST: Final = frozenset({"capability", "workflow", "labels"})
"""Names whose values only the request has. Decisions of rules that use none of them are remembered."""
MEANS: Final = ("none", "shared", "token", "jwt", "mtls")

_FILE: Final = {
    "version": "the version of this format: 1",
    "roles": "who has which role",
    "rules": "exceptions, which count before the roles",
}
_BINDING: Final = {
    "role": "the role",
    "namespaces": "patterns of the namespaces in which it holds",
    "subjects": "patterns of the callers' names",
    "means": "what proves who they are",
    "when": "a CEL condition",
    "capabilities": "patterns of what agents may serve",
    "workflows": "patterns of the definitions that it is limited to",
    "labels": "labels that the workflows must carry",
    "name": "what explanations call it",
}
_RULE: Final = {
    "name": "what explanations and refusals call it",
    "allow": "patterns of RPCs",
    "deny": "patterns of RPCs",
    "namespaces": "patterns of namespaces",
    "when": "a CEL condition",
    "because": "what a refused caller is told",
}
_LIMITED: Final = frozenset({Role.VIEWER, Role.CLIENT, Role.RESOLVER})


_SAME_NAME: Final = "because a certificate, a JWT and a token of others may have the same one"


def fits(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text fits one of the patterns, in which `*` stands for any letters."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a binding allows its role to touch. Empty: everything."""

    capabilities: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def of_workflows(self) -> bool:
        return bool(self.workflows or self.labels)

    def fit_workflow(self, workflow: str, labels: Mapping[str, str]) -> bool:
        """Whether it allows workflows of this definition with these labels."""
        named = not self.workflows or fits(workflow, self.workflows)
        return named and all(name in labels and fits(labels[name], (value,)) for name, value in self.labels)

    def fit_capability(self, capability: str) -> bool:
        return not self.capabilities or fits(capability, self.capabilities)

    def __str__(self) -> str:
        said = [f"capabilities {', '.join(self.capabilities)}"] if self.capabilities else []
        said += [f"workflows {', '.join(self.workflows)}"] if self.workflows else []
        said += [f"labels {', '.join(f'{name}={value}' for name, value in self.labels)}"] if self.labels else []
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry of `roles`."""

    name: str
    line: int
    role: Role
    namespaces: tuple[str, ...]
    subjects: tuple[str, ...]
    means: tuple[str, ...]
    when: Expression | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `rules`."""

    name: str
    line: int
    allows: bool
    rpcs: frozenset[str]
    """Paths."""
    namespaces: tuple[str, ...]
    when: Expression | None
    because: str

    @property
    def by_request(self) -> bool:
        """Whether it depends on what the request names."""
        return self.when is not None and not OF_THE_REQUEST.isdisjoint(self.when.names)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A whole file. `name` is its path."""

    name: str
    bindings: tuple[Binding, ...]
    rules: tuple[Rule, ...]


def read_policy(text: str, name: str) -> PolicyFile:
    """Raises Mistakes, with all that is wrong."""
    mistakes: list[Mistake] = []
    file = Reader(parse(text, name), "a policy", _FILE, mistakes)
    version = file.get("version")
    if version is None or version.text != "1":
        file.wrong(version or file.value, "a policy says `version: 1`, the version of its format")
    bindings = [_binding(each, at, mistakes) for at, each in enumerate(file.list_of("roles"))]
    rules = [_rule(each, mistakes) for each in file.list_of("rules")]
    for at, rule in enumerate(rules):
        if rule.name and any(rule.name == other.name for other in rules[:at]):
            mistakes.append(
                Mistake(Place(rule.line, 1), f"there are two rules {rule.name!r}: each has a name of its own")
            )
    if not (bindings or rules or mistakes):
        file.wrong(
            file.value, "a policy without roles and rules lets nobody in: give at least an operator and the nodes"
        )
    if mistakes:
        raise Mistakes(name, mistakes)
    return PolicyFile(name, tuple(bindings), tuple(rules))


def _binding(value: Value, at: int, mistakes: list[Mistake]) -> Binding:
    read = Reader(value, "a role", _BINDING, mistakes)
    role = _role(read)
    limits = Limits(read.texts("capabilities"), read.texts("workflows"), tuple(read.map_of("labels").items()))
    when = _condition(read, OF_THE_CALLER, mistakes)
    if value.entries is not None:
        _check_binding(read, role, mistakes)
        _check_subject_is_proved(read, when)
    return Binding(
        read.text("name") or f"roles[{at}]",
        value.place.line,
        role or Role.VIEWER,
        read.texts("namespaces"),
        read.texts("subjects"),
        _means(read),
        when,
        limits,
    )


def _role(read: Reader) -> Role | None:
    said, value = read.text("role"), read.get("role")
    if said in set(Role):
        return Role(said)
    if value is None or said:
        read.wrong(value or read.value, f"role is one of {', '.join(Role)}" + (f", not {said!r}" if said else ""))
    return None


def _check_subject_is_proved(read: Reader, when: Expression | None) -> None:
    """A condition that lets in by the name says what proves the name."""
    value = read.get("when")
    if value is None or when is None or "subject" not in when.names or "means" in when.names or "means" in read:
        return
    read.wrong(value, f"say what proves the subject, {_SAME_NAME}: means == 'mtls' && …")


def _means(read: Reader) -> tuple[str, ...]:
    means = read.texts("means")
    for each in means:
        if each not in MEANS:
            read.wrong(read.get("means") or read.value, f"means are {', '.join(MEANS)}, not {each!r}")
    return means


def _check_binding(read: Reader, role: Role | None, mistakes: list[Mistake]) -> None:
    if "namespaces" not in read:
        read.wrong(read.value, "say in which namespaces it holds: namespaces: [orders], or ['*'] for all")
    if not any(key in read for key in ("subjects", "means", "when")):
        read.wrong(read.value, 'say who has it: subjects, means, or a condition (when: "true" is everybody)')
    if "subjects" in read and "means" not in read:
        read.wrong(
            read.get("subjects") or read.value,
            f"say what proves these names, {_SAME_NAME}: means: [mtls], [jwt] or [token]",
        )
    if role is Role.AGENT and "capabilities" not in read:
        read.wrong(read.value, "say what such agents may serve: capabilities: [ocr, 'ocr.*'], or ['*'] for all")
    if role is not None and role is not Role.AGENT and (value := read.get("capabilities")) is not None:
        read.wrong(value, "only the role agent has capabilities")
    for key in ("workflows", "labels"):
        if role is not None and role not in _LIMITED and (value := read.get(key)) is not None:
            read.wrong(value, f"only viewer, client and resolver can be limited to {key}, not {role}")


def _rule(value: Value, mistakes: list[Mistake]) -> Rule:
    read = Reader(value, "a rule", _RULE, mistakes)
    if value.entries is not None and "name" not in read:
        read.wrong(value, "a rule has a name: refusals and the audit log say it")
    if value.entries is not None and ("allow" in read) is ("deny" in read):
        read.wrong(value, "a rule has either allow or deny, with a list of RPCs")
    allows = "allow" in read
    because = read.get("because")
    if allows and because is not None:
        read.wrong(because, "because is what a refused caller is told: only a rule that denies has it")
    when = _condition(read, OF_THE_CALL, mistakes)
    if allows:
        _check_subject_is_proved(read, when)
    return Rule(
        read.text("name"),
        value.place.line,
        allows,
        _rpcs(read, "allow" if allows else "deny"),
        read.texts("namespaces") or ("*",),
        when,
        read.text("because"),
    )


def _rpcs(read: Reader, key: str) -> frozenset[str]:
    """The paths that the patterns name: by the RPC's name (`Cancel*`), or with its service."""
    found: set[str] = set()
    value = read.get(key)
    for at, pattern in enumerate(read.texts(key)):
        named = {
            JUDGED_AS.get(path, path)
            for path, access in ACCESS.items()
            if not access.is_open and (fnmatchcase(rpc_name(path), pattern) or fnmatchcase(path.lstrip("/"), pattern))
        }
        if not named and value is not None and value.items:
            close = _closest(pattern)
            read.wrong(value.items[at], f"no RPC is called {pattern!r}{close}: docs/reference/contract.md has them all")
        found |= named
    return frozenset(found)


def _closest(word: str) -> str:
    import difflib  # only for a message

    found = difflib.get_close_matches(word, [rpc_name(path) for path in ACCESS], 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _condition(read: Reader, names: tuple[str, ...], mistakes: list[Mistake]) -> Expression | None:
    text, value = read.text("when"), read.get("when")
    if not text or value is None:
        return None
    from nervenet.expressions import BadExpression, Language  # CEL is 16 MB, for those who have a condition

    try:
        found = Language(names).compile(text)
    except BadExpression as error:
        lead = len(text) - len(text.lstrip())
        for flaw in error.flaws:
            place = value.inside(flaw.line, flaw.column + (lead if flaw.line == 1 else 0))
            mistakes.append(Mistake(place, f"when: {_explained(flaw.words, flaw.unknown, names)}"))
        return None
    if found.kind not in ("bool", "dyn"):
        read.wrong(value, f"when: a condition is true or false, this is {found.kind}")
    return found


def _explained(words: str, unknown: str, names: tuple[str, ...]) -> str:
    if "reserved identifier: namespace" in words:
        return "CEL keeps the word namespace for itself: write ns"
    name = unknown.partition(".")[0]
    if name in OF_THE_REQUEST and name not in names:
        here = "workflows or labels" if name != "capability" else "capabilities"
        return f"the condition of a role knows the caller, not the request: limit it with {here}, or write a rule"
    return f"{words}; a condition here knows {', '.join(names)}" if unknown else words
