# SPDX-License-Identifier: Apache-2.0
"""All cases, or those whose name contains a word: `python -m tests.damage [WORD]`. Ends with 1 if one hurt more than its victim."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from nervenet.dev.servers import etcd, valkey
from tests.damage.damages import every
from tests.damage.trial import GOOD, mesh


async def main(word: str) -> int:
    cases = [damage for damage in every() if word in damage.name]
    began, bad = time.monotonic(), 0
    with valkey() as store, etcd() as registry, tempfile.TemporaryDirectory() as folder:
        async with mesh(Path(folder), store.url, registry.url) as (target, client):
            for i, damage in enumerate(cases, 1):
                at = time.monotonic()
                wrong = await target.run(damage, client)
                bad += bool(wrong)
                if wrong or sys.stdout.isatty():
                    took = f"{time.monotonic() - at:5.1f} s"
                    print(f"{i:4}/{len(cases)} {took}  {damage.name}: {wrong or 'fine'}", flush=True)
                if ended := [one for one in target.host.processes if not one.alive]:
                    print("a process has ended; the rest is not tried", *(one.logs() for one in ended), sep="\n")
                    return 1
    took = f"{time.monotonic() - began:.0f} s"
    print(f"damage: {len(cases)} cases, {bad} hurt more than their victim, {GOOD} good workflows beside each, {took}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "")))
