# SPDX-License-Identifier: Apache-2.0
"""What an integration refuses, each as one sentence that names the line and the cure; and the versions that it takes."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nervenet.errors import NervenetError

__all__ = ["Framework", "NotEncodable", "NotSupported", "UnsupportedVersion", "caller"]

_NOT_THE_USERS = ("nervenet.integrations.", "crewai.", "importlib.", "langgraph.", "pydantic_ai.")


class NotSupported(NervenetError, ValueError):
    """The graph, crew or agent uses something that cannot be durable, or not yet. The message names the line and says what
    to do."""


class NotEncodable(NervenetError, TypeError):
    """A value cannot travel between processes. The message says which one and what to do.

    Args:
        why: What is wrong and what to do.
        path: Where the value is in what contains it: `messages[3].content`.
    """

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.why, self.path = why, path

    def below(self, key: str | int) -> NotEncodable:
        """The same problem, seen from the container of the value.

        Args:
            key: Where the value is in the container: a name, or a place in a list.
        """
        here = f"[{key}]" if isinstance(key, int) else key
        join = "" if not self.path or self.path.startswith("[") else "."
        return NotEncodable(self.why, f"{here}{join}{self.path}")


class UnsupportedVersion(NervenetError, ImportError):
    """The framework is not installed, or its version is outside the supported range. The message has the command that
    installs one."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework with the versions that `make frameworks` runs: from `lowest` on, below `below`.

    Attributes:
        title: As its users write it: "LangGraph".
        distribution: What pip installs: "langgraph".
        package: Subpackage of `nervenet.integrations`.
        extra: Extra of nervenet that installs it.
        lowest, below: Parts of a version.
    """

    title: str
    distribution: str
    package: str
    extra: str
    lowest: tuple[int, ...]
    below: tuple[int, ...]

    def require(self, found: str | None = None) -> None:
        """Refuse any other version.

        Args:
            found: The version. Default: the one that is installed.

        Raises:
            UnsupportedVersion: It is missing, or outside the range.
        """
        here, cure = f"{caller()}: nervenet.integrations.{self.package}", f"pip install 'nervenet[{self.extra}]'"
        try:
            found = found or version(self.distribution)
        except PackageNotFoundError:
            raise UnsupportedVersion(f"{here} needs {self.title}. Install it: {cure}") from None
        numbers = tuple(int(number) for number in re.findall(r"\d+", found.partition("+")[0])[:3])
        if not self.lowest <= numbers < self.below:
            lowest, below = (".".join(map(str, each)) for each in (self.lowest, self.below))
            raise UnsupportedVersion(
                f"{here} supports {self.title} {lowest} and later, below {below}; {found} is installed. "
                f"Install a supported one: {cure}"
            )


def caller() -> str:
    """The line of the user's code that called the integration, for a message: `desk.py:31`."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # CPython's documented way to the caller
    while frame.f_back is not None and f"{frame.f_globals.get('__name__')}.".startswith(_NOT_THE_USERS):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
