# SPDX-License-Identifier: Apache-2.0
"""An agent process: it reads tasks, claims them, runs their handlers, and records the outcomes.

    runtime.py                     the whole process: it opens all parts, drains, and leaves
    task_reader.py                 reads tasks from the inbox and the shared queues
    task_runner.py                 claims, runs and records them
    running.py slots.py load.py    one attempt; how many may run; how busy the process is
    deadlines.py                   the timeouts of attempts
    executors/ verdicts.py         run handlers on the loop, in threads, in processes; turn results into journal entries
    registration.py service.py     the lease in the registry; the AgentService
    task.py                        `Task`, which handlers use
    tracing.py lag.py              spans; the detector for handlers that block the loop

`streams/tasks` has the protocol for claims, outcomes, progress and queues. It is shared with the gateway of a node. The agent
knows nodes only through the contract, so an agent in any language can do the same.
"""
