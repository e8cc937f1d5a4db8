# SPDX-License-Identifier: Apache-2.0
"""The protocols of one workflow as models, and a checker that tries every order of events: `make model`.

    engine.py       breadth first over all states; invariants, goals, shortest traces. Knows nothing of workflows
    dispatch.py     send, claim, run, complete, Watch, Bury: one step, two agents, an owner that may be replaced
    ownership.py    start, adopt, hand over, sweep, close, begin again: who owns it, and does he know?
    escalation.py   a question, two people, a deadline, a late success, a cancel
    renew.py        continue_as_new and restart_if_closed under late and doubled deliveries of the run before
    restore.py      Redis loses its tail; whoever remembers writes back
    runs.py         which models with which faults: the short list of `make test`, the long one of `make model`

One Redis command or script is one step; a crash, or any other process, may come between any two. See README.md.
"""
