# SPDX-License-Identifier: Apache-2.0
"""The settings with their sources."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from nervenet.cli.render.table import Column, prose, table
from nervenet.cli.render.text import View


def shown(rows: Sequence[tuple[str, str, str]], view: View) -> list[Text]:
    """Settings that are set stand out from defaults."""
    cells = [(name, Text(value, style="" if source == "default" else "cyan"), source) for name, value, source in rows]
    return table((Column("SETTING"), prose("VALUE", 20), Column("FROM")), cells, view)
