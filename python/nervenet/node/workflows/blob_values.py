# SPDX-License-Identifier: Apache-2.0
"""Values that a node needs itself, wherever they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nervenet.blobs import BlobMissing
from nervenet.errors import RequestError

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.records import Payload

__all__ = ["whole"]


async def whole(context: NodeContext, payload: Payload, workflow_id: str) -> Payload:
    """A value of this workflow as it was before it went to the blob store. Raises LinkError where the store is away, RequestError where
    the value is gone."""
    if context.blobs is None:
        return payload
    try:
        return await context.blobs.fill(payload, workflow_id)
    except BlobMissing as error:
        raise RequestError(f"{workflow_id}: {error}", code="DATA_LOSS", reason="UNREADABLE") from None
