# SPDX-License-Identifier: Apache-2.0
"""Who is alive, what they can do, how busy they are: the only door to etcd, and the choice that is made from it.

`etcd/` is a thin client that could live on its own; `session` is a lease as an object; `table` is the cache of the
registry that every node holds; `pools` keeps count beside it; `selection` chooses, purely.
"""
