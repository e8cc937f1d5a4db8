# SPDX-License-Identifier: Apache-2.0
"""A node: one process that hosts workflows and serves the control plane. Each folder answers one question of a reader.

    parts.py    how is a node put together?
    node.py     how does it come, live and go? (who it is in the registry: registration.py)
    workflows/  how does a workflow begin, run, wait, end, and move to another node?
    tasks/      how does a task get to an agent, and what happens when it is lost there?
    recovery/   what happens after a node has died, and after Redis has lost something?
    gateway/    how do agents work that speak only gRPC?
    guards/     what protects the node from the code that it runs?
    services/   how is the contract served?

Imports flow down only (`node-layers` in pyproject.toml, imports for annotations included): `services`, `node`, `parts`
and `registration`, `gateway` and `recovery`, `tasks`, `workflows`, `context`, and below it `background`, `guards` and
`timers`. Every part gets the frozen `NodeContext` and its collaborators in its constructor. Where two parts need each
other, the lower one gets a function or a narrow protocol. A coordinator gets one record of functions, `Effects`.
"""
