"""The unrolled graph of a relaxation: the way forward, the gradient's way back, both in code."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from bpttviz._checks import whole
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.palette import BLUE, GREY, SKY, TEXT, VERMILION

FORWARD = "$X_{t+1} = X_t + \\eta\\,F(X_t, \\theta)$"
BACK = "$g_t = g_{t+1} + \\eta\\,(\\partial F/\\partial X_t)^{\\top} g_{t+1}$"
COLLECT = "$dL/d\\theta = \\sum_t\\, \\eta\\,(\\partial F/\\partial \\theta)^{\\top} g_{t+1}$"
# What stands beside a formula, in the words of the notebook that writes it.
CODE = (
    "for t in range(K):\n    x = x + eta * force(x)",
    "for t in reversed(range(K)):\n    to_x, to_theta = grad(\n"
    "        force(x[t]), [x[t], theta], g)\n"
    "    total = total + eta * to_theta\n    g = g + eta * to_x",
)


def plot_unrolled(steps: int = 3) -> AccessibleFigure:
    """A relaxation of so many steps, unrolled: boxes are structures, one θ feeds every step.

    Above, forward; below, the gradient's way back, with what each step adds to dL/dθ. Formula and
    code stand beside it.

    Args:
        steps: K, 2 to 5.

    Raises:
        TypeError, ValueError: another number.
    """
    steps = whole("steps", steps, least=2, most=5)
    picture = AccessibleFigure((10.4, 3.9))
    graph, words = picture.subplots(1, 2, width_ratios=(1.9, 1))
    for axes in (graph, words):
        axes.set_axis_off()
    graph.set_xlim(-0.5, steps + 1.6)
    graph.set_ylim(-1.75, 1.75)
    for t in range(steps + 1):
        _box(graph, t, 0.75, f"$X_{t}$", BLUE)
        _box(graph, t, -0.75, f"$g_{t}$", VERMILION)
        if t < steps:
            _arrow(graph, (t + 0.24, 0.75), (t + 0.76, 0.75), BLUE)
            graph.text(t + 0.5, 0.87, "step", ha="center", fontsize=9, color=TEXT)
            _arrow(graph, (t + 0.76, -0.75), (t + 0.24, -0.75), VERMILION, dashed=True)
            _arrow(graph, (t + 0.5, 1.33), (t + 0.5, 1.06), GREY)
            _arrow(graph, (t + 0.5, -0.83), (t + 0.5, -1.28), GREY, dashed=True)
            _arrow(graph, (t, 0.5), (t + 0.42, -0.66), SKY)
    middle = (steps - 1) / 2 + 0.5
    graph.text(middle, 1.55, "the same θ in every step", ha="center", va="center", color=TEXT)
    graph.plot([0.5, steps - 0.5], [1.36, 1.36], color=GREY, lw=1)
    graph.plot([0.5, steps - 0.5], [-1.3, -1.3], color=GREY, lw=1)
    graph.text(middle, -1.55, "each step adds to dL/dθ", ha="center", va="center", color=TEXT)
    _box(graph, steps + 1, 0.75, "L", TEXT)
    _arrow(graph, (steps + 0.24, 0.75), (steps + 0.76, 0.75), BLUE)
    _arrow(graph, (steps + 1, 0.5), (steps + 0.26, -0.72), VERMILION, dashed=True)
    graph.text(steps + 0.76, -0.4, "$dL/dX_K$", fontsize=9, color=TEXT)
    graph.text(steps + 1, 1.13, "the end only", ha="center", fontsize=9, color=TEXT)
    _words(words)
    picture.alt_text = (
        f"A relaxation of K = {steps} steps, unrolled. Above, from left to right: structures X_0 "
        f"to X_{steps}, joined by steps into which the same θ goes, and after the last one the "
        f"loss L. Below, from right to left: the gradient sets out as g_{steps} = dL/dX_{steps} "
        "and is taken back a step at a time to g_0; each step needs the positions kept there, and "
        "adds to dL/dθ. Beside it: forward, x = x + eta * force(x); back, g = g + eta times the "
        "vector-Jacobian product of the force, and the sum of what the steps add."
    )
    return picture


def _box(axes: Axes, x: float, y: float, label: str, colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - 0.2, y - 0.2), 0.4, 0.4, boxstyle="round,pad=0.03", fc="white", ec=colour, lw=1.6
        )
    )
    axes.text(x, y, label, ha="center", va="center", fontsize=12, color=TEXT)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    dashed: bool = False,
) -> None:
    style = "--" if dashed else "-"
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=colour,
            lw=1.5,
            linestyle=style,
            shrinkA=0,
            shrinkB=0,
        )
    )


def _words(axes: Axes) -> None:
    """Formulas and code, the way forward above the way back."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for y, title, colour, formulas, code in (
        (0.97, "forward: keep the positions", BLUE, [FORWARD], CODE[0]),
        (0.61, "back: recompute each step", VERMILION, [BACK, COLLECT], CODE[1]),
    ):
        axes.text(0, y, title, va="top", fontsize=10, color=colour, fontweight="bold")
        for n, formula in enumerate(formulas, 1):
            axes.text(0, y - 0.09 * n, formula, va="top", fontsize=10.5, color=TEXT)
        axes.text(
            0, y - 0.09 * len(formulas) - 0.1, code, va="top", fontsize=9, color=TEXT,
            family="monospace", linespacing=1.35,
        )  # fmt: skip
