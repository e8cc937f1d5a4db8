# SPDX-License-Identifier: Apache-2.0
"""The licence audit as a StateGraph: the rows of `make demo` in the same environment, also with kill -9 half-way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import ROOT, clean_environment

SOME = (
    "aiohttp,annotated-types,anyio,argcomplete,attrs,boolean-py,certifi,distro,googleapis-common-protos,grpcio,h11,hiredis,httpcore,"
    "httpx,idna,iniconfig,jiter,jsonschema,langgraph,langsmith,license-expression,mypy,openai,orjson,packaging,pluggy,protobuf,"
    "pyaskalono,pydantic,pygments,redis,regex,requests,rich,sniffio,tenacity,tiktoken,tqdm,typing-extensions,urllib3,uvloop,zstandard"
)


def names() -> str:
    """Those of SOME that are installed here."""
    from examples.licence_audit.documents import canonical, installed

    return ",".join(sorted({canonical(one.name) for one in installed()} & set(SOME.split(","))))


def output(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of `make demo`."""
    folder = tmp_path_factory.mktemp("demo")
    output("examples.licence_audit", "--only", names(), "--folder", str(folder))
    rows: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["rows"]
    return rows


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kill", ["", pytest.param("node", marks=pytest.mark.long), pytest.param("agent", marks=pytest.mark.long)]
)
def test_the_rows_are_those_of_the_demo(demo: list[dict[str, Any]], tmp_path: Path, kill: str) -> None:
    killing = ["--kill", kill] if kill else []
    said = output("examples.frameworks.licence_audit_langgraph", "--only", names(), "--folder", str(tmp_path), *killing)
    assert json.loads(said) == demo
    assert len(demo) > 20
    assert {row["state"] for row in demo} == {"SUCCEEDED", "WAITING_FOR_HUMAN"}


@pytest.mark.parametrize("answer", ["written by hand", "the suggestion"])
def test_a_human_answers_for_a_package_without_a_licence_text(answer: str) -> None:
    from examples.frameworks.licence_audit_langgraph import audit, graph
    from examples.licence_audit.classify import classify
    from examples.licence_audit.models import Distribution
    from nervenet import WorkflowFailed
    from tests.frameworks.langgraph.kit import scripted

    bare = Distribution(name="bare", version="1")
    question = "bare: no licence text with confidence 0.00. Which is it?"
    decided: Any = {"classified": {"found": "MIT", "confidence": 1.0}}
    if answer == "the suggestion":
        decided = {"value": graph.values.encode({"classified": classify(bare)})}
    dispute = [("trust the files", 5.0)]
    found = scripted(
        graph, {question: [(decided, 1)], "bare: the metadata declares no licence. Which counts?": dispute}
    )
    row = found.run(audit, bare).result
    assert row.found == ("MIT" if answer == "written by hand" else "")

    wrong = scripted(graph, {question: [({"licenses": "MIT"}, 1)]}).run(audit, bare)
    with pytest.raises(WorkflowFailed, match=r"'classify' .*is no update of the state: .* keys checked, classified"):
        _ = wrong.result
