# SPDX-License-Identifier: Apache-2.0
"""A Redis client for asyncio: one connection that batches, reconnects and retries. It knows nothing of workflows.

It hides hiredis and redis-py, sockets and TLS, login, reconnects, retries, and whether the URL names one server, a
master that sentinels watch, or a Redis Cluster. `nervenet.streams`, the data plane, is built on it: keys, journals and
queues are known only there.

    from nervenet.redis_link.opening import open_link

    link = await open_link("redis://localhost:6379/0", name="example")
    await link.call("SET", "greeting", "hello")
    assert await link.call("GET", "greeting") == b"hello"
    await link.close()

Where things are, from the top; imports flow down only (import-linter checks it):

    opening.py                     open_link: from a URL to a link
    cluster.py shard.py            the link to a Redis Cluster, and to each of its masters
    durability.py                  the check of a server's settings for durability="strict"
    link.py                        the link to one server: send, call, script; it reconnects and retries
    reader.py subscription.py      connections of their own: for reads that block, for pub/sub
    sentinel.py                    the sentinels, which know where a master is
    replies.py                     waiting for several commands that were sent together
    interfaces.py                  what a reader and a subscription need of a link
    dial.py                        connecting, login, and the identity of the server that answers
    connection.py                  one socket: commands in, futures out
    topology.py slots.py           which server of a cluster has which key
    address.py script.py faults.py skips.py    values: URLs, Lua scripts, errors, unreadable data

Why not redis-py's client: a connection pool costs 130 µs for a command, one pipelined connection 5 µs (`connection`).
redis-py is used where it is the authority: the grammar of a Redis URL (`address`).
"""
