# SPDX-License-Identifier: Apache-2.0
"""What the node processes of test_deaths.py run."""

from tests.archive.world import mesh

__all__ = ["mesh"]
