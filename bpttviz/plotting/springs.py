"""One spring and K steps: why a loss on the end of a finite relaxation bends forces."""

from __future__ import annotations

import numpy as np

from bpttviz._checks import positive, whole
from bpttviz.plotting.figure import AccessibleFigure, despine
from bpttviz.plotting.palette import BLUE, GREEN, GREY, TEXT, VERMILION

STIFFEST = 2.1  # of the axis of k, in units of 1/eta


def plot_one_spring(true_stiffness: float, step_size: float, steps: int) -> AccessibleFigure:
    """What the loss after K steps says of the stiffness k of a spring whose rest is right.

    A spring F = -k (x - x*) relaxes by x ← x + η F, so what is left after K steps is exactly
    x_K - x* = (1 - ηk)^K (x_0 - x*). Left, the distance from x* step by step; right, the loss
    |x_K - x*| against k.

    Args:
        true_stiffness: k of the truth, eV/Å².
        step_size: eta, Å²/eV.
        steps: K.

    Raises:
        TypeError, ValueError: numbers out of range.
    """
    true = positive("true_stiffness", true_stiffness)
    eta, steps = positive("step_size", step_size), whole("steps", steps, most=10_000)
    best = 1 / eta
    picture = AccessibleFigure((9.6, 3.5))
    way, loss = picture.subplots(1, 2)
    t = np.arange(min(steps, 40) + 1)
    for axes in (way, loss):
        despine(axes)
        axes.axhline(0, color=GREY, lw=0.8)
    way.plot(t, (1 - eta * true) ** t, "o-", color=BLUE, ms=4, label=f"true k = {true:.2g}")
    way.plot(t, (1 - eta * best) ** t, "s--", color=VERMILION, ms=4, label=f"k = 1/η = {best:.2g}")
    way.set_ylim(-0.06, 1.06)
    way.set_xlabel("step t")
    way.set_ylabel("(x$_t$ - x*) / (x$_0$ - x*)")
    way.set_title(f"K = {steps} steps", loc="left", fontsize=10, color=TEXT)
    k = np.linspace(0, STIFFEST * best, 601)
    left = abs(1 - eta * true) ** steps
    loss.plot(k, np.abs(1 - eta * k) ** steps, color=GREEN, lw=1.8)
    loss.axvline(true, color=BLUE, lw=1)
    loss.axvline(best, color=VERMILION, lw=1, linestyle="--")
    loss.plot([true], [left], "o", color=BLUE)
    loss.plot([best], [0], "s", color=VERMILION)
    loss.set_ylim(-0.06, 1.06)
    loss.set_xlabel("stiffness k of the model / eV/Å²")
    loss.set_ylabel("loss: |x$_K$ - x*| / |x$_0$ - x*|")
    loss.set_title(f"the truth pays {left:.2g}", loc="left", fontsize=10, color=TEXT)
    picture.legend(loc="outside upper right", ncols=2, fontsize=9, frameon=False)
    picture.alt_text = (
        f"One spring, its rest in the right place, K = {steps} steps of size {eta:g} Å²/eV. Left: "
        f"with the true stiffness {true:.2g} eV/Å² a share of {left:.2g} of the distance is left "
        f"after K steps; with k = 1/η = {best:.2g} eV/Å² none after one. Right: the loss after K "
        f"steps against k; it is {left:.2g} at the truth and 0 at 1/η, whatever the truth."
    )
    return picture
