# SPDX-License-Identifier: Apache-2.0
"""The torture: real processes, faults by a seeded schedule, and checkers that share no code with the product.

    make chaos                  # SEED=7 MINUTES=5 WORKFLOWS=2000 repeat or lengthen it, SETTINGS=strict or replica choose
    make chaos-long             # half an hour and more, in rounds
    make chaos SABOTAGE=1       # must fail: a law is broken on the way to Redis

Two meshes side by side: `strict` and `replica`, see `mesh`, which says what each of them promises.

    app        what nodes and agents run                 shapes     the same workflows from outside, with what must come out
    mesh       servers, slots, proxies                   sabotage   lets the proxies lie
    registry   who is registered in etcd                 faults     the schedule and the hands
    load       people, and second copies of tasks        recovery   who was orphaned, and for how long
    checker    journals and effects                      leaks      what nobody explains in Redis and etcd
    drive      one run                                   report     its end
"""
