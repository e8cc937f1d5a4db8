# SPDX-License-Identifier: Apache-2.0
"""One page of metrics for several processes: each line gets the label `process`, so nothing is added up and nothing is lost.

    merged({1: page_of_the_first, 2: page_of_the_second})

A process that does not answer in time is left out, as a target that is down: its series end, and begin again.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from nervenet.config import split_host_port

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["gathered", "merged"]

WITHIN: Final = 3.0
"""Seconds in which a process must answer. Prometheus waits ten."""
_SAMPLE: Final = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(\{)?(.*)")


async def gathered(addresses: Mapping[int, str]) -> bytes:
    """The pages of the processes at these addresses, as one. The key is the number of the process."""
    pages = await asyncio.gather(*(_fetch(address) for address in addresses.values()))
    return merged({number: page for number, page in zip(addresses, pages, strict=True) if page is not None})


def merged(pages: Mapping[int, str]) -> bytes:
    """The pages as one, each metric once with the lines of all processes below it."""
    heads: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for number, page in pages.items():
        name = ""
        for line in page.splitlines():
            if line.startswith("# "):
                name = line.split(" ", 3)[2]
                head = heads.setdefault(name, [])
                if line not in head and len(head) < 2:
                    head.append(line)
            elif line:
                lines.setdefault(name, []).append(_labelled(line, number))
    return "".join(f"{line}\n" for name in heads for line in (*heads[name], *lines.get(name, ()))).encode()


def _labelled(line: str, number: int) -> str:
    found = _SAMPLE.fullmatch(line)
    assert found is not None, line
    name, has_labels, rest = found.groups()
    return f'{name}{{process="{number}"' + (f",{rest}" if has_labels else f"}}{rest}")


async def _fetch(address: str) -> str | None:
    host, port = split_host_port(address)
    try:
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: nervenet\r\n\r\n")
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return body.decode() if head.startswith(b"HTTP/1.1 200 ") else None
