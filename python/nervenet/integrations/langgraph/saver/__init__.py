# SPDX-License-Identifier: Apache-2.0
"""`NervenetSaver`: LangGraph's checkpoints in Redis or Valkey. It needs no node, no agent and no etcd.

From the top; imports flow down only:

    checkpointer.py    NervenetSaver: LangGraph's interface, its objects, its serializer
    store.py           keys, scripts, where a value is stored: bytes only
    script.py scripts/ the Lua scripts
    records.py         how everything is laid out in one sorted set: no I/O

Why nervenet's own client (`redis_link`) and not redis-py: it takes the URLs of nervenet's `redis` setting, with
Sentinel and Cluster; it reconnects, follows a failover, and repeats a command whose answer was lost; its errors are
sentences; and all commands of a moment leave in one write. A second client would be a second set of such rules. The
price is that the saver does not use the public API alone, and a thread for its event loop (`integrations.link_thread`).
"""
