# SPDX-License-Identifier: Apache-2.0
"""Tables and marks: rows of cells → lines, one per row.

rich's own tables wrap cells and pad lines with blanks; a list that people grep needs neither, so only rich's Text
(styled spans and the width of wide characters) is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.text import Span, Text

from nervenet.cli.render.text import DASH, View, clean

Cell: TypeAlias = str | Text
GAP = "  "


class Mark(NamedTuple):
    """A state as people see it: symbol and colour always come together."""

    symbol: str
    style: str
    word: str

    def text(self, word: str | None = None) -> Text:
        said = self.word if word is None else word
        return Text(f"{self.symbol} {said}".rstrip(), style=self.style)


def mark_of(marks: Mapping[int, Mark], state: int) -> Mark:
    """A state of a newer version is shown as its number."""
    return marks.get(state, Mark(" ", "", f"state {state}"))


class Column(NamedTuple):
    """On a narrow terminal `shrink` shortens a cell to a width, of `least` or more; None = it stays whole. Where that is not
    enough, columns are left out: the one with the highest `drop` first, those with 0 never; they are left out too where a
    cell would get less than `wish`."""

    title: str
    shrink: Callable[[str, int], str] | None = None
    least: int = 8
    drop: int = 0
    wish: int = 0


def ends(text: str, room: int) -> str:
    """The text, cut between two words where that loses little: half an id is worse than none."""
    if cell_len(text) <= room:
        return text
    kept = set_cell_size(text, room - 1)
    if not text[len(kept) : len(kept) + 1].isspace():
        whole = kept.rstrip().rpartition(" ")[0]
        kept = whole if len(whole) > len(kept) // 2 else kept
    return kept.rstrip(" ,:;") + "…"


def ids(title: str, drop: int = 0) -> Column:
    """Ids and other keys stay whole at any width: people copy them into the next command."""
    return Column(title, drop=drop)


def some(text: str, room: int) -> str:
    """Of names with commas between them those that fit, each whole, and the number of the others."""
    names = text.split(", ")
    kept = len(names)
    while kept > 1 and cell_len(_of_them(names, kept)) > room:
        kept -= 1
    return _of_them(names, kept)


def _of_them(names: Sequence[str], kept: int) -> str:
    more = len(names) - kept
    return ", ".join(names[:kept]) + (f", +{more}" if more else "")


def prose(title: str, least: int = 12, drop: int = 0, wish: int = 0) -> Column:
    return Column(title, ends, least, drop, wish)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], view: View) -> list[Text]:
    """The header and one line per row. On a terminal, columns that can shrink share what is missing."""
    cells = [[cell if isinstance(cell, Text) else clean(cell) for cell in row] for row in rows]
    widths = [max([cell_len(column.title), *(_width(row[at]) for row in cells)]) for at, column in enumerate(columns)]
    if view.people and view.width:
        if sum(widths) + len(GAP) * (len(widths) - 1) > view.width:
            columns, widths, cells = _without_empty(columns, widths, cells)
        kept = _kept(columns, widths, view.width)
        columns, widths = [columns[at] for at in kept], [widths[at] for at in kept]
        cells = [[row[at] for at in kept] for row in cells]
        _fit(columns, widths, view.width)
    head = _line([Text(column.title, style="bold") for column in columns], columns, widths)
    return [head, *(_line(row, columns, widths) for row in cells)]


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.plain


def _width(cell: Cell) -> int:
    """Columns of a terminal."""
    said = _plain(cell)
    return len(said) if said.isascii() else cell_len(said)


def _without_empty(
    columns: Sequence[Column], widths: list[int], cells: list[list[Cell]]
) -> tuple[list[Column], list[int], list[list[Cell]]]:
    """Leave out what may be left out and says nothing in any row."""
    told = [
        at
        for at, column in enumerate(columns)
        if not column.drop or any(_plain(row[at]) not in ("", DASH) for row in cells)
    ]
    return [columns[at] for at in told], [widths[at] for at in told], [[row[at] for at in told] for row in cells]


def _kept(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Which columns there is room for, each as narrow as it may be."""
    kept = list(range(len(columns)))

    def least() -> int:
        narrow = (
            min(widths[at], max(columns[at].least, columns[at].wish)) if columns[at].shrink else widths[at]
            for at in kept
        )
        return sum(narrow) + len(GAP) * (len(kept) - 1)

    while least() > room and (able := [at for at in kept if columns[at].drop]):
        kept.remove(max(able, key=lambda at: columns[at].drop))
    return kept


def _fit(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Take from the widest shrinkable column until it fits or nothing can give any more."""
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room
    while excess > 0:
        able = [at for at, column in enumerate(columns) if column.shrink and widths[at] > column.least]
        if not able:
            return
        widths[max(able, key=lambda at: widths[at])] -= 1
        excess -= 1


def _line(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    """One text with the styles of its cells: a table may have thousands of rows."""
    said, spans, at, last = [], [], 0, len(widths) - 1
    for place, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True)):
        shown = _shortened(cell, column, width)
        words = _plain(shown)
        if not isinstance(shown, str):
            if shown.style and words:
                spans.append(Span(at, at + len(words), shown.style))
            spans += [span.move(at) for span in shown.spans]
        part = words if place == last else words + " " * (width - _width(words)) + GAP
        said.append(part)
        at += len(part)
    whole = "".join(said).rstrip()
    return Text(
        whole, spans=[span for span in spans if span.start < min(span.end, len(whole))]
    )  # rich fails on empty ones


def _shortened(cell: Cell, column: Column, width: int) -> Cell:
    if column.shrink is None or _width(cell) <= width:
        return cell
    short = column.shrink(_plain(cell), width)
    return short if isinstance(cell, str) else Text(short, style=cell.style)
