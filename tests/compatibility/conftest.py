# SPDX-License-Identifier: Apache-2.0
"""The two builds, each as the environment that makes a process run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pytest

from tests.compatibility.releases import install

Build: TypeAlias = Mapping[str, str]
THIS: Build = {}
"""The environment of a process of this tree: nothing is added."""


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The environment of a process of the previous release."""
    return install(tmp_path_factory.mktemp("previous-release"))


@pytest.fixture(params=["upgrade", "return"])
def old_and_new(request: pytest.FixtureRequest, previous: Build) -> tuple[Build, Build]:
    """From which build to which one: to this tree, and back to the release before it."""
    return (previous, THIS) if request.param == "upgrade" else (THIS, previous)
