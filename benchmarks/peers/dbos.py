# SPDX-License-Identifier: Apache-2.0
"""DBOS on PostgreSQL: an asynchronous workflow of four steps, in the process of its callers.

DBOS is a library. Its workflows and their steps run in your process, and PostgreSQL keeps them. So there is one process: callers, workflows and
steps.
"""

from __future__ import annotations

import os
from typing import Any, Final

from comparing.load import Callers
from comparing.work import STEPS, work

from .peer import CALLERS, Peer

CONNECTIONS: Final = 20
PEER: Final = Peer(
    name="dbos",
    module="dbos",
    environment="dbos",
    distributions=("dbos",),
    durability=(
        "the process may be killed: its workflows continue when it is started again (elsewhere only with DBOS Conductor, or by hand), and"
        " finished steps do not run again; each commit is on disk"
    ),
    processes={"application": CALLERS},
    coordinator=CALLERS,
    servers=("postgres",),
)


def application() -> None:
    import uvloop

    uvloop.run(_application())


async def _application() -> None:
    from dbos import DBOS, SetWorkflowID

    config: Any = {
        "name": "four",
        "system_database_url": os.environ["BENCH_POSTGRES"].replace("postgresql://", "postgresql+psycopg://"),
        "sys_db_pool_size": CONNECTIONS,
        "run_admin_server": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)

    @DBOS.step()
    async def step(text: str) -> str:
        await work("", text)
        return text

    @DBOS.workflow()
    async def four(text: str) -> str:
        for _ in range(STEPS["four"]):
            text = await step(text)
        return text

    DBOS.launch()

    async def run(_workflow: str, text: str, key: str) -> str:
        with SetWorkflowID(key):
            return await four(text)

    callers = Callers(run)
    await callers.burst(1, 0)
    await callers.take_orders()
    DBOS.destroy()
