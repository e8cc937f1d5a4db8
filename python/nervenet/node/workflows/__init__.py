# SPDX-License-Identifier: Apache-2.0
"""Workflows on a node: how each begins, is hosted, runs, waits, ends, and moves to another node."""
