# SPDX-License-Identifier: Apache-2.0
"""The codecs of a step in C beside those in Python: the same results, and the CPU of each call. See README.md.

    python benchmarks/native/measure.py [--rounds 30]

Needs gcc, and Cython in this environment or as `--cython PATH`. Shown is the best of many rounds by CPU of the process, because other work on
the machine only adds.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sysconfig
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

from nervenet.records import Entry, Outcome, Payload
from nervenet.wire.entries import decode_entry, encode_entry
from nervenet.wire.tasks import encode_varying

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "build" / "native"


def built(cython: str) -> ModuleType:
    """The module, compiled fresh."""
    BUILD.mkdir(parents=True, exist_ok=True)
    made, library = BUILD / "codec.c", BUILD / f"codec{sysconfig.get_config_var('EXT_SUFFIX')}"
    begin = time.monotonic()
    subprocess.run([cython, str(HERE / "codec.pyx"), "-o", str(made)], check=True)
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-w", include, str(made), "-o", str(library)], check=True)
    print(f"built in {time.monotonic() - begin:.1f} s: {library.stat().st_size // 1024} kB")
    spec = importlib.util.spec_from_file_location("codec", library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(native: ModuleType, random_: random.Random, times: int) -> None:
    """Both twins give the same for outcomes and envelopes of any size, and the native one never reads beyond damaged bytes."""
    for _ in range(times):
        text = "".join(random_.choices('aé"漢😀', k=random_.choice((1, 2, 100, 126, 127, 128, 20_000))))
        payload = Payload("json", text.encode())
        attempt, ms = random_.choice((0, 1, 127, 128, (1 << 31) - 1)), random_.choice((1, 999, 1000, 1_764_000_000_123))
        outcome = Outcome(payload, None, "echo", random_.randbytes(8), attempt, "agent", ms, ms + 7, (), ms - 1)
        data = encode_entry(outcome, random_.choice(("", "agent")))
        expected = decode_entry("task:echo", data, 2, ms)
        assert isinstance(expected.body, Outcome), expected
        assert native.decode_entry("task:echo", data, 2, ms) == expected
        damaged = bytearray(data)
        damaged[random_.randrange(min(40, len(data)))] = random_.randrange(256)
        _agree(native, bytes(damaged[: random_.randrange(len(data) + 1)]))
        given = (f"wf/{attempt}", "echo.2", "echo", attempt, payload, outcome.digest, "agent", ms)
        assert native.encode_varying(*given) == encode_varying(*given)


def _agree(native: ModuleType, data: bytes) -> None:
    """For damaged bytes the native twin gives up, or gives what the other gives."""
    try:
        found: Entry | None = native.decode_entry("task:echo", data, 2, 5)
    except ValueError:
        return
    if found is not None:
        expected = decode_entry("task:echo", data, 2, 5)
        assert found == expected, (data, found, expected)


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """CPU of one call."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(2000):
            call()
        best = min(best, time.process_time() - begin)
    return best / 2000 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--cython", default="cython", help="the compiler's program")
    options = parser.parse_args()
    native = built(options.cython)
    compare(native, random.Random(options.seed), 20_000)
    payload = Payload("json", b'"' + b"x" * 1000 + b'"')
    ms = 1_764_000_000_123
    data = encode_entry(Outcome(payload, None, "echo", b"12345678", 1, "agent-1", ms, ms + 1, (), ms), "agent-1")
    given = ("wf-123/echo.2", "echo.2", "echo", 1, payload, b"12345678", "agent-1", ms)
    stored = ("task:echo.2", data, 3, ms)
    for name, python, c in (
        ("decode_entry", partial(decode_entry, *stored), partial(native.decode_entry, *stored)),
        ("encode_varying", partial(encode_varying, *given), partial(native.encode_varying, *given)),
    ):
        took = [microseconds(twin, options.rounds) for twin in (python, c)]
        print(f"{name:15} Python {took[0]:5.2f} µs   native {took[1]:5.2f} µs   saves {took[0] - took[1]:5.2f} µs")


if __name__ == "__main__":
    main()
