"""How wrong forces are on the frames of a reference relaxation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.evaluation.defects import distance_from_defect
from bpttviz.evaluation.metrics import NEAR, WEAK
from bpttviz.evaluation.rest import batches
from bpttviz.potentials.base import Potential


@dataclass(frozen=True)
class ForceMeasures:
    """How wrong forces are on the frames of one reference; each figure as in `StructureResult`.

    Attributes:
        by_atom: (N,) eV/Å, the mean absolute error of each atom's components over all frames; NaN
            for held atoms. None where there is nothing to tell.
    """

    force_mae: float = float("nan")
    force_slope: float = float("nan")
    force_cosine: float = float("nan")
    force_mae_near: float = float("nan")
    force_mae_far: float = float("nan")
    force_mae_weak: float = float("nan")
    force_mae_strong: float = float("nan")
    by_atom: np.ndarray | None = field(default=None, repr=False, compare=False)


def force_measures(
    potential: Potential, reference: ReferenceRelaxation, batch_size: int | None = None
) -> ForceMeasures:
    """Errors, slope and cosine over all frames of a reference; NaN where there is nothing to tell.

    Slope and cosine are of all predicted against all reference components of the trajectory. Atoms
    that the reference held are left out of everything: what is written for them is no force.

    Args:
        potential: measured.
        reference: with or without a trajectory.
        batch_size: frames in one call of the potential, see `bpttviz.Relaxer.run`.

    Raises:
        StructureError: a frame that this potential cannot describe.
    """
    if reference.trajectory is None:
        return ForceMeasures()
    free = ~reference.start.fixed.cpu().numpy()
    if not free.any():
        return ForceMeasures()
    p = _predicted(potential, reference, batch_size)[:, free]
    t = reference.trajectory.forces.numpy()[:, free]  # (frames, atoms, 3)
    error = np.abs(p - t).mean(axis=2)
    by_atom = np.full(len(free), np.nan)
    by_atom[free] = error.mean(axis=0)
    weak = np.linalg.norm(t, axis=2) < WEAK
    distance = distance_from_defect(reference.end)
    nowhere = np.zeros_like(weak)
    near = nowhere if distance is None else np.tile(distance[free] < NEAR, (len(t), 1))
    far = nowhere if distance is None else ~near
    p, t = p.ravel(), t.ravel()
    return ForceMeasures(
        force_mae=float(error.mean()),
        force_slope=_share(p @ t, t @ t),
        force_cosine=_share(p @ t, np.sqrt((p @ p) * (t @ t))),
        force_mae_near=_mean(error, near),
        force_mae_far=_mean(error, far),
        force_mae_weak=_mean(error, weak),
        force_mae_strong=_mean(error, ~weak),
        by_atom=by_atom,
    )


def _predicted(
    potential: Potential, reference: ReferenceRelaxation, batch_size: int | None
) -> np.ndarray:
    """Forces (T, N, 3) eV/Å on every frame, some frames at a time."""
    count = len(reference.start.numbers)
    frames = len(reference.trajectory) if reference.trajectory is not None else 0
    found = []
    for places in batches([count] * frames, potential.device, batch_size):
        batch, _ = reference.frames(places)
        with torch.no_grad():
            forces = potential(batch.to(potential.device)).forces
        found.append(forces.cpu().double().numpy().reshape(len(places), count, 3))
    return np.concatenate(found)


def _mean(error: np.ndarray, where: np.ndarray) -> float:
    """Mean over the atoms chosen; NaN where there are none."""
    return float(error[where].mean()) if where.any() else float("nan")


def _share(part: float, whole: float) -> float:
    """A ratio; NaN where there is nothing to divide by."""
    return float(part / whole) if whole > 0 else float("nan")
