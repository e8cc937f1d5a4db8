# SPDX-License-Identifier: Apache-2.0
"""The only door to Redis: one batching connection, the key layout, the journal, the queues, the scripts."""
