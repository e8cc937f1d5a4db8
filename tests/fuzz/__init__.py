# SPDX-License-Identifier: Apache-2.0
"""Calls that no client should make, to a real node: extreme values, random bytes, cut-off messages, wrong tokens.

    python -m tests.fuzz --calls 100000 --seed 7 --token

`values` fills any message of the contract from its descriptor, `calls` makes the calls and judges the answers, `mesh` starts
the node and looks after it. Which calls there are is read from the contract, so a new one is fuzzed from its first day.
"""
