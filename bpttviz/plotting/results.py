"""Pictures of results: each function takes results and returns a figure with alternative text.

Only matplotlib's object interface is used: no pyplot, no global state, safe in any thread.
"""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from bpttviz._checks import file_path, whole
from bpttviz._files import write_atomic
from bpttviz.evaluation.report import Report
from bpttviz.plotting import trajectory
from bpttviz.plotting.arguments import require_report
from bpttviz.plotting.figure import DELTA_Q, UNIT, AccessibleFigure, despine, plain, typeset
from bpttviz.plotting.palette import GHOST, GREY, POTENTIALS, TEXT
from bpttviz.plotting.scene import COLOURS, Scene, colour_bar

Paths = tuple[trajectory.AlignedTrajectory, ...]


def plot_endpoint_errors(report: Report) -> AccessibleFigure:
    """ΔQ to the reference of every structure under every potential: at K steps, and at rest.

    Args:
        report: what was measured; of structures that every potential was measured on.

    Raises:
        TypeError: no report.
        ValueError: there is no such structure.
    """
    report = require_report(report).complete
    if not report.rows:
        raise ValueError("no structure was measured under every potential")
    names, potentials = report.structures, report.potentials
    order = np.argsort(-np.nan_to_num(report.column("dq_rest", potentials[0]).astype(float)))
    picture = AccessibleFigure((8.6, 1.5 + 0.16 * len(names) * (len(potentials) + 1)))
    panels = picture.subplots(1, 2, sharey=True)
    for axes, column, title in (
        (panels[0], "dq_k", "after K steps"),
        (panels[1], "dq_rest", "at rest"),
    ):
        _bars(axes, report, column, order)
        if report.noise_floor:
            axes.axvline(report.noise_floor, color=GREY, ls="dashed", lw=1)
        axes.set_title(title, loc="left", fontsize=10, color=TEXT)
        axes.set_xlabel(DELTA_Q)
    panels[0].set_yticks(np.arange(len(names)), [plain(names[i]) for i in order])
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    if report.noise_floor:
        handles.append(Line2D([], [], color=GREY, ls="dashed"))
        labels.append("noise floor")
    picture.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    means = "; ".join(
        f"{line['potential']} {line['dq_k']:.3g} after K steps, {line['dq_rest']:.3g} at rest"
        for line in report.summary()
    )
    picture.alt_text = (
        f"Bars of the endpoint error ΔQ of {len(names)} structures. Means in {UNIT}: {means}."
    )
    return picture


def _bars(axes: Axes, report: Report, column: str, order: np.ndarray) -> None:
    """A bar for each structure and potential, or in its place why there is none."""
    despine(axes)
    names, potentials = report.structures, report.potentials
    thickness = 0.8 / len(potentials)
    for number, potential in enumerate(potentials):
        values = report.column(column, potential).astype(float)[order]
        places = np.arange(len(names)) + (number - (len(potentials) - 1) / 2) * thickness
        colour = POTENTIALS[number % len(POTENTIALS)]
        label = plain(potential)
        axes.barh(places, np.nan_to_num(values), thickness * 0.9, color=colour, label=label)
        for place, value, index in zip(places, values, order, strict=True):
            if not np.isfinite(value):
                row = report.row(potential, names[index])
                lost = " diverged" if row.diverged else " did not come to rest"
                reason = " cannot be described" if row.undescribed else lost
                axes.text(0, place, reason, va="center", fontsize=9, color=TEXT)


def plot_relaxation(
    report: Report, structure: int | str, before: str | None = None, after: str | None = None
) -> AccessibleFigure:
    """Energy, largest force and ΔQ to the reference against the step, for two potentials."""
    paths = trajectory.trajectory_pair(report, structure, before, after)
    picture = AccessibleFigure((7.2, 5.6))
    panels = picture.subplots(3, 1, sharex=True)
    for axes, label in zip(
        panels, ("energy since start / eV", "largest force / eV/Å", DELTA_Q), strict=True
    ):
        despine(axes)
        axes.set_ylabel(label, fontsize=9)
    for p, colour, marker in zip(paths, POTENTIALS, ("o", "s"), strict=False):
        steps = np.arange(p.steps + 1)
        style = {"color": colour, "marker": marker, "ms": 3, "lw": 1.4}
        panels[0].plot(steps, p.energy - p.energy[0], **style, label=plain(p.potential))
        panels[1].plot(steps, p.fmax, **style)
        panels[2].plot(steps, p.delta_q, **style)
        rest = report.row(p.potential, p.structure).dq_rest
        if np.isfinite(rest):
            panels[2].axhline(rest, color=colour, ls="dotted", lw=1.2)
        if p.lost:
            panels[2].annotate(
                plain(p.lost), (p.last, p.delta_q[p.last]), (0, 10), textcoords="offset points",
                fontsize=9, color=colour,
            )  # fmt: skip
    if all((p.fmax[np.isfinite(p.fmax)] > 0).all() for p in paths):
        panels[1].set_yscale("log")
    if report.noise_floor:
        panels[2].axhspan(0, report.noise_floor, color=GREY, alpha=0.15, lw=0)
    panels[2].set_ylim(bottom=0)
    panels[2].set_xlabel("step (dotted: the ΔQ that it comes to at rest)", fontsize=9)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_title(plain(paths[0].structure), loc="left", fontsize=11, color=TEXT)
    panels[0].legend(fontsize=9, frameon=False)
    picture.alt_text = (
        f"Relaxation of {paths[0].structure} step by step: energy, largest force and ΔQ to the "
        "reference. " + " ".join(_describe_ends(report, p) for p in paths)
    )
    return picture


def plot_frames(
    report: Report,
    structure: int | str,
    step: int = -1,
    before: str | None = None,
    after: str | None = None,
) -> AccessibleFigure:
    """One structure under two potentials side by side, its reference end behind as blue ghosts.

    Args:
        report: what was measured.
        structure: number or name.
        step: which step to show; negative ones count from the end, as in a list.
        before, after: names of two potentials; by default the report's first and last.

    Raises:
        IndexError: no such step.
        TypeError, ValueError: a step that is no whole number.
    """
    step = whole("step", step, least=None)
    paths = trajectory.trajectory_pair(report, structure, before, after)
    longest = max(p.steps for p in paths)
    chosen = step + longest + 1 if step < 0 else step
    if not 0 <= chosen <= longest:
        raise IndexError(f"step {step} was asked for; these paths have steps 0 to {longest}")
    picture = AccessibleFigure((9.0, 4.9))
    _side_by_side(report, paths, chosen, picture)
    picture.alt_text = (
        f"{paths[0].structure} at step {chosen}, {paths[0].potential} on the left and "
        f"{paths[1].potential} on the right, atoms coloured by their distance to the reference "
        "end, which is drawn behind them in blue. "
        + " ".join(_describe_ends(report, p) for p in paths)
    )
    return picture


def animate_relaxations(
    report: Report,
    structure: int | str,
    path: str | FilePath,
    before: str | None = None,
    after: str | None = None,
    duration: int = 180,
) -> str:
    """Write a GIF, 960 × 640, of both relaxations on one clock, with ΔQ against the step below.

    Args:
        report: what was measured.
        structure: number or name.
        path: file to write.
        before, after: names of two potentials; by default the report's first and last.
        duration: of a frame, milliseconds; the last one stays ten times as long.

    Returns:
        Alternative text for the animation.

    Raises:
        TypeError, ValueError: a path or a duration that is none.
        OSError: the file cannot be written.
    """
    path, duration = file_path("path", path), whole("duration", duration)
    paths = trajectory.trajectory_pair(report, structure, before, after)
    longest = max(p.steps for p in paths)
    picture = AccessibleFigure((9.6, 6.4))  # 960 pixels: to be read on a projector, too
    upper, lower = picture.subfigures(2, 1, squeeze=False, height_ratios=(2.9, 1))[:, 0]
    scenes = _side_by_side(report, paths, 0, upper)
    markers, now = _clock(lower.subplots(), paths, report.noise_floor)
    canvas = FigureCanvasAgg(picture)
    steps = np.unique(np.linspace(0, longest, min(longest + 1, 40)).round().astype(int))
    images = []
    for step in steps:
        for p, scene, marker in zip(paths, scenes, markers, strict=True):
            scene.show(step)
            scene.axes.set_title(_title(report, p, step), fontsize=9, color=TEXT)
            held = p.clamp_step(step)
            marker.set_data([held], [p.delta_q[held]])
        now.set_xdata([step, step])
        canvas.draw()
        picture.set_layout_engine("none")  # laid out once: panels must not jump between frames
        images.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB"))
    _save_gif(images, path, duration)
    return (
        f"Animation: {paths[0].structure} relaxes under {paths[0].potential} (left) and "
        f"{paths[1].potential} (right) in {longest} steps; below, ΔQ against the step. "
        + " ".join(_describe_ends(report, p) for p in paths)
    )


def _clock(axes: Axes, paths: Paths, noise_floor: float | None) -> tuple[list[Line2D], Line2D]:
    """ΔQ against the step; a mark on each path, and the line that says what step it is."""
    despine(axes)
    markers = []
    for p, colour in zip(paths, POTENTIALS, strict=False):
        axes.plot(p.delta_q, color=colour, lw=1.6, label=plain(p.potential))
        markers += axes.plot([0], p.delta_q[:1], "o", color=colour, ms=6)
    if noise_floor:
        axes.axhspan(0, noise_floor, color=GREY, alpha=0.15, lw=0)
    axes.set(xlabel="step", xlim=(-0.3, max(p.steps for p in paths) + 0.3))
    axes.set_ylabel(typeset(f"ΔQ / {UNIT}"), fontsize=9)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Above the frame: wherever it stood inside, a curve could come to lie under it.
    axes.legend(
        fontsize=9, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0
    )
    return markers, axes.axvline(0, color=GREY, lw=0.8)


def _save_gif(images: list[Image.Image], path: str | FilePath, duration: int) -> None:
    """Write frames with one palette for all, so that what stands still is stored once."""
    colours = _palette()
    reduced = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]
    lengths = [duration] * (len(images) - 1) + [10 * duration]

    def save(file: FilePath) -> None:
        reduced[0].save(
            file, "GIF", save_all=True, append_images=reduced[1:], loop=0, optimize=True,
            duration=lengths,
        )  # fmt: skip

    write_atomic(path, save)


def _side_by_side(
    report: Report, paths: Paths, step: int, figure: Figure | SubFigure
) -> list[Scene]:
    """Two scenes and their colour bar in ``figure``."""
    limit = trajectory.colour_limit(paths)
    panels = figure.subplots(1, 2)
    scenes = []
    for axes, p in zip(panels, paths, strict=True):
        scene = Scene(axes, p, limit)
        scene.show(step)
        axes.set_title(_title(report, p, step), fontsize=9, color=TEXT)
        scenes.append(scene)
    colour_bar(figure, panels, limit, "distance to the reference end / Å")
    figure.suptitle(plain(paths[0].structure), fontsize=11, color=TEXT, x=0.01, ha="left")
    return scenes


def _palette() -> Image.Image:
    """The colours of an animation: shades of distance, of grey, of the ghosts and the curves."""
    shades = [*COLOURS(np.linspace(0, 1, 24))[:, :3], *np.linspace((0, 0, 0), (1, 1, 1), 14)]
    for colour in (GHOST, *POTENTIALS[:2]):
        strength = np.linspace(0.2, 1, 4)[:, None]
        shades += [*(strength * to_rgb(colour) + 1 - strength)]
    picture = Image.new("P", (1, 1))
    picture.putpalette((np.array(shades) * 255).round().astype(np.uint8).tobytes())
    return picture


def _title(report: Report, p: trajectory.AlignedTrajectory, step: int) -> str:
    """Above a scene: whose it is, the step, and ΔQ then and at rest."""
    held = p.clamp_step(step)
    rest = report.row(p.potential, p.structure).dq_rest
    text = f"{plain(p.potential)}\nstep {held}: ΔQ {p.delta_q[held]:.2f}"
    return typeset(text + (f"; at rest {rest:.2f}" if np.isfinite(rest) else "") + f" {UNIT}")


def _describe_ends(report: Report, p: trajectory.AlignedTrajectory) -> str:
    """Where a path began and came to."""
    rest = report.row(p.potential, p.structure).dq_rest
    words = f"{p.potential}: ΔQ {p.delta_q[0]:.2f} at the start, {p.delta_q[p.last]:.2f} at step "
    words += f"{p.last}"
    words += f", {rest:.2f} at rest" if np.isfinite(rest) else ""
    return words + f" ({UNIT})" + (f"; {p.lost}." if p.lost else ".")
