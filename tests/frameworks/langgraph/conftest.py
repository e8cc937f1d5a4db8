# SPDX-License-Identifier: Apache-2.0
"""Prints the lines of LangGraph's conformance suite, one for each server, at the end of a run.

A test gives its line with `record_property("conformance", line)`. That works from the processes of pytest-xdist too.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports: list[pytest.TestReport] = [
        report for outcome in ("passed", "failed", "skipped") for report in terminalreporter.getreports(outcome)
    ]
    lines = {value for report in reports for name, value in report.user_properties if name == "conformance"}
    for line in sorted(lines):
        terminalreporter.write_line(f"conformance: {line}")
