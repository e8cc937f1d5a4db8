# SPDX-License-Identifier: Apache-2.0
"""The gateway: `AgentService.Connect`, for agents that speak only gRPC. protos/README.md is its protocol in prose.

The node does for its agents what an agent on Redis does for itself, in their names: it reads (`intake`), claims, pushes
and records (`desk`), renews and keeps time (`keeper`), registers (`membership`). `door` is the stream itself, `guest` an
agent as this node knows it. What an agent says is judged by pure functions (`hello`, `outcome`).

Nothing here has to survive. An agent whose node dies brings along what it runs; a node that loses an agent lets its
claims run out, and the owners of its tasks do the rest (law 3).
"""
