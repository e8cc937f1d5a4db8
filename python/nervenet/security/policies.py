# SPDX-License-Identifier: Apache-2.0
"""The policy that counts now: that of the setting `policy`, read again when the file changes, or the built-in one.

    policies = Policies(config.policy)      # ConfigError: the file cannot be used, so the process does not start
    policies.current                        # Policy
    await policies.follow()                 # for ever: a changed file counts within POLICY_LOOK_EVERY seconds

A new text counts when two readings have found it, because the first may have read half of a file that is being written. A
changed file that cannot be used changes nothing: the last good one goes on to count, the log says what is wrong at each new
text, and `broken` has it for `nervenet doctor`. Rejected: to lock everybody out, because the people who must repair it would be
locked out too, and because who can write the file can lock everybody out anyway.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nervenet.errors import ConfigError
from nervenet.security.policy import Policy
from nervenet.timing import POLICY_LOOK_AGAIN, POLICY_LOOK_EVERY

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
    """One for each process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._text = "" if path is None else _read(path)
        self._policy = None if path is None else _policy(self._text, str(path))
        self._unconfirmed: str | None = None
        self.broken = ""
        """What is wrong with the file as it is now; "" where it counts."""

    def __repr__(self) -> str:
        return f"<Policies {self._path or BUILT_IN}{', broken' if self.broken else ''}>"

    @property
    def current(self) -> Policy:
        return self._policy or self.load()

    def load(self) -> Policy:
        """The policy, which is read now if it was not needed before."""
        if self._policy is None:
            self._policy = _policy(built_in_text(), BUILT_IN)
        return self._policy

    def allows_all(self, caller: Caller) -> bool:
        """Whether the built-in policy lets this caller do everything. Then no condition needs to be evaluated."""
        return self._path is None and caller.means in _FULL

    async def follow(self) -> None:
        """Read the file repeatedly, without end."""
        if self._path is None:
            return
        while True:  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(await asyncio.to_thread(self.look))

    def look(self) -> float:
        """Read it once; returns the seconds until the next reading."""
        assert self._path is not None
        try:
            text = _read(self._path)
            if text == self._text and not self.broken:
                self._unconfirmed = None
                return POLICY_LOOK_EVERY
            if text not in (self._text, self._unconfirmed):
                self._unconfirmed = text
                return POLICY_LOOK_AGAIN
            found = _policy(text, str(self._path))
        except ConfigError as error:
            self._refuse(str(error))
            return POLICY_LOOK_EVERY
        except Exception as error:  # noqa: BLE001  # the next text must be read too, whatever is wrong with this one
            self._refuse(f"policy {self._path}: {type(error).__name__}: {error}")
            return POLICY_LOOK_EVERY
        _log.warning("policy %s: %d roles, %d rules count now", self._path, *found.size)
        self._policy, self._text, self._unconfirmed, self.broken = found, text, None, ""
        return POLICY_LOOK_EVERY

    def _refuse(self, why: str) -> None:
        if why != self.broken:
            _log.error("the last good policy goes on to count: %s", why)
        self.broken = why
