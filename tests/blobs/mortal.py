# SPDX-License-Identifier: Apache-2.0
"""The same mesh in a process that dies once, right behind the write of a large value and before its reference is anywhere.

The test says who dies, by a file in the story's folder.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from nervenet.blobs.store import BlobStore
from tests.blobs.stories import mesh
from tests.support.story import folder, record

__all__ = ["mesh"]

_write = BlobStore.write


async def write_and_die(store: BlobStore, *given: Any) -> Any:
    reference = await _write(store, *given)
    order = folder() / f"die-{os.environ['MORTAL']}"
    try:
        order.unlink()
    except FileNotFoundError:
        return reference
    record("death", f"{os.environ['MORTAL']} behind {reference.name}")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is dead")


BlobStore.write = write_and_die  # type: ignore[method-assign]  # it is real, and then the process is killed
