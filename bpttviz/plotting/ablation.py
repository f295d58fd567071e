"""Both errors over the updates of trainings, a line a variant of the recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from bpttviz.plotting.curves import curve_style
from bpttviz.plotting.figure import AccessibleFigure, despine
from bpttviz.plotting.palette import GREY

if TYPE_CHECKING:
    from bpttviz.experiments.ablation import Ablation, Measured


def plot_curve(ablation: Ablation) -> AccessibleFigure:
    """Change of the end at rest, and of the force error, in percent, over updates.

    Every line starts at (0, 0), the pretrained potential; bands are 95 % intervals.

    Args:
        ablation: with curves (`Trial(curve=True)`).

    Raises:
        ValueError: it has none.
    """
    from bpttviz.experiments.variants import variant

    histories = ablation.histories()
    if not histories:
        raise ValueError("no variant was measured after each epoch: give `bpttviz trial` --curve")
    picture = AccessibleFigure((9.6, 4.0))
    words = []
    panels = picture.subplots(1, 2)
    for axes, (column, title) in zip(
        panels, (("dq_rest", "ΔQ at rest"), ("force_mae", "force error")), strict=True
    ):
        despine(axes)
        axes.axhline(0, color=GREY, linewidth=1)
        for place, (name, history) in enumerate(histories.items()):
            updates, middle = _line(axes, ablation, history, column, variant(name).title, place)
            words.append(
                f"{title}, {variant(name).title}: {middle[-1]:+.0f} % after {updates[-1]} updates"
            )
        axes.set_xlabel("updates")
        axes.set_ylabel(f"{title}, change / %")
    panels[0].legend(frameon=False, fontsize=9)
    picture.alt_text = "Errors of held-out structures over a training. " + "; ".join(words)
    return picture


def _line(
    axes: Axes, ablation: Ablation, history: list[Measured], column: str, title: str, place: int
) -> tuple[list[int], list[float]]:
    """One variant's line with its band; (updates, percent)."""
    updates, middle, low, high = [0], [0.0], [0.0], [0.0]
    for one in history:
        change = ablation.compare(one, column)
        if change is None:
            continue
        updates.append(one.updates)
        for values, number in zip(
            (middle, low, high), (change.ratio, *change.interval), strict=True
        ):
            values.append(100 * (number - 1))
    style = curve_style(place)
    axes.plot(updates, middle, label=title, **style)
    known = np.isfinite(low)
    axes.fill_between(
        np.array(updates)[known], np.array(low)[known], np.array(high)[known],
        color=style["color"], alpha=0.15, linewidth=0,
    )  # fmt: skip
    return updates, middle
