# SPDX-License-Identifier: Apache-2.0
"""The data plane: what the mesh keeps in Redis, and the only code that knows its keys and its Lua scripts.

It hides the key layout, the scripts and the form of their answers. Every operation is idempotent, so `redis_link`, the
client below, may repeat any of them.

    from nervenet.redis_link.opening import open_link
    from nervenet.streams.journal import Journal
    from nervenet.streams.keys import Keys
    from nervenet.streams.script import packaged_scripts

    link = await open_link("redis://localhost:6379/0", scripts=packaged_scripts())
    head = await Journal(link, Keys("default")).head("order-17")
    print(head.state if head else "there is no such workflow")
    await link.close()

    keys.py                   the key layout: the name of everything, and which names share a slot
    journal.py                the journal of a workflow: create, append, read, adopt, close
    heads.py answers.py       the form of a workflow's head, and of what the scripts answer
    recent.py pages.py        the newest entries, to be written again when Redis lost them
    queues.py groups.py       queues, inboxes and wakes; their consumer groups
    ownership.py listing.py   which node has which workflows; lists of workflows
    definitions.py            workflow definitions given as data
    derived.py                repair of keys that can be made again from journals
    script.py scripts/        the Lua scripts
    tasks/                    what a process does for the tasks that it takes: an agent's, and those of a gateway's agents
"""
