# SPDX-License-Identifier: Apache-2.0
"""The leases of one namespace's agents: those that callers name, and those that are granted to them.

    leases = AgentLeases(etcd, table.layout)
    await leases.keep_alive(lease)             # LeaseNotFound: there is none, or it is not of an agent of this namespace

Ids of leases hold for the whole of etcd. A caller could name one of another namespace, or that of a node, and keep it
alive or revoke it. So a lease that this process did not grant is looked at once: each of its keys must be a record or a load
of an agent of this namespace. Ids are 63 random bits and are told to their agent only, so this is the second lock of
that door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nervenet.registry.etcd import EtcdRefused, LeaseNotFound
from nervenet.registry.etcd.client import CALL_PATIENCE

if TYPE_CHECKING:
    from nervenet.registry.etcd import Etcd
    from nervenet.registry.layout import Layout

__all__ = ["AgentLeases"]

MOST_KNOWN: Final = 20_000
"""Leases that are remembered as ours; one that is forgotten is looked at again."""


class AgentLeases:
    """See the module."""

    def __init__(self, etcd: Etcd, layout: Layout) -> None:
        self._etcd = etcd
        self._layout = layout
        self._known: dict[int, None] = {}

    def __repr__(self) -> str:
        return f"<AgentLeases of {self._layout.namespace}, {len(self._known)} known>"

    async def grant(self, ttl: int) -> int:
        """A new lease of `ttl` seconds."""
        lease = await self._etcd.grant(ttl)
        self._remember(lease)
        return lease

    async def keep_alive(self, lease: int, *, patience: float = CALL_PATIENCE) -> int:
        """`Etcd.keep_alive` for a lease of this namespace. Raises LeaseNotFound for others."""
        if not await self._is_ours(lease, patience):
            raise LeaseNotFound(f"no agent of namespace {self._layout.namespace} has lease {lease}")
        try:
            return await self._etcd.keep_alive(lease, patience=patience)
        except LeaseNotFound:
            self._known.pop(lease, None)
            raise

    async def revoke(self, lease: int, *, patience: float | None = None) -> None:
        """`Etcd.revoke` for a lease of this namespace. Others stay."""
        if await self._is_ours(lease, patience):
            await self._etcd.revoke(lease, patience=patience)
            self._known.pop(lease, None)

    async def _is_ours(self, lease: int, patience: float | None) -> bool:
        if lease in self._known:
            return True
        try:
            keys = await self._etcd.keys_of(lease, patience=patience)
        except EtcdRefused:  # a key that this node may not read
            return False
        if keys and all(self._layout.is_of_agent(key) for key in keys):
            self._remember(lease)
            return True
        return False

    def _remember(self, lease: int) -> None:
        self._known[lease] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
