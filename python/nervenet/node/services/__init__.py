# SPDX-License-Identifier: Apache-2.0
"""The contract as a node serves it: one file for each service, and what they share.

`server` builds them all, `start_calls` and `fact_calls` write, `starts` checks what comes in, `history` folds a journal
for reading, `reads` and `listing` answer questions, `awaits` and `watches` follow, `people` settles escalations,
`heartbeats` keeps agents registered, `peers` asks other nodes and agents.
"""

from nervenet.node.services.server import serve

__all__ = ["serve"]
