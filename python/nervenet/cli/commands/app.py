# SPDX-License-Identifier: Apache-2.0
"""Import the mesh that `APP` names, for the commands that run a role of it."""

from __future__ import annotations

from nervenet.cli.failures import UsageError
from nervenet.mesh import LoadError, Mesh
from nervenet.mesh_loader import load_mesh


def load_app(target: str) -> Mesh:
    try:
        return load_mesh(target)
    except LoadError as error:
        raise UsageError(str(error)) from error
