"""Methods side by side: what each makes of one pretrained potential, for the same budget.

The budget is counted in force evaluations that are differentiated (`count_evaluations`): a gradient
through K steps costs K, force matching one a frame. Every method trains on the same structures with
the same number of tuning trials, and each is stopped where its own validation is best (mean ΔQ at
rest). Data without a test part is cross-validated with the recipe fixed beforehand, as there is
nothing to validate on.

Each method's table is written as it comes, and a repeated call goes on where the last one stopped.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bpttviz._files import lock_settings, write
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import SMALLEST_SET_WITH_TEST, DatasetSplits
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.protocol import BPTT, PRETRAINED, SCALAR, Recipe, best_scale
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.provenance import fingerprint, specification
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss, ForceLoss, Objective, count_evaluations
from bpttviz.training.runs import FILE, load_run

FORCES, FORCES_THEN_BPTT = "force-matched", "forces, then BPTT"

# method -> the labels it learns from
LABELS = {
    PRETRAINED: "nothing",
    SCALAR: "ends",
    FORCES: "frames with forces",
    BPTT: "ends",
    FORCES_THEN_BPTT: "frames with forces, then ends",
}
METHODS = tuple(LABELS)

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


@dataclass(frozen=True)
class Stage:
    """One training: an objective, and for how many epochs."""

    objective: Objective
    epochs: int
    evaluations: int


def parts_of(
    data: DatasetSplits, folds: int | None = None, seen: Collection[str] = ()
) -> list[Split]:
    """The data set's own training, validation and test; or folds, where it has no test part.

    Args:
        folds: cross-validate with so many folds all the same.
        seen: names of relaxations that the potential was pretrained on: it may train on them, but
            is measured on none. A part with nothing left to measure is left out.

    Raises:
        ValueError: nothing is left to measure, or to validate on.
    """

    def unseen(references: RelaxationDataset) -> RelaxationDataset:
        return RelaxationDataset([r for r in references if r.name not in seen])

    if folds is None and len(data) >= SMALLEST_SET_WITH_TEST:
        parts = [Split(0, "test", data.train, unseen(data.test), unseen(data.val))]
    else:
        pairs = enumerate(data.folds(folds or 4))
        parts = [Split(n, f"fold-{n}", train, unseen(held_out)) for n, (train, held_out) in pairs]
    parts = [part for part in parts if len(part.held_out)]
    if not parts:
        raise ValueError("the potential was pretrained on all relaxations that could be measured")
    if any(part.validation is not None and not part.validation for part in parts):
        raise ValueError(
            "the potential was pretrained on the whole validation part, so that nothing is left to "
            "choose an epoch by; cross-validate instead (folds, --folds 4)"
        )
    return parts


def benchmark(
    potential: Potential,
    data: DatasetSplits,
    out: str | Path,
    recipe: Recipe | None = None,
    folds: int | None = None,
    seen: Collection[str] = (),
    learning_rates: Sequence[float] | None = None,
    methods: Collection[str] = METHODS,
    only: Sequence[int] | None = None,
    rest: Relaxer | None = None,
    about: Mapping | None = None,
    progress: bool = True,
) -> None:
    """Train and measure, part by part and method by method; results are read by `outcomes`.

    Args:
        potential: the pretrained potential.
        data: with frames of forces, which force matching needs.
        out: folder of this potential; resumed when it has results already.
        recipe: `Recipe` with `SCALES` by default. Its number of epochs is the budget: gradients
            through K steps of every training structure.
        folds, seen: see `parts_of`.
        learning_rates: tried by every method alike, and chosen on validation; the recipe's alone by
            default.
        methods, only: do just these methods and parts (several processes can share the work, one
            folder between them).
        rest: as in `evaluate`.
        about: what the summary is to know of the potential: "name", "external" (whether it counts
            in the average over pretrained potentials), "caveat".

    Raises:
        ValueError: ``out`` holds results of other settings, an unknown method or part, too few
            epochs to divide, or several learning rates without a validation part.
    """
    recipe, out = Recipe(scales=SCALES) if recipe is None else recipe, Path(out)
    rates = tuple(learning_rates or (recipe.learning_rate,))
    seen = sorted(set(seen).intersection(data.all.names))
    parts = parts_of(data, folds, seen)
    _check(recipe, rates, methods, only, parts)
    lock_settings(
        out,
        {
            "about": {"name": type(potential).__name__, "external": True, **(about or {})},
            "recipe": {**asdict(recipe), "adjoint": repr(recipe.adjoint)},
            "learning_rates": rates,
            "potential": specification(potential)["class"],
            "weights": fingerprint(potential),
            "data": data.all.fingerprint(),
            "seen": seen,
            "parts": {p.name: p.held_out.names for p in parts},
            "unfamiliar": [
                name for p in parts for name in p.training.out_of_distribution(p.held_out)
            ],
            "noise_floor": data.noise_floor,
            "informed": sorted(data.development_groups),
        },
    )
    for part in parts:
        if only is not None and part.number not in only:
            continue
        for method in methods:
            table = table_of(out, part.name, method)
            if table.exists():
                continue
            trainer = _Method(method, potential, part, recipe, rates, out, rest, progress)
            trained = trainer.train()
            report = evaluate(
                {method: trained},
                part.held_out,
                recipe.rule,
                recipe.stop,
                rest,
                progress=progress,
                from_start=True,
            )
            write(table.with_suffix(".json"), json.dumps(trainer.record, indent=1))
            write(table, report.to_csv())  # last: where it is, all is


def table_of(folder: Path, part: str, method: str) -> Path:
    """The file with a method's rows on one part; its record is beside it (.json)."""
    return folder / f"{part}-{_slug(method)}.csv"


def stages_of(
    method: str, potential: Potential, training: RelaxationDataset, recipe: Recipe
) -> list[Stage]:
    """The trainings that a method consists of; together they cost what `BPTT` costs.

    Force matching before BPTT has half of the epochs' budget, rounded down to whole epochs.
    """
    if method in (PRETRAINED, SCALAR):
        return []
    endpoint = EndpointLoss(recipe.rule, recipe.stop, recipe.adjoint)
    epoch = len(training) * count_evaluations(endpoint, potential, training[:1])
    for_forces = {FORCES: recipe.epochs, BPTT: 0, FORCES_THEN_BPTT: recipe.epochs // 2}[method]
    stages = []
    if for_forces:
        most = epoch // len(training)
        epochs, frames = allocate_budget(
            [len(r.frames) for r in training], for_forces * epoch, most
        )
        objective = ForceLoss(frames)
        cost = epochs * sum(len(objective.chosen(r)) for r in training)
        stages.append(Stage(objective, epochs, cost))
    if for_forces < recipe.epochs:
        epochs = recipe.epochs - for_forces
        stages.append(Stage(endpoint, epochs, epochs * epoch))
    return stages


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
        return sum(min(frames, length) for length in lengths)

    epochs = math.ceil(budget / cost(most))
    return epochs, max(m for m in range(1, most + 1) if epochs * cost(m) <= budget)


class _Method:
    """One method on one part: its tuning trials, and what is to be said of them."""

    def __init__(self, method, potential, part, recipe, rates, out, rest, progress):
        self.method, self.potential, self.part, self.recipe = method, potential, part, recipe
        self.rates, self.out, self.rest, self.progress = rates, out, rest, progress
        self.record = {"method": method, "labels": LABELS[method], "evaluations": 0}

    def train(self) -> Potential:
        if self.method == PRETRAINED:
            return self.potential
        if self.method == SCALAR:
            training, file = self.part.training, self.out / "scales.json"
            scale = best_scale(self.potential, training, self.recipe, file, self.progress)
            self.record["scale"] = scale
            return ScaledForces(self.potential, scale)
        stages = stages_of(self.method, self.potential, self.part.training, self.recipe)
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
            folder = self.out / "runs" / f"{self.part.name}-{_slug(self.method)}-{rate:g}-{number}"
            potential, epochs, run, score = self._stage(potential, stage, rate, folder)
            taken.append(epochs)
            runs.append(run.relative_to(self.out).as_posix())
        return potential, {
            "learning_rate": rate,
            "epochs": taken,
            "runs": runs,
            "validation": score,
        }

    def _stage(self, potential, stage: Stage, rate: float, folder: Path):
        """(trained potential, epochs it is from, its run's folder, validation score or None)."""

        def after(epochs: int) -> Potential:
            run = finetune(
                potential,
                self.part.training,
                stage.objective,
                epochs=epochs,
                learning_rate=rate,
                clip=self.recipe.clip,
                batch_size=self.recipe.batch_size,
                seed=self.recipe.seed,
                out=folder,
                progress=self.progress,
            )
            if run.status == "interrupted":
                raise KeyboardInterrupt
            return run.potential

        if not self.part.validation:
            return after(stage.epochs), stage.epochs, folder, None
        # A finished run can be prolonged, to the same result as one that was longer from the start:
        # so each epoch is kept, and judged by what this comparison is about.
        scores = []
        for epochs in range(1, stage.epochs + 1):
            kept = folder / f"epoch-{epochs}"
            if not (kept / "score.json").exists():
                trained = after(epochs)
                kept.mkdir(exist_ok=True)
                shutil.copy(folder / FILE, kept / FILE)
                write(kept / "score.json", json.dumps(self._score(trained)))
            scores.append(json.loads((kept / "score.json").read_text()))
        best = int(np.argmin(scores))
        kept = folder / f"epoch-{best + 1}"
        run = load_run(kept, copy.deepcopy(self.potential))
        return run.potential, best + 1, kept, scores[best]

    def _score(self, potential: Potential) -> float:
        """Mean ΔQ at rest over the validation part; infinite where one does not come to rest."""
        report = evaluate(
            {self.method: potential},
            self.part.validation,
            self.recipe.rule,
            self.recipe.stop,
            self.rest,
            progress=False,
        )
        score = float(report.column("dq_rest", self.method).mean())
        return score if math.isfinite(score) else math.inf


def _check(recipe: Recipe, rates, methods, only, parts: Sequence[Split]) -> None:
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {unknown[0]!r}; choose among {', '.join(METHODS)}")
    numbers = [part.number for part in parts]
    absent = [number for number in only or () if number not in numbers]
    if absent:
        raise ValueError(
            f"there is no part {absent[0]}, or nothing in it to measure; choose among "
            f"{', '.join(map(str, numbers))}"
        )
    if FORCES_THEN_BPTT in methods and recipe.epochs < 2:
        raise ValueError(
            f"{FORCES_THEN_BPTT!r} divides the budget between two trainings: 2 epochs at least"
        )
    if len(rates) > 1 and not all(part.validation for part in parts):
        raise ValueError(
            "several learning rates are tried on validation relaxations, and this division of the "
            "data has none; give one learning rate, fixed beforehand"
        )
    if {FORCES, FORCES_THEN_BPTT}.intersection(methods):
        without = [r.name for part in parts for r in part.training if not r.frames]
        if without:
            raise ValueError(f"{without[0]} has no frames with forces, so forces cannot be matched")


def _slug(method: str) -> str:
    return method.replace(",", "").replace(" ", "-")
