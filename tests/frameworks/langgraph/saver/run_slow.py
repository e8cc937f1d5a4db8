# SPDX-License-Identifier: Apache-2.0
"""A process that runs the slow graph on a thread: `run_slow.py URL NAMESPACE THREAD FOLDER start|resume`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nervenet.integrations.langgraph import NervenetSaver
from tests.frameworks.langgraph.saver import graphs


def main() -> None:
    url, namespace, thread, folder, how = sys.argv[1:]
    config: Any = {"configurable": {"thread_id": thread}}
    with NervenetSaver.from_url(url, namespace=namespace) as saver:
        graph = graphs.slow(saver, Path(folder))
        result = graph.invoke({"text": "in", "log": ["in"]} if how == "start" else None, config, durability="sync")
        print("ended with", *result["log"], flush=True)


if __name__ == "__main__":
    main()
