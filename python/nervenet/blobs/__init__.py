# SPDX-License-Identifier: Apache-2.0
"""Large values: they lie in a blob store, and Redis has a reference.

    reference.py   references: what a journal or an envelope has instead of a large value
    store.py       the objects: names, writing, reading with a check of the digest
    blobs.py       journal entries, envelopes and answers: values out of them, and into them again
    opening.py     from the setting `blobs` to a `Blobs`; a trial write at the start of a process

Nodes and the agents that use Redis write and read the store. Clients, the agents of the gateway and workflow code never see a
reference. A process writes a value before it writes the reference. docs/decisions/0045-large-payloads.md has the reasons.
"""

from nervenet.blobs.blobs import Blobs, weight_of
from nervenet.blobs.opening import open_blobs
from nervenet.blobs.reference import BlobMissing, is_reference, size_of

__all__ = ["BlobMissing", "Blobs", "is_reference", "open_blobs", "size_of", "weight_of"]
