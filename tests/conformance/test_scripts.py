# SPDX-License-Identifier: Apache-2.0
"""Agents in other languages carry scripts of ours, and protos/README.md names them by SHA: both are what nodes load."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "python" / "nervenet" / "streams" / "scripts"


def test_the_copies_of_the_go_agent_are_the_scripts_of_the_mesh() -> None:
    copies = sorted((ROOT / "examples" / "polyglot" / "go-redis" / "scripts").glob("*.lua"))
    assert len(copies) == 5
    for copy in copies:
        assert copy.read_bytes() == (SCRIPTS / copy.name).read_bytes(), f"copy {copy.name} again"


def test_the_contract_names_them_by_their_sha() -> None:
    named = re.findall(r"^\| `(\w+)` \| `([0-9a-f]{40})` \|", (ROOT / "protos" / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in named} == {
        "task_claim",
        "claims_renew",
        "journal_append",
        "consumer_drop",
        "progress_hint",
    }
    for name, sha in named:
        assert sha == hashlib.sha1((SCRIPTS / f"{name}.lua").read_bytes()).hexdigest(), name
