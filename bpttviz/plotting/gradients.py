"""What a gradient costs, and how it fares on its way back through a relaxation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from bpttviz._checks import mapping_of, positive, sequence_of
from bpttviz.plotting import arguments, error_plane
from bpttviz.plotting.arguments import numbers
from bpttviz.plotting.curves import curve_style
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import GREY, TEXT
from bpttviz.profiling import exponent
from bpttviz.relaxation.diagnose import EXPLODED, VANISHED, GradientDiagnosis


def plot_costs(costs: Sequence[dict], limit: float = 2e9) -> AccessibleFigure:
    """Peak memory and time of one gradient against K, a line an adjoint.

    Args:
        costs: what `bpttviz.experiments.cost.measure_costs` returns.
        limit: bytes, drawn as a line: what a free Binder has.

    Raises:
        TypeError, ValueError: something else, or nothing to show.
    """
    limit = positive("limit", limit)
    given = sequence_of("costs", costs, Mapping, "measure_costs(...)")
    made = [row for row in given if "skipped" not in row]
    needed = {"mode", "steps", "peak_bytes", "seconds"}
    if not made or not all(needed <= row.keys() for row in made):
        raise ValueError("costs must be what measure_costs returns, with a figure at least")
    modes = list(dict.fromkeys(r["mode"] for r in made))
    picture = AccessibleFigure((9.6, 4.0))
    words = []
    for axes, what in zip(picture.subplots(1, 2), ("memory", "time"), strict=True):
        despine(axes)
        for place, mode in enumerate(modes):
            rows = sorted((r for r in made if r["mode"] == mode), key=lambda r: r["steps"])
            steps = [r["steps"] for r in rows]
            values = [r["peak_bytes"] / 1e9 if what == "memory" else r["seconds"] for r in rows]
            axes.plot(steps, values, label=mode, **curve_style(place))
            if what == "memory":
                words.append(f"{mode} {values[0]:.2f} to {values[-1]:.2f} GB")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({r["steps"] for r in made})
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FixedFormatter([str(k) for k in ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("steps of the relaxation, K")
        axes.set_ylabel("peak memory of the process / GB" if what == "memory" else "seconds")
    memory, _ = picture.axes
    memory.axhline(limit / 1e9, color=GREY, linewidth=1)
    memory.annotate(
        f"{limit / 1e9:g} GB", (memory.get_xlim()[0], limit / 1e9), xytext=(3, 3),
        textcoords="offset points", fontsize=9, color=TEXT,
    )  # fmt: skip
    memory.legend(frameon=False, fontsize=9)
    for axes in picture.axes:
        places = error_plane.ticks(*axes.get_ylim())
        axes.yaxis.set_major_locator(FixedLocator(places))
        axes.yaxis.set_major_formatter(FixedFormatter([f"{place:g}" for place in places]))
        axes.yaxis.set_minor_locator(NullLocator())
    ticks = sorted({r["steps"] for r in made})
    picture.alt_text = (
        f"Cost of one gradient against K = {ticks[0]} to {ticks[-1]} steps. Peak memory: "
        + "; ".join(words)
    )
    return picture


def plot_growth(rows: Sequence[dict]) -> AccessibleFigure:
    """How one gradient's time and memory grow: a panel each for atoms, structures and steps.

    Args:
        rows: what `bpttviz.experiments.growth.measure_growth` returns.

    Raises:
        TypeError, ValueError: something else, or a series with fewer than two sizes.
    """
    given = sequence_of("rows", rows, Mapping, "measure_growth(...)")
    if not given or not all({"size", "seconds", "growth_bytes"} <= row.keys() for row in given):
        raise ValueError("rows must be what measure_growth returns, with a size at least")
    series = list(dict.fromkeys(row["size"]["series"] for row in given))
    picture = AccessibleFigure((3.4 * len(series), 3.6))
    words = []
    for axes, name in zip(np.atleast_1d(picture.subplots(1, len(series))), series, strict=True):
        mine = [row for row in given if row["size"]["series"] == name]
        grown = [row["size"][name] for row in mine]
        if len(set(grown)) < 2:
            raise ValueError(f"the series {name!r} has one size only: nothing grows")
        despine(axes)
        for place, (what, unit, scale) in enumerate(
            (("seconds", "time / s", 1.0), ("growth_bytes", "memory / GB", 1e-9))
        ):
            values = [max(row[what] * scale, 1e-6) for row in mine]
            slope = exponent(grown, values)
            label = f"{unit}, exponent {slope:.2f}"
            axes.plot(grown, values, label=label, **curve_style(place))
            words.append(f"{unit.split(' /')[0]} over {name} {slope:.2f}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(grown))
        axes.xaxis.set_major_formatter(FixedFormatter([str(x) for x in grown]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("steps, K" if name == "steps" else name)
        axes.legend(frameon=False, fontsize=9)
    picture.alt_text = "How one gradient grows, exponents of power laws: " + "; ".join(words)
    return picture


def plot_gradient(
    diagnoses: Mapping[str, GradientDiagnosis],
    factors: Mapping[str, Sequence[float]] | None = None,
    limits: tuple[float, float] | None = None,
) -> AccessibleFigure:
    """How the gradient fares on its way back from the last step to the first.

    Left, its size, relative to the size it set out with: in the shaded bands it has vanished, or
    exploded. Right, what each step adds to dL/dθ, as a share of all. The verdicts stand in the
    legend.

    Args:
        diagnoses: label → what `diagnose_gradient` found.
        factors: label → 1 - eta λ of the modes there (λ eV/Å², eigenvalues of the Hessian): what a
            step multiplies each mode of the gradient by. They are drawn below: between -1 and 1
            a mode vanishes, outside it grows.
        limits: of the left axis; the right one then goes up to 100 %. For pictures that are to be
            compared; by default the axes fit what is shown.

    Raises:
        KeyError: factors of something that is not shown.
        TypeError: diagnoses, factors or limits that are none.
        ValueError: nothing to show.
    """
    diagnoses = mapping_of("diagnoses", diagnoses, GradientDiagnosis, '{"short": diagnosis}')
    factors = _factors_of(diagnoses, factors)
    limits = arguments.limits("limits", limits)
    if not diagnoses:
        raise ValueError("there is no diagnosis to show")
    picture = AccessibleFigure((9.6, 5.4 if factors else 4.2))
    rows: list[Any] = [["size", "share"], *[["factors", "factors"]] * bool(factors)]
    below = (0.09 + 0.09 * len(factors),) * bool(factors)
    panels = picture.subplot_mosaic(rows, height_ratios=(1, *below))
    for axes in panels.values():
        despine(axes)
    _gradient_curves(panels["size"], panels["share"], diagnoses)
    longest = max(diagnosis.steps for diagnosis in diagnoses.values())
    _size_axes(panels["size"], limits)
    _share_axes(panels["share"], longest, bool(limits))
    for name in ("size", "share"):
        panels[name].set_xlim(-0.03 * longest, 1.03 * longest)
        panels[name].set_xlabel("step t  (← the gradient's way)")
        panels[name].xaxis.set_major_locator(MaxNLocator(integer=True))
    if factors:
        _factors(panels["factors"], factors, list(diagnoses))
    handles, labels = panels["size"].get_legend_handles_labels()
    picture.legend(
        handles, labels, loc="outside upper left", ncols=min(3, len(labels)), fontsize=9,
        frameon=False,
    )  # fmt: skip
    words = [_describe_gradient(label, diagnosis) for label, diagnosis in diagnoses.items()]
    words += [
        f"Factors of a step, {label}: {', '.join(f'{f:.2f}' for f in sorted(values))}."
        for label, values in factors.items()
    ]
    picture.alt_text = "The gradient on its way back through a relaxation. " + " ".join(words)
    return picture


def _factors_of(
    diagnoses: Mapping[str, GradientDiagnosis], factors: Mapping[str, Sequence[float]] | None
) -> dict[str, list[float]]:
    """Factors by label, each of something that is shown."""
    given = mapping_of("factors", {} if factors is None else factors, object, '{"short": [0.9]}')
    if unknown := [label for label in given if label not in diagnoses]:
        raise KeyError(
            f"factors were given for {unknown[0]!r}; there are diagnoses of {', '.join(diagnoses)}"
        )
    return {label: numbers("factors", values, (None,)).tolist() for label, values in given.items()}


def _gradient_curves(size: Axes, share: Axes, diagnoses: Mapping[str, GradientDiagnosis]) -> None:
    """The curves of each diagnosis in both panels."""
    for place, (label, diagnosis) in enumerate(diagnoses.items()):
        curve = curve_style(place) | {
            "label": f"{plain(label)}: {diagnosis.verdict}", "lw": 1.6, "ms": 5,
            "markevery": max(1, diagnosis.steps // 10),
        }  # fmt: skip
        relative, shares = _relative(diagnosis)
        size.plot(relative, **curve)
        share.plot(100 * shares, **curve)


def _size_axes(axes: Axes, limits: tuple[float, float] | None) -> None:
    """The left panel: a logarithmic axis with the bands of what vanished and what exploded."""
    axes.set_yscale("log")
    axes.set_ylim(limits)
    low, high = axes.get_ylim() if limits else limits_with_bands(axes.get_ylim())
    for edge, end, word in ((VANISHED, low, "vanished"), (EXPLODED, high, "exploded")):
        axes.axhspan(edge, end, color=GREY, alpha=0.15, lw=0)
        axes.annotate(
            word, (1, edge), (-4, 3 if end > edge else -3), textcoords="offset points",
            xycoords=("axes fraction", "data"), ha="right", va="bottom" if end > edge else "top",
            fontsize=9, color=TEXT, style="italic",
        )  # fmt: skip
    axes.set_ylim(low, high)
    axes.set_title(
        "size of the gradient on its way back (1 at the end)", loc="left", fontsize=10, color=TEXT
    )
    axes.set_ylabel("|dL/dX$_t$| / |dL/dX$_K$|")


def _share_axes(axes: Axes, longest: int, comparable: bool) -> None:
    """The right panel. A flat curve is to look flat: it always shows thrice an equal share."""
    axes.set_title("what each step adds to dL/dθ", loc="left", fontsize=10, color=TEXT)
    axes.set_ylabel("share / %")
    axes.set_ylim(0, 100 if comparable else max(axes.get_ylim()[1], 300 / longest))


def _relative(diagnosis: GradientDiagnosis) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity (K+1,) with 1 at the end, and shares (K,) of the contributions; NaN where
    nothing, or something infinite, would be divided by."""
    parts = []
    for values, whole in (
        (diagnosis.sensitivity, diagnosis.sensitivity[-1]),
        (diagnosis.contribution, diagnosis.contribution.sum()),
    ):
        size = float(whole)
        parts.append(values.double().numpy() / (size if 0 < size < np.inf else np.nan))
    return parts[0], parts[1]


def _describe_gradient(label: str, diagnosis: GradientDiagnosis) -> str:
    if diagnosis.verdict == "nothing to learn":
        return f"{label}: nothing to learn."
    relative, _ = _relative(diagnosis)
    return (
        f"{label}: {diagnosis.verdict}; of a gradient of size 1 at step {diagnosis.steps}, "
        f"{relative[0]:.2g} arrive at the start; the last {diagnosis.effective_horizon} steps hold "
        "90 % of what θ learns from."
    )


def limits_with_bands(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of a logarithmic axis that show at least one unit and the edges of both bands."""
    return min(limits[0], 0.4 * VANISHED), max(limits[1], 2.5 * EXPLODED)


def _factors(axes: Axes, factors: Mapping[str, Sequence[float]], labels: Sequence[str]) -> None:
    """The factors of each label as marks on a line of its own; outside -1 to 1 is shaded."""
    reach = 1.1 * max(1.15, *(abs(f) for values in factors.values() for f in values))
    for row, (label, values) in enumerate(factors.items()):
        look = curve_style(labels.index(label))
        axes.axhline(row, color=look["color"], ls=look["linestyle"], lw=0.8)
        axes.plot(
            values, [row] * len(values), ls="none", marker=look["marker"], color=look["color"], ms=7
        )
    for edge in (-1, 1):
        axes.axvspan(edge, edge * reach, color=GREY, alpha=0.15, lw=0)
    axes.set(xlim=(-reach, reach), ylim=(len(factors) - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("factor of a step, 1 - ηλ, one mark a mode (shaded: it grows)")
