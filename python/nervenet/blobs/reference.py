# SPDX-License-Identifier: Apache-2.0
"""References: what a journal or an envelope has instead of a value in the blob store. Pure.

A reference is a `Payload` of the form `bytes` with the content type of encoded values and the encoding `blob`, so a process
that knows nothing of blobs passes it on, and refuses to read it with a clear error. Its data is JSON:

    {"workflow_id": "order-7", "name": "1-9f86d081…-3b9aca00", "bytes": 262144, "sha256": "9f86d081…"}

It has no namespace, no address and no path: each process looks below the namespace that it belongs to, in its own store. So
a reference cannot reach another tenant's values, even a forged one.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from nervenet.codecs.layout import CONTENT_TYPE, encoding_of, field, is_encoded, wrapped
from nervenet.errors import NervenetError
from nervenet.records import Payload

ENCODING: Final = "blob"
MARK: Final = field(6, CONTENT_TYPE.encode()) + field(7, ENCODING.encode())
"""The bytes that every stored message with a reference has."""
BLOB_MISSING: Final = "BlobMissing"
"""Type of the failure of a task whose input is not in the blob store."""
_NAME: Final = re.compile(r"([0-9]{1,10})-([0-9a-f]{64})-([0-9a-f]{16})")
_DIRECT: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-")
_LONGEST_FOLDER: Final = 240
"""Characters of a folder's name: file systems allow 255."""


class BlobMissing(NervenetError):
    """A value is not in the blob store, or not as it was written. The message says where it should be."""


class Reference(NamedTuple):
    """`name` is that of the object in the folder of its workflow: run, SHA-256 of the object, and random bytes, which make it unique.
    `size`: bytes of the value."""

    workflow_id: str
    name: str
    size: int
    sha256: str

    def payload(self) -> Payload:
        """As it is stored."""
        told = {"workflow_id": self.workflow_id, "name": self.name, "bytes": self.size, "sha256": self.sha256}
        return wrapped(ENCODING, json.dumps(told, separators=(",", ":")).encode())

    @classmethod
    def parse(cls, payload: Payload) -> Reference:
        """Raises BlobMissing: it is none that a process of ours has written."""
        try:
            told = json.loads(payload.data)
            found = cls(told["workflow_id"], told["name"], told["bytes"], told["sha256"])
            named = _NAME.fullmatch(found.name)
            if named is None or named[2] != found.sha256 or type(found.size) is not int or found.size < 0:
                raise ValueError(found.name)
            folder_of(found.workflow_id)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BlobMissing("its reference to the blob store is damaged, or nervenet did not write it") from None
        return found

    @property
    def run(self) -> int:
        return run_of(self.name)


def is_reference(payload: Payload) -> bool:
    """Whether the value lies in the blob store."""
    return is_encoded(payload) and encoding_of(payload) == ENCODING


def size_of(payload: Payload) -> int:
    """Bytes of a value, wherever it lies."""
    if not is_reference(payload):
        return payload.size
    try:
        return Reference.parse(payload).size
    except BlobMissing:
        return payload.size


def run_of(name: str) -> int:
    """The run in which an object was written; -1: the name is none of ours."""
    named = _NAME.fullmatch(name)
    return -1 if named is None else int(named[1])


def folder_of(workflow_id: str) -> str:
    """The name of a workflow's folder. What may not be in a file name is `=` and two digits. Raises ValueError: too long."""
    folder = "".join(one if one in _DIRECT else f"={ord(one):02X}" for one in workflow_id)
    if not folder or len(folder) > _LONGEST_FOLDER or folder[0] == "." or not workflow_id.isascii():
        raise ValueError(f"{workflow_id!r} cannot name a folder")
    return folder


def workflow_of(folder: str) -> str | None:
    """The workflow whose folder this is. None: it is no folder of ours."""
    try:
        found = re.sub("=([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), folder)
        return found if folder_of(found) == folder else None
    except ValueError:
        return None
