"""How wrong forces are on the frames of a reference relaxation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.evaluation.defects import distance_from_defect
from bpttviz.evaluation.metrics import NEAR, WEAK
from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures


@dataclass(frozen=True)
class ForceMeasures:
    """How wrong forces are on the frames of one reference; see `StructureResult` for each figure."""

    force_mae: float = float("nan")
    force_slope: float = float("nan")
    force_cosine: float = float("nan")
    force_mae_near: float = float("nan")
    force_mae_far: float = float("nan")
    force_mae_weak: float = float("nan")
    force_mae_strong: float = float("nan")


def force_measures(potential: Potential, reference: ReferenceRelaxation) -> ForceMeasures:
    """Errors, slope and cosine over all frames of a reference; NaN where there is nothing to tell.

    Slope and cosine are of all predicted against all reference components of the trajectory.
    """
    if not reference.frames:
        return ForceMeasures()
    predicted, true = [], []
    for frame in reference.frames:
        structure = Structures.from_ase(frame, [reference.name], check=False).to(potential.device)
        with torch.no_grad():
            predicted.append(potential(structure).forces.cpu().numpy())
        true.append(frame.calc.results["forces"])
    p, t = np.array(predicted, float), np.array(true, float)  # (frames, atoms, 3)
    error = np.abs(p - t).mean(axis=2)
    weak = np.linalg.norm(t, axis=2) < WEAK
    distance = distance_from_defect(reference.end)
    near = np.zeros_like(weak) if distance is None else np.tile(distance < NEAR, (len(t), 1))
    far = np.zeros_like(weak) if distance is None else ~near

    def mean(where: np.ndarray) -> float:
        return float(error[where].mean()) if where.any() else float("nan")

    p, t = p.ravel(), t.ravel()
    return ForceMeasures(
        force_mae=float(error.mean()),
        force_slope=float(p @ t / (t @ t)),
        force_cosine=float(p @ t / np.sqrt((p @ p) * (t @ t))),
        force_mae_near=mean(near),
        force_mae_far=mean(far),
        force_mae_weak=mean(weak),
        force_mae_strong=mean(~weak),
    )
