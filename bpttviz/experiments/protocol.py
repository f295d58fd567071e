"""What experiments share: the recipe, the scalar baseline, and how a change is put in words."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from bpttviz._files import write
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.evaluate import endpoint_errors
from bpttviz.evaluation.report import Report
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion

PRETRAINED, SCALAR, BPTT = "pretrained", "scalar", "BPTT"


@dataclass(frozen=True)
class Recipe:
    """How the fine-tuning of every fold is done.

    Attributes:
        step_size: Å²/eV. With K = 20 steps of 0.06 the softest modes come as far as with 30 of
            0.04, at two thirds of the cost. max_step: Å. steps: K.
        epochs, learning_rate, clip, batch_size, seed: as in `finetune`.
        scales: force scales tried for the scalar baseline.
        adjoint: how the gradient goes back.
    """

    step_size: float = 0.06
    max_step: float = 0.2
    steps: int = 20
    epochs: int = 3
    learning_rate: float = 5e-4
    clip: float = 1.0
    batch_size: int = 1
    seed: int = 0
    scales: tuple[float, ...] = (1.0, 1.25, 1.5, 1.75, 2.0)
    adjoint: object = field(default_factory=CheckpointedBPTT)

    @property
    def rule(self) -> GradientDescent:
        return GradientDescent(self.step_size, self.max_step)

    @property
    def stop(self) -> StoppingCriterion:
        return StoppingCriterion(self.steps)


def best_scale(
    potential: Potential, training: RelaxationDataset, recipe: Recipe, file: Path, progress: bool
) -> float:
    """The force scale with the smallest mean ΔQ(X_K) on the training structures.

    What each structure gives at each scale is kept in ``file``, so that folds share it.
    """
    known = json.loads(file.read_text()) if file.exists() else {}
    for reference in tqdm(training, desc="force scale", disable=not progress):
        if reference.name not in known:
            one = RelaxationDataset([reference])
            known[reference.name] = [
                float(endpoint_errors(ScaledForces(potential, s), one, recipe.rule, recipe.stop)[0])
                for s in recipe.scales
            ]
            # Another process may have added to the file meanwhile: keep what both know.
            known = {**(json.loads(file.read_text()) if file.exists() else {}), **known}
            write(file, json.dumps(known, indent=1))
    errors = np.array([known[name] for name in training.names])
    usable = np.isfinite(errors).all(axis=0)  # a scale at which one diverges is no baseline
    if not usable.any():
        raise ValueError("every force scale makes some relaxation diverge; reduce the step size")
    best = int(np.where(usable, errors.mean(axis=0), np.inf).argmin())
    if best in (0, len(recipe.scales) - 1):
        warnings.warn(
            f"the best force scale, {recipe.scales[best]}, is at the edge of those tried",
            stacklevel=2,
        )
    return recipe.scales[best]


def change_in_words(
    report: Report,
    column: str,
    after: str,
    same_basin: bool = False,
    by_group: bool = False,
    before: str = PRETRAINED,
) -> str:
    """`Report.compare` as a line, also where there is nothing to compare."""
    try:
        return str(report.compare(column, before, after, same_basin, by_group))
    except ValueError as nothing_to_compare:
        return str(nothing_to_compare)
