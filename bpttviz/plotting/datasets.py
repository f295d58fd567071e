"""A data set at a glance: what is in it, how far its relaxations go, how well they end."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bpttviz._checks import instance_of
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.distances import delta_q
from bpttviz.plotting.figure import UNIT, AccessibleFigure, despine, plain, typeset
from bpttviz.plotting.palette import BLUE, GREEN, GREY, ORANGE, TEXT

Members = dict[str, list[ReferenceRelaxation]]  # by part

# A part's colour, and the mark of its relaxations for whoever cannot see it.
PARTS = {"train": (BLUE, "o"), "val": (GREEN, "s"), "test": (ORANGE, "D")}


def plot_dataset(data: DatasetSplits, title: str = "") -> AccessibleFigure:
    """Three panels over the families of a data set.

    How many relaxations each family has in training, validation and test; ΔQ from start to end of
    each relaxation, with the noise floor; and the largest force of each frame, for sets that come
    with trajectories.

    Args:
        data: at least one relaxation.
        title: above the panels.

    Raises:
        TypeError: no data set.
        ValueError: an empty one.
    """
    instance_of("data", data, DatasetSplits, "bv.load_dataset(name)")
    if not len(data):
        raise ValueError("there is no relaxation to show")
    families = Counter(reference.family for reference in data.all)
    order = [family for family, _ in sorted(families.items(), key=lambda kv: (-kv[1], kv[0]))]
    picture = AccessibleFigure((9.6, 1.6 + 0.24 * len(order)))
    counts, distances, forces = picture.subplots(1, 3)
    distances.sharey(counts)
    members = {part: [r for r in data.all if data.split_of(r.group) == part] for part in PARTS}
    _draw_counts(counts, members, order)
    moved = dict(
        zip(data.all.names, delta_q(data.all.starts(), data.all.ends()).tolist(), strict=True)
    )
    _draw_distances(distances, members, order, moved, data.noise_floor)
    _draw_forces(forces, members)
    if title:
        picture.suptitle(plain(title), x=0.01, ha="left", fontsize=11, color=TEXT)
    handles, labels = counts.get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower left", ncols=3, fontsize=9, frameon=False)
    listed = ", ".join(f"{family} {families[family]}" for family in order)
    picture.alt_text = (
        f"{len(data)} relaxations by family: {listed}. Training {len(members['train'])}, "
        f"validation {len(members['val'])}, test {len(members['test'])}. ΔQ from start to end: "
        f"median {np.median([*moved.values()]):.2f}, largest {max(moved.values()):.2f} {UNIT}."
    )
    return picture


def _draw_counts(axes: Axes, members: Members, order: list[str]) -> None:
    despine(axes)
    left = np.zeros(len(order))
    for part, (colour, _) in PARTS.items():
        number = Counter(reference.family for reference in members[part])
        width = np.array([number[family] for family in order])
        axes.barh(range(len(order)), width, 0.7, left=left, color=colour, label=part)
        left += width
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("relaxations")


def _draw_distances(
    axes: Axes,
    members: Members,
    order: list[str],
    moved: dict[str, float],
    noise_floor: float | None,
) -> None:
    despine(axes)
    for part, (colour, mark) in PARTS.items():
        places = [order.index(reference.family) for reference in members[part]]
        far = [moved[reference.name] for reference in members[part]]
        axes.plot(far, places, mark, color=colour, ms=5, mec="white", mew=0.5)
    if noise_floor:
        axes.axvline(noise_floor, color=GREY, ls="dashed", lw=1)
        axes.text(noise_floor, -0.8, " noise floor", fontsize=9, color=GREY)
    axes.tick_params(labelleft=False)
    axes.set_xlim(left=0)
    axes.set_xlabel(typeset(f"ΔQ, start to end / {UNIT}"))


def _draw_forces(axes: Axes, members: Members) -> None:
    despine(axes)
    axes.set_yscale("log")
    axes.set_xlabel("frame")
    axes.set_ylabel("largest force / eV/Å")
    if not any(reference.trajectory for part in members.values() for reference in part):
        axes.text(0.5, 0.5, "ends alone", transform=axes.transAxes, ha="center", color=GREY)
    for part, (colour, _) in PARTS.items():
        for trajectory in (r.trajectory for r in members[part] if r.trajectory is not None):
            largest = trajectory.forces.norm(dim=2).amax(dim=1)
            axes.plot(largest, color=colour, lw=0.8, alpha=0.7)
