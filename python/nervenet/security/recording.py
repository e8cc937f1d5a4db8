# SPDX-License-Identifier: Apache-2.0
"""What is written about a decision, and what the caller is told.

recorder = Recorder(audit, lambda: node_id)
await recorder.write(call, decision, targets, trace_id)          # Unavailable: the call must not be made
raise recorder.refusal(call, decision, targets, trace_id)        # its line is on the way
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nervenet.clock import SYSTEM
from nervenet.errors import RequestError, Unauthorized, Unavailable
from nervenet.security.roles import ACCESS, rpc_name
from nervenet.security.targets import Targets, without_empty

if TYPE_CHECKING:
    from nervenet.security.audit import AuditLog
    from nervenet.security.caller import Caller
    from nervenet.security.policy import Decision

__all__ = ["Call", "Recorder", "refused"]


class Call(NamedTuple):
    """Who calls what, in which namespace."""

    caller: Caller
    path: str
    namespace: str

    @property
    def changes(self) -> bool:
        access = ACCESS.get(self.path)
        return access is not None and access.changes

    @property
    def is_about_own_agents(self) -> bool:
        access = ACCESS.get(self.path)
        return access is not None and access.about in ("capability", "agent")


class Recorder:
    """One for each server. `audit` None: nothing is written."""

    def __init__(self, audit: AuditLog | None, process_id: Callable[[], str]) -> None:
        self.audit = audit
        self._process_id = process_id
        self._writing: set[asyncio.Future[None]] = set()

    def keeps(self, call: Call) -> bool:
        """Whether a call that is allowed is written down."""
        return self.audit is not None and call.changes

    async def write(self, call: Call, decision: Decision, targets: Targets, trace_id: str) -> None:
        """Write the line. Raises Unavailable: the call must not be made."""
        if self.audit is not None:
            await self.audit.write(self._record(call, decision, targets, trace_id))

    def refusal(self, call: Call, decision: Decision, targets: Targets, trace_id: str) -> RequestError:
        """The error for a caller that is denied; its line is on the way to the log."""
        if self.audit is not None:
            writing = asyncio.ensure_future(self._attempt(call, decision, targets, trace_id))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
        return refused(call, decision)

    def _record(self, call: Call, decision: Decision, targets: Targets, trace_id: str) -> dict[str, Any]:
        """One line of the audit log."""
        said = (
            ("time", _written_time(SYSTEM.now_ms())),
            ("decision", "allowed" if decision.allowed else "denied"),
            ("subject", call.caller.subject),
            ("means", call.caller.means),
            ("namespace", call.namespace),
            ("rpc", call.path.lstrip("/")),
            ("target", without_empty(targets.noted.items())),
            ("role", decision.role),
            ("by", decision.by),
            ("reason", decision.reason),
            ("trace_id", trace_id),
            ("process", self._process_id()),
        )
        return {name: value for name, value in said if value not in ("", {})}

    async def _attempt(self, call: Call, decision: Decision, targets: Targets, trace_id: str) -> None:
        with suppress(Unavailable):  # the log itself has said that it cannot be written; a refusal holds in any case
            await self.write(call, decision, targets, trace_id)


def refused(call: Call, decision: Decision) -> Unauthorized:
    """The refusal as the caller hears it: who it is, what it lacks, and whom to ask."""
    who = repr(call.caller.subject) if call.caller.subject else f"a caller without a name ({call.caller.means})"
    cure = {
        "NO_ROLE": "ask the operator for a role (the policy's `roles`)",
        "ROLE_MISSING": "ask the operator for that role (the policy's `roles`)",
        "NOT_YOUR_AGENT": "register under an id of your own",
    }.get(decision.reason, "ask the operator, who can change the policy")
    access = ACCESS.get(call.path)
    metadata = {"subject": call.caller.subject, "rpc": rpc_name(call.path), "rule": decision.by}
    if access is not None and access.least is not None and decision.reason in ("NO_ROLE", "ROLE_MISSING"):
        metadata["role"] = access.least.value
    return Unauthorized(
        f"{who} may not call {rpc_name(call.path)}: {decision.words}; {cure}",
        code="PERMISSION_DENIED",
        reason=decision.reason,
        metadata={name: value for name, value in metadata.items() if value},
    )


def _written_time(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
