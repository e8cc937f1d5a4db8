# SPDX-License-Identifier: Apache-2.0
"""What a node does after failures: of other nodes (`failure_detector`, `sweeper`, `reaper`), and of Redis (`redis_recovery`)."""
