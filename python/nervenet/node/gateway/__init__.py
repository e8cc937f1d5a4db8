# SPDX-License-Identifier: Apache-2.0
"""The gateway: `AgentService.Connect`, for agents that speak only gRPC. protos/README.md is its protocol in prose.

The node does for its agents what an agent on Redis does for itself, in their names and with the same code
(`streams/tasks`). Nothing here has to survive. An agent whose node dies brings along what it runs; a node that loses an
agent lets its claims run out, and the owners of its tasks do the rest (law 3).

    gateway.py                  the connected agents, and what the rest of the node asks of them
    connect.py hello.py         the Connect stream; its first message
    connected_agent.py          an agent, its tasks and its outbox, as plain state
    task_reader.py              reads the common inbox and the queues, and chooses agents
    task_broker.py outcome.py   claims, pushes and records tasks; from an answer to its journal entry
    agent_monitor.py            claims, timeouts, drains, and agents that have gone silent
    membership.py               their leases, records and load in the registry
"""
