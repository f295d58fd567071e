"""The error plane as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from bpttviz.evaluation.report import Report
from bpttviz.plotting import error_plane
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import BLUE, GREEN, GREY, ORANGE, POTENTIALS, TEXT, VERMILION

# How an arrow looks where one layer is shown: a colour, and a line for whoever cannot see it.
Line = Literal["solid", "dashed"]
STYLES: dict[tuple[bool, bool], tuple[str, Line]] = {
    (True, True): (GREEN, "solid"),
    (True, False): (BLUE, "solid"),
    (False, True): (ORANGE, "dashed"),
    (False, False): (VERMILION, "dashed"),
}
LOOK: dict[str, tuple[str, Line]] = {
    error_plane.QUADRANTS[key]: style for key, style in STYLES.items()
}
LOOK[error_plane.KEPT_RIGHT] = (GREY, "solid")
NAME = (0.47, 0.1)  # width and height of the quarter's name, as shares of the plane
APART = 9  # points between the means in the margins


def layer_look(number: int) -> tuple[str, bool]:
    """How the arrows of one of several layers look: a colour, and whether heads are filled."""
    return POTENTIALS[(number + 1) % len(POTENTIALS)], number % 2 == 0


def plot_error_plane(
    report: Report, before: str | None = None, after: error_plane.After | None = None
) -> AccessibleFigure:
    """Force error against endpoint error at rest, an arrow per structure from before to after.

    Arrows of one layer are coloured by what they say, those of several by their layer. Where
    checkpoints of a training are given, a dot stands for each on the way. Means stand in the plane,
    and with their intervals in its margins. Structures that cannot be placed (no reference forces,
    diverged) are named in the picture.

    Args:
        report: what was measured.
        before, after: which potentials; as in `bpttviz.plotting.error_plane.error_plane_data`. By
            default the report's first and last.

    Raises:
        KeyError: the report holds no such potential.
        ValueError: no layer.
    """
    data = error_plane.error_plane_data(report, before, after)
    picture = AccessibleFigure((7.2, 5.9 + 0.12 * len(data.layers)))
    axes = picture.subplots()
    despine(axes)
    axes.set_xlabel("force error (MAE) / eV/Å")
    axes.set_ylabel("endpoint error at rest, ΔQ / amu$^{1/2}$ Å")
    pad = 8 + (APART * (len(data.layers) + 1) if data.mean is not None else 0)
    axes.set_title(plain(data.title), loc="left", fontsize=11, color=TEXT, pad=pad)
    notes = data.describe_left_out()
    if not data.structures:
        return _nothing_to_place(picture, axes, notes)
    limits = data.limits()
    _logarithmic(axes, limits)
    _draw(axes, data, limits)
    axes.legend(  # below: inside, it would hide arrows or the quarter's name
        handles=_legend(data), loc="upper left", bbox_to_anchor=(-0.02, -0.11), ncols=2, fontsize=8,
        frameon=False,
    )  # fmt: skip
    if notes:
        picture.supxlabel(plain("; ".join(notes)), fontsize=8, color=GREY)
    picture.alt_text = data.describe()
    return picture


def _nothing_to_place(picture: AccessibleFigure, axes: Axes, notes: list[str]) -> AccessibleFigure:
    """A picture that says why there is nothing in it."""
    message = "No structure can be placed on this plane.\n" + "\n".join(notes)
    axes.text(0.5, 0.5, plain(message), transform=axes.transAxes, ha="center", va="center")
    axes.set_xticks([])
    axes.set_yticks([])
    picture.alt_text = message.replace("\n", " ")
    return picture


def _logarithmic(axes: Axes, limits: np.ndarray) -> None:
    """Both axes logarithmic, with ticks that can be read."""
    for axis, set_limits, set_scale, (low, high) in (
        (axes.xaxis, axes.set_xlim, axes.set_xscale, limits[0]),
        (axes.yaxis, axes.set_ylim, axes.set_yscale, limits[1]),
    ):
        set_scale("log")
        set_limits(low, high)
        places = error_plane.ticks(low, high)
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter(FixedFormatter([f"{p:g}" for p in places]))
        axis.set_minor_locator(NullLocator())


def _draw(axes: Axes, data: error_plane.ErrorPlaneData, limits: np.ndarray) -> None:
    """The noise floor, the quarters, the arrows of all layers, and their means."""
    if data.noise_floor:
        axes.axhspan(limits[1, 0], data.noise_floor, color=GREY, alpha=0.15, lw=0)
        axes.text(
            limits[0, 0], data.noise_floor, " within the references' own error", fontsize=8,
            va="top", color=GREY,
        )  # fmt: skip
    if data.mean is not None:
        _quadrants(axes, data, limits)
    for number, layer in enumerate(data.layers):
        for arrow in layer.arrows:
            colour, line = LOOK[arrow.meaning]
            filled = True
            if len(data.layers) > 1:
                colour, filled = layer_look(number)
            _arrow(axes, arrow.points, colour, line, filled)
    if data.mean is not None:
        _means(axes, data)
        _margins(axes, data)


def _arrow(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    colour: str,
    line: str,
    filled: bool = True,
    width: float = 1.5,
) -> None:
    """A way over the plane: a dot where it begins, smaller ones on it, a head where it ends."""
    *way, tail, tip = points
    axes.plot(*points[0], "o", ms=3.5, color=colour, zorder=3)
    if way:
        axes.plot(*np.transpose([*way, tail]), color=colour, lw=width, ls=line, zorder=3)
        axes.plot(*np.transpose([*way[1:], tail]), "o", ms=2.5, color=colour, zorder=3, ls="none")
    axes.annotate(
        "", tip, tail, zorder=3,
        arrowprops={
            "arrowstyle": "-|>", "ec": colour, "fc": colour if filled else "white",
            "linestyle": line, "lw": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11,
        },
    )  # fmt: skip


def _quadrants(axes: Axes, data: error_plane.ErrorPlaneData, limits: np.ndarray) -> None:
    """Divide the plane at the mean before, and name the quarter of the paradox."""
    x, y = error_plane.known(data.mean)
    axes.axvline(x, color=GREY, lw=0.7, ls="dotted")
    axes.axhline(y, color=GREY, lw=0.7, ls="dotted")
    axes.fill_between([x, limits[0, 1]], limits[1, 0], y, color=BLUE, alpha=0.08, lw=0)
    # At the top or at the bottom of its quarter: where there is room, and where fewer arrows are.
    low, high = np.log(limits[1])
    top = (np.log(y) - low) / (high - low)
    over, under = (_crowd(data, limits, edge) for edge in (top - NAME[1], 0.0))
    up = top < 1.5 * NAME[1] or under < over
    axes.annotate(
        f"the paradox: {error_plane.PARADOX}\n(where the mean goes, seen from where it was)",
        (limits[0, 1], limits[1, 0] if up else y), (-6, 6 if up else -6),
        textcoords="offset points", ha="right", va="bottom" if up else "top", fontsize=8.5,
        color=BLUE, style="italic", zorder=7,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def _crowd(data: error_plane.ErrorPlaneData, limits: np.ndarray, bottom: float) -> int:
    """How much of the arrows the quarter's name would hide with its lower edge at ``bottom``."""
    ways = [arrow.points for layer in data.layers for arrow in layer.arrows]
    share, (low, high) = np.linspace(0, 1, 50)[:, None], np.log(limits).T
    hidden = 0
    means = [error_plane.known(layer.mean) for layer in data.layers]
    for way in [*map(np.array, ways), *means]:
        points = (np.log(way) - low) / (high - low)
        for one, two in pairwise(points):
            x, y = ((1 - share) * one + share * two).T
            hidden += ((x > 1 - NAME[0]) & (y > bottom) & (y < bottom + NAME[1])).sum()
    return hidden


def _mean_colours(data: error_plane.ErrorPlaneData) -> list[str]:
    """Of the layers' means: black where there is one, their own where there are several."""
    alone = len(data.layers) == 1
    return [TEXT if alone else layer_look(number)[0] for number in range(len(data.layers))]


def _means(axes: Axes, data: error_plane.ErrorPlaneData) -> None:
    """The mean before and after, and the way from one to the other."""
    for layer, colour in zip(data.layers, _mean_colours(data), strict=True):
        mean = error_plane.known(layer.mean)
        *_, tail, tip = mean
        axes.plot(*mean[:-1].T, color=colour, lw=2.2, zorder=4)
        axes.annotate(
            "", tip, tail, zorder=4,
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.2, "mutation_scale": 15},
        )  # fmt: skip
        axes.plot(*tip, "D", ms=6, color=colour, mec="white", mew=0.6, zorder=6)
        if len(data.layers) > 1:
            axes.annotate(
                plain(layer.title), tip, (7, 5), textcoords="offset points", fontsize=8.5,
                weight="bold", color=colour, zorder=7,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
    axes.plot(*error_plane.known(data.mean), "D", ms=6, color=TEXT, mfc="white", zorder=6)


def _margins(axes: Axes, data: error_plane.ErrorPlaneData) -> None:
    """The means of each error alone, with their intervals, above and to the right of the plane."""
    first = data.layers[0]
    before = None if first.interval is None else first.interval[0]
    rows = [(error_plane.known(first.mean)[0], before, TEXT, "white")]
    rows += [
        (
            error_plane.known(layer.mean)[-1],
            None if layer.interval is None else layer.interval[-1],
            colour,
            colour,
        )
        for layer, colour in zip(data.layers, _mean_colours(data), strict=True)
    ]
    scale = axes.figure.dpi_scale_trans
    for number, (mean, interval, colour, fill) in enumerate(rows):
        away = APART * (number + 0.8) / 72
        for error, transform in enumerate(
            (
                axes.get_xaxis_transform() + ScaledTranslation(0, away, scale),
                axes.get_yaxis_transform() + ScaledTranslation(away, 0, scale),
            )
        ):
            style: dict[str, Any] = {
                "color": colour,
                "transform": transform,
                "clip_on": False,
                "zorder": 6,
            }

            def place(values: np.ndarray, error: int = error) -> tuple[np.ndarray, np.ndarray]:
                """Values of one error, on its margin."""
                ones = np.ones(len(values))
                return (values, ones) if error == 0 else (ones, values)

            if interval is not None:
                axes.plot(*place(interval[error]), lw=1.6, solid_capstyle="butt", **style)
            axes.plot(*place(mean[error : error + 1]), "D", ms=4.5, mfc=fill, **style)


def _legend(data: error_plane.ErrorPlaneData) -> list[Line2D]:
    """What colours, lines and marks mean."""
    if len(data.layers) == 1:
        (layer,) = data.layers
        handles = [
            Line2D([], [], color=colour, ls=line, label=f"{meaning}: {layer.count(meaning)}")
            for meaning, (colour, line) in LOOK.items()
            if layer.count(meaning)
        ]
    else:
        labels = [f"{layer.title}: {layer.describe_better()}" for layer in data.layers]
        handles = [
            Line2D([], [], color=layer_look(number)[0], label=plain(label))
            for number, label in enumerate(labels)
        ]
        handles.append(Line2D([], [], color=GREY, ls="dashed", label="dashed: endpoint worse"))
    if data.mean is not None:
        interval = any(layer.interval is not None for layer in data.layers)
        label = "mean before" + (", 95 % interval in the margins" if interval else "")
        handles.append(Line2D([], [], color=TEXT, marker="D", mfc="white", ms=5, lw=0, label=label))
        handles.append(Line2D([], [], color=TEXT, marker="D", ms=5, lw=0, label="mean after"))
    return handles
