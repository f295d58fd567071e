"""The map of the course, drawn: python notebooks/site/course_map.py writes notebooks/map.svg."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

MAP = Path(__file__).resolve().parents[1] / "map.svg"
WIDTH, HEIGHT, GAP, BOX = 960, 400, 16, (172, 62)
COLOURS = {"idea": "#0072b2", "atoms": "#009e73", "judge": "#d55e00", "yours": "#cc79a7"}


class Stop(NamedTuple):
    """A notebook on the map: number, short title, minutes, column, row, what it is."""

    number: str
    title: str
    minutes: int
    column: int
    row: int
    kind: str


STOPS = (
    Stop("00", "Quickstart", 20, 0, 0, "idea"),
    Stop("01", "Foggy valley", 25, 1, 0, "idea"),
    Stop("02", "Gradient through time", 30, 2, 0, "idea"),
    Stop("03", "Wrong force, right place", 25, 3, 0, "idea"),
    Stop("A1", "Assignment", 90, 4, 0, "yours"),
    Stop("04", "Meet a potential", 25, 0, 1, "atoms"),
    Stop("05", "Relax silicon defects", 25, 1, 1, "atoms"),
    Stop("06", "Fine-tune", 30, 2, 1, "atoms"),
    Stop("07", "The paradox", 30, 3, 1, "judge"),
    Stop("A2", "Assignment", 90, 4, 1, "yours"),
    Stop("08", "Memory, implicit", 25, 0, 2, "judge"),
    Stop("09", "Robustness", 25, 1, 2, "judge"),
    Stop("A3", "Assignment", 120, 2, 2, "yours"),
    Stop("10", "Bring your own", 30, 3, 2, "yours"),
)
ROWS = ("the idea, on landscapes", "the same in silicon", "cost, limits, your own")


def drawn() -> str:
    """The map as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif" role="img">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for row, words in enumerate(ROWS):
        place = f'x="{GAP}" y="{30 + 128 * row}"'
        parts.append(f'<text {place} font-size="15" fill="#555">{escape(words)}</text>')
    for before, after in itertools.pairwise(STOPS):
        parts.append(_way(before, after))
    parts += [_box(stop) for stop in STOPS]
    return "\n".join([*parts, "</svg>", ""])


def words() -> str:
    """What the map shows, for readers who do not see it."""
    lines = [
        f"{name}: " + ", ".join(f"{s.number} {s.title}" for s in STOPS if s.row == row)
        for row, name in enumerate(ROWS)
    ]
    return (
        "Map of the course, three rows that are read one after the other. " + "; ".join(lines) + "."
    )


def _corner(stop: Stop) -> tuple[int, int]:
    return GAP + stop.column * (BOX[0] + GAP), 42 + 128 * stop.row


def _box(stop: Stop) -> str:
    x, y = _corner(stop)
    dashed = ' stroke-dasharray="6 4"' if stop.number.startswith("A") else ""
    return (
        f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="8" fill="#fff" '
        f'stroke="{COLOURS[stop.kind]}" stroke-width="2.5"{dashed}/>'
        f'<text x="{x + 12}" y="{y + 26}" font-size="18" font-weight="bold" '
        f'fill="{COLOURS[stop.kind]}">{stop.number}</text>'
        f'<text x="{x + BOX[0] - 12}" y="{y + 26}" font-size="13" text-anchor="end" '
        f'fill="#555">{stop.minutes} min</text>'
        f'<text x="{x + 12}" y="{y + 49}" font-size="14" fill="#222">{escape(stop.title)}</text>'
    )


def _way(before: Stop, after: Stop) -> str:
    (x0, y0), (x1, y1) = _corner(before), _corner(after)
    if before.row == after.row:
        places = [(x0 + BOX[0], y0 + BOX[1] / 2), (x1, y1 + BOX[1] / 2)]
    else:  # down, along between the rows, down again
        between = y0 + BOX[1] + 14
        middle, right = x0 + BOX[0] / 2, x1 + BOX[0] - 10
        places = [(middle, y0 + BOX[1]), (middle, between), (right, between), (right, y1)]
    line = " ".join(f"{x:g},{y:g}" for x, y in places)
    return f'<polyline points="{line}" fill="none" stroke="#999" stroke-width="2"/>'


if __name__ == "__main__":
    MAP.write_text(drawn(), encoding="utf-8")
    print(words())
