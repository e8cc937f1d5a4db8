# SPDX-License-Identifier: Apache-2.0
"""An agent process: it reads tasks, claims them, runs the handlers, and records what became of them.

`runtime` joins the parts; `intake` reads and claims; `running` is one attempt from claim to record; `keeper` renews the
claims and watches the clock; `live` carries progress to watchers; `executors/` run handlers on the loop, in threads or
in processes of their own; `registration` keeps the lease, `service` answers for the agent over gRPC; `task` is what
handlers see. Nothing here knows nodes but through the contract, so a Go agent could do all of this.
"""
