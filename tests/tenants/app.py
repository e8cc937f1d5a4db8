# SPDX-License-Identifier: Apache-2.0
"""What the processes of these tests serve."""

from tests.tenants.world import mesh

__all__ = ["mesh"]
