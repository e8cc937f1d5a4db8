# SPDX-License-Identifier: Apache-2.0
"""A node's record in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.v1 import agent_pb2 as agent
from nervenet.wire.values import (
    timestamp,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from nervenet.definitions import Workflow
    from nervenet.payloads import Codec

    class DeclaredSignals(Protocol):
        """The signals that a definition receives, found by `durable.signals`."""

        @property
        def names(self) -> Mapping[str, tuple[Codec[Any], ...]]: ...
        @property
        def complete(self) -> bool: ...


def encode_node_record(
    node_id: str,
    address: str,
    definitions: Iterable[tuple[Workflow[Any, Any], DeclaredSignals]],
    *,
    state: str,
    max_workflows: int,
    owned: int,
    full: bool,
    now_ms: int,
    runtime: str,
    pid: int,
) -> bytes:
    """A NodeRecord as it is stored in etcd. `runtime` is for people."""
    refs = [
        agent.DefinitionRef(
            name=d.name,
            version=d.version,
            runtime=d.runtime,
            fingerprint=d.fingerprint(),
            input_schema=d.input.schema().decode(),
            output_schema=d.output.schema().decode(),
            description=d.description,
            signals=[
                agent.SignalRef(name=name, schema=codec.schema().decode())
                for name, codecs in signals.names.items()
                for codec in codecs
            ],
            signals_complete=signals.complete,
            schemas_marked=True,
        )
        for d, signals in definitions
    ]
    record = agent.NodeRecord(
        node_id=node_id,
        address=address,
        definitions=refs,
        state=None if state == "ACTIVE" else f"NODE_STATE_{state}",  # older nodes read an unset state as ACTIVE
        register_time=timestamp(now_ms),
        max_workflows=max_workflows,
        owned_workflows=owned,
        full=full,
        runtime=runtime,
        pid=pid,
    )
    return to_json(record)
