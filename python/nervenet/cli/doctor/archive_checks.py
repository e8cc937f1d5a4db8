# SPDX-License-Identifier: Apache-2.0
"""The archive: whether this machine reaches it, and whether closed workflows wait for it too long."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Final
from urllib.parse import unquote, urlsplit

from nervenet.cli.doctor.check import Check, error, ok, warning
from nervenet.clock import SYSTEM
from nervenet.config import Config
from nervenet.config.values import format_duration
from nervenet.errors import ConfigError
from nervenet.objects import SinkError, open_sink
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.opening import open_link
from nervenet.streams.archive import ArchiveList
from nervenet.streams.keys import Keys
from nervenet.streams.script import packaged_scripts

WAIT: Final = 5.0
OLD_MS: Final = 600_000
"""Age of the oldest run that waits, from which on that is a warning."""
LOW_DISK: Final = 1 << 30
"""Bytes that a folder's disk should have free."""
CURE: Final = (
    "look at a node's log for what the archive says, and repair it before retention and archive_hold have passed"
)


async def archive_checks(config: Config) -> list[Check]:
    """None without the setting `archive`."""
    if config.archive is None:
        return []
    return [await _reached(config, config.archive), *(await _waiting(config))]


async def _reached(config: Config, url: str) -> Check:
    try:
        async with asyncio.timeout(WAIT):
            days = await open_sink(url, config.namespace).folders("runs")
    except ConfigError as fault:
        return error("archive", str(fault), "install it, or correct NERVENET_ARCHIVE")
    except (SinkError, TimeoutError) as fault:
        said = str(fault) or f"no answer within {WAIT:g} s"
        return error("archive", f"cannot be read: {said}", "look at its address and the credentials of this machine")
    return judge_room(url) or ok("archive", f"it has runs of {len(days)} day{'' if len(days) == 1 else 's'}")


def judge_room(url: str, low: int = LOW_DISK) -> Check | None:
    """What is wrong with the folder, if the archive is one: it takes nothing, or soon. None: nothing."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    folder = unquote(parts.path)
    if not os.access(folder, os.W_OK):
        return error("archive", f"{folder} may not be written here", "give the user of the nodes the right to write it")
    free = shutil.disk_usage(folder).free
    if free >= low:
        return None
    said = f"the disk of {folder} has {free >> 20} MB left; nothing is archived once it is full, and Redis keeps what waits"
    return (error if free < low >> 4 else warning)(
        "archive", said, "make room, or move old days of the archive elsewhere"
    )


async def _waiting(config: Config) -> list[Check]:
    if config.redis is None:
        return []
    try:
        link = await open_link(
            config.redis, name="nervenet-doctor", scripts=packaged_scripts(), wait=WAIT, patience=WAIT
        )
        try:
            number, oldest_ms = await ArchiveList(link, Keys(config.namespace)).backlog()
        finally:
            await link.close()
    except (LinkError, ValueError):  # the checks of Redis say it
        return []
    return [judge_backlog(number, SYSTEM.now_ms() - oldest_ms if oldest_ms else 0, config)]


def judge_backlog(number: int, age_ms: int, config: Config) -> Check:
    """Whether closed workflows wait too long for the archive. `age_ms`: of the one that waits longest."""
    said = f"{number} closed runs wait for it, the oldest for {format_duration(age_ms // 1000 * 1000)}"
    if age_ms > config.retention_ms + config.hold_ms // 2:
        return error("archive.waiting", f"{said}; Redis forgets what waits too long", CURE)
    if age_ms > OLD_MS:
        return warning("archive.waiting", said, CURE)
    return ok("archive.waiting", said if number else "nothing waits for it")
