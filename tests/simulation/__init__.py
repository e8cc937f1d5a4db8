# SPDX-License-Identifier: Apache-2.0
"""A whole mesh in one thread, with virtual time and a seeded scheduler: `python -m tests.simulation --help`.

What runs is the product: `Node`, `AgentRuntime`, `Link`, `Session`, `Table` and the Lua scripts, unchanged. Simulated are
the outermost borders only, where the product meets the world:

    loop.py      an asyncio event loop whose time jumps from event to event, and processes that can be killed or stopped
    store.py     Redis: its commands over dicts, its scripts in a Lua interpreter
    network.py   connections to it: latency, cuts, lost replies, copies, crashes between any two commands
    registry.py  etcd: keys, leases and watches, each watcher with a delay of its own
    mesh.py      nodes and agents as simulated processes
    flows.py     the workflows that run, and what may come of each
    clients.py   who starts, signals, cancels, decides and begins again
    weather.py   what a schedule is mostly about
    schedule.py  one schedule: what is started, what breaks and when, all from one seed
    check.py     what must be true while it runs and afterwards
    sabotage.py  laws to break: the checker has to notice
    report.py    many schedules on all cores, one line, build/simulation/report.json

Why the real classes and not a model of them: `tests/model` explores a protocol, this explores the code that claims to
follow it. Every choice (latency, order, fault, victim) comes from the seed, so a failing one replays exactly.
"""
