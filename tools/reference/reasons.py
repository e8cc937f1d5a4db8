# SPDX-License-Identifier: Apache-2.0
"""The page of the reasons of refusals. The list is a comment of the contract, so that every language has it."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from descriptors import ROOT, Comments, files
from tables import table

_INTRODUCTION = """\
A refusal is a gRPC status with an ErrorInfo: domain `nervenet`, one of these reasons, and metadata (ids and numbers). In Python
it is a `RequestError` with `code` and `reason`; the class says what kind of refusal it is. On the command line `--json` prints the
status. Refusals that pass carry a RetryInfo (`retry_after`).
"""

_CLASSES = {
    "INVALID_ARGUMENT": "InvalidRequest",
    "OUT_OF_RANGE": "InvalidRequest",
    "NOT_FOUND": "NotFound",
    "ALREADY_EXISTS": "AlreadyExists",
    "FAILED_PRECONDITION": "PreconditionFailed",
    "RESOURCE_EXHAUSTED": "Overloaded",
    "UNAVAILABLE": "Unavailable",
    "UNAUTHENTICATED": "Unauthorized",
    "PERMISSION_DENIED": "Unauthorized",
}
_ENTRY = re.compile(r"^ {3}(?P<reason>[A-Z_]+) \((?P<status>[A-Z_]+)\): (?P<words>.*(?:\n {5}.*)*)", re.MULTILINE)
# The ways in which the package names a reason.
_USED = re.compile(r'reason="([A-Z_]+)"|\.reject\("([A-Z_]+)"|(?:not_found|already_closed)\(\s*"([a-z]+)"')


class Reason(NamedTuple):
    reason: str
    status: str
    words: str

    @property
    def python(self) -> str:
        return "AlreadyClosed" if self.reason.endswith("_CLOSED") else _CLASSES.get(self.status, "RequestError")


@cache
def listed() -> tuple[Reason, ...]:
    """The reasons that the contract lists."""
    (block,) = [text for file in files() for text in Comments(file).detached() if "Reasons of refusals" in text]
    return tuple(Reason(*(" ".join(part.split()) for part in match.groups())) for match in _ENTRY.finditer(block))


def unlisted() -> list[str]:
    """Reasons that the package uses and the contract does not list, and the other way round."""
    used: set[str] = set()
    for file in (ROOT / "python/nervenet").rglob("*.py"):
        for match in _USED.finditer(file.read_text(encoding="utf-8")):
            plain, rejected, what = match.groups()
            kind = "_CLOSED" if match[0].startswith("already") else "_NOT_FOUND"
            used.add(plain or rejected or f"{what.upper()}{kind}")
    known = {each.reason for each in listed()}
    place = "protos/nervenet/v1/coordinator_service.proto"
    return [
        *(f"reason {name} is not listed in {place}" for name in sorted(used - known)),
        *(f"reason {name} is listed in {place}, but nothing uses it" for name in sorted(known - used)),
    ]


def page() -> str:
    rows = [(f"`{each.reason}`", each.status, f"`{each.python}`", each.words) for each in listed()]
    return f"{_INTRODUCTION}\n{table(('reason', 'status', 'in Python', 'what it means, and what to do'), rows)}"
