# SPDX-License-Identifier: Apache-2.0
"""The processes of a session, for tests that start a program in one of its own and then ask what is left."""

from __future__ import annotations

from pathlib import Path


def processes_of_session(leader: int) -> list[int]:
    """The processes that the benchmark started, without the servers, which have sessions of their own."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found
