# SPDX-License-Identifier: Apache-2.0
"""python -m tests.frameworks.llm_server [PORT]: the stand-in as a process. Port 0 is a free one."""

import asyncio
import sys

from tests.frameworks.llm_server.server import main

asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
