# SPDX-License-Identifier: Apache-2.0
"""A process of a system that is measured beside nervenet: `peer_process.py MODULE FUNCTION` runs a function of peers/MODULE.py."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    module, function = sys.argv[1:]
    getattr(importlib.import_module(f"peers.{module}"), function)()
