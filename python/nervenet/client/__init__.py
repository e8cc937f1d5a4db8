# SPDX-License-Identifier: Apache-2.0
"""The way in from outside: `client` (what users call), `handle` (one workflow), `values` (what they get).

Below them: `nodes` (which node is asked, and what is tried again), `starting` and `awaiting` (starts of one tick are one
call, awaited results share one stream), `raw` (contract messages in and out, for programs that print them).
"""
