"""Two errors against each other: which ways to fine-tune are not beaten in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpttviz._checks import sequence_of
from bpttviz.plotting.curves import curve_style
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import GREY, TEXT

ACROSS, DOWN = "force_mae", "dq_rest"


def plot_front(rows: Sequence[Mapping[str, Any]]) -> AccessibleFigure:
    """Change of the force error across, of the end at rest down: lower left is better in both.

    A variant's mark is its last weights, in a cross of two 95 % intervals. Where its blends were
    measured, a line leads there from the pretrained potential at (0, 0), with every α. The Pareto
    front, dashed, joins what nothing else beats in both, where that is more than one.

    Args:
        rows: what `Ablation.front` returns: ``variant``, ``alpha``, ``n``, and for ``dq_rest`` and
            ``force_mae`` (ratio, low, high) against pretrained.

    Raises:
        TypeError, ValueError: something else, no rows, or rows without both errors.
    """
    given = sequence_of("rows", rows, Mapping, "bv.stored_ablation().front()")
    if not given or not all({"variant", "alpha", "n", ACROSS, DOWN} <= row.keys() for row in given):
        raise ValueError("rows must be what Ablation.front returns")
    if not all(np.isfinite(row[column][0]) for row in given for column in (ACROSS, DOWN)):
        raise ValueError("there are no structures of which all have measured ends and forces")
    picture = AccessibleFigure((9.0, 4.8))
    axes = picture.subplots()
    despine(axes)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.plot(0, 0, "o", color=TEXT, label="pretrained")
    words = []
    for place, name in enumerate(dict.fromkeys(row["variant"] for row in given)):
        line = [row for row in given if row["variant"] == name]
        across, down = (_percent(line, column) for column in (ACROSS, DOWN))  # (3, points) each
        style = curve_style(place)
        label = plain(name)
        if len(line) > 1:
            path = [0.0, *across[0]], [0.0, *down[0]]
            axes.plot(*path, **style, markevery=slice(1, None), label=label, linewidth=1.2)
        else:
            axes.plot(across[0], down[0], color=style["color"], marker=style["marker"],
                      linestyle="none", label=label)  # fmt: skip
        for row, x, y in zip(line[:-1], across[0], down[0], strict=False):
            axes.annotate(
                f"{row['alpha']:g}", (x, y), (4, 4), textcoords="offset points", fontsize=8
            )
        axes.plot(across[1:, -1], [down[0, -1]] * 2, color=style["color"], alpha=0.35)
        axes.plot([across[0, -1]] * 2, down[1:, -1], color=style["color"], alpha=0.35)
        for row, x, y in zip(line, across[0], down[0], strict=True):
            part = "" if row["alpha"] == 1 else f", α = {row['alpha']:g}"
            words.append(f"{name}{part}: ends {y:+.0f} %, forces {x:+.0f} %")
    best = unbeaten(
        [(0.0, 0.0), *zip(_percent(given, ACROSS)[0], _percent(given, DOWN)[0], strict=True)]
    )
    if len(best) > 1:
        axes.plot(*zip(*best, strict=True), "--", color=TEXT, linewidth=1, label="Pareto front")
    axes.set_title(f"{given[0]['n']} held-out structures", loc="left", fontsize=10)
    axes.set_xlabel("force error, change / %")
    axes.set_ylabel("ΔQ at rest, change / %")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    told = "; ".join(words)
    picture.alt_text = f"Change of both errors, {given[0]['n']} held-out structures. {told}."
    return picture


def unbeaten(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other is below or beside in both coordinates, from left to right."""
    best: list[tuple[float, float]] = []
    for across, down in sorted(set(points)):
        if not best or down < best[-1][1]:
            best.append((across, down))
    return best


def _percent(rows: Sequence[Mapping[str, Any]], column: str) -> np.ndarray:
    """(3, points): the change and its interval."""
    return 100 * (np.array([row[column] for row in rows]).T - 1)
