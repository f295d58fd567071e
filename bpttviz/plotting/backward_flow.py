"""The gradient on the atoms: forward by forces, back by dL/dX, and whom the loss listens to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from bpttviz._checks import instance_of
from bpttviz.plotting.figure import UNIT, AccessibleFigure, despine, plain, typeset
from bpttviz.plotting.palette import BACKWARD, BLUE, FORWARD, GREY, TEXT, VERMILION
from bpttviz.plotting.scene import Scene, view
from bpttviz.plotting.trajectory import AlignedTrajectory
from bpttviz.relaxation.gradient_trace import GradientTrace
from bpttviz.structures import concatenate

LONGEST = 3.0  # Å, of the longest arrow as drawn: a little more than a bond
LISTENED = 6  # atoms that are named
_BLUES = LinearSegmentedColormap.from_list("forward", FORWARD)
_REDS = LinearSegmentedColormap.from_list("backward", BACKWARD)


@dataclass(frozen=True, eq=False)
class AlignedFlow:
    """A `GradientTrace` as pictures need it.

    Attributes:
        path: the relaxation, seen from the reference end, and from the side on which dL/dX is seen
            best: few of its arrows point at the eye.
        forces: (K+1, N, 3) eV/Å, turned as the path is.
        gradients: (K+1, N, 3) amu^½, likewise.
    """

    path: AlignedTrajectory
    forces: np.ndarray
    gradients: np.ndarray

    @classmethod
    def of(cls, trace: GradientTrace) -> AlignedFlow:
        """Free motions taken out, the defect in the middle. Raises TypeError for anything else."""
        instance_of("trace", trace, GradientTrace, 'bv.stored_gradient("005_tet_Si")')
        frames = concatenate([trace.start.with_positions(x) for x in trace.positions])
        path = AlignedTrajectory.from_structures(frames, trace.end, trace.name)
        forces, gradients = trace.forces.numpy(), trace.gradients.numpy()
        if not path.pbc.any():
            turns = [
                _rotation(before, after)
                for before, after in zip(trace.positions.numpy(), path.positions, strict=True)
            ]
            forces, gradients = (np.einsum("tij,tnj->tni", turns, x) for x in (forces, gradients))
        turn = _best_side(gradients)
        turned = replace(
            path,
            positions=path.positions @ turn.T,
            reference=path.reference @ turn.T,
            cell=path.cell @ turn.T,
        )
        return cls(turned, forces @ turn.T, gradients @ turn.T)


def _best_side(gradients: np.ndarray) -> np.ndarray:
    """Of the rotations (3, 3) that take axes to axes, the one with least of dL/dX along the eye."""
    cyclic = [np.roll(np.eye(3), k, axis=0) for k in range(3)]
    flips = [np.diag([a, b, a * b]) for a, b in product((1, -1), repeat=2)]
    turns = [flip @ axes for axes in cyclic for flip in flips]
    along = [float(((gradients @ turn.T @ view()[2]) ** 2).sum()) for turn in turns]
    return turns[int(np.argmin(along))]


def _rotation(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that takes ``before`` (N, 3) to ``after``, but for a translation."""
    u, _, v = np.linalg.svd((after - after.mean(0)).T @ (before - before.mean(0)))
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v


def plot_backward_flow(trace: GradientTrace) -> AccessibleFigure:
    """A relaxation forward, and its gradient on the way back: the static twin of `BackwardFlow`.

    Above, on the atoms: the forces at the start (blue), then dL/dX at the end and, gone all the way
    back, at the start (orange), with arrows of one scale. Below, the gradient's norm by step, and
    which atoms hold how much of it.

    Raises:
        TypeError: no `GradientTrace`.
    """
    flow = AlignedFlow.of(trace)
    last = trace.steps
    picture = AccessibleFigure((10.4, 6.4))
    rows: list[Any] = [["forward", "turn", "back"], ["norm", "norm", "shares"]]
    panels = picture.subplot_mosaic(rows, height_ratios=(1.55, 1))
    strongest = float(np.linalg.norm(flow.forces[0], axis=1).max())
    title = f"{plain(trace.name)}: forward, step 0\nforces up to {strongest:.2g} eV/Å"
    _atoms(panels["forward"], flow, 0, flow.forces, 0, title)
    sizes = trace.sensitivity.numpy()
    for name, step, words in (
        ("turn", last, f"the turn, step {last}"),
        ("back", 0, "back at step 0"),
    ):
        title = typeset(f"{words}\n|dL/dX| {sizes[step]:.2f} amu^½")
        _atoms(panels[name], flow, step, flow.gradients, 1, title)
    _norms(panels["norm"], sizes)
    named = _shares(panels["shares"], trace)
    shares = trace.shares
    picture.alt_text = (
        f"The gradient on the atoms of {trace.name}, {len(trace.start.numbers)} atoms. Forward: "
        f"{last} steps bring ΔQ from {float(trace.delta_q[0]):.2f} to "
        f"{float(trace.delta_q[-1]):.2f} {UNIT}. Back: the norm of dL/dX goes from "
        f"{sizes[-1]:.2f} at step {last} to {sizes[0]:.2f} amu^½ at the start. The loss listens "
        + "; ".join(
            f"to atom {atom} ({flow.path.symbols[atom]}) with {100 * float(shares[0, atom]):.0f} %"
            for atom in named[:3]
        )
        + " of the gradient's square there."
    )
    return picture


def listened(trace: GradientTrace, count: int = LISTENED) -> list[int]:
    """The atoms that hold most of |dL/dX|² in the mean over all steps, most first."""
    mean = trace.shares.mean(0)
    return torch.argsort(mean, descending=True)[:count].tolist()


def _atoms(
    axes: Axes, flow: AlignedFlow, step: int, vectors: np.ndarray, back: int, title: str
) -> None:
    sizes = np.linalg.norm(vectors, axis=2)
    largest = float(sizes.max()) or 1.0
    scene = Scene(axes, flow.path, largest, sizes, (_BLUES, _REDS)[back])
    scene.show(step)
    scene.point(step, vectors[step] * LONGEST / largest, (BLUE, VERMILION)[back])
    axes.set_title(title, fontsize=10, color=(BLUE, "#A84A00")[back])


def _norms(axes: Axes, sizes: np.ndarray) -> None:
    despine(axes)
    axes.plot(sizes, "-o", color=VERMILION, ms=4, lw=1.8)
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    axes.set_ylim(0, 1.08 * max(float(sizes.max()), 1e-12))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("step t  (← the gradient's way)")
    axes.set_title(typeset("|dL/dX$_t$| / amu^½"), loc="left", fontsize=10, color=TEXT)


def _shares(axes: Axes, trace: GradientTrace) -> list[int]:
    """Bars of the atoms that the loss listens to, at the end and at the start."""
    despine(axes)
    named = listened(trace, min(LISTENED, len(trace.start.numbers)))
    symbols = AlignedFlow.of(trace).path.symbols
    shares = 100 * trace.shares.numpy()
    places = np.arange(len(named))
    axes.barh(places - 0.19, shares[-1, named], 0.36, color=GREY, label=f"step {trace.steps}")
    axes.barh(places + 0.19, shares[0, named], 0.36, color=VERMILION, label="step 0")
    axes.set_yticks(places, [plain(f"{symbols[a]} {a}") for a in named])
    axes.invert_yaxis()
    axes.set_xlabel("share of |dL/dX|² / %")
    axes.set_title("atoms the loss listens to", loc="left", fontsize=10, color=TEXT)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return named
