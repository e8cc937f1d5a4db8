# SPDX-License-Identifier: Apache-2.0
"""What a policy file and a claim may do to who reads them: nothing. Whatever fails, nobody gets in by it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from nervenet.security.caller import Caller
from nervenet.security.policies import Policies
from nervenet.security.policy import Policy
from nervenet.security.policy_file import read_policy
from nervenet.security.yaml_text import Mistakes

CANCEL = "/nervenet.v1.CoordinatorService/CancelWorkflow"
POLICY = """
version: 1
roles:
  - {role: operator, namespaces: ["*"], when: "claims.team == 'ops'"}
rules:
  - {name: not on probation, deny: ["*"], when: "claims.level < 3"}
"""
ODD = {
    "half a character": {"team": "ops", "level": "\ud800"},
    "a number that CEL has not": {"team": "ops", "level": 10**30},
    "an object that is no JSON": {"team": "ops", "level": object()},
    "no claim": {"team": "ops"},
    "another type": {"team": "ops", "level": "5"},
}


@pytest.mark.parametrize("odd", ODD)
def test_a_condition_that_cannot_be_evaluated_denies(odd: str) -> None:
    policy = Policy(read_policy(POLICY, "policy.yaml"))
    decision = policy.decide(Caller("eve", "jwt", ODD[odd]), CANCEL, "default")
    assert getattr(decision, "reason", "") == "DENIED_BY_RULE"
    role = POLICY.partition("rules:")[0].replace("claims.team == 'ops'", "claims.level >= 3")
    decision = Policy(read_policy(role, "policy.yaml")).decide(Caller("eve", "jwt", ODD[odd]), CANCEL, "default")
    assert getattr(decision, "reason", "") == "NO_ROLE"


def test_a_name_of_half_a_character_denies() -> None:
    text = POLICY.replace("claims.team == 'ops'", "true").replace("claims.level < 3", "subject == 'eve'")
    decision = Policy(read_policy(text, "policy.yaml")).decide(Caller("\ud800", "jwt"), CANCEL, "default")
    assert getattr(decision, "reason", "") == "DENIED_BY_RULE"


def test_a_short_file_that_means_very_many_values_is_refused() -> None:
    levels = "\n".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 12))
    with pytest.raises(Mistakes, match="more than 100,000 values"):
        read_policy(f"x0: &x0 [a]\n{levels}\n", "policy.yaml")


def test_whatever_is_in_the_file_is_a_policy_or_a_mistake() -> None:
    seed = 7
    print(f"seed {seed}")
    random = Random(seed)
    for _ in range(100):
        text = list(POLICY)
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(text))
            text[at : at + random.randint(0, 4)] = random.choice(
                ("{", "]", "&a ", "*a", "\x00", "\t", "!!x ", "''", "%", "- ", "\ufeff", "|", "? ")
            )
        with suppress(Mistakes):
            read_policy("".join(text), "policy.yaml")


def test_after_a_text_that_breaks_its_reader_the_next_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    policies = Policies(path)
    before = policies.current

    def no_memory(text: str, name: str) -> Policy:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr("nervenet.security.policies._policy", no_memory)
        path.write_text(POLICY.replace("ops", "dev"))
        for _ in range(3):
            policies.look()
    assert policies.current is before
    assert "MemoryError" in policies.broken
    policies.look()
    assert policies.current is not before
    assert not policies.broken


def test_lists_within_lists_without_end_are_a_mistake() -> None:
    with pytest.raises(Mistakes, match=r"policy.yaml:\d+:\d+: "):
        read_policy("version: 1\nroles:\n  - " + "[" * 4_000, "policy.yaml")
