# SPDX-License-Identifier: Apache-2.0
"""The locks answer pyproject.toml, carry hashes, and say nothing about the machine that made them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
RUNTIME = PROJECT["project"]["dependencies"]
EMBEDDED = PROJECT["project"]["optional-dependencies"]["embedded"]
PEERS = ("autogen", "celery", "dbos", "restate", "taskiq", "temporal")
LOCKS = (
    "dev",
    "runtime",
    "demo",
    "generate",
    "docs",
    "deploy",
    "build",
    "bench-langgraph",
    *(f"bench-{peer}" for peer in PEERS),
)


def pins(lock: str) -> dict[str, Requirement]:
    """Every pin of a lock by name, as a requirement with exactly one `==`."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text().replace("\\\n", " ")
    found = [Requirement(re.split(r"\s--hash", line)[0]) for line in text.splitlines()]
    return {canonicalize_name(pin.name): pin for pin in found}


def version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


def expanded(group: str) -> list[str]:
    """A dependency group with the groups that it includes."""
    wanted: list[str] = []
    for item in GROUPS[group]:
        wanted += [item] if isinstance(item, str) else expanded(item["include-group"])
    return wanted


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("dev", RUNTIME + EMBEDDED + expanded("dev")),
        ("runtime", RUNTIME),
        ("demo", RUNTIME + expanded("demo")),
        ("generate", expanded("generate")),
        ("docs", expanded("docs")),
        ("bench-langgraph", RUNTIME + expanded("bench-langgraph")),
        *((f"bench-{peer}", expanded(f"bench-{peer}")) for peer in PEERS),
    ],
)
def test_a_lock_pins_everything_that_is_asked_for_within_its_bounds(lock: str, asked: list[str]) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, asked):
        pin = pinned.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in requirements/{lock}.txt: run make lock"
        assert requirement.specifier.contains(version(pin)), f"{lock}: {pin} does not meet {requirement}"


@pytest.mark.parametrize("lock", ["runtime", "demo"])
def test_an_image_runs_the_versions_that_were_tested(lock: str) -> None:
    tested = {name: version(pin) for name, pin in pins("dev").items()}
    assert {name: version(pin) for name, pin in pins(lock).items()}.items() <= tested.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_or_a_hash_and_no_address(lock: str) -> None:
    entry = re.compile(r"[a-z0-9.-]+==[0-9][\w.+!-]*( ; [^\\/]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert entry.sub("", text) == ""
