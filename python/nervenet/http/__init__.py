# SPDX-License-Identifier: Apache-2.0
"""The HTTP door of a node: the contract over the Connect protocol, live views, and the dashboard's files.

`server` listens and stops, `access` refuses foreign hosts and origins, `app` routes, `connect` serves the methods of the
contract, `live` streams, `files` serves the dashboard. `codec` and `failures` translate messages and errors to JSON.

Every call goes through the guard of the gRPC server (`nervenet.rpc.guard`) to the same servicers, so that no rule exists
twice: the door only translates. Starlette and uvicorn are the extra `nervenet[http]`, imported by this package alone
(docs/decisions/0036).
"""
