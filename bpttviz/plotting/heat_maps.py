"""Heat maps side by side: how much a result changes, by rows and columns, panel by panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from bpttviz._checks import instance_of, mapping_of, number, sequence_of, text
from bpttviz.plotting.arguments import numbers
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import BLUE, GREY, ORANGE, TEXT, VERMILION

# Lightness says how much, the side of white which way; the numbers stand in the cells as well.
CHANGE = LinearSegmentedColormap.from_list("change", [BLUE, "#FFFFFF", VERMILION])


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways in a plane before and after, for a panel beside heat maps.

    Attributes:
        title: of the panel.
        before, after: ways (T, 2) each, NaN where one is lost.
        goals: (G, 2) where they should end.
        axes: labels of x and y.
        window: low and high x, low and high y.
    """

    title: str
    before: Sequence[np.ndarray]
    after: Sequence[np.ndarray]
    goals: np.ndarray
    axes: tuple[str, str]
    window: tuple[tuple[float, float], tuple[float, float]]


def plot_heat_maps(
    ratios: Mapping[str, np.ndarray],
    rows: Sequence[float],
    columns: Sequence[float],
    row_label: str,
    column_label: str,
    title: str,
    strongest: float,
    ways: Ways | None = None,
) -> AccessibleFigure:
    """Ratios after/before as tables of colours, a panel each on one scale, with their numbers.

    Args:
        ratios: panel's title → (R, C) ratios, positive; NaN: an empty cell.
        rows: R values, ascending; drawn upwards.
        columns: C values.
        row_label, column_label: what they are, with units.
        title: what the ratios are of.
        strongest: a ratio above 1; it, and one over it, have the last colours.
        ways: one more panel.

    Raises:
        TypeError: something else.
        ValueError: nothing to show; shapes that do not fit; a ratio that is not positive.
    """
    if ways is not None:
        instance_of("ways", ways, Ways, "Ways(title, before, after, goals, axes, window)")
    row_label, column_label = text("row_label", row_label), text("column_label", column_label)
    title = text("title", title)
    rows = [number("a row", value) for value in sequence_of("rows", rows, object, "[0.1]")]
    columns = [
        number("a column", value) for value in sequence_of("columns", columns, object, "[6, 12]")
    ]
    shape = len(rows), len(columns)
    panels = {
        name: numbers(f"ratios[{name!r}]", values, shape)
        for name, values in mapping_of("ratios", ratios, object, '{"FIRE": ratios}').items()
    }
    if not panels or not all(shape):
        raise ValueError("there is no heat map to show")
    for name, values in panels.items():
        if (values <= 0).any():
            raise ValueError(f"ratios must be positive; a lowest one of {name!r} is {values.min()}")
    span = np.log(number("strongest", strongest, above=1))
    count = len(panels) + (ways is not None)
    picture = AccessibleFigure((1.0 + 3.6 * count, 1.6 + 0.42 * shape[0]))
    if ways is not None:
        picture.set_size_inches(1.0 + 3.6 * count, 3.9)
    axes = picture.subplots(1, count, squeeze=False)[0]
    picture.suptitle(plain(title), fontsize=11, color=TEXT, x=0.01, ha="left")
    for place, (name, values) in enumerate(panels.items()):
        _table(axes[place], name, values, rows, columns, span)
        axes[place].set_xlabel(column_label)
    axes[0].set_ylabel(row_label)
    words = [_described(name, values, rows, columns) for name, values in panels.items()]
    if ways is not None:
        words.append(_draw(axes[-1], ways))
    picture.alt_text = f"{title}, by {row_label} and {column_label}. " + " ".join(words)
    return picture


def _table(
    axes: Axes,
    name: str,
    ratios: np.ndarray,
    rows: Sequence[float],
    columns: Sequence[float],
    span: float,
) -> None:
    despine(axes)
    axes.spines[:].set_visible(False)
    logs = np.log(ratios)
    axes.imshow(logs, cmap=CHANGE, vmin=-span, vmax=span, origin="lower", aspect="auto")
    for (row, column), ratio in np.ndenumerate(ratios):
        if np.isfinite(ratio):
            dark = abs(logs[row, column]) > 0.62 * span
            axes.text(
                column, row, format_percent(ratio), ha="center", va="center", fontsize=9,
                color="white" if dark else TEXT,
            )  # fmt: skip
    axes.set_xticks(range(len(columns)), [f"{x:g}" for x in columns])
    axes.set_yticks(range(len(rows)), [f"{x:g}" for x in rows])
    axes.tick_params(length=0)
    axes.set_title(plain(name), loc="left", fontsize=10, color=TEXT)


def format_percent(ratio: float) -> str:
    """A ratio as a change: −97 %, or ×5 where that says more."""
    if ratio >= 1.995:
        return f"×{ratio:.0f}" if ratio >= 9.5 else f"×{ratio:.1f}"
    return f"{100 * (ratio - 1):+.0f} %".replace("-", "−")


def _draw(axes: Axes, ways: Ways) -> str:
    """The ways; and what is drawn, in words."""
    despine(axes)
    for way in ways.before:
        axes.plot(*np.asarray(way).T, "--", color=ORANGE, lw=1.2)
    for way in ways.after:
        axes.plot(*np.asarray(way).T, "-", color=BLUE, lw=1.4, marker=".", ms=4)
    star: dict[str, Any] = {"mfc": "white", "mec": TEXT, "ms": 13, "mew": 1.2, "zorder": 6}
    for goal in np.unique(np.asarray(ways.goals), axis=0):
        axes.plot(*goal, "*", **star)
    axes.set(xlim=ways.window[0], ylim=ways.window[1], xlabel=ways.axes[0], ylabel=ways.axes[1])
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.set_title(plain(ways.title), loc="left", fontsize=9, color=TEXT)
    axes.grid(color=GREY, alpha=0.2)
    return f"{ways.title}: {len(ways.before)} ways before (dashed) and after (solid)."


def _described(
    name: str, ratios: np.ndarray, rows: Sequence[float], columns: Sequence[float]
) -> str:
    if not np.isfinite(ratios).any():
        return f"{name}: nothing."
    parts = []
    for word, at in (("lowest", np.nanargmin(ratios)), ("highest", np.nanargmax(ratios))):
        row, column = divmod(int(at), ratios.shape[1])
        ratio = format_percent(float(ratios[row, column]))
        parts.append(f"{word} {ratio} at {rows[row]:g} and {columns[column]:g}")
    return f"{name}: {', '.join(parts)}."
