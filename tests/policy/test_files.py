# SPDX-License-Identifier: Apache-2.0
"""A policy file: what is wrong with it is told with line and column, and what it says is what is decided."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from nervenet.cli import main
from nervenet.cli.doctor.policy_checks import policy_checks
from nervenet.config import Config
from nervenet.security import Caller
from nervenet.security.policies import built_in_text, load_policy
from nervenet.security.policy import BY_REQUEST, Decision, Item, Policy
from nervenet.security.policy_file import read_policy
from nervenet.security.roles import ACCESS, Role, rpc_name
from nervenet.security.yaml_text import Mistakes

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy.yaml"
PATHS = {rpc_name(path): path for path in ACCESS}
ROLE = 'version: 1\nroles:\n  - {role: viewer, namespaces: ["*"], '


def policy(text: str) -> Policy:
    return Policy(read_policy(text, "policy.yaml"))


def decided(rules: Policy, caller: Caller, rpc: str, ns: str = "orders", **item: Any) -> Decision:
    answer = rules.decide(caller, PATHS[rpc], ns)
    if answer is BY_REQUEST:
        answer = rules.decide(caller, PATHS[rpc], ns, Item(**item))
    assert isinstance(answer, Decision)
    return answer


def person(subject: str, *groups: str, **claims: Any) -> Caller:
    return Caller(subject, "jwt", {"groups": list(groups), **claims})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: the file is empty"),
        ("version: 2", "1:10: a policy says `version: 1`"),
        ("version: 1", "1:1: a policy without roles and rules lets nobody in"),
        ("version: 1\nrole: []", "2:1: a policy has no 'role' (did you mean 'roles'?)"),
        (
            "version: 1\nroles:\n  - role: viewr\n",
            "3:11: role is one of viewer, client, resolver, agent, operator, node",
        ),
        ('version: 1\nroles: [{role: viewer, when: "true"}]', "say in which namespaces it holds"),
        ('version: 1\nroles: [{role: viewer, namespaces: ["*"]}]', "say who has it"),
        ('version: 1\nroles: [{role: agent, namespaces: ["*"], when: "true"}]', "say what such agents may serve"),
        (ROLE + 'when: "claims.a =="}', "3:57: when: mismatched input"),
        (ROLE + 'when: "namespace == 1"}', "3:46: when: CEL keeps the word namespace for itself: write ns"),
        (ROLE + 'when: "1 + 1"}', "a condition is true or false, this is int"),
        (ROLE + "when: \"workflow == 'a'\"}", "the condition of a role knows the caller, not the request"),
        (ROLE + "when: \"subjct == 'a'\"}", "3:46: when: nothing is called 'subjct'"),
        (ROLE + 'when: "true", capabilities: [a]}', "only the role agent has capabilities"),
        (ROLE + "means: [jwt], subjects: a}", "subjects is a list of texts"),
        (
            ROLE + "subjects: [a]}",
            "3:49: say what proves these names, because a certificate, a JWT and a token of others",
        ),
        (ROLE + "when: \"subject == 'a'\"}", "3:45: say what proves the subject"),
        (
            "version: 1\nrules: [{name: a, allow: [GetWorkflow], when: \"subject == 'a'\"}]",
            "say what proves the subject",
        ),
        (ROLE + "means: [password]}", "means are none, shared, token, jwt, mtls"),
        ("version: 1\nrules: [{name: a, deny: [Cancl]}]", "2:26: no RPC is called 'Cancl'"),
        ("version: 1\nrules: [{name: a}]", "a rule has either allow or deny"),
        ("version: 1\nrules: [{deny: [CancelWorkflow]}]", "a rule has a name"),
        ("version: 1\nrules: [{name: a, allow: [GetWorkflow], because: b}]", "only a rule that denies has it"),
        ("version: 1\nversion: 1", "2:1: 'version' is in line 1 already"),
        ("version: 1\nroles: &a [*a]", "a value cannot contain itself"),
        ("version: [1", "policy.yaml:1:"),
        ("- 1", "1:1: a policy is a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(Mistakes) as found:
        read_policy(text, "policy.yaml")

    assert told in str(found.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = 'version: 1\nroles:\n  - {role: a, namespaces: ["*"], when: "x"}\nrules:\n  - {name: b, deny: [C]}\n'
    with pytest.raises(Mistakes) as found:
        read_policy(text, "policy.yaml")
    assert [mistake.place.line for mistake in found.value.found] == [3, 3, 5]


def test_a_mistake_in_a_condition_of_many_lines_has_its_own_line() -> None:
    text = 'version: 1\nroles:\n  - role: viewer\n    namespaces: [a]\n    when: |\n      subject == "a" &&\n        subjct == "b"\n'
    with pytest.raises(Mistakes, match=r"policy.yaml:7:9: when: nothing is called 'subjct'"):
        read_policy(text, "policy.yaml")


# ── the example ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("caller", "rpc", "ns", "item", "allowed"),
    [
        (Caller("spiffe://example.com/nervenet/node/7", "mtls"), "GetWorkflow", "anything", {}, True),
        (person("ada", "platform-oncall"), "DrainNode", "orders", {}, True),
        (person("bob", "orders"), "StartWorkflow", "orders", {}, True),
        (person("bob", "orders"), "StartWorkflow", "billing", {}, False),
        (person("bob", "orders"), "RestartWorkflow", "orders", {}, False),
        (person("cleo", "support"), "ResolveEscalation", "orders", {"workflow": "refund-v2"}, True),
        (person("cleo", "support"), "ResolveEscalation", "orders", {"workflow": "checkout"}, False),
        (
            person("shop-frontend"),
            "StartWorkflow",
            "orders",
            {"workflow": "checkout", "labels": {"channel": "web"}},
            True,
        ),
        (person("shop-frontend"), "StartWorkflow", "orders", {"workflow": "checkout"}, False),
        (Caller("spiffe://example.com/agents/ocr/3", "mtls"), "Connect", "orders", {"capability": "ocr-fast"}, True),
        (Caller("spiffe://example.com/agents/ocr/3", "mtls"), "Connect", "orders", {"capability": "charge"}, False),
        (Caller("spiffe://example.com/agents/ocr/3", "mtls"), "Connect", "billing", {"capability": "ocr"}, False),
        (person("dan", "billing"), "CancelWorkflow", "billing", {}, False),
        (person("dan", "billing", device="laptop-3"), "CancelWorkflow", "billing", {}, True),
        (person("dan", "billing"), "GetWorkflow", "billing", {}, True),
        (person("deploy-bot"), "PutDefinition", "orders", {}, True),
        (person("deploy-bot"), "StartWorkflow", "orders", {}, False),
        (Caller("", "shared"), "GetWorkflow", "orders", {}, False),
    ],
)
def test_the_example_says_what_its_comments_say(
    caller: Caller, rpc: str, ns: str, item: dict[str, Any], allowed: bool
) -> None:
    assert decided(load_policy(EXAMPLE), caller, rpc, ns, **item).allowed is allowed


def test_a_namespace_exists_for_who_has_a_right_in_it() -> None:
    rules = load_policy(EXAMPLE)
    assert rules.may_use(person("bob", "orders"), "orders")
    assert not rules.may_use(person("bob", "orders"), "billing")
    assert rules.may_use(person("deploy-bot"), "orders"), "by a rule alone"


def test_the_documentation_shows_a_policy_that_can_be_used() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "security.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(version: 1.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert policy(shown).size == (4, 1)


def test_the_documentation_shows_what_explain_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (EXAMPLE.parents[1] / "docs" / "security.md").read_text()
    found = re.search(r"^\$ nervenet (policy explain .*)\n((?:.*\n)*?)```", page, re.MULTILINE)
    assert found is not None
    words = [str(EXAMPLE) if word == "policy.yaml" else word for word in shlex.split(found[1])]
    assert run(capsys, *words)[1] == found[2]


# ── how it decides ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_condition_that_cannot_be_evaluated_lets_nobody_in() -> None:
    rules = policy(
        'version: 1\nroles:\n  - {role: client, namespaces: ["*"], means: [jwt], subjects: [a]}\n'
        '  - {role: operator, namespaces: ["*"], when: claims.admin}\n'
        "rules:\n  - {name: only staff, deny: [CancelWorkflow], when: 'claims.kind != \"staff\"'}\n"
        "  - {name: guests, allow: [ListAgents], when: claims.guest}\n"
    )
    assert decided(rules, Caller("a", "jwt"), "StartWorkflow").allowed
    assert decided(rules, Caller("a", "jwt"), "CancelWorkflow").reason == "DENIED_BY_RULE"
    assert decided(rules, Caller("a", "jwt", {"kind": "staff"}), "CancelWorkflow").allowed
    assert decided(rules, Caller("b", "jwt"), "ListAgents").reason == "NO_ROLE"
    for claim in ("yes", 1, None, ["a"]):  # only true is true
        assert not decided(rules, Caller("b", "jwt", {"admin": claim}), "DrainNode").allowed


def test_a_name_counts_only_with_what_proves_it() -> None:
    """Somebody who may choose a user name at the identity provider takes that of a node. Denials ask for no proof."""
    node = "spiffe://test/nervenet/node"
    rules = policy(
        'version: 1\nroles:\n  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/*"]}\n'
        "  - {role: viewer, namespaces: ['*'], when: \"means == 'mtls' && subject.startsWith('spiffe:')\"}\n"
        "rules:\n  - {name: not eve, deny: ['*'], when: \"subject == 'eve'\"}\n"
    )
    assert decided(rules, Caller(node, "mtls"), "GetWorkflow").allowed
    for means in ("jwt", "token"):
        assert decided(rules, Caller(node, means), "GetWorkflow").reason == "NO_ROLE"
        assert decided(rules, Caller("eve", means), "GetWorkflow").reason == "DENIED_BY_RULE"


def test_the_first_rule_that_fits_decides() -> None:
    rules = policy(
        'version: 1\nroles: [{role: viewer, namespaces: ["*"], when: "true"}]\nrules:\n'
        "  - {name: first, allow: [CancelWorkflow], when: \"means == 'jwt' && subject == 'a'\"}\n"
        "  - {name: second, deny: ['Cancel*']}\n"
    )
    assert decided(rules, Caller("a", "jwt"), "CancelWorkflow").by == "first"
    assert decided(rules, Caller("b", "jwt"), "CancelWorkflow").by == "second"


@pytest.mark.parametrize("role", list(Role))
def test_the_built_in_policy_takes_roles_from_claims_and_from_names(role: Role) -> None:
    rules = policy(built_in_text())
    token = Caller("ci", "token", {"roles": [role.value]})
    mine = Caller("ci", "jwt", {"roles": [role.value], "namespaces": ["orders"]})
    certificate = Caller(f"spiffe://a.example/nervenet/{role}/7", "mtls")
    for caller in (token, mine, certificate):
        assert {held.role for held in rules.held(caller, "orders")} == {role}
    assert not rules.held(mine, "billing")


@pytest.mark.parametrize(
    "caller",
    [
        Caller("spiffe://a.example/nervenet/node", "jwt"),
        Caller("spiffe://a.example/x/nervenet/node", "mtls"),
        Caller("spiffe://a.example/nervenet/nodes", "mtls"),
        Caller("https://a.example/nervenet/node", "mtls"),
        Caller("node", "mtls", {"roles": ["node"]}),
        Caller("ci", "jwt", {"roles": "node"}),
        Caller("ci", "jwt", {"groups": ["node"]}),
        Caller("ci", "jwt"),
    ],
)
def test_the_built_in_policy_gives_nothing_to_others(caller: Caller) -> None:
    assert not policy(built_in_text()).held(caller, "orders")


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_check_says_what_a_policy_has(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "policy", "check", str(EXAMPLE))
    assert code == 0
    assert "8 roles and 2 rules" in out
    assert "rule 'deploys put definitions' allows GetDefinition, ListDefinitions, PutDefinition" in out


def test_check_warns_of_a_mesh_whose_nodes_cannot_ask_each_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('version: 1\nroles:\n  - {role: viewer, namespaces: ["*"], when: "true"}\n')
    code, out, _ = run(capsys, "policy", "check", str(path))
    assert code == 0
    assert "Nothing gives the role node" in out


def test_check_tells_mistakes_and_exits_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nroles:\n  - role: viewr\n")
    code, out, err = run(capsys, "policy", "check", str(path))
    assert (code, out) == (2, "")
    assert f"{path}:3:11: role is one of" in err
    code, out, _ = run(capsys, "policy", "check", str(path), "--json")
    assert code == 2
    assert {"line": 3, "column": 11}.items() <= json.loads(out)["mistakes"][-1].items()


def test_explain_says_which_rule_decides_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("policy", "explain", "--policy", str(EXAMPLE), "--namespace", "billing", "--rpc", "CancelWorkflow")
    claims = '{"sub": "dan", "groups": ["billing"]}'
    code, out, _ = run(capsys, *words, "--as", claims)
    assert code == 1
    assert "dan (jwt) may not call CancelWorkflow in billing." in out
    assert "DENIED_BY_RULE: the rule 'no changes of billing from outside' denies it: use a managed device" in out
    code, out, _ = run(capsys, *words, "--as", "dan", "--claims", '{"groups": ["billing"], "device": "x"}', "--json")
    found = json.loads(out)
    assert (code, found["allowed"], found["role"], found["roles"]) == (0, True, "client", ["client"])
    code, out, err = run(capsys, "policy", "explain", "--as", "dan", "--rpc", "CancelWorkflw")
    assert code == 2
    assert "did you mean CancelWorkflow?" in err


def test_show_prints_the_built_in_policy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NERVENET_POLICY", raising=False)
    assert run(capsys, "policy", "show")[1] == built_in_text()


def test_doctor_says_whether_a_node_would_take_the_policy(tmp_path: Path) -> None:
    (found,) = policy_checks(Config.load(environ={}, policy=EXAMPLE))
    assert (found.status, found.detail) == ("ok", f"{EXAMPLE}: 8 roles, 2 rules")
    broken = tmp_path / "policy.yaml"
    broken.write_text("version: 1\nroles:\n  - role: viewr\n")
    (found,) = policy_checks(Config.load(environ={}, policy=broken))
    assert found.status == "error"
    assert f"{broken}:3:5:" in found.detail
    assert "running nodes keep the last good one" in found.remedy
    assert policy_checks(Config.load(environ={})) == []
