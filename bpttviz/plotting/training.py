"""How a fine-tuning went: loss, validation, gradient by update and by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bpttviz._checks import shown
from bpttviz.plotting.figure import AccessibleFigure, despine, typeset
from bpttviz.plotting.gradients import limits_with_bands
from bpttviz.plotting.palette import BLUE, GREY, ORANGE, PURPLE, TEXT
from bpttviz.relaxation.diagnose import EXPLODED, VANISHED
from bpttviz.training import summary
from bpttviz.training.runs import Run


def plot_training(run: Run) -> AccessibleFigure:
    """How a fine-tuning went: loss, validation and gradient norm by update.

    Where the run has them also the force error, and the latest gradients on their way back, step by
    step.

    Args:
        run: has ``history`` and ``validations``, as `bpttviz.Run`.

    Raises:
        TypeError: it has not.
    """
    if not all(isinstance(getattr(run, part, None), list) for part in ("history", "validations")):
        raise TypeError(f"run must be a Run, such as bv.load_run(folder), got {shown(run)}")
    forces = summary.curve(run.validations, summary.FORCE_ERROR)
    ways = summary.gradient_profiles(run)
    rows: list[Any] = [["loss", "forces"] if forces else ["loss", "loss"]]
    rows += [["norm", "way"] if ways else ["norm", "norm"]]
    picture = AccessibleFigure((9.2 if forces or ways else 7.2, 4.8))
    panels = picture.subplot_mosaic(rows, height_ratios=(1.4, 1))
    for axes in panels.values():
        despine(axes)
    for name in panels.keys() - {"way"}:
        panels[name].xaxis.set_major_locator(MaxNLocator(integer=True))
    _losses(panels["loss"], run)
    norms = summary.curve(run.history, "gradient_norm")
    panels["norm"].plot(*_columns(norms), "-", color=GREY, lw=1)
    sizes = [norm for _, norm in norms]
    if sizes and max(sizes) > 10 * min(sizes) > 0:
        panels["norm"].set_yscale("log")
    panels["norm"].set_ylabel("gradient norm")
    panels["norm"].set_xlabel("update")
    if forces:
        panels["forces"].plot(*_columns(forces), "-s", color=BLUE, ms=5)
        panels["forces"].set_ylabel("validation force error / eV/Å", fontsize=9)
    if ways:
        _ways_back(panels["way"], ways)
    picture.alt_text = summary.describe_run(run)
    return picture


def _losses(axes: Axes, run: Run) -> None:
    """Training and validation losses by update, the best one marked."""
    losses = summary.curve(run.history, "loss")
    validation = summary.curve(run.validations, "value")
    axes.plot(*_columns(losses), ".", color=ORANGE, ms=4, label="training, one update each")
    if validation:
        axes.plot(*_columns(validation), "-s", color=BLUE, ms=5, label="validation")
        best = summary.best(validation)
        axes.plot(*(best or ((), ())), "o", ms=11, mfc="none", mec=TEXT, label="best")
    axes.set_ylabel(typeset(summary.loss_label(run)))
    if losses or validation:
        axes.legend(fontsize=9, frameon=False)


def _ways_back(axes: Axes, ways: Sequence[summary.GradientProfile]) -> None:
    """The gradient's size by step, one line an update, the latest in front."""
    for way in ways:
        latest = way is ways[-1]
        axes.plot(
            way.steps, np.array(way.relative, float), "-o" if latest else "-", ms=3.5,
            color=PURPLE, lw=1.6 if latest else 0.8, alpha=1 if latest else 0.35,
        )  # fmt: skip
    axes.set_yscale("log")
    low, high = limits_with_bands(axes.get_ylim())
    for edge, end in ((VANISHED, low), (EXPLODED, high)):
        axes.axhspan(edge, end, color=GREY, alpha=0.15, lw=0)
    axes.set_ylim(low, high)
    axes.set_ylabel("|dL/dX$_t$| / |dL/dX$_K$|", fontsize=9)
    axes.set_xlabel("step t  (← the gradient's way; shaded: vanished, exploded)", fontsize=9)
    axes.set_title(f"gradient by step: {ways[-1].verdict}", loc="left", fontsize=9, color=TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _columns(points: summary.Curve) -> tuple[list[int], list[float]]:
    """x and y of (x, y) pairs."""
    return [x for x, _ in points], [y for _, y in points]
