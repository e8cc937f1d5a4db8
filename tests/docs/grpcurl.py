# SPDX-License-Identifier: Apache-2.0
"""The tour of every call: its program by `nervenet dev`, its commands typed, its answers compared with what the page shows.

`python -m tests.docs.grpcurl` writes the answers of this run into the page.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nervenet.v1 import agent_service_pb2, coordinator_service_pb2, registry_service_pb2
from tests.docs.blocks import blocks, commands, runs_on
from tests.support.dev import Dev
from tests.support.environment import ROOT, clean_environment

PAGE = ROOT / "docs" / "grpcurl.md"
NODE, AGENT = re.compile(r"\bn-[a-z2-7]{8}\b"), re.compile(r"\btour-[a-z2-7]{8}\b")
LEASE = re.compile(r'(?<="leaseId": ")\d+|(?<="lease_id": ")(?:\d+|LEASE)')
READS = re.compile(r"/(List|Get|Describe|Select)\w+$")
SOON = {"WORKFLOW_STATE_CANCELING": "WORKFLOW_STATE_CANCELED", "AGENT_STATE_DRAINING": "AGENT_STATE_DRAINED"}
"""States that are over before long."""
DIFFERENT = {
    "time", "startTime", "endTime", "closeTime", "scheduleTime", "registerTime", "sampleTime", "createTime",
    "openTime", "enqueueTime", "raiseTime", "resolveTime", "nodeId", "agentId", "actor", "address", "controlEndpoint",
    "runtime", "pid", "seed", "inputDigest", "fingerprint", "traceId", "spanId", "trace", "leaseId", "cpu",
    "averageTaskTime", "load", "nodes", "revision", "score", "ttl", "owner", "ownedWorkflows", "source",
    "journalEntries", "suppressedDuplicates", "fraction", "nextPageToken", "sinceTime", "aliveTime", "dueTime", "oldestTime",
    "words", "spans", "queuedDuration", "runDuration", "retryDuration", "humanDuration",
}  # fmt: skip
"""Keys whose values differ from run to run, or that are there only sometimes."""


def tell(folder: Path) -> None:
    for line, shown, said in _told(folder):
        assert _stable(said) == _stable(shown), f"{line}\nanswered\n{said}\nbut the page shows\n{shown}"
    _whole()


def _told(folder: Path) -> list[tuple[str, str, str]]:
    """Every command with what the page shows and what it said now. Ids of the page become those of this run."""
    (app,) = blocks(PAGE, "python")
    now: dict[str, str] = {}
    found = []
    with Dev(folder, app.text, app=app.file) as dev:
        for command in commands(PAGE):
            if runs_on(command):
                continue
            line = command.line.replace("localhost:7700", dev.address)
            for old, new in now.items():
                line = line.replace(old, new)
            said = _said(line)
            if READS.search(line) and command.shows:  # the page shows what was there a moment later
                deadline = time.monotonic() + 10
                while _stable(said) != _stable(command.shows) and time.monotonic() < deadline:
                    said = _said(line)
            _learn(now, command.shows, said)
            _first_time(now, line, said)
            found.append((command.line, command.shows, said.replace(dev.address, "localhost:7700")))
    return found


def _said(line: str) -> str:
    ran = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=30
    )
    return ran.stdout + ran.stderr


def _learn(now: dict[str, str], shown: str, said: str) -> None:
    for pattern in (NODE, AGENT, LEASE):
        for old, new in zip(pattern.findall(shown), pattern.findall(said), strict=False):
            now.setdefault(old, new)


def _first_time(now: dict[str, str], line: str, said: str) -> None:
    """A page without answers yet: its ids are made up."""
    if "ListAgents" in line and (ids := AGENT.findall(said)):
        now.setdefault("tour-aaaaaaaa", ids[0])
    if "RegisterAgent" in line and (leases := LEASE.findall(said)):
        now.setdefault("LEASE", leases[0])


def _stable(text: str) -> Any:
    """The answers without what differs; text that is no JSON without its ids and numbers."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text) and text[at : at + 1] == "{":
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:  # cut off by head
            break
        found.append(_kept(value))
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found, re.sub(r"\d+", "0", NODE.sub("", AGENT.sub("", text[at:]))).split()


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(part) for key, part in value.items() if key not in DIFFERENT}
    if isinstance(value, list):
        return [_kept(part) for part in value]
    return SOON.get(value, value) if isinstance(value, str) else value


def _whole() -> None:
    """No call of the contract is left out."""
    named = set(re.findall(r"nervenet\.v1\.(\w+/\w+)", "\n".join(command.line for command in commands(PAGE))))
    for file in (agent_service_pb2, coordinator_service_pb2, registry_service_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            assert {f"{service.name}/{method.name}" for method in service.methods} <= named, service.name


def write() -> None:
    text = re.sub(r'(?m)^(\$ .*"agent_id": ")tour-\w{8}', r"\1tour-aaaaaaaa", PAGE.read_text())
    PAGE.write_text(re.sub(r'(?m)^(\$ .*"lease_id": ")\d+', r"\1LEASE", text))
    with tempfile.TemporaryDirectory() as folder:
        told = _told(Path(folder))
    text = PAGE.read_text()
    at = 0
    for line, shown, said in told:
        at = text.index(f"$ {line}", at)
        end = at + len(f"$ {line}\n")
        text = text[:end] + said + text[end + len(shown) :]
        at = end + len(said)
    for made_up, pattern in (("tour-aaaaaaaa", r"\btour-[a-z2-7]{8}\b"), ("LEASE", r'(?<="leaseId": ")\d+')):
        if made_up in text and (first := re.search(pattern, text.replace(made_up, ""))):
            text = text.replace(made_up, first[0])
    PAGE.write_text(text)


if __name__ == "__main__":
    sys.exit(write())
