# SPDX-License-Identifier: Apache-2.0
"""Key files for tests."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path


def key_line(key_id: str) -> str:
    """A line of a key file; the same id gives the same key."""
    return f"{key_id} {base64.b64encode(hashlib.sha256(key_id.encode()).digest()).decode()}"


def key_file(path: Path, *key_ids: str) -> Path:
    """A file with these keys. The first one writes."""
    path.write_text("# keys of a test\n" + "\n".join(map(key_line, key_ids)) + "\n")
    return path


def codec(path: Path, *before: str) -> str:
    """The setting for a key file."""
    return ",".join((*before, f"aes-gcm:{path}"))
