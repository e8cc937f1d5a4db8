# SPDX-License-Identifier: Apache-2.0
"""The agents of this repository: how each is started. Each reads its settings from the environment."""

from __future__ import annotations

import shlex
import sys

from tests.conformance.mesh import Candidate

CANDIDATES = {
    one.name: one
    for one in (
        Candidate(
            "python",
            f'{shlex.quote(sys.executable)} -m nervenet agent tests/conformance/app.py --name "$NERVENET_AGENT_NAME" --slots 4',
            redis=True,
        ),
        Candidate("go-redis", "examples/polyglot/go-redis/build/agent", redis=True),
        Candidate("go", "examples/polyglot/go/build/agent"),
        Candidate("typescript", "node examples/polyglot/typescript/dist/agent.js"),
        Candidate("java", "java -jar examples/polyglot/java/target/agent.jar"),
        Candidate("rust", "build/rust/debug/agent"),
    )
}
