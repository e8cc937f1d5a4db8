# SPDX-License-Identifier: Apache-2.0
"""Where the archive and the blob store lie: a folder or a bucket of S3, behind a few calls.

It hides obstore and its errors: whatever goes wrong is a `SinkError` in words. obstore runs in threads of its own, so no call
blocks the loop. Objects are created once and never changed; what is there already stays.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from nervenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["ObjectMissing", "ObjectSink", "Sink", "SinkError", "SinkRefused", "open_sink"]

PATIENCE: Final = 60.0
"""Seconds for one call. A slower one has failed, and is made again."""


class SinkError(Exception):
    """The sink is away, refuses, or is full; the text says which."""


class ObjectMissing(SinkError):
    """There is no object of that name."""


class SinkRefused(SinkError):
    """The credentials of this process are wrong or do not allow the call, or there is no such bucket."""


class Sink(Protocol):
    """Objects by name. Every call may raise SinkError."""

    async def create(self, name: str, data: bytes) -> None:
        """Store an object. One of that name that is there already stays as it is."""

    async def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """An object, or a part of it. Raises ObjectMissing."""

    async def names(self, prefix: str) -> list[str]:
        """The names below `prefix/`, sorted."""

    async def folders(self, prefix: str) -> list[str]:
        """The folders directly below `prefix/`, sorted; last parts of their names."""

    async def delete(self, name: str) -> None:
        """Remove an object. None of that name: nothing changes."""


def open_sink(url: str, namespace: str, setting: str = "archive") -> ObjectSink:
    """What a setting names, in the folder of a namespace. Nothing is read or written yet.

    Raises ConfigError: obstore is not installed, or the folder cannot be made.
    """
    try:
        import isal  # noqa: F401  # segments are compressed with it
        from obstore.store import LocalStore, S3Store  # only nodes with an archive load them
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{setting} is {url}, and {error.name} is not installed: pip install 'nervenet[blobs]', or leave {setting} unset"
        ) from None
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path)) / namespace
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{setting}: the folder {folder} cannot be made: {error.strerror}. Make it writable for this process, or choose "
                "another one"
            ) from None
        return ObjectSink(LocalStore(folder), folder)
    options = dict(parse_qsl(parts.query))
    endpoint = options.get("endpoint")
    given: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if endpoint and endpoint.startswith("http://"):
        given["client_options"] = {"allow_http": True}
    region = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    store = S3Store(
        parts.netloc,
        prefix=f"{parts.path.strip('/')}/{namespace}".lstrip("/"),
        region=region or "us-east-1",
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=10)},
        **given,
    )
    return ObjectSink(store, None)


class ObjectSink:
    """A sink in a store of obstore. `folder`: where it is one of this machine; its objects are flushed to the disk."""

    def __init__(self, store: Any, folder: Path | None) -> None:
        self._store = store
        self._folder = folder

    def __repr__(self) -> str:
        return f"<ObjectSink {self._folder or self._store}>"

    async def create(self, name: str, data: bytes) -> None:
        from obstore import put_async
        from obstore.exceptions import AlreadyExistsError

        try:
            await _within(put_async(self._store, name, data, mode="create"))
        except AlreadyExistsError:  # it is flushed all the same: who wrote it may not have come so far
            pass
        except Exception as error:
            raise _told(error) from error
        if self._folder is not None:
            await asyncio.to_thread(_flush, self._folder / name)

    async def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        from obstore import get_async, get_range_async

        try:
            if end is None:
                result = await _within(get_async(self._store, name))
                return bytes(await _within(result.bytes_async()))
            return bytes(await _within(get_range_async(self._store, name, start=start, end=end)))
        except Exception as error:
            raise _told(error) from error

    async def names(self, prefix: str) -> list[str]:
        from obstore import list as list_objects

        try:
            found = await _within(list_objects(self._store, prefix).collect_async())
        except Exception as error:
            raise _told(error) from error
        return sorted(one["path"] for one in found)

    async def folders(self, prefix: str) -> list[str]:
        from obstore import list_with_delimiter_async

        try:
            found = await _within(list_with_delimiter_async(self._store, prefix))
        except Exception as error:
            raise _told(error) from error
        return sorted(one.rstrip("/").rpartition("/")[2] for one in found["common_prefixes"])

    async def ages(self, prefix: str) -> list[tuple[str, int]]:
        """The names below `prefix/`, each with the time of its writing in milliseconds, by the clock of the store."""
        from obstore import list as list_objects

        try:
            found = await _within(list_objects(self._store, prefix).collect_async())
        except Exception as error:
            raise _told(error) from error
        return [(one["path"], int(one["last_modified"].timestamp() * 1000)) for one in found]

    async def drop_folder(self, prefix: str) -> None:
        """Remove an empty folder. A bucket has none, and one that is not empty stays."""
        if self._folder is not None:
            with suppress(OSError):
                await asyncio.to_thread((self._folder / prefix).rmdir)

    async def delete(self, name: str) -> None:
        from obstore import delete_async

        try:
            await _within(delete_async(self._store, name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise _told(error) from error


async def _within(call: Any) -> Any:
    async def awaited() -> Any:
        return await call

    work: Coroutine[Any, Any, Any] = awaited()
    async with asyncio.timeout(PATIENCE):
        return await work


def _told(error: Exception) -> SinkError:
    """In one line: obstore adds the whole configuration of its client, which is no help and may have secrets."""
    if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
        return ObjectMissing("there is no such object")
    if isinstance(error, TimeoutError):
        return SinkError(f"no answer within {PATIENCE:g} s")
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
    cure = next((cure for signs, cure in CURES if any(sign in str(error) or sign in said for sign in signs)), "")
    refused = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or "NoSuchBucket" in str(error)
    kind = SinkRefused if refused else SinkError
    return kind(f"{cure} ({said})" if cure else said)


CURES: Final = (
    (("NoSuchBucket",), "there is no such bucket: create it, or correct the address"),
    (
        ("169.254.169.254", "169.254.170.2"),
        "there are no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    ),
    (
        ("PermissionDenied", "Unauthenticated", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403 Forbidden"),
        "the bucket refuses these credentials: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do",
    ),
    (("No space left", "os error 28", "Disk quota", "File too large"), "the disk is full: make room on it"),
    (("Read-only file system", "os error 30"), "the folder is on a file system that is read-only"),
    (("Permission denied", "os error 13"), "the folder may not be written by this process"),
)
"""What an error says in its words → what to do."""


def _flush(path: Path) -> None:
    """To the disk: the file, then the folder that names it."""
    for each in (path, path.parent):
        try:
            handle = os.open(each, os.O_RDONLY)
        except OSError as error:
            raise SinkError(f"{each}: {error.strerror}") from error
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
