# SPDX-License-Identifier: Apache-2.0
"""Line plots as SVG, readable on light and dark pages.

Written by hand: two plots need one polyline and some texts, a plotting library would bring ten packages into the environment, and
its SVG does not follow the reader's colour scheme. Both axes are logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 44, 52
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { fill: none; stroke-width: 2.2; }
.p99 { stroke-dasharray: 6 4; }
.c0 { stroke: #0969da; fill: #0969da; } .c1 { stroke: #bc4c00; fill: #bc4c00; } .c2 { stroke: #8250df; fill: #8250df; }
.line.c0, .line.c1, .line.c2 { fill: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .grid { stroke: #3d444d; }
  .c0 { stroke: #58a6ff; fill: #58a6ff; } .c1 { stroke: #f0883e; fill: #f0883e; } .c2 { stroke: #bc8cff; fill: #bc8cff; }
}
"""


@dataclass(frozen=True)
class Line:
    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


def plot(title: str, x_label: str, y_label: str, lines: Sequence[Line], x_ticks: Sequence[float]) -> str:
    """An SVG document."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_axis, y_axis = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT), Axis(*decades(ys), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 22, title, "title"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label, anchor="middle"),
        _text(LEFT - 6, TOP - 6, y_label, anchor="end"),
    ]
    for tick in x_ticks:
        x = x_axis.at(tick)
        parts += [_grid(x, TOP, x, HEIGHT - BOTTOM), _text(x, HEIGHT - BOTTOM + 18, f"{tick:g}", anchor="middle")]
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts += [_grid(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 6, y + 4, f"{tick:g}", anchor="end")]
    for line in lines:
        parts += _line(line, x_axis, y_axis)
    parts += [each for number, line in enumerate(lines) for each in _legend(number, line)]
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class Axis:
    """Logarithmic, from the least to the most value, between two places on the picture."""

    least: float
    most: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        if self.least == self.most:
            return self.begin
        share = (math.log(value) - math.log(self.least)) / (math.log(self.most) - math.log(self.least))
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        steps = (factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5))
        return [tick for tick in steps if self.least <= tick <= self.most]


def decades(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values, so that no line touches the frame."""
    return min(values) / 1.3, max(values) * 1.3


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>'


def _line(line: Line, x_axis: Axis, y_axis: Axis) -> list[str]:
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in line.points]
    kind = f"line c{line.colour}{' p99' if line.dashed else ''}"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="c{line.colour}"/>' for x, y in places]
    return [f'<polyline points="{path}" class="{kind}"/>', *dots]


def _legend(number: int, line: Line) -> list[str]:
    x, y = WIDTH - RIGHT + 14, TOP + 12 + 22 * number
    kind = f"line c{line.colour}{' p99' if line.dashed else ''}"
    return [f'<polyline points="{x},{y} {x + 26},{y}" class="{kind}"/>', _text(x + 32, y + 4, line.label)]


def latency(rows: Sequence[Mapping[str, object]], systems: Sequence[str], field: str) -> list[Line]:
    """p50 and p99 of each system, against `field` of the rows."""
    lines = []
    for colour, system in enumerate(systems):
        own = [row for row in rows if row["system"] == system]
        for name, dashed in (("p50", False), ("p99", True)):
            points = [(_number(row[field]), _number(row[f"{name}_ms"])) for row in own]
            if points:
                lines.append(Line(f"{system} {name}", points, colour, dashed))
    return lines


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
