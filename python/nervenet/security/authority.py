# SPDX-License-Identifier: Apache-2.0
"""What the guard of a server asks about each call: may this caller make it, and is that on record?

    permit = authority.admit(caller, path, namespace)         # RequestError: refused, before the request is read
    if permit is not None:                                    # None: nothing more to decide or to write
        await permit.before(request, trace_id)                # RequestError: refused by what the request names
        requests = permit.each(requests)                      # or so, where there is a stream of requests

`Policy` decides, `targets_of` says what a request names, `AuditLog` writes. Here they come together, in the order that makes
them safe: decide, write down, let the call through. Most calls of most callers get None from a dictionary.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nervenet.security.permit import Lookups, Permit, must_not_wait
from nervenet.security.policy import BY_REQUEST, MOST_REMEMBERED, Decision, Policy
from nervenet.security.recording import Call, Recorder
from nervenet.security.roles import Role
from nervenet.security.targets import Targets

if TYPE_CHECKING:
    from nervenet.security.audit import AuditLog
    from nervenet.security.caller import Caller
    from nervenet.security.policies import Policies

__all__ = ["Authority"]

_EVERYTHING: Final = Decision(True, "the mesh's token", role="node")


class Authority:
    """One for each server. `lookups` is given by processes that hold workflows and agents: nodes."""

    def __init__(
        self,
        policies: Policies,
        audit: AuditLog | None = None,
        process_id: Callable[[], str] = lambda: "",
        lookups: Lookups | None = None,
    ) -> None:
        self.policies = policies
        self._recorder = Recorder(audit, process_id)
        self._lookups = lookups
        self._permits: OrderedDict[tuple[int, str, str], tuple[Caller, Policy | None, Permit | None]] = OrderedDict()

    @property
    def version(self) -> int:
        """Rises when other rules count. 0: they never change."""
        return self.policies.version

    def may_use(self, caller: Caller, namespace: str) -> bool:
        """Whether the namespace exists for this caller."""
        return self.policies.allows_all(caller) or self.policies.current.may_use(caller, namespace)

    def admit(self, caller: Caller, path: str, namespace: str, trace_id: Callable[[], str] = str) -> Permit | None:
        """Decide as far as the caller alone allows it. None: it may make the call, whatever it names, and needs no record.

        Raises:
            Unauthorized: The policy denies it. The refusal goes to the audit log.
        """
        policy = None if self.policies.allows_all(caller) else self.policies.current
        key = (id(caller), path, namespace)
        known = self._permits.get(key)
        if known is not None and known[0] is caller and known[1] is policy:
            permit = known[2]
        else:
            permit = self._judge(Call(caller, path, namespace), policy)
            self._permits[key] = (caller, policy, permit)
            if len(self._permits) > MOST_REMEMBERED:
                self._permits.popitem(last=False)
        if permit is not None and permit.standing is not None and not permit.standing.allowed:
            raise self._recorder.refusal(permit.call, permit.standing, Targets(), trace_id())
        return permit

    def _judge(self, call: Call, policy: Policy | None) -> Permit | None:
        recorded = self._recorder.keeps(call)
        if policy is None:
            return self._permit(call, _EVERYTHING, None) if recorded else None
        answer = policy.decide(call.caller, call.path, call.namespace)
        standing = None if answer is BY_REQUEST else answer
        if standing is not None and not standing.allowed:
            return self._permit(call, standing, policy)
        roles = {one.role for one in policy.held(call.caller, call.namespace)}
        owned = call.is_about_own_agents and Role.NODE not in roles
        if standing is not None and not (owned or recorded or must_not_wait(policy, call)):
            return None
        return self._permit(call, standing, policy, owned=owned)

    def _permit(self, call: Call, standing: Decision | None, policy: Policy | None, *, owned: bool = False) -> Permit:
        return Permit(call, standing, policy, self._recorder, self._lookups, owned=owned)
