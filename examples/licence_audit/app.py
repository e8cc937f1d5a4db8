# SPDX-License-Identifier: Apache-2.0
"""What nodes and agents load: `nervenet node examples/licence_audit/app.py`, `nervenet agent examples/licence_audit/app.py`."""

from .workflow import licence_audit, mesh

__all__ = ["licence_audit", "mesh"]
