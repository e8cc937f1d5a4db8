# SPDX-License-Identifier: Apache-2.0
"""What the integration does not support, each as one sentence that names the line and the cure."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nervenet.errors import NervenetError

__all__ = ["NotSupported", "UnsupportedCrewAI", "caller", "require_crewai"]

LOWEST, BELOW = (1, 15), (2,)
"""The versions of CrewAI that the extra `nervenet[crewai]` names: from LOWEST on, below BELOW."""
_HERE = str(Path(__file__).parent)


class UnsupportedCrewAI(NervenetError, ImportError):
    """CrewAI is not installed, or its version is outside the supported range. The message has the command that installs
    one."""


class NotSupported(NervenetError, ValueError):
    """The crew uses something that cannot be durable, or not yet. The message names the line and says what to do."""


def require_crewai(found: str | None = None) -> None:
    """Refuse a version of CrewAI that is not supported.

    Args:
        found: The version. Default: the one that is installed.

    Raises:
        UnsupportedCrewAI: CrewAI is missing, or its version is outside the range of the extra `nervenet[crewai]`.
    """
    try:
        found = found or version("crewai")
    except PackageNotFoundError:
        raise UnsupportedCrewAI(
            "nervenet.integrations.crewai needs CrewAI. Install it: pip install 'nervenet[crewai]'"
        ) from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:3])
    if not LOWEST <= numbers < BELOW:
        lowest, below = (".".join(map(str, bound)) for bound in (LOWEST, BELOW))
        raise UnsupportedCrewAI(
            f"nervenet.integrations.crewai supports CrewAI {lowest} and later, below {below}; {found} is installed. "
            "Install a supported one: pip install 'nervenet[crewai]'"
        )


def caller() -> str:
    """The line of the user's code that called the integration, for a message: `desk.py:31`."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    assert frame is not None  # CPython has frames
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
