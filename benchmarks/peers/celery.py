# SPDX-License-Identifier: Apache-2.0
"""Celery on Valkey: a chain of four tasks, a worker with 1,000 greenlets, and callers that are greenlets too.

The workers themselves send the next task of a chain: there is no coordinating process. A task is acknowledged after it has run
(`acks_late`). The results of the first three tasks are not stored, since nobody reads them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from .peer import CALLERS, Peer, ready

PEER: Final = Peer(
    name="celery",
    module="celery",
    environment="celery",
    distributions=("celery",),
    durability=(
        "the worker may be killed: its unacknowledged tasks run again, by default an hour later (`visibility_timeout`); no history; on disk"
        " within a second"
    ),
    processes={"worker": "agent", "client": CALLERS},
    coordinator="agent",
    servers=("valkey",),
    garbage=("celery-task-meta-*",),
)
GREENLETS: Final = 1000


def _app() -> tuple[Any, Any]:
    """The application and its task. Greenlets replace threads, sockets and sleeps, so that must be first."""
    from gevent import monkey

    monkey.patch_all()

    from celery import Celery
    from comparing.work import work_s

    url = os.environ["BENCH_VALKEY"].replace("unix:", "redis+socket:")
    app = Celery("four", broker=url, backend=url)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # of 1,000 greenlets
        task_default_queue="celery-four",
        broker_connection_retry_on_startup=True,
        broker_pool_limit=100,
        redis_max_connections=2000,  # more than callers: a greenlet that finds none fails
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_disable_rate_limits=True,
        result_expires=300,
        result_backend_thread_safe=True,  # one for all greenlets, or each has to connect and subscribe first
    )

    @app.task(name="step")
    def step(text: str) -> str:
        if seconds := work_s(text):
            time.sleep(seconds)
        return text

    return app, step


def worker() -> None:
    app, _ = _app()
    from celery.signals import worker_ready

    worker_ready.connect(lambda **_: ready(), weak=False)
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    app.worker_main(["--quiet", "worker", "--pool=gevent", f"--concurrency={GREENLETS}", *quiet])


def client() -> None:
    app, step = _app()
    import gevent
    from celery import chain
    from comparing.work import STEPS, expected, text

    def run(given: str) -> None:
        steps = [step.s(given), *(step.s() for _ in range(STEPS["four"] - 1))]
        for each in steps[:-1]:
            each.set(ignore_result=True)
        last = app.AsyncResult(chain(*steps).apply_async().id)
        result = last.get()
        last.forget()
        if result != expected("four", given):
            raise RuntimeError(f"{last.id} has a wrong result: {str(result)[:100]}")

    def closed(concurrency: int, seconds: float, work_ms: int = 0) -> dict[str, Any]:
        took_ms: list[float] = []
        began, given = time.perf_counter(), text(work_ms)

        def caller() -> None:
            while (at := time.perf_counter()) - began < seconds:
                run(given)
                took_ms.append((time.perf_counter() - at) * 1000)

        gevent.joinall([gevent.spawn(caller) for _ in range(concurrency)], raise_error=True)
        return {"seconds": time.perf_counter() - began, "took_ms": took_ms}

    def burst(workflows: int, over_s: float) -> dict[str, Any]:
        gevent.joinall([gevent.spawn(run, text(0)) for _ in range(workflows)], raise_error=True)
        return {}

    burst(1, 0)
    ready()
    loops: dict[str, Callable[..., dict[str, Any]]] = {"closed": closed, "burst": burst}
    for line in sys.stdin:
        order = json.loads(line)
        ready(loops[order.pop("loop")](**order))
