# SPDX-License-Identifier: Apache-2.0
"""The page of commands: the help of each command, 100 columns wide."""

from __future__ import annotations

import os
import re
import subprocess
import sys


def page() -> str:
    listed = re.findall(r"^  (?:[a-z]+  +|  +)([a-z]+(?: [a-z]+)?)  +\S", _help(), re.MULTILINE)
    parts = ["```text", _help(), "```\n"]
    for command in listed:
        own = _help(*command.split()).partition("\nall commands:")[0].rstrip()
        parts += [f"## {command}\n", "```text", own, "```\n"]
    return "\n".join(parts)


def _help(*command: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    line = [sys.executable, "-m", "nervenet", *command, "--help"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout.rstrip()
