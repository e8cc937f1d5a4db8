# SPDX-License-Identifier: Apache-2.0
"""What a process does for the tasks that it takes from Redis: an agent for its own, a node for the agents of its gateway.

It hides the protocol of docs/architecture.md (Run, Complete): when a task is claimed and what each answer means, how an
outcome gets into the journal, and in which order the copies of a task are deleted. The two users differ in who has room
and in what runs; they pass that as callbacks and as subclasses of `TaskAttempt`.

    attempt.py        one attempt in this process, and the entry that it ends with
    deliveries.py     stream entries in hand, and their deletion
    progress.py       news for watchers, in batches of 50 ms
    queue_poller.py   reading: the shared queues by polling, and again what a broken connection may have swallowed
    claims.py         claims of what was read, what each answer means, and the renewal of what runs
    outcomes.py       outcomes on their way into the journal, and the wake of the workflow's owner
"""
