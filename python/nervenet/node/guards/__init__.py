# SPDX-License-Identifier: Apache-2.0
"""What protects a node from workflow code: time (`watchdog`), memory, determinism (`replay_*`), and fatal code (`crash_line`)."""
