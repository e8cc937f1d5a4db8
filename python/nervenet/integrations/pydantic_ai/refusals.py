# SPDX-License-Identifier: Apache-2.0
"""What the integration does not support, each as one sentence that names the line and the cure."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pydantic_ai

from nervenet.errors import NervenetError

LOWEST, BELOW = (2, 68), (3,)
"""The versions of pydantic-ai-slim that `make frameworks` runs: from LOWEST on, below BELOW."""
_HERE, _FRAMEWORK = (str(Path(file or "").parent) for file in (__file__, pydantic_ai.__file__))


class NotSupported(NervenetError, ValueError):
    """The agent uses something that cannot be durable, or not yet. The message names the line and says what to do."""


class NotEncodable(NervenetError, TypeError):
    """A value cannot travel between processes. The message says which one and what to do."""


def check_version(found: str | None = None) -> None:
    """Refuse a version of Pydantic AI that is not tested.

    Args:
        found: The version. Default: the one that is installed.

    Raises:
        NotSupported: It is outside of the range.
    """
    version = found or metadata.version("pydantic-ai-slim")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not LOWEST <= numbers < BELOW:
        lowest, below = (".".join(map(str, bound)) for bound in (LOWEST, BELOW))
        raise NotSupported(
            f"{caller()}: pydantic-ai-slim {version} is installed, but nervenet supports pydantic-ai-slim>={lowest},<{below}: "
            "pip install 'nervenet[pydantic-ai]'"
        )


def caller() -> str:
    """The line of the user's code that called the integration, for a message: `desk.py:31`."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # CPython's documented way to the caller
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _is_inside(file: str) -> bool:
    return file.startswith((_HERE, _FRAMEWORK))
