# SPDX-License-Identifier: Apache-2.0
"""The processes of the comparison in table.py, each started as `compared.py ROLE …`.

    node | agent | client                               nervenet, configured by NERVENET_*
    central | central-naive    URL NAMESPACE            the supervisor with its orchestrator
    orchestrator               URL NAMESPACE many|naive
    worker | central-client    URL NAMESPACE

Each prints a JSON line when it serves: a node its address, a supervisor the process id of each orchestrator that it starts. They end by SIGTERM.
"""

from __future__ import annotations

import json
import sys

import uvloop

Answer = str | int | dict[str, str]


def tell(answer: Answer) -> None:
    print(json.dumps(answer), flush=True)


def product(role: str) -> None:
    from comparing.product import mesh
    from roles import serve

    from nervenet.process import run_agent, run_node

    serve(run_node if role == "node" else run_agent, role, mesh, tell)


async def product_client() -> None:
    from comparing.load import Callers
    from comparing.product import four, twenty

    from nervenet import Client

    workflows = {"four": four, "twenty": twenty}
    async with Client() as client:
        callers = Callers(lambda name, text, key: client.run(workflows[name], text, id=key))
        await callers.burst(1, 0)  # connected, and everything is imported
        await callers.take_orders()


async def central_client(url: str, namespace: str) -> None:
    from central.client import Client
    from comparing.load import Callers

    async with Client(url, namespace) as client:
        callers = Callers(client.run)
        await callers.burst(1, 0)  # connected, and everything is imported
        await callers.take_orders()


async def worker(url: str, namespace: str) -> None:
    from central.worker import Task, Worker
    from comparing.work import NOTE, SLOTS, work

    async def work_step(task: Task, text: str) -> str:
        await work(f"{task.workflow_id}/{task.step}", text)
        return text

    async def write_step(task: Task, text: str) -> str:
        await work(f"{task.workflow_id}/{task.step}", text)
        return NOTE

    await Worker(url, namespace, {"work": work_step, "write": write_step}, SLOTS).serve(lambda: tell("ready"))


def supervisor(form: str, url: str, namespace: str) -> None:
    from central.supervisor import supervise

    from nervenet.dev.servers import tied

    supervise(tied([sys.executable, __file__, "orchestrator", url, namespace, form]), tell)


def main(role: str, *args: str) -> None:
    match role:
        case "node" | "agent":
            product(role)
        case "client":
            uvloop.run(product_client())
        case "central" | "central-naive":
            supervisor("naive" if role == "central-naive" else "many", *args)
        case "orchestrator":
            from central.orchestrator import orchestrate

            url, namespace, form = args
            uvloop.run(orchestrate(url, namespace, naive=form == "naive", ready=lambda: tell("ready")))
        case "worker":
            uvloop.run(worker(*args))
        case "central-client":
            uvloop.run(central_client(*args))
        case _:
            raise SystemExit(f"there is no role {role}")


if __name__ == "__main__":
    main(*sys.argv[1:])
