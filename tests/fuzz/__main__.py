# SPDX-License-Identifier: Apache-2.0
"""The long form: `python -m tests.fuzz --calls 100000 --seed 7 --token`. Exit code 1 when anything was wrong."""

from __future__ import annotations

import asyncio
import secrets
import sys

from nervenet.rpc.methods import METHODS
from tests.fuzz.calls import KINDS
from tests.fuzz.mesh import APP, Fuzzing, Options
from tests.support.mesh import mesh_alone
from tests.support.torture import command_line


def main() -> int:
    parser = command_line(__doc__, calls=100_000, token=False, at_once=50)
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run, to repeat it")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="what is sent")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=(), help="only these calls")
    given = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    options = Options(given.calls, seed, given.token, given.kinds, given.methods, given.at_once)
    print(f"seed {seed}, {given.calls} calls{' with and without a token' if given.token else ''}", flush=True)
    with mesh_alone(APP) as host:
        done = Fuzzing(options, host)
        asyncio.run(done.run())
        faults = done.faults()
    print(f"{sum(done.codes.values())} calls in {done.seconds:.0f} s: {dict(done.codes.most_common())}")
    print(f"the node grew by {done.growth_mb} MB after the warm-up: {done.rss_mb[:: len(done.rss_mb) // 20 + 1]} MB")
    print("\n".join(faults) or "nothing was wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
