"""The methods that are compared: what each trains on, for how long, and on what budget."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bpttviz._files import read_json, write_atomic
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.protocol import (
    BPTT,
    PRETRAINED,
    SCALAR,
    SCALES_FILE,
    PaperRecipe,
    best_scale,
)
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.relaxation.adjoints.unrolled import DetachedBPTT
from bpttviz.relaxation.rules import HeavyBall
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures
from bpttviz.training.config import TrainingConfig
from bpttviz.training.equilibrium import EquilibriumLoss
from bpttviz.training.evaluations import count_evaluations
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss, ForceLoss, Objective
from bpttviz.training.recipe import Recipe
from bpttviz.training.runs import FILE, Run, load_run
from bpttviz.training.starts import AroundEnd

FORCES, FORCES_THEN_BPTT = "force-matched", "forces, then BPTT"
BOTH_ENDS, AT_THE_END = "BPTT from both ends", "near the end alone"
NOT_THROUGH_TIME = "both ends, not through time"
AT_REST = "no forces at the end"

# method -> the labels it learns from
LABELS = {
    PRETRAINED: "nothing",
    SCALAR: "ends",
    FORCES: "frames with forces",
    BPTT: "ends",
    FORCES_THEN_BPTT: "frames with forces, then ends",
    BOTH_ENDS: "ends",
    AT_THE_END: "ends",
    NOT_THROUGH_TIME: "ends",
    AT_REST: "ends",
}
METHODS = tuple(LABELS)

# Of `AT_THE_END`: a few steps with momentum, from close by.
STEPS_AT_THE_END, MOMENTUM, CLOSE_BY = 6, 0.8, AroundEnd(0.05, 0.0125)

# Of `AT_REST`, amu^½ Å: what forces of 0.01 eV/Å, to which the references were relaxed, come to on
# a handful of atoms.
FORCES_LEFT = 0.02

# For the scalar baseline; not every potential is too soft, so that some are below 1.
SCALES = (0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True, eq=False)
class Split:
    """What is trained on and what is measured: a fold, or the data set's own parts."""

    number: int
    name: str
    training: RelaxationDataset
    held_out: RelaxationDataset
    validation: RelaxationDataset | None = None
    unlabelled: Structures | None = None  # on which `BOTH_ENDS` keeps the forces


@dataclass(frozen=True)
class Stage:
    """One training: an objective, how it is trained for, and what that costs."""

    objective: Objective
    config: TrainingConfig
    evaluations: int

    @property
    def epochs(self) -> int:
        """How long it trains."""
        return self.config.epochs


def table_of(folder: Path, part: str, method: str) -> Path:
    """The file with a method's rows on one part; its record is beside it (.json)."""
    return folder / f"{part}-{_slug(method)}.csv"


def stages_of(
    method: str,
    potential: Potential,
    training: RelaxationDataset,
    recipe: PaperRecipe,
    unlabelled: Structures | None = None,
) -> list[Stage]:
    """The trainings that a method consists of; together they cost what `BPTT` costs.

    Force matching before BPTT has half of the epochs' budget, rounded down to whole epochs. What
    `BOTH_ENDS` pays for rehearsal comes on top (one evaluation beside K), and is counted.
    """
    if method in (PRETRAINED, SCALAR):
        return []
    endpoint = EndpointLoss(recipe.rule, recipe.stop, recipe.adjoint)
    epoch = len(training) * count_evaluations(endpoint, potential, training[:1])
    if method in (BOTH_ENDS, AT_THE_END, NOT_THROUGH_TIME, AT_REST):
        return [_from_drawn_starts(method, potential, training, recipe, unlabelled, epoch)]
    for_forces = {FORCES: recipe.epochs, BPTT: 0, FORCES_THEN_BPTT: recipe.epochs // 2}[method]
    stages = []
    if for_forces:
        most = epoch // len(training)
        epochs, frames = allocate_budget([_length(r) for r in training], for_forces * epoch, most)
        objective = ForceLoss(frames)
        cost = epochs * sum(len(objective.places(r)) for r in training)
        stages.append(Stage(objective, replace(recipe.config, epochs=epochs), cost))
    if for_forces < recipe.epochs:
        epochs = recipe.epochs - for_forces
        stages.append(Stage(endpoint, replace(recipe.config, epochs=epochs), epochs * epoch))
    return stages


def _from_drawn_starts(
    method: str,
    potential: Potential,
    training: RelaxationDataset,
    recipe: PaperRecipe,
    unlabelled: Structures | None,
    epoch: int,
) -> Stage:
    """The training of those methods that average weights, and draw their starts if they have any.

    Args:
        epoch: evaluations that one epoch of `BPTT` costs.
    """
    ours = Recipe(
        unlabelled,
        step_size=recipe.step_size,
        max_step=recipe.max_step,
        steps=recipe.steps,
        adjoint=DetachedBPTT() if method == NOT_THROUGH_TIME else recipe.adjoint,
        epochs=recipe.epochs,
        clip=recipe.clip,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    if method not in (AT_THE_END, AT_REST):
        objective = ours.objective(potential)
        rehearsed = 0 if unlabelled is None else len(training)
        return Stage(objective, ours.config(len(training)), ours.epochs * (epoch + rehearsed))
    near: Objective = EndpointLoss(
        HeavyBall(recipe.step_size, MOMENTUM, recipe.max_step),
        StoppingCriterion(STEPS_AT_THE_END),
        starts=CLOSE_BY,
        resolution=ours.resolution,
    )
    if method == AT_REST:
        near = EquilibriumLoss(resolution=FORCES_LEFT)
    cost = len(training) * count_evaluations(near, potential, training[:1])
    epochs = max(1, recipe.epochs * epoch // cost)
    return Stage(near, replace(ours, epochs=epochs).config(len(training)), epochs * cost)


def allocate_budget(lengths: Sequence[int], budget: int, most: int) -> tuple[int, int]:
    """(epochs, frames): how force matching spends a budget without exceeding it.

    As many frames of each trajectory as one gradient through time has steps, and epochs until the
    budget is spent; then the fewer frames that make the last epoch fit.

    Args:
        lengths: of the trajectories.
        budget: evaluations; at least one a trajectory.
        most: frames of a trajectory in one update.
    """

    def cost(frames: int) -> int:
        """Evaluations of an epoch with so many frames of each."""
        return sum(min(frames, length) for length in lengths)

    epochs = math.ceil(budget / cost(most))
    return epochs, max(m for m in range(1, most + 1) if epochs * cost(m) <= budget)


def _length(reference: ReferenceRelaxation) -> int:
    """Frames with forces that a relaxation has."""
    return 0 if reference.trajectory is None else len(reference.trajectory)


class MethodOnPart:
    """One method on one part: its tuning trials, and what is to be said of them."""

    def __init__(
        self,
        method: str,
        potential: Potential,
        part: Split,
        recipe: PaperRecipe,
        rates: Sequence[float],
        out: Path,
        relaxer: Relaxer,
        progress: bool,
    ):
        self.method, self.potential, self.part, self.recipe = method, potential, part, recipe
        self.rates, self.out, self.relaxer, self.progress = rates, out, relaxer, progress
        self.record: dict[str, Any] = {
            "method": method, "labels": LABELS[method], "evaluations": 0,
        }  # fmt: skip

    def run(self) -> None:
        """Train, measure, and write the table with its record."""
        table = table_of(self.out, self.part.name, self.method)
        report = evaluate(
            {self.method: self.train()},
            self.part.held_out,
            self.recipe.rule,
            self.recipe.stop,
            self.relaxer,
            progress=self.progress,
            from_start=True,
            out=self.out / "evaluations" / table.stem,
        )
        write_atomic(table.with_suffix(".json"), json.dumps(self.record, indent=1))
        write_atomic(table, report.to_csv())  # last: where it is, all is

    def train(self) -> Potential:
        """The potential that this method makes; what it took is noted in the record."""
        if self.method == PRETRAINED:
            return self.potential
        if self.method == SCALAR:
            training, file = self.part.training, self.out / SCALES_FILE
            scale = best_scale(self.potential, training, self.recipe, file, self.progress)
            self.record["scale"] = scale
            return ScaledForces(self.potential, scale)
        part = self.part
        stages = stages_of(self.method, self.potential, part.training, self.recipe, part.unlabelled)
        trials = [self._trial(stages, rate) for rate in self.rates]
        scores = [trial["validation"] for _, trial in trials]
        best = 0 if scores[0] is None else int(np.argmin(scores))
        trained, chosen = trials[best]
        self.record |= {
            "evaluations": sum(stage.evaluations for stage in stages),
            "stages": [f"{stage.objective!r}, epochs: {stage.epochs}" for stage in stages],
            "chosen": chosen,
            "trials": [trial for _, trial in trials],
        }
        return trained

    def _trial(self, stages: Sequence[Stage], rate: float) -> tuple[Potential, dict]:
        """All stages with one learning rate: each starts from what the one before gave."""
        potential, taken, runs, score = self.potential, [], [], None
        for number, stage in enumerate(stages):
            folder = self.out / "runs" / f"{self.part.name}-{_slug(self.method)}-{rate}-{number}"
            potential, epochs, run, score = self._stage(potential, stage, rate, folder)
            taken.append(epochs)
            runs.append(run.relative_to(self.out).as_posix())
        return potential, {
            "learning_rate": rate,
            "epochs": taken,
            "runs": runs,
            "validation": score,
        }

    def _stage(
        self, potential: Potential, stage: Stage, rate: float, folder: Path
    ) -> tuple[Potential, int, Path, float | None]:
        """(trained potential, epochs it is from, its run's folder, validation score or None)."""
        if not self.part.validation:
            run = self._train_for(potential, stage, rate, folder, stage.epochs)
            return run.potential, stage.epochs, folder, None
        # A finished run can be prolonged, to the same result as one that was longer from the start:
        # so each epoch is kept, and judged by what this comparison is about.
        scores = []
        for epochs in range(1, stage.epochs + 1):
            kept = folder / f"epoch-{epochs}"
            if not (kept / "score.json").exists():
                trained = self._train_for(potential, stage, rate, folder, epochs).potential
                kept.mkdir(exist_ok=True)
                shutil.copy(folder / FILE, kept / FILE)
                write_atomic(kept / "score.json", json.dumps(self._score(trained)))
            scores.append(read_json(kept / "score.json"))
        best = int(np.argmin(scores))
        kept = folder / f"epoch-{best + 1}"
        chosen = load_run(kept, copy.deepcopy(self.potential))
        return chosen.potential, best + 1, kept, scores[best]

    def _train_for(
        self, potential: Potential, stage: Stage, rate: float, folder: Path, epochs: int
    ) -> Run:
        """The run of a stage after so many epochs.

        Raises:
            KeyboardInterrupt: training was interrupted.
        """
        run = finetune(
            potential,
            self.part.training,
            stage.objective,
            replace(stage.config, epochs=epochs, learning_rate=rate),
            out=folder,
            progress=self.progress,
        )
        if run.status == "interrupted":
            raise KeyboardInterrupt
        return run

    def _score(self, potential: Potential) -> float:
        """Mean ΔQ at rest over the validation part; infinite where one does not come to rest."""
        validation = self.part.validation or RelaxationDataset([])
        how = (self.recipe.rule, self.recipe.stop, self.relaxer)
        report = evaluate({self.method: potential}, validation, *how, progress=False)
        score = float(report.column("dq_rest", self.method).mean())
        return score if math.isfinite(score) else math.inf


def _slug(method: str) -> str:
    return method.replace(",", "").replace(" ", "-")
