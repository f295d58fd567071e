"""Both errors, and the slope of forces, over the updates of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bpttviz._checks import sequence_of
from bpttviz.plotting.curves import curve_style
from bpttviz.plotting.figure import AccessibleFigure, despine
from bpttviz.plotting.palette import GREY

PANELS = {"dq_rest": "ΔQ at rest", "force_mae": "force error"}


def plot_dose(rows: Sequence[Mapping[str, Any]]) -> AccessibleFigure:
    """Change of the end at rest and of the force error, in percent, and the slope of forces.

    Every line starts at the pretrained potential; bands are 95 % intervals. A slope (of predicted
    against reference forces) below 1 is soft; beyond 1 every step goes too far.

    Args:
        rows: what `Ablation.curve` returns: ``variant``, ``updates``, and for ``dq_rest`` and
            ``force_mae`` (ratio, low, high) against pretrained, for ``slope`` (before, after); what
            is not known has no panel.

    Raises:
        TypeError, ValueError: something else, or no rows.
    """
    given = sequence_of("rows", rows, Mapping, "Ablation.read(folder).curve()")
    if not given:
        raise ValueError("nothing was measured after each epoch: give `bpttviz trial` --curve")
    if not all({"variant", "updates", "slope", *PANELS} <= row.keys() for row in given):
        raise ValueError("rows must be what Ablation.curve returns")
    picture = AccessibleFigure((9.6, 4.0))
    words = []
    shown = {
        column: title
        for column, title in PANELS.items()
        if all(np.isfinite(row[column][0]) for row in given)
    }
    if not shown:
        raise ValueError("rows have neither ends nor forces to compare")
    sloping = all(np.isfinite(row["slope"]).all() for row in given)
    panels = picture.subplots(1, len(shown) + sloping, squeeze=False)[0]
    for axes, (column, title) in zip(panels, shown.items(), strict=False):
        despine(axes)
        axes.axhline(0, color=GREY, linewidth=1)
        for place, name in enumerate(dict.fromkeys(row["variant"] for row in given)):
            history = [row for row in given if row["variant"] == name]
            last = _line(axes, history, column, place)
            words.append(f"{title}, {name}: {last:+.0f} % after {history[-1]['updates']} updates")
        axes.set_ylabel(f"{title}, change / %")
    if sloping:
        words += _slopes(panels[-1], given)
    for axes in panels:
        axes.set_xlabel("updates")
    panels[0].legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))
    picture.alt_text = "Errors of held-out structures over a training. " + "; ".join(words)
    return picture


def _slopes(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The panel of slopes, a line a variant; what it shows, in words."""
    despine(axes)
    axes.axhline(1, color=GREY, linewidth=1)
    axes.set_ylabel("slope of forces, against the reference's")
    words = []
    for place, name in enumerate(dict.fromkeys(row["variant"] for row in rows)):
        history = [row for row in rows if row["variant"] == name]
        before, last = history[0]["slope"][0], history[-1]["slope"][1]
        updates = [0, *(row["updates"] for row in history)]
        axes.plot(updates, [before, *(row["slope"][1] for row in history)], **curve_style(place))
        words.append(f"slope of forces, {name}: {before:.2f} to {last:.2f}")
    return words


def _line(axes: Axes, history: Sequence[Mapping[str, Any]], column: str, place: int) -> float:
    """One variant's line with its band; the last percentage."""
    updates = [0, *(row["updates"] for row in history)]
    ratios = np.array([(1.0, 1.0, 1.0), *(row[column] for row in history)])
    middle, low, high = 100 * (ratios.T - 1)  # (3, points)
    style = curve_style(place)
    axes.plot(updates, middle, label=history[0]["variant"], **style)
    axes.fill_between(updates, low, high, color=style["color"], alpha=0.15, linewidth=0)
    return float(middle[-1])
