"""Pictures of results: each function takes results and returns a figure with alternative text.

Only matplotlib's object interface is used: no pyplot, no global state, safe in any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from PIL import Image

from bpttviz import frames, learning, plane
from bpttviz.diagnose import EXPLODED, FADED, GradientDiagnosis
from bpttviz.palette import BLUE, GHOST, GREY, INK, ORANGE, POTENTIALS, PURPLE
from bpttviz.picture import Picture, tidy
from bpttviz.plane import UNIT
from bpttviz.plane_plots import error_plane as error_plane
from bpttviz.report import Report
from bpttviz.scene import COLOURS, Scene, colour_bar

DELTA_Q = "ΔQ to the reference / amu$^{1/2}$ Å"

# Curves of one panel, told apart by mark and line where colours cannot be.
MARKERS, LINES = "os^Dv", ("-", "--", "-.", ":", (0, (5, 1)))


def endpoint_bars(report: Report) -> Picture:
    """ΔQ to the reference of every structure under every potential: at K steps, and at rest."""
    names, potentials = report.structures, report.potentials
    order = np.argsort(-np.nan_to_num(report.column("dq_rest", potentials[0]).astype(float)))
    picture = Picture((8.6, 1.5 + 0.16 * len(names) * (len(potentials) + 1)))
    panels = picture.subplots(1, 2, sharey=True)
    thickness = 0.8 / len(potentials)
    rows = np.arange(len(names))
    for axes, column, title in (
        (panels[0], "dq_k", "after K steps"),
        (panels[1], "dq_rest", "at rest"),
    ):
        tidy(axes)
        for number, potential in enumerate(potentials):
            values = report.column(column, potential).astype(float)[order]
            places = rows + (number - (len(potentials) - 1) / 2) * thickness
            colour = POTENTIALS[number % len(POTENTIALS)]
            axes.barh(places, np.nan_to_num(values), thickness * 0.9, color=colour, label=potential)
            for place, value, index in zip(places, values, order, strict=True):
                if not np.isfinite(value):
                    lost = report.row(potential, names[index]).diverged
                    reason = " diverged" if lost else " did not come to rest"
                    axes.text(0, place, reason, va="center", fontsize=7, color=INK)
        if report.noise_floor:
            axes.axvline(report.noise_floor, color=GREY, ls="dashed", lw=1)
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set_xlabel(DELTA_Q)
    panels[0].set_yticks(rows, [names[i] for i in order])
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    if report.noise_floor:
        handles.append(Line2D([], [], color=GREY, ls="dashed"))
        labels.append("the references' own error")
    picture.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    means = "; ".join(
        f"{line['potential']} {line['dq_k']:.3g} after K steps, {line['dq_rest']:.3g} at rest"
        for line in report.summary()
    )
    picture.alt_text = (
        f"Bars of the endpoint error ΔQ of {len(names)} structures. Means in {UNIT}: {means}."
    )
    return picture


def relaxation_path(
    report: Report, structure: int | str, before: str | None = None, after: str | None = None
) -> Picture:
    """Energy, largest force and ΔQ to the reference against the step, for two potentials."""
    paths = frames.pair(report, structure, before, after)
    picture = Picture((7.2, 5.6))
    panels = picture.subplots(3, 1, sharex=True)
    for axes, label in zip(
        panels, ("energy since start / eV", "largest force / eV/Å", DELTA_Q), strict=True
    ):
        tidy(axes)
        axes.set_ylabel(label, fontsize=8)
    for p, colour, marker in zip(paths, POTENTIALS, ("o", "s"), strict=False):
        steps = np.arange(p.steps + 1)
        style = {"color": colour, "marker": marker, "ms": 3, "lw": 1.4}
        panels[0].plot(steps, p.energy - p.energy[0], **style, label=p.potential)
        panels[1].plot(steps, p.fmax, **style)
        panels[2].plot(steps, p.delta_q, **style)
        rest = report.row(p.potential, p.structure).dq_rest
        if np.isfinite(rest):
            panels[2].axhline(rest, color=colour, ls="dotted", lw=1.2)
        if p.lost:
            panels[2].annotate(
                p.lost, (p.last, p.delta_q[p.last]), (0, 10), textcoords="offset points",
                fontsize=8, color=colour,
            )  # fmt: skip
    if all((p.fmax[np.isfinite(p.fmax)] > 0).all() for p in paths):
        panels[1].set_yscale("log")
    if report.noise_floor:
        panels[2].axhspan(0, report.noise_floor, color=GREY, alpha=0.15, lw=0)
    panels[2].set_ylim(bottom=0)
    panels[2].set_xlabel("step (dotted: the ΔQ that it comes to at rest)", fontsize=9)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_title(paths[0].structure, loc="left", fontsize=11, color=INK)
    panels[0].legend(fontsize=9, frameon=False)
    picture.alt_text = (
        f"Relaxation of {paths[0].structure} step by step: energy, largest force and ΔQ to the "
        "reference. " + " ".join(_ends_in_words(report, p) for p in paths)
    )
    return picture


def compare_frames(
    report: Report,
    structure: int | str,
    step: int = -1,
    before: str | None = None,
    after: str | None = None,
) -> Picture:
    """One structure under two potentials side by side, its reference end behind as blue ghosts.

    Args:
        report: what was measured.
        structure: number or name.
        step: which step to show; negative ones count from the end, as in a list.
        before, after: names of two potentials; by default the report's first and last.

    Raises:
        IndexError: no such step.
    """
    paths = frames.pair(report, structure, before, after)
    longest = max(p.steps for p in paths)
    chosen = step + longest + 1 if step < 0 else step
    if not 0 <= chosen <= longest:
        raise IndexError(f"step {step} was asked for; these paths have steps 0 to {longest}")
    picture, _ = _side_by_side(report, paths, chosen, Picture((9.0, 4.9)))
    picture.alt_text = (
        f"{paths[0].structure} at step {chosen}, {paths[0].potential} on the left and "
        f"{paths[1].potential} on the right, atoms coloured by their distance to the reference "
        "end, which is drawn behind them in blue. "
        + " ".join(_ends_in_words(report, p) for p in paths)
    )
    return picture


def animation(
    report: Report,
    structure: int | str,
    path: str | FilePath,
    before: str | None = None,
    after: str | None = None,
    duration: int = 180,
) -> str:
    """Write a GIF of both relaxations on one clock, with ΔQ against the step below.

    Args:
        report: what was measured.
        structure: number or name.
        path: file to write.
        before, after: names of two potentials; by default the report's first and last.
        duration: of a frame, milliseconds; the last one stays ten times as long.

    Returns:
        Alternative text for the animation.
    """
    paths = frames.pair(report, structure, before, after)
    longest = max(p.steps for p in paths)
    picture = Picture((7.6, 5.6))
    picture.set_dpi(75)  # with few colours and thinned frames: small enough for a page
    canvas = FigureCanvasAgg(picture)
    upper, lower = picture.subfigures(2, 1, height_ratios=(3.1, 1))
    _, scenes = _side_by_side(report, paths, 0, upper)
    axes = lower.subplots()
    tidy(axes)
    markers = []
    for p, colour in zip(paths, POTENTIALS, strict=False):
        axes.plot(p.delta_q, color=colour, lw=1.6, label=p.potential)
        markers += axes.plot([0], p.delta_q[:1], "o", color=colour, ms=6)
    if report.noise_floor:
        axes.axhspan(0, report.noise_floor, color=GREY, alpha=0.15, lw=0)
    axes.set(xlabel="step", xlim=(-0.3, longest + 0.3))
    axes.set_ylabel("ΔQ / amu$^{1/2}$ Å", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    now = axes.axvline(0, color=GREY, lw=0.8)

    steps = np.unique(np.linspace(0, longest, min(longest + 1, 40)).round().astype(int))
    images = []
    for step in steps:
        for p, scene, marker in zip(paths, scenes, markers, strict=True):
            scene.show(step)
            scene.axes.set_title(_title(report, p, step), fontsize=9, color=INK)
            held = p.held(step)
            marker.set_data([held], [p.delta_q[held]])
        now.set_xdata([step, step])
        canvas.draw()
        picture.set_layout_engine("none")  # laid out once: panels must not jump between frames
        images.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB"))
    # One palette for all frames, so that what stands still is stored once.
    colours = _palette()
    reduced = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]
    reduced[0].save(
        path, save_all=True, append_images=reduced[1:], loop=0, optimize=True,
        duration=[duration] * (len(steps) - 1) + [10 * duration],
    )  # fmt: skip
    return (
        f"Animation: {paths[0].structure} relaxes under {paths[0].potential} (left) and "
        f"{paths[1].potential} (right) in {longest} steps; below, ΔQ against the step. "
        + " ".join(_ends_in_words(report, p) for p in paths)
    )


def training(run) -> Picture:
    """How a fine-tuning went: loss, validation and gradient norm by update.

    Where the run has them also the force error, and the latest gradients on their way back, step by
    step.

    Args:
        run: has ``history`` and ``validations``, as `bpttviz.Run`.
    """
    forces = learning.curve(run.validations, learning.FORCE_ERROR)
    ways = learning.ways_back(run)
    rows = [["loss", "forces"] if forces else ["loss", "loss"]]
    rows += [["norm", "way"] if ways else ["norm", "norm"]]
    picture = Picture((9.2 if forces or ways else 7.2, 4.8))
    panels = picture.subplot_mosaic(rows, height_ratios=(1.4, 1))
    for axes in panels.values():
        tidy(axes)
    for name in panels.keys() - {"way"}:
        panels[name].xaxis.set_major_locator(MaxNLocator(integer=True))
    _losses(panels["loss"], run)
    norms = learning.curve(run.history, "gradient_norm")
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
    picture.alt_text = learning.in_words(run)
    return picture


def _losses(axes, run) -> None:
    losses = learning.curve(run.history, "loss")
    validation = learning.curve(run.validations, "value")
    axes.plot(*_columns(losses), ".", color=ORANGE, ms=4, label="training, one update each")
    if validation:
        axes.plot(*_columns(validation), "-s", color=BLUE, ms=5, label="validation")
        axes.plot(*learning.best(validation), "o", ms=11, mfc="none", mec=INK, label="best")
    axes.set_ylabel(learning.loss_label(run).replace("^½", "$^{1/2}$"))
    if losses or validation:
        axes.legend(fontsize=8, frameon=False)


def _ways_back(axes, ways: Sequence[learning.WayBack]) -> None:
    """The gradient's size by step, one line an update, the latest in front."""
    for way in ways:
        latest = way is ways[-1]
        axes.plot(
            way.steps, np.array(way.relative, float), "-o" if latest else "-", ms=3.5,
            color=PURPLE, lw=1.6 if latest else 0.8, alpha=1 if latest else 0.35,
        )  # fmt: skip
    axes.set_yscale("log")
    low, high = _room(axes.get_ylim())
    for edge, end in ((FADED, low), (EXPLODED, high)):
        axes.axhspan(edge, end, color=GREY, alpha=0.15, lw=0)
    axes.set_ylim(low, high)
    axes.set_ylabel("|dL/dX$_t$| / |dL/dX$_K$|", fontsize=9)
    axes.set_xlabel("step t  (← the gradient's way; shaded: faded, exploded)", fontsize=9)
    axes.set_title(f"gradient by step: {ways[-1].verdict}", loc="left", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _columns(points: learning.Curve) -> tuple[list[int], list[float]]:
    """x and y of (x, y) pairs."""
    return [x for x, _ in points], [y for _, y in points]


def _side_by_side(report: Report, paths, step: int, figure) -> tuple[object, list[Scene]]:
    """Two scenes and their colour bar in ``figure``."""
    limit = frames.colour_limit(paths)
    panels = figure.subplots(1, 2)
    scenes = []
    for axes, p in zip(panels, paths, strict=True):
        scene = Scene(axes, p, limit)
        scene.show(step)
        axes.set_title(_title(report, p, step), fontsize=9, color=INK)
        scenes.append(scene)
    colour_bar(figure, panels, limit, "distance to the reference end / Å")
    figure.suptitle(f"{paths[0].structure}", fontsize=11, color=INK, x=0.01, ha="left")
    return figure, scenes


def _palette() -> Image.Image:
    """The colours of an animation: shades of distance, of grey, of the ghosts and the curves."""
    shades = [*COLOURS(np.linspace(0, 1, 24))[:, :3], *np.linspace((0, 0, 0), (1, 1, 1), 14)]
    for colour in (GHOST, *POTENTIALS[:2]):
        strength = np.linspace(0.2, 1, 4)[:, None]
        shades += [*(strength * to_rgb(colour) + 1 - strength)]
    picture = Image.new("P", (1, 1))
    picture.putpalette((np.array(shades) * 255).round().astype(np.uint8).tobytes())
    return picture


def _title(report: Report, p: frames.Path, step: int) -> str:
    held = p.held(step)
    rest = report.row(p.potential, p.structure).dq_rest
    text = f"{p.potential}\nstep {held}: ΔQ {p.delta_q[held]:.2f}"
    return text + (f"; at rest {rest:.2f}" if np.isfinite(rest) else "") + " amu$^{1/2}$ Å"


def _ends_in_words(report: Report, p: frames.Path) -> str:
    rest = report.row(p.potential, p.structure).dq_rest
    words = f"{p.potential}: ΔQ {p.delta_q[0]:.2f} at the start, {p.delta_q[p.last]:.2f} at step "
    words += f"{p.last}"
    words += f", {rest:.2f} at rest" if np.isfinite(rest) else ""
    return words + f" ({UNIT})" + (f"; {p.lost}." if p.lost else ".")


def cost(costs: Sequence[dict], limit: float = 2e9) -> Picture:
    """Peak memory and time of one gradient against K, a line an adjoint.

    Args:
        costs: what `bpttviz.cost.measure_costs` returns.
        limit: bytes, drawn as a line: what a free Binder has.
    """
    made = [r for r in costs if "skipped" not in r]
    modes = list(dict.fromkeys(r["mode"] for r in made))
    picture = Picture((9.6, 4.0))
    words = []
    for axes, what in zip(picture.subplots(1, 2), ("memory", "time"), strict=True):
        tidy(axes)
        for place, mode in enumerate(modes):
            rows = sorted((r for r in made if r["mode"] == mode), key=lambda r: r["steps"])
            steps = [r["steps"] for r in rows]
            values = [r["peak_bytes"] / 1e9 if what == "memory" else r["seconds"] for r in rows]
            axes.plot(steps, values, label=mode, **_curve(place))
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
        textcoords="offset points", fontsize=8, color=INK,
    )  # fmt: skip
    memory.legend(frameon=False, fontsize=9)
    for axes in picture.axes:
        places = plane.ticks(*axes.get_ylim())
        axes.yaxis.set_major_locator(FixedLocator(places))
        axes.yaxis.set_major_formatter(FixedFormatter([f"{place:g}" for place in places]))
        axes.yaxis.set_minor_locator(NullLocator())
    ticks = sorted({r["steps"] for r in made})
    picture.alt_text = (
        f"Cost of one gradient against K = {ticks[0]} to {ticks[-1]} steps. Peak memory: "
        + "; ".join(words)
    )
    return picture


def gradient_through_time(
    diagnoses: Mapping[str, GradientDiagnosis],
    factors: Mapping[str, Sequence[float]] | None = None,
    limits: tuple[float, float] | None = None,
) -> Picture:
    """How the gradient fares on its way back from the last step to the first.

    Left, its size, relative to the size it set out with: in the shaded bands it has faded, or
    exploded. Right, what each step adds to dL/dθ, as a share of all. The verdicts stand in the
    legend.

    Args:
        diagnoses: label → what `diagnose_gradient` found.
        factors: label → 1 - eta λ of the modes there (λ eV/Å², eigenvalues of the Hessian): what a
            step multiplies each mode of the gradient by. They are drawn below: between -1 and 1
            a mode fades, outside it grows.
        limits: of the left axis; the right one then goes up to 100 %. For pictures that are to be
            compared; by default the axes fit what is shown.

    Raises:
        KeyError: factors of something that is not shown.
        ValueError: nothing to show.
    """
    factors = dict(factors or {})
    if unknown := [label for label in factors if label not in diagnoses]:
        raise KeyError(
            f"factors were given for {unknown[0]!r}; there are diagnoses of {', '.join(diagnoses)}"
        )
    if not diagnoses:
        raise ValueError("there is no diagnosis to show")
    picture = Picture((9.6, 5.4 if factors else 4.2))
    rows = [["size", "share"], ["factors", "factors"]] if factors else [["size", "share"]]
    below = (0.09 + 0.09 * len(factors),) * bool(factors)
    panels = picture.subplot_mosaic(rows, height_ratios=(1, *below))
    size, share = panels["size"], panels["share"]
    for axes in panels.values():
        tidy(axes)
    words = []
    for place, (label, diagnosis) in enumerate(diagnoses.items()):
        curve = _curve(place) | {
            "label": f"{label}: {diagnosis.verdict}", "lw": 1.6, "ms": 5,
            "markevery": max(1, diagnosis.steps // 10),
        }  # fmt: skip
        relative, shares = _relative(diagnosis)
        size.plot(relative, **curve)
        share.plot(100 * shares, **curve)
        words.append(_gradient_in_words(label, diagnosis))
    size.set_yscale("log")
    size.set_ylim(limits)
    low, high = size.get_ylim() if limits else _room(size.get_ylim())
    for edge, end, word in ((FADED, low, "faded"), (EXPLODED, high, "exploded")):
        size.axhspan(edge, end, color=GREY, alpha=0.15, lw=0)
        size.annotate(
            word, (1, edge), (-4, 3 if end > edge else -3), textcoords="offset points",
            xycoords=("axes fraction", "data"), ha="right", va="bottom" if end > edge else "top",
            fontsize=8.5, color=INK, style="italic",
        )  # fmt: skip
    size.set_ylim(low, high)
    size.set_title(
        "size of the gradient on its way back (1 at the end)", loc="left", fontsize=10, color=INK
    )
    size.set_ylabel("|dL/dX$_t$| / |dL/dX$_K$|")
    share.set_title("what each step adds to dL/dθ", loc="left", fontsize=10, color=INK)
    share.set_ylabel("share / %")
    longest = max(d.steps for d in diagnoses.values())
    # A flat curve is to look flat: the axis always shows thrice an equal share.
    share.set_ylim(0, 100 if limits else max(share.get_ylim()[1], 300 / longest))
    for axes in (size, share):
        axes.set_xlim(-0.03 * longest, 1.03 * longest)
        axes.set_xlabel("step t  (← the gradient's way)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if factors:
        _factors(panels["factors"], factors, list(diagnoses))
        words += [
            f"Factors of a step, {label}: {', '.join(f'{f:.2f}' for f in sorted(values))}."
            for label, values in factors.items()
        ]
    handles, labels = size.get_legend_handles_labels()
    picture.legend(
        handles, labels, loc="outside upper left", ncols=min(3, len(labels)), fontsize=9,
        frameon=False,
    )  # fmt: skip
    picture.alt_text = "The gradient on its way back through a relaxation. " + " ".join(words)
    return picture


def curves(
    values: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    logarithmic: str = "",
    floor: tuple[float, str] | None = None,
) -> Picture:
    """Any curves in one panel, told apart by colour, mark and line.

    Args:
        values: label → (x, y).
        x_label, y_label: with units.
        logarithmic: the axes that are, "x", "y" or "xy".
        floor: a value of y below which differences mean nothing, and what to call it; shaded.

    Raises:
        ValueError: nothing to show.
    """
    if not values:
        raise ValueError("there is no curve to show")
    picture = Picture((7.2, 4.2))
    axes = picture.subplots()
    tidy(axes)
    words = []
    for place, (label, (x, y)) in enumerate(values.items()):
        axes.plot(x, y, label=label, **_curve(place), ms=5, lw=1.6)
        low, high = np.nanargmin(y), np.nanargmax(y)
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
            floor[1], (1, floor[0]), (-4, -3), textcoords="offset points", ha="right", va="top",
            xycoords=("axes fraction", "data"), fontsize=8.5, color=INK, style="italic",
        )  # fmt: skip
        words.append(f"shaded below {floor[0]:.3g}: {floor[1]}")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(fontsize=9, frameon=False)
    picture.alt_text = f"{y_label} against {x_label}. " + "; ".join(words) + "."
    return picture


def _curve(place: int) -> dict[str, object]:
    """Colour, mark and line of the curve with this number."""
    return {
        "color": POTENTIALS[place % len(POTENTIALS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place % len(LINES)],
    }


def _relative(diagnosis: GradientDiagnosis) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity (K+1,) with 1 at the end, and shares (K,) of the contributions; NaN where
    nothing, or something infinite, would be divided by."""
    parts = []
    for values, whole in (
        (diagnosis.sensitivity, diagnosis.sensitivity[-1]),
        (diagnosis.contribution, diagnosis.contribution.sum()),
    ):
        whole = float(whole)
        parts.append(values.double().numpy() / (whole if 0 < whole < np.inf else np.nan))
    return parts[0], parts[1]


def _gradient_in_words(label: str, diagnosis: GradientDiagnosis) -> str:
    if diagnosis.verdict == "nothing to learn":
        return f"{label}: nothing to learn."
    relative, _ = _relative(diagnosis)
    return (
        f"{label}: {diagnosis.verdict}; of a gradient of size 1 at step {diagnosis.steps}, "
        f"{relative[0]:.2g} arrive at the start; the last {diagnosis.reach} steps hold 90 % of "
        "what θ learns from."
    )


def _room(limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of a logarithmic axis that show at least one unit and the edges of both bands."""
    return min(limits[0], 0.4 * FADED), max(limits[1], 2.5 * EXPLODED)


def _factors(axes, factors: Mapping[str, Sequence[float]], labels: Sequence[str]) -> None:
    """The factors of each label as marks on a line of its own; outside -1 to 1 is shaded."""
    reach = 1.1 * max(1.15, *(abs(f) for values in factors.values() for f in values))
    for row, (label, values) in enumerate(factors.items()):
        look = _curve(labels.index(label))
        axes.axhline(row, color=look["color"], ls=look["linestyle"], lw=0.8)
        axes.plot(
            values, [row] * len(values), ls="none", marker=look["marker"], color=look["color"], ms=7
        )
    for edge in (-1, 1):
        axes.axvspan(edge, edge * reach, color=GREY, alpha=0.15, lw=0)
    axes.set(xlim=(-reach, reach), ylim=(len(factors) - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("factor of a step, 1 - ηλ, one mark a mode (shaded: it grows)")
