# SPDX-License-Identifier: Apache-2.0
"""The Makefile says what it can do, and a machine without what it needs is told so in a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_bare_make_lists_every_target_on_a_line_of_its_own() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    targets = [line.split()[1] for line in said]
    assert all(len(line.split()) > 3 for line in said)
    assert {"setup", "demo", "test", "lint", "generate", "bench", "clean"} <= set(targets)
    assert len(targets) == len(set(targets))


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with a shell and what our scripts need of the system, but no Python and no other toolchain."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "env", "dirname", "realpath", "head", "sed", "sort", "cut"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def launcher(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_a_suitable_python_setup_says_what_to_install(tmp_path: Path, bare_path: Path) -> None:
    launcher(bare_path, "python3.13", "echo 'this version is switched off' >&2; exit 127")
    ended = subprocess.run(
        [ROOT / "tools/venv", tmp_path / "venv", "3.11", "3.14"],
        env={"PATH": str(bare_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1 and not (tmp_path / "venv").exists()
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("No Python from 3.11 to 3.14") and "python3-venv" in sentence


def test_an_older_python_first_on_the_path_is_passed_over(tmp_path: Path, bare_path: Path) -> None:
    launcher(bare_path, "python3.14", "exit 1")
    launcher(
        bare_path, "python3", f'[ "$1" = -m ] && {{ echo "$@" > {tmp_path}/made; exit; }}; exec {sys.executable} "$@"'
    )
    subprocess.run([ROOT / "tools/venv", "folder", "3.11", "3.14"], env={"PATH": str(bare_path)}, check=True)
    assert (tmp_path / "made").read_text() == "-m venv --clear folder\n"


def test_a_python_that_was_built_with_optimizations_is_preferred_to_a_newer_one(
    tmp_path: Path, bare_path: Path
) -> None:
    """Stand-ins: the script asks whether a Python is suitable, and then how it was built."""
    for name, optimized in {"python3.14": 1, "python3.13": 0, "python3.12": 1}.items():
        launcher(
            bare_path,
            name,
            f'[ "$1" = -m ] && {{ echo {name} > {tmp_path}/made; exit; }}\n'
            f'case "$2" in *enable-optimizations*) exit {optimized};; *) exec {sys.executable} "$@";; esac',
        )
    make = [ROOT / "tools/venv", "folder", "3.11", "3.14"]
    subprocess.run(make, env={"PATH": str(bare_path)}, check=True)
    assert (tmp_path / "made").read_text() == "python3.13\n"
    (bare_path / "python3.13").unlink()
    subprocess.run(make, env={"PATH": str(bare_path)}, check=True)
    assert (tmp_path / "made").read_text() == "python3.14\n"  # where none is, the newest


def test_a_named_python_is_found_among_the_versions_of_pyenv_and_missing_ones_are_named(
    tmp_path: Path, bare_path: Path
) -> None:
    launcher(bare_path, "python3.13", "echo 'this version is switched off' >&2; exit 127")
    installed = tmp_path / "pyenv/versions/3.13.0/bin"
    installed.mkdir(parents=True)
    (installed / "python").symlink_to(sys.executable)

    def venv(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "tools/venv", *arguments],
            env={"PATH": str(bare_path), "PYENV_ROOT": str(tmp_path / "pyenv")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert venv("--find", "python3.13").stdout == f"{installed}/python\n"
    assert (venv("--find", "python3.12").stdout, venv("--find", "python3.12").returncode) == ("", 1)
    ended = venv(str(tmp_path / "venv"), "3.11", "3.14", "python3.12")
    assert ended.returncode == 1 and ended.stderr.startswith("python3.12 was not found on PATH or among the versions")


def test_without_the_toolchains_interop_says_what_to_install(bare_path: Path) -> None:
    def interop(**env: str) -> list[str]:
        ended = subprocess.run(
            [ROOT / "tools/interop", "unused"],
            env={"PATH": str(bare_path), **env}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 1 and ended.stdout == ""
        return ended.stderr.splitlines()

    *missing, hint = interop()
    for what in ("Go 1.24", "Node.js 20", "npm 10", "A JDK, 17", "Maven 3.8", "Rust 1.88"):
        assert any(line.startswith(what) and line.endswith("install it.") for line in missing), what
    assert hint.startswith("INTEROP=python,")
    assert [line.split(" is missing")[0] for line in interop(INTEROP="python,go")[:-1]] == ["Go 1.24 or later"]
    launcher(bare_path, "cargo", "echo 'cargo 1.87.0 (99624be96 2025-05-06)'")
    (old, _) = interop(INTEROP="python,rust")
    assert old == "Rust 1.88 or later (cargo, by rustup) is missing, which rust needs: install it."


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text("".join(f"package-{n}==1.0 \\\n    --hash=sha256:{n:064}\n" for n in range(45)))
    return path


def install(folder: Path, lock: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools/install", folder / "python", lock],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_installation_by_pip_says_how_far_it_is(tmp_path: Path, lock: Path) -> None:
    """A stand-in for pip, which prints what pip prints."""
    launcher(
        tmp_path,
        "python",
        'for n in $(seq 45); do echo "Collecting package-$n==1.0 (from -r lock.txt (line 1))"; done\n'
        'echo "Installing collected packages: package-1"; echo "WARNING: a remark"',
    )
    said = install(tmp_path, lock, INSTALLER="pip")
    assert said.stdout.splitlines() == [
        "  20 of up to 45",
        "  40 of up to 45",
        "  unpacking 45 distributions",
        "WARNING: a remark",
    ]


def test_an_installation_that_fails_says_so_and_stops_make(tmp_path: Path, lock: Path) -> None:
    launcher(tmp_path, "python", 'echo "Collecting package-1==1.0"; echo "ERROR: hashes do not match" >&2; exit 3')
    ended = install(tmp_path, lock)
    assert ended.returncode == 3 and "hashes do not match" in ended.stderr
    assert "uv could not; pip does it:" in ended.stdout
