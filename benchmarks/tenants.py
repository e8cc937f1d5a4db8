# SPDX-License-Identifier: Apache-2.0
"""What an idle namespace costs a node: memory of a process that serves one, two and eleven.

    python benchmarks/tenants.py [--settle 8]

The figures are the resident memory of each process (VmRSS), read `--settle` seconds after it is ready.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from nervenet.dev.servers import etcd, valkey
from tests.support.mesh import ProcessMesh

COUNTS = (1, 2, 11)


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def measure(settle: float) -> dict[int, float]:
    """Megabytes by number of namespaces."""
    found: dict[int, float] = {}
    with valkey() as redis, etcd() as registry, tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            names = ",".join(f"team-{number}" for number in range(count))
            place = Path(folder) / str(count)
            place.mkdir()
            with ProcessMesh(place, redis.url, registry.url, NERVENET_NAMESPACES=names) as mesh:
                (node,) = mesh.up(mesh.node())
                time.sleep(settle)
                found[count] = round(resident_mb(node.pid), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settle", type=float, default=8.0, metavar="S", help="seconds before it is read (8)")
    found = measure(parser.parse_args().settle)
    each = (found[COUNTS[2]] - found[COUNTS[1]]) / (COUNTS[2] - COUNTS[1])
    print(json.dumps({"rss_mb": found, "second": round(found[2] - found[1], 1), "each_further": round(each, 1)}))


if __name__ == "__main__":
    main()
