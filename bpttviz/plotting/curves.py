"""Curves in one panel, told apart by colour, mark and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpttviz._checks import mapping_of, positive, sequence_of, shown, text
from bpttviz.plotting.arguments import numbers
from bpttviz.plotting.figure import AccessibleFigure, despine, plain, typeset
from bpttviz.plotting.palette import GREY, POTENTIALS, TEXT

# Curves of one panel, told apart by mark and line where colours cannot be.
MARKERS, LINES = "os^Dv", ("-", "--", "-.", ":", (0, (5, 1)))


def plot_curves(
    values: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    logarithmic: str = "",
    floor: tuple[float, str] | None = None,
) -> AccessibleFigure:
    """Any curves in one panel, told apart by colour, mark and line.

    Args:
        values: label → (x, y).
        x_label, y_label: with units.
        logarithmic: the axes that are, "x", "y" or "xy".
        floor: a value of y below which differences mean nothing, and what to call it; shaded.

    Raises:
        TypeError: something else.
        ValueError: nothing to show, or as many x as y are not there.
    """
    curves = {
        label: _curve(label, pair)
        for label, pair in mapping_of("values", values, object, '{"label": (x, y)}').items()
    }
    if not curves:
        raise ValueError("there is no curve to show")
    if set(text("logarithmic", logarithmic)) - {*"xy"}:
        raise ValueError(f'logarithmic must be "", "x", "y" or "xy", got {logarithmic!r}')
    if floor is not None:
        pair = sequence_of("floor", floor, object, '(0.1, "noise")')
        if len(pair) != 2:
            raise ValueError(f"floor must be a value and what to call it, got {shown(floor)}")
        floor = positive("the value of floor", pair[0]), str(pair[1])
    picture = AccessibleFigure((7.2, 4.2))
    axes = picture.subplots()
    despine(axes)
    words = []
    for place, (label, (x, y)) in enumerate(curves.items()):
        axes.plot(x, y, label=plain(label), **curve_style(place), ms=5, lw=1.6)
        low, high = int(np.nanargmin(y)), int(np.nanargmax(y))
        words.append(
            f"{label}: lowest {y[low]:.3g} at {x[low]:.3g}, highest {y[high]:.3g} at {x[high]:.3g}"
        )
    for name in logarithmic:
        getattr(axes, f"set_{name}scale")("log")
    if floor:
        bottom = min(axes.get_ylim()[0], floor[0] / 2) if "y" in logarithmic else 0
        axes.axhspan(bottom, floor[0], color=GREY, alpha=0.15, lw=0)
        axes.set_ylim(bottom=bottom)
        axes.annotate(
            plain(floor[1]), (1, floor[0]), (-4, -3), textcoords="offset points", ha="right",
            va="top", xycoords=("axes fraction", "data"), fontsize=9, color=TEXT, style="italic",
        )  # fmt: skip
        words.append(f"shaded below {floor[0]:.3g}: {floor[1]}")
    axes.set_xlabel(typeset(text("x_label", x_label)))
    axes.set_ylabel(typeset(text("y_label", y_label)))
    axes.legend(fontsize=9, frameon=False)
    picture.alt_text = f"{y_label} against {x_label}. " + "; ".join(words) + "."
    return picture


def _curve(label: str, pair: object) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one curve, of which at least one place can be shown."""
    both = sequence_of(f"values[{label!r}]", pair, object, "(x, y)")
    if len(both) != 2:
        raise ValueError(f"values[{label!r}] must be (x, y), got {len(both)} parts")
    x, y = (numbers(f"values[{label!r}]", part, (None,)) for part in both)
    if len(x) != len(y) or np.isnan(y).all():
        raise ValueError(f"values[{label!r}] has {len(x)} x and {np.isfinite(y).sum()} finite y")
    return x, y


def curve_style(place: int) -> dict[str, Any]:
    """Colour, mark and line of the curve with this number."""
    return {
        "color": POTENTIALS[place % len(POTENTIALS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place % len(LINES)],
    }
