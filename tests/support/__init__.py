# SPDX-License-Identifier: Apache-2.0
"""What more than one folder of tests needs, once. tests/README.md says how to write a test with it.

| module | what it has |
| --- | --- |
| `waiting` | `until` (async), `wait_until` (sync), `keep_asking`: every wait has a deadline and says what it waited for |
| `environment` | `clean_environment`, where the repository is, how to run `nervenet`, a mute TCP server |
| `processes` | `Process` and `NervenetProcess`: started with a log, killed with us, ready when they say so |
| `mesh` | `ProcessMesh`: nodes and agents as processes on servers that you give it; `mesh_alone` with servers of its own |
| `dev` | `Dev`: a `nervenet dev` |
| `nodes` | `NodesHere`: nodes with their gRPC side in this process |
| `story` | what handlers write down for a test, and the gates where they wait for it |
| `etcd_servers`, `redis_servers` | an etcd cluster, a Redis with a replica and sentinels, a Redis Cluster |
| `transcript` | the commands of each entry of a journal, as text |
| `tcp_proxy` | `TcpProxy`: a connection to cut, stall, slow down, or change |
| `terminal` | `on_a_terminal`: what a person sees |
| `certificates` | `Authority`: certificates for one test |
| `torture` | the command line, the folder and the report of a long test that is also a program |
"""
