# SPDX-License-Identifier: Apache-2.0
"""Mesh: composing, what it refuses, and how a file or module becomes one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import nervenet
from nervenet import CallOptions, Context, Mesh, RetryPolicy
from nervenet.mesh import LoadError
from nervenet.mesh_loader import load_mesh

HELLO = """
from nervenet import Context, Mesh
mesh = Mesh("hello")

@mesh.agent(slots=8)
async def greet(name: str) -> str:
    return name

@mesh.workflow
async def welcome(ctx: Context, names: list[str]) -> list[str]:
    return names
"""


@pytest.fixture(autouse=True)
def _imports_leave_no_trace() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith("nervenet"):
            del sys.modules[name]


def test_bare_with_options_and_called_on_a_method_all_make_agents() -> None:
    mesh = Mesh("m")

    @mesh.agent
    async def bare(name: str) -> str:
        return name

    @mesh.agent(name="other", version="2", slots=3, labels={"gpu": "yes"})
    def threaded(name: str) -> int:
        return len(name)

    class Service:
        async def method(self, x: int) -> int:
            return x

    served = mesh.agent(Service().method)
    assert mesh.agents == {"bare": bare, "other": threaded, "method": served}
    assert (threaded.version, threaded.slots, dict(threaded.labels)) == ("2", 3, {"gpu": "yes"})


def test_classes_of_the_function_around_the_decorator_are_found() -> None:
    mesh = Mesh("m")

    @dataclass
    class Local:
        x: int

    @mesh.agent
    async def bare(local: Local) -> Local:
        return local

    @mesh.workflow(version=3)
    async def flow(ctx: Context, local: Local) -> None: ...

    assert bare.input.type is flow.input.type is Local
    assert mesh.workflows == {("flow", 3): flow}


def test_the_defaults_of_the_mesh_lie_below_those_of_the_agent() -> None:
    mesh = Mesh("m", defaults=CallOptions(retry=RetryPolicy(max_attempts=2, jitter=0)))

    @mesh.agent(options=CallOptions(retry=RetryPolicy(max_attempts=9)))
    async def keen(name: str) -> str:
        return name

    @mesh.agent
    async def calm(name: str) -> str:
        return name

    @mesh.workflow
    async def flow(ctx: Context) -> None: ...

    assert keen.options == CallOptions(retry=RetryPolicy(max_attempts=9, jitter=0))
    assert calm.options == flow.defaults == mesh.defaults


def test_include_composes_and_the_same_definition_twice_is_no_conflict() -> None:
    billing, shop = Mesh("billing"), Mesh("shop")

    @billing.agent
    async def charge(amount: int) -> str:
        return ""

    shop.include(billing)
    shop.include(billing)
    assert shop.agents == {"charge": charge}
    assert repr(shop) == "<Mesh shop 0 workflows, 1 agents>"


def test_two_things_of_one_name_are_refused_with_both_places() -> None:
    mesh, other = Mesh("m"), Mesh("other")

    @mesh.agent
    async def extract(doc: str) -> str:
        return doc

    async def extract_too(doc: str) -> str:
        return doc

    with pytest.raises(
        ValueError, match=r"two definitions named 'extract': agent at test_mesh\.py:\d+, agent at test_mesh\.py:\d+"
    ):
        mesh.agent(name="extract")(extract_too)
    other.agent(name="extract")(extract_too)
    with pytest.raises(ValueError, match="two definitions"):
        mesh.include(other)

    @mesh.workflow
    async def review(ctx: Context) -> None: ...

    @mesh.workflow(name="review", version=2)
    async def review_2(ctx: Context) -> None: ...

    async def review_3(ctx: Context) -> None: ...

    with pytest.raises(ValueError, match=r"workflow v2 at .* or set version= on both"):
        mesh.workflow(name="review", version=2)(review_3)
    with pytest.raises(ValueError, match=r"workflow v1 at .*, agent at"):
        mesh.agent(name="review")(extract_too)
    assert set(mesh.workflows) == {("review", 1), ("review", 2)}


def test_a_file_is_loaded_with_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_app.py").write_text("LIMIT = 3\n")
    file = tmp_path / "hello_app.py"
    file.write_text("from beside_app import LIMIT\n" + HELLO)
    mesh = load_mesh(str(file))
    assert (mesh.name, set(mesh.agents), set(mesh.workflows)) == ("hello", {"greet"}, {("welcome", 1)})
    assert load_mesh(f"{file}:mesh") is mesh


def test_a_module_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_pkg").mkdir()
    (tmp_path / "shop_pkg" / "__init__.py").touch()
    (tmp_path / "shop_pkg" / "names.py").write_text("X = 1\n")
    (tmp_path / "shop_pkg" / "app.py").write_text("from .names import X\n" + HELLO)
    monkeypatch.chdir(tmp_path)
    mesh = load_mesh("shop_pkg.app:mesh")
    assert load_mesh("shop_pkg.app") is mesh
    assert load_mesh("shop_pkg/app.py") is mesh


def test_no_mesh_or_several_are_refused_naming_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "none_app.py").write_text("x = 1\n")
    (tmp_path / "both_app.py").write_text("from nervenet import Mesh\na = Mesh('a')\nb = again = Mesh('b')\n")
    with pytest.raises(
        LoadError, match=r'has no mesh: define one at module level, for example mesh = Mesh\("none_app"\)'
    ):
        load_mesh(str(tmp_path / "none_app.py"))
    with pytest.raises(LoadError, match=r"has 2 meshes \(a, b\): choose one, for example .*both_app\.py:a"):
        load_mesh(str(tmp_path / "both_app.py"))
    assert load_mesh(str(tmp_path / "both_app.py:again")).name == "b"
    with pytest.raises(LoadError, match=r"both_app\.py:c does not exist \(its meshes: a, b, again\)"):
        load_mesh(str(tmp_path / "both_app.py:c"))
    with pytest.raises(LoadError, match=r"none_app\.py:x is not a Mesh but int"):
        load_mesh(str(tmp_path / "none_app.py:x"))


def test_what_is_not_there_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"nowhere\.py does not exist: give the file"):
        load_mesh(str(tmp_path / "nowhere.py"))
    with pytest.raises(LoadError, match=r"there is no module 'nowhere_at_all' \(looked in "):
        load_mesh("nowhere_at_all:mesh")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nx = 1 / 0\n", r"broken_app\.py:2: ZeroDivisionError: division by zero\n    x = 1 / 0"),
        ("import os\ndef f(:\n", r"broken_app\.py:2: SyntaxError: .*\n    def f\(:"),
        ("import not_installed_lib\n", r"broken_app\.py:1: ModuleNotFoundError: No module named 'not_installed_lib'"),
        (
            "from nervenet import Mesh\nmesh = Mesh('m')\n@mesh.agent\nasync def two(a: str, b: str) -> str: ...\n",
            r"broken_app\.py:3: TypeError: 'two' has 2 payload parameters \(a, b\)",
        ),
    ],
)
def test_an_error_in_the_users_module_is_shown_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "broken_app.py").write_text(text)
    with pytest.raises(LoadError, match=said):
        load_mesh(str(tmp_path / "broken_app.py"))


def test_every_public_name_can_be_had_and_nothing_is_imported_before() -> None:
    for name in nervenet.__all__:
        assert getattr(nervenet, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Mash'"):
        _ = nervenet.Mash  # type: ignore[attr-defined]  # the point of the test
    heavy = "{'grpc', 'redis', 'pydantic', 'opentelemetry'}"
    code = f"import sys, nervenet; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_node_loads_what_few_workflows_need_when_the_first_one_does() -> None:
    few = "{'jsonschema', 'attrs', 'cel_expr_python', 'opentelemetry', 'nervenet.agent', 'ruamel', 'yaml', 'cryptography', 'jwt'}"
    fewer = "{'uvicorn', 'starlette', 'urllib.request', 'http.client', 'multiprocessing', 'zstandard', 'nervenet.cli'}"
    loads = "import sys, nervenet.node.node, nervenet.node.services, nervenet.process"
    code = f"{loads}; sys.exit(' '.join(({few} | {fewer}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""


def test_a_process_that_begins_does_not_look_for_garbage_in_what_it_imports() -> None:
    code = "from nervenet.heap import collect_seldom; collect_seldom(); import gc; begun = gc.get_stats()[2]['collections']\n"
    code += "import nervenet.node.node, nervenet.node.services\nprint(gc.get_stats()[2]['collections'] - begun)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n"


def test_importing_a_mesh_reads_no_configuration_and_loads_no_transport(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "nervenet.toml").write_text("this is not toml")
    code = "import sys, hello; assert not {'grpc', 'redis', 'opentelemetry', 'nervenet.config'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path, env={"NERVENET_LOG": "wrong"})
