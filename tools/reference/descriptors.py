# SPDX-License-Identifier: Apache-2.0
"""The contract with its comments, as buf reads it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]

FILE, MESSAGE, ENUM, SERVICE = FileDescriptorProto, 4, 5, 6
FIELD, NESTED, NESTED_ENUM, VALUE, METHOD = 2, 3, 4, 2, 2


@cache
def files() -> tuple[FileDescriptorProto, ...]:
    """The files of the package, by name."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent)) or "buf"
    built = subprocess.run(
        [buf, "build", "--as-file-descriptor-set", "--output", "-"], cwd=ROOT, capture_output=True, check=True
    )
    found = FileDescriptorSet.FromString(built.stdout).file
    return tuple(sorted((file for file in found if file.package == "nervenet.v1"), key=lambda file: file.name))


class Comments:
    """The comments of one file, by the path of what they describe (descriptor.proto, SourceCodeInfo)."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._at = {tuple(place.path): place for place in file.source_code_info.location}

    def of(self, *path: int) -> str:
        """The comment above a thing, as it is written."""
        place = self._at.get(path)
        return "" if place is None else "\n".join(line.strip() for line in place.leading_comments.splitlines()).strip()

    def detached(self) -> list[str]:
        """The comments that describe no single thing."""
        return [text for place in self._at.values() for text in place.leading_detached_comments]
