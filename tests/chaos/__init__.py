# SPDX-License-Identifier: Apache-2.0
"""The torture: real processes, faults by a seeded schedule, and a checker that shares no code with the product.

    make chaos                  # SEED=7 MINUTES=5 WORKFLOWS=2000 repeat or lengthen it
    make chaos SABOTAGE=1       # must fail: the world outside forgets its idempotency keys

`app` is what nodes and agents run, `shapes` the same workflows from outside with what must come out; `mesh` and `processes`
are what can be killed, `drive` does it, `checker` reads afterwards: Redis, SQLite, generated messages, nothing else.
"""
