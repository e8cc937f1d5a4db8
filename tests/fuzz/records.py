# SPDX-License-Identifier: Apache-2.0
"""Bytes that nobody should have written, for the decoders of all that lies in Redis and etcd, guided by coverage.

    python -m tests.fuzz.records --records 1000000 --seed 7

libFuzzer (atheris) changes valid records, keeps what reaches new lines, and goes on from there. Where there is no atheris (it has
wheels for Linux on x86-64), records are changed at random. The first byte of an input chooses the target. Each kind of failure is
kept once, with the bytes that show it; a failure ends nothing.

The process ends with one line of JSON: records, failures, and its memory at the first record, at the half and at the end.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.values import Filler

GUIDED = (
    "nervenet.wire", "nervenet.streams.heads", "nervenet.streams.answers", "nervenet.registry.codec", "nervenet.durable.fold",
    "nervenet.durable.pending", "nervenet.durable.machine", "nervenet.durable.context",
)  # fmt: skip
"""Modules whose lines guide the fuzzer."""
LONGEST = 8_192


class Records:
    """Counts the inputs, and keeps the failures."""

    def __init__(self, count: int) -> None:
        from tests.fuzz.targets import TARGETS

        self._targets = TARGETS
        self._half = count // 2
        self.count = 0
        self.failures: dict[str, str] = {}
        """What failed, and where → the error and the bytes."""
        self.rss_mb: list[int] = []

    def one(self, data: bytes) -> None:
        """Give an input to its target."""
        self.count += 1
        if self.count in (1, self._half):
            self.rss_mb.append(_peak_mb())
        if not data:
            return
        target = self._targets[data[0] % len(self._targets)]
        try:
            target.run(data[1:])
        except Exception as error:  # noqa: BLE001  # each one is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{target.name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            self.failures.setdefault(kind, f"{error!r:.200}, with {data[1:].hex()[:2000]}")

    def seeds(self, seed: int) -> list[bytes]:
        """Valid inputs of every target."""
        filler = Filler(str(seed))
        return [bytes([i]) + data for i, target in enumerate(self._targets) for data in target.seeds(filler)]

    def report(self, began: float) -> dict[str, Any]:
        self.rss_mb.append(_peak_mb())
        return {
            "records": self.count,
            "seconds": round(time.monotonic() - began, 1),
            "failures": self.failures,
            "rss_mb": self.rss_mb,
        }


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def changed(data: bytes, chance: random.Random) -> bytes:
    """The input with one to four changes; the target stays."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(1, len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at:at] = chance.randbytes(chance.randint(1, 8))
            case 1:
                del found[at : at + chance.randint(1, 16)]
            case 2 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 3:
                found[at:at] = found[chance.randrange(1, len(found) + 1) :][: chance.randint(1, 64)]
            case _:
                found[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"-1", b"9" * 30))
    return bytes(found[:LONGEST])


def at_random(records: Records, count: int, seed: int) -> None:
    """Change valid records at random."""
    chance, seeds = random.Random(seed), records.seeds(seed)
    while records.count < count:
        records.one(changed(chance.choice(seeds), chance))


def guided(atheris: Any, records: Records, count: int, seed: int, out: Path, began: float) -> None:
    """Let libFuzzer change them. It ends the process."""
    with tempfile.TemporaryDirectory(prefix="nervenet-fuzz-") as folder:
        for i, data in enumerate(records.seeds(seed)):
            (Path(folder) / f"{i:04}").write_bytes(data[:LONGEST])

        def one(data: bytes) -> None:
            records.one(data)
            if records.count == count:
                out.write_text(json.dumps(records.report(began)))

        flags = [
            f"-runs={count}",
            f"-seed={seed % (1 << 31) or 1}",
            f"-max_len={LONGEST}",
            "-rss_limit_mb=1500",
            "-timeout=20",
        ]
        atheris.Setup([sys.argv[0], folder, *flags, "-print_final_stats=0", "-verbosity=0"], one)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the report goes")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        import atheris
    except ImportError:
        records = Records(options.records)
        at_random(records, options.records, options.seed)
        options.out.write_text(json.dumps(records.report(began) | {"guided": False}))
        return
    with atheris.instrument_imports(include=list(GUIDED)):
        for name in GUIDED:
            importlib.import_module(name)
    guided(atheris, Records(options.records), options.records, options.seed, options.out, began)


if __name__ == "__main__":
    main()
