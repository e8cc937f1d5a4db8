# SPDX-License-Identifier: Apache-2.0
"""The wheel holds the whole package, whichever way it was made.

python/nervenet/v1 is a link into generated/, and an sdist drops links: without care, what people install has no
contract in it while every test in this tree passes.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import askalono
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("package")


def package_files() -> set[str]:
    """What the package is in this tree, the link followed."""
    tracked = subprocess.run(
        ["git", "ls-files", "python/nervenet", "generated/python/nervenet"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    relative = {name.removeprefix("generated/").removeprefix("python/") for name in tracked if (ROOT / name).is_file()}
    return relative - {"nervenet/v1"}


def test_the_wheel_built_from_the_sdist_holds_exactly_the_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    tracked = package_files()
    assert "nervenet/v1/coordinator_service_pb2_grpc.py" in tracked
    assert tracked - names == set(), "missing in the wheel"
    assert {name for name in names - tracked if name.startswith("nervenet/v1/")} == set()
    assert all(name.startswith("nervenet/") for name in names)


def test_pip_installs_it_from_git_with_the_contract_in_it(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile",
         "--target", tmp_path, f"git+file://{ROOT}"],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    program = "from nervenet.v1 import coordinator_service_pb2_grpc as m; import nervenet; print(m.__file__, nervenet.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert said == [f"{tmp_path}/nervenet/v1/coordinator_service_pb2_grpc.py", f"{tmp_path}/nervenet/__init__.py"]


def test_the_stubs_ask_for_no_newer_runtime_than_the_package_does() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    least = {(r := Requirement(text)).name: next(iter(r.specifier)).version for text in declared}
    for stub in (ROOT / "generated/python/nervenet/v1").glob("*_pb2.py"):
        assert f"# Protobuf Python Version: {least['protobuf']}\n" in stub.read_text(), stub.name
    for stub in (ROOT / "generated/python/nervenet/v1").glob("*_pb2_grpc.py"):
        assert f"GRPC_GENERATED_VERSION = '{least['grpcio']}'\n" in stub.read_text(), stub.name


def test_the_licence_is_the_one_that_the_metadata_names() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    found = askalono.identify((ROOT / "LICENSE").read_text())
    assert (found.name, found.score) == (declared, 1.0)
