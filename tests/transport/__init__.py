# SPDX-License-Identifier: Apache-2.0
"""TLS between all processes: who is served with which certificate, and what happens while certificates change.

| module | what it has |
| --- | --- |
| `parties` | who has which files, and the kinds of certificates that a handshake can meet |
| `peers` | each way of speaking to a node or an agent |
| `stores` | a Valkey and an etcd that speak TLS |
| `tls_front` | TLS in front of a server that has none, as a process |
"""
