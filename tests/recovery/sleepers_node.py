# SPDX-License-Identifier: Apache-2.0
"""A node of the workflows of `sleepers_app.py`, which lets them leave memory after a fifth of a second instead of half a minute."""

from __future__ import annotations

from nervenet.node.tasks import pending_monitor
from nervenet.node.workflows import hosted, unloading
from tests.recovery.sleepers_app import mesh

__all__ = ["mesh"]

hosted.LOOK_MS = 200
pending_monitor.QUIET_WORKFLOW_UNLOADED_MS = 200  # type: ignore[misc]
unloading.QUIET_WORKFLOW_UNLOADED_MS = 200  # type: ignore[misc]
