# SPDX-License-Identifier: Apache-2.0
"""What pages of a site would fetch from other hosts while somebody reads them. Links that a reader may follow do not count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_FETCHES = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_LINKS_THAT_FETCH = {"stylesheet", "preload", "modulepreload", "icon", "preconnect", "dns-prefetch", "prefetch"}
_CSS = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(_FETCHES.get(tag, "")) or ""
        if tag == "link" and not _LINKS_THAT_FETCH & set((given.get("rel") or "").split()):
            return
        if address.startswith(("http://", "https://", "//")):
            self.found.append(address)


def fetched(site: Path) -> Iterator[tuple[Path, str]]:
    """Each address with the file that has it."""
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            page = _Page()
            page.feed(path.read_text(encoding="utf-8"))
            yield from ((path, address) for address in page.found)
        elif path.suffix == ".css":
            yield from ((path, address) for address in _CSS.findall(path.read_text(encoding="utf-8")))
