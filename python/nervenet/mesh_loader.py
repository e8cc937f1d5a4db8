# SPDX-License-Identifier: Apache-2.0
"""From a file or a module to the mesh in it.

    mesh = load_mesh("hello.py")

An import of the user's program fails in many ways, and each has to end in one sentence with the line of the user's file:
that is what most of this module does.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervenet.errors import detail
from nervenet.imports import StartsMesh, definitions_only
from nervenet.mesh import LoadError, Mesh

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_mesh"]


def load_mesh(target: str) -> Mesh:
    """Import a file or module and return the mesh in it.

    Args:
        target: `hello.py`, `path/app.py:mesh`, `pkg.module` or `pkg.module:mesh`. The folder of the file (the
            working directory, for a module) is added to `sys.path`.

    Raises:
        LoadError: There is no mesh, or more than one, or the import failed. The message names the line.
    """
    place, _, attribute = target.partition(":")
    module = _import_file(Path(place)) if place.endswith(".py") or "/" in place else _import_module(place, Path.cwd())
    return _named(module, place, attribute) if attribute else _only(module, place)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise LoadError(f"{path} {kind}: give the file or module that has the mesh (looked in {Path.cwd()})")
    path = path.resolve()
    parts = [path.stem] if path.name != "__init__.py" else []
    root = path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    module = _import_module(".".join(parts), root)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise LoadError(f"{path}: Python found another module {module.__name__!r} first, {found}: rename the file")
    return module


def _import_module(name: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        with definitions_only():
            return importlib.import_module(name)
    except StartsMesh as started:
        raise _unguarded(started) from None
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(f"there is no module {error.name!r} (looked in {folder} and on sys.path)") from None
        raise _broken(error, name) from error
    except Exception as error:  # whatever the user's module raises belongs into the message
        raise _broken(error, name) from error


def _broken(error: Exception, name: str) -> LoadError:
    """Where and why the import failed: the innermost line outside nervenet and Python's own import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno or 0
    else:
        own = str(Path(__file__).parent)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((own, "<"))]
        frames = [f for f in frames if f"{Path(importlib.__file__).parent}" not in f.filename]
        if not frames:
            return LoadError(f"{name} cannot be imported: {detail(error)}")
        file, line = frames[-1].filename, frames[-1].lineno or 0
    source = linecache.getline(file, line).strip()
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return LoadError(f"{file}:{line}: {type(error).__name__}: {message}" + (f"\n    {source}" if source else ""))


def _unguarded(started: StartsMesh) -> LoadError:
    """The line of the module itself that would start a mesh in every process that imports it."""
    line = [frame for frame in traceback.extract_tb(started.__traceback__) if frame.name == "<module>"][-1]
    return LoadError(
        f"{line.filename}:{line.lineno}: this starts a mesh when the file is imported: "
        f'move it under if __name__ == "__main__":\n    {line.line}'
    )


def _only(module: ModuleType, place: str) -> Mesh:
    names: dict[int, str] = {}
    for name, value in vars(module).items():
        if isinstance(value, Mesh):
            names.setdefault(id(value), name)
    found = list(names.values())
    if not found:
        raise LoadError(
            f'{place} has no mesh: define one at module level, for example mesh = Mesh("{module.__name__}")'
        )
    if len(found) > 1:
        raise LoadError(
            f"{place} has {len(found)} meshes ({', '.join(found)}): choose one, for example {place}:{found[0]}"
        )
    mesh: Mesh = getattr(module, found[0])
    return mesh


def _named(module: ModuleType, place: str, attribute: str) -> Mesh:
    value: Any = module
    for part in attribute.split("."):
        value = getattr(value, part, None)
    if isinstance(value, Mesh):
        return value
    meshes = [name for name, value in vars(module).items() if isinstance(value, Mesh)]
    there = f"its meshes: {', '.join(meshes)}" if meshes else "it has none"
    what = "does not exist" if value is None else f"is not a Mesh but {type(value).__name__}"
    raise LoadError(f"{place}:{attribute} {what} ({there})")
