# SPDX-License-Identifier: Apache-2.0
"""The policy that counts now: that of the setting `policy`, read again when the file changes, or the built-in one.

    policies = Policies(config.policy)      # ConfigError: the file cannot be used, so the process does not start
    policies.current                        # Policy
    await policies.follow()                 # for ever: a changed file counts within FILE_LOOK_EVERY seconds

A new text counts when two readings have found it, because the first may have read half of a file that is being written. A
changed file that cannot be used changes nothing: the last good one goes on to count, the log says what is wrong at each new
text, and `broken` has it for `nervenet doctor`. Rejected: to lock everybody out, because the people who must repair it would be
locked out too, and because who can write the file can lock everybody out anyway.
"""

from __future__ import annotations

import logging
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nervenet.errors import ConfigError
from nervenet.followed_file import FollowedFile
from nervenet.security.policy import Policy

if TYPE_CHECKING:
    from nervenet.security.caller import Caller

__all__ = ["Policies", "built_in_text", "load_policy"]

BUILT_IN = "the built-in policy"
_FULL = frozenset({"none", "shared"})

_log = logging.getLogger(__name__)


def built_in_text() -> str:
    """The policy that counts where no file is set."""
    return files("nervenet.security").joinpath("default_policy.yaml").read_text("utf-8")


def load_policy(path: Path) -> Policy:
    """The policy in a file. Raises ConfigError, with line and column of each mistake."""
    return _policy(_read(path), str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"policy {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"policy {path} is not UTF-8 text (byte {error.start})") from None


def _policy(text: str, name: str) -> Policy:
    from nervenet.security.policy_file import read_policy  # YAML and CEL: 100 ms, for those who have a policy

    return Policy(read_policy(text, name))


class Policies:
    """One for each process. Raises ConfigError if the file cannot be used when it is made."""

    def __init__(self, path: Path | None) -> None:
        self._built_in: Policy | None = None
        self._file = None if path is None else _followed(path)

    def __repr__(self) -> str:
        return f"<Policies {self._file or BUILT_IN}>"

    @property
    def broken(self) -> str:
        """What is wrong with the file as it is now; "" where it counts."""
        return "" if self._file is None else self._file.problem

    @property
    def version(self) -> int:
        """Rises when another policy counts. 0: there is no file, so it never changes."""
        return 0 if self._file is None else self._file.version

    @property
    def current(self) -> Policy:
        return self._built_in or self.load()

    def load(self) -> Policy:
        """The policy, which is read now if it was not needed before."""
        if self._file is not None:
            assert self._file.value is not None  # the last good one always counts
            return self._file.value
        self._built_in = _policy(built_in_text(), BUILT_IN)
        return self._built_in

    def allows_all(self, caller: Caller) -> bool:
        """Whether the built-in policy lets this caller do everything. Then no condition needs to be evaluated."""
        return self._file is None and caller.means in _FULL

    async def follow(self) -> None:
        """Read the file repeatedly, without end."""
        if self._file is not None:
            await self._file.follow()

    def look(self) -> float:
        """Read it once; returns the seconds until the next reading."""
        assert self._file is not None
        return self._file.look()


def _followed(path: Path) -> FollowedFile[str, Policy]:
    def changed(found: Policy) -> None:
        _log.warning("policy %s: %d roles, %d rules count now", path, *found.size)

    return FollowedFile(
        f"policy {path}",
        lambda: _read(path),
        lambda text: _policy(text, str(path)),
        noun="policy",
        readings=2,
        on_change=changed,
        in_thread=True,
    )
