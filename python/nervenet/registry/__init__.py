# SPDX-License-Identifier: Apache-2.0
"""The registry in etcd: which processes are alive, what they can do and how busy they are; and the selection of agents.

    etcd/           a thin client, which could be used on its own
    session.py      a lease as an object
    table.py        each node's cache of the registry
    pools.py        the load of the agents, with the tasks that this node has assigned
    selection.py    the choice of an agent: pure functions
    rendezvous.py   the node that a workflow belongs to
    layout.py codec.py views.py tombstone.py    keys, stored records, records as values, proofs of death

Only this package uses etcd.
"""
