# SPDX-License-Identifier: Apache-2.0
"""The policy and the audit log of a process, from its settings: what all its guards decide and write with.

access = Access(config, "node")                     # ConfigError: the policy or the audit log cannot be used
rules = access.rules(lambda: node_id, lookups)      # for one guard
await access.follow()                               # for ever: a changed policy counts soon
await access.close()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nervenet.clock import new_id
from nervenet.errors import ConfigError
from nervenet.security.audit import AuditLog, FileSink, StreamSink
from nervenet.security.authority import Authority
from nervenet.security.policies import Policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.config import Config
    from nervenet.security.audit import Sink
    from nervenet.security.permit import Lookups

__all__ = ["Access"]


class Access:
    """One for each server."""

    def __init__(self, config: Config, role: str) -> None:
        """Raises ConfigError."""
        self.policies = Policies(None if config.policy is None else Path(config.policy))
        if config.wants_certificates or config.tokens_file is not None or config.jwt_issuer is not None:
            self.policies.load()  # YAML and CEL take 100 ms, for which no call should wait
        self._audit = None if config.audit is None else AuditLog(_sink(config.audit, role))

    def rules(self, process_id: Callable[[], str], lookups: Lookups | None = None) -> Authority:
        """What one guard asks. `process_id` is in each line of the audit log."""
        return Authority(self.policies, self._audit, process_id, lookups)

    async def follow(self) -> None:
        """Read the policy repeatedly, without end."""
        await self.policies.follow()

    async def close(self) -> None:
        """Write the lines that wait."""
        if self._audit is not None:
            await self._audit.close()


def _sink(where: str, role: str) -> Sink:
    if where == "-":
        return StreamSink()
    if where != "otlp":
        return FileSink(Path(where))
    try:
        from nervenet.telemetry.audit import OtlpSink  # the SDK, for those who use it
    except ImportError as error:
        raise ConfigError(f"audit is otlp, and {error.name} is not installed") from None
    return OtlpSink("nervenet", role, new_id(role))
