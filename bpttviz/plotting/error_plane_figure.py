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
from bpttviz.plotting.figure import UNIT, AccessibleFigure, despine, plain, typeset
from bpttviz.plotting.free_place import free_place
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
LOOK[error_plane.KEPT_RIGHT] = LOOK[error_plane.UNCHANGED] = (GREY, "solid")
# The quarter's name in more lines and more: shares of the plane that they take, width and height.
NAMES = {
    (0.6, 0.1): "the paradox: {}, {}\n(where the mean goes, seen from where it was)",
    (0.36, 0.19): "the paradox:\n{}, {}\n(where the mean goes,\nseen from where it was)",
    (0.215, 0.16): "the paradox:\n{},\n{}",
}
APART = 9  # points between the rows of means
ROWS = 330  # points that a plane is high, and wide, at least: rows of means have a share of it


def layer_look(number: int) -> tuple[str, bool]:
    """How the arrows of one of several layers look: a colour, and whether heads are filled."""
    return POTENTIALS[(number + 1) % len(POTENTIALS)], number % 2 == 0


def plot_error_plane(
    report: Report, before: str | None = None, after: error_plane.After | None = None
) -> AccessibleFigure:
    """Force error against endpoint error at rest, an arrow per structure from before to after.

    Arrows of one layer are coloured by what they say, those of several by their layer. Where
    checkpoints of a training are given, a dot stands for each on the way. Means stand in the plane,
    and with their intervals along its upper and right edges; an interval that reaches beyond the
    axis ends in an arrowhead. Structures that cannot be placed (no reference forces,
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
    axes.set_ylabel(typeset(f"endpoint error at rest, ΔQ / {UNIT}"))
    axes.set_title(plain(data.title), loc="left", fontsize=11, color=TEXT, pad=8)
    notes = data.describe_left_out()
    if not data.structures:
        return _nothing_to_place(picture, axes, notes)
    limits = _with_room(data, data.limits())
    _logarithmic(axes, limits)
    _draw(axes, data, limits)
    axes.legend(  # below: inside, it would hide arrows or the quarter's name
        handles=_legend(data), loc="upper left", bbox_to_anchor=(-0.02, -0.11), ncols=2, fontsize=9,
        frameon=False,
    )  # fmt: skip
    if notes:
        picture.supxlabel(plain("; ".join(notes)), fontsize=9, color=GREY)
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
        _noise_floor(axes, data.noise_floor, limits)
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
        if data.intervals:
            _margins(axes, data, limits)


def _with_room(data: error_plane.ErrorPlaneData, limits: np.ndarray) -> np.ndarray:
    """Limits with room for the rows of means inside the frame, above and to the right."""
    if not data.intervals:
        return limits
    share = (APART * (len(data.layers) + 1) + 8) / ROWS
    wider = limits.copy()
    wider[:, 1] *= (limits[:, 1] / limits[:, 0]) ** (share / (1 - share))
    return wider


def _noise_floor(axes: Axes, floor: float, limits: np.ndarray) -> None:
    """The references' own error: a band, or a hint at the edge where it lies beyond the axis."""
    words, height, va = "within the noise floor", floor, "top"
    if floor > limits[1, 0]:
        axes.axhspan(limits[1, 0], floor, color=GREY, alpha=0.15, lw=0)
    else:
        words, height, va = f"↓ noise floor: {floor:.2g}", limits[1, 0], "bottom"
    axes.text(limits[0, 0], height, f" {words}", fontsize=9, va=va, color=TEXT, alpha=0.75)


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
    _name_the_paradox(axes, data, limits)


def _name_the_paradox(axes: Axes, data: error_plane.ErrorPlaneData, limits: np.ndarray) -> None:
    """In free space of its quarter; beside it, with a line, where the quarter is too small."""
    x, y = _shares(error_plane.known(data.mean), limits)
    high = _shares(data.limits()[:, 1], limits)  # beyond are the rows of means
    floor = 0.0
    if data.noise_floor:
        floor = max(0.0, float(_shares(np.array([limits[0, 0], data.noise_floor]), limits)[1]))
    taken = _drawn(data, limits)
    inside = ((x + 0.01, high[0]), (floor + 0.01, y - 0.01))
    anywhere = ((0.01, high[0]), (floor + 0.01, high[1]))
    for region in (inside, anywhere):
        found = {size: free_place(taken, size, region) for size in NAMES}
        fitting = {size: place for size, place in found.items() if place is not None}
        if fitting:
            break
    else:
        return
    (width, height), (_, left, bottom) = min(fitting.items(), key=lambda item: item[1][0])
    centre = ((x + high[0]) / 2, (floor + y) / 2)
    if region is anywhere:
        axes.annotate(
            "", centre, (left + width / 2, bottom + height / 2), "axes fraction", "axes fraction",
            arrowprops={"arrowstyle": "-", "color": BLUE, "lw": 0.8}, zorder=6,
        )  # fmt: skip
    axes.annotate(
        NAMES[width, height].format(*error_plane.PARADOX.split(", ")),
        (left + width / 2, bottom + height / 2), xycoords="axes fraction", ha="center", va="center",
        fontsize=9, style="italic", color=BLUE, zorder=7,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip


def _shares(points: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Places (..., 2) as shares of the plane's width and height."""
    low, high = np.log(limits).T
    return (np.log(points) - low) / (high - low)


def _drawn(data: error_plane.ErrorPlaneData, limits: np.ndarray) -> np.ndarray:
    """Places (n, 2) along all arrows, and along the means' way, as shares of the plane."""
    ways = [arrow.points for layer in data.layers for arrow in layer.arrows]
    means = [error_plane.known(layer.mean) for layer in data.layers]
    share = np.linspace(0, 1, 50)[:, None]
    places = [
        (1 - share) * one + share * two
        for way in [*map(np.array, ways), *means]
        for one, two in pairwise(_shares(way, limits))
    ]
    return np.concatenate(places)


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
                plain(layer.title), tip, (7, 5), textcoords="offset points", fontsize=9,
                weight="bold", color=colour, zorder=7,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip
    axes.plot(*error_plane.known(data.mean), "D", ms=6, color=TEXT, mfc="white", zorder=6)


def _margins(axes: Axes, data: error_plane.ErrorPlaneData, limits: np.ndarray) -> None:
    """The means of each error alone, with their intervals, along the upper and the right edge."""
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
        away = -APART * (number + 0.9) / 72
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
                seen = np.clip(interval[error], *limits[error])
                axes.plot(*place(seen), lw=1.6, solid_capstyle="butt", **style)
                for end, mark in enumerate(("<>", "v^")[error]):
                    if seen[end] != interval[error, end]:  # it goes on beyond the axis
                        axes.plot(*place(seen[end : end + 1]), mark, ms=5, **style)
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
        label = "mean before" + (", 95 % interval along the edges" if data.intervals else "")
        handles.append(Line2D([], [], color=TEXT, marker="D", mfc="white", ms=5, lw=0, label=label))
        handles.append(Line2D([], [], color=TEXT, marker="D", ms=5, lw=0, label="mean after"))
    return handles
