# SPDX-License-Identifier: Apache-2.0
"""What the tests of every integration may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.frameworks.llm_server import StandIn, stand_in


@pytest.fixture
def llm() -> Iterator[StandIn]:
    """A server that stands in for a model, for this test alone."""
    with stand_in() as server:
        yield server
