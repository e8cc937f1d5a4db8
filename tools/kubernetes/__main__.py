# SPDX-License-Identifier: Apache-2.0
"""`make kubernetes`: whether the chart renders, whether Kubernetes would take what it renders, and whether deploy/kubernetes is fresh.

    python tools/kubernetes            exit code 1 on any problem
    python tools/kubernetes --write    write values.schema.json's names of settings and deploy/kubernetes

`chart` runs helm, `objects` judges each object. Nothing here reaches a cluster.
"""

from __future__ import annotations

import sys
from collections import Counter

from chart import CASES, NAMES, RENDERS, lint, refused, render, rendered_for_kubectl, schema_text, version_problems
from objects import KUBERNETES, problems
from sabotage import MISTAKES, unseen

REFUSED = {
    "a misspelt value": ["scaler.enabld=true"],
    "a misspelt setting": ["settings.retenion=3d"],
    "a misspelt value of a pool": ["agents.classify.replcas=2"],
    "no TLS and not insecure": ["auth.insecure=false"],
    "no Redis": ["redis.url="],
    "KEDA without a scaler": ["agents.classify.keda.enabled=true"],
    "a gateway agent without a command": ["agents.classify.transport=gateway"],
    "a pool of KEDA that names no capability": [
        "agents.classify.keda.enabled=true",
        "scaler.enabled=true",
        "agents.classify.capabilities=null",
    ],
    "certificates of nobody": ["tls.mode=certManager"],
}
"""Values on top of the trial's that the chart must refuse before anything is written."""


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        return write()
    found = list(version_problems())
    found += stale()
    kinds: Counter[str] = Counter()
    for case in CASES:
        found += lint(case)
        objects = render(case)
        kinds.update(one["kind"] for one in objects)
        found += [f"{case}: {problem}" for problem in problems(objects)]
    found += [f"nobody objects to {what}" for what in unseen(render("keda"))]
    found += [f"the chart takes {what}" for what, sets in REFUSED.items() if not refused(sets)]
    for problem in found:
        print(problem, file=sys.stderr)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(
        f"kubernetes: {sum(kinds.values())} objects of {len(CASES)} value files ({listed}), each by {len(KUBERNETES)}"
    )
    print(
        f"versions of Kubernetes ({', '.join(KUBERNETES)}); {len(REFUSED)} mistakes in values refused, {len(MISTAKES)} in objects found; {len(found)} problems"
    )
    return 1 if found else 0


def stale() -> list[str]:
    """Committed files that are not what the chart says."""
    found = []
    if schema_text() != NAMES.read_text():
        found.append(f"{NAMES.name}: other settings than docs/reference/settings.md has")
    for case in CASES:
        file = RENDERS / f"{case}.yaml"
        if not file.exists() or file.read_text() != rendered_for_kubectl(case):
            found.append(f"deploy/kubernetes/{file.name} is not what the chart renders")
    return [f"{one}: run tools/kubernetes.sh --write and commit the result" for one in found]


def write() -> int:
    NAMES.write_text(schema_text())
    RENDERS.mkdir(exist_ok=True)
    for case in CASES:
        (RENDERS / f"{case}.yaml").write_text(rendered_for_kubectl(case))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
