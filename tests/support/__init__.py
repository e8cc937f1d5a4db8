# SPDX-License-Identifier: Apache-2.0
"""What more than one folder of tests needs, once. tests/README.md says how to write a test with it.

| module | what it has |
| --- | --- |
| `waiting` | `until` (async), `wait_until` (sync), `keep_asking`: every wait has a deadline and says what it waited for |
| `environment` | `clean_environment`, where the repository is, how to run `nervenet`, a mute TCP server |
| `processes` | `Process` and `NervenetProcess`: started with a log, killed with us, ready when they say so |
| `forked`, `fork_server` | nodes, agents and commands without the half second that their imports take |
| `mesh` | `ProcessMesh`: nodes and agents as processes, `mesh_alone` with servers of its own, `Supervised` |
| `dev` | `Dev`: a `nervenet dev` |
| `running` | `Running`: servers and nodes that end together |
| `data_plane` | `DataPlane`: nodes and agents by hand, on Redis; `entries_of` a journal |
| `nodes` | `NodesHere`: nodes with their gRPC side in this process |
| `story` | what handlers write down for a test, and the gates where they wait for it |
| `etcd_servers`, `redis_servers` | an etcd cluster, a Redis with a replica and sentinels, a Redis Cluster |
| `transcript` | the commands of each entry of a journal, as text |
| `tcp_proxy` | `TcpProxy`: a connection to cut, stall, slow down, or change |
| `terminal` | `on_a_terminal`: what a person sees |
| `certificates` | `Authority`: certificates for one test |
| `torture` | long tests that are also programs: their command line, the wait for their workflows, their report and exit code |
"""
