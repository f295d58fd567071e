"""The paper's experiment on the shipped data: cross-validated fine-tuning through relaxations.

The recipe is fixed here and the same for all folds. It was chosen while looking at some of the
data (`Dataset.informed`), so the result without those groups is reported beside that of all. Each
fold fine-tunes on the other folds' relaxations and is measured on its own; the scalar baseline gets
one force scale fitted on the same training structures.

Everything is written as it comes, and a repeated call goes on
where the last one stopped.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from bpttviz.adjoints import Checkpointed
from bpttviz.datasets.relaxation_set import Dataset, RelaxationSet
from bpttviz.evaluate import endpoint_errors, evaluate
from bpttviz.finetune import finetune
from bpttviz.iterate import Stop
from bpttviz.objectives import Endpoint
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.report import Report
from bpttviz.rules import GradientDescent
from bpttviz.runs import describe, fingerprint

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
    adjoint: object = field(default_factory=Checkpointed)

    @property
    def rule(self) -> GradientDescent:
        return GradientDescent(self.step_size, self.max_step)

    @property
    def stop(self) -> Stop:
        return Stop(self.steps)


def cross_validate(
    potential: Potential,
    data: Dataset,
    out: str | Path,
    recipe: Recipe | None = None,
    folds: int = 4,
    only: Sequence[int] | None = None,
    progress: bool = True,
) -> Report | None:
    """Fine-tune and measure fold by fold.

    Args:
        potential: the pretrained potential.
        data: all its relaxations are used; folds never divide a group.
        out: folder for runs, tables and the final report; resumed when it has some already.
        recipe: `Recipe` by default.
        folds: number of folds.
        only: do just these folds (several processes can share the work, one folder between them).

    Returns:
        The merged `Report` (rows only) when all folds are done, else None.

    Raises:
        ValueError: ``out`` holds results of another recipe or other data.
    """
    recipe = Recipe() if recipe is None else recipe
    out = Path(out)
    settings = {
        "recipe": {**asdict(recipe), "adjoint": repr(recipe.adjoint)},
        "potential": describe(potential),
        "weights": fingerprint(potential),
        "data": data.everything.fingerprint(),
        "folds": folds,
    }
    claim(out, settings)
    pairs = data.folds(folds)
    unknown = [number for number in only or () if not 0 <= number < folds]
    if unknown:
        raise ValueError(f"there is no fold {unknown[0]}; {folds} folds are numbered from 0")
    for number in range(folds) if only is None else only:
        table = out / f"fold-{number}.csv"
        if table.exists():
            continue
        training, held_out = pairs[number]
        run = finetune(
            potential,
            training,
            Endpoint(recipe.rule, recipe.stop, recipe.adjoint),
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            clip=recipe.clip,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            out=out / f"fold-{number}",
            progress=progress,
        )
        if run.status == "interrupted":
            return None
        scale = best_scale(potential, training, recipe, out / "scales.json", progress)
        report = evaluate(
            {PRETRAINED: potential, SCALAR: ScaledForces(potential, scale), BPTT: run.potential},
            held_out,
            recipe.rule,
            recipe.stop,
            progress=progress,
            noise_floor=data.noise_floor,
        )
        write(table, report.to_csv())
    tables = [out / f"fold-{number}.csv" for number in range(folds)]
    if not all(table.exists() for table in tables):
        return None
    rows = [row for table in tables for row in Report.from_csv(table).rows]
    report = Report(rows, noise_floor=data.noise_floor)
    write(out / "report.csv", report.to_csv())
    write(out / "report.txt", in_words(report, data.informed) + "\n")
    return report


def best_scale(
    potential: Potential, training: RelaxationSet, recipe: Recipe, file: Path, progress: bool
) -> float:
    """The force scale with the smallest mean ΔQ(X_K) on the training structures.

    What each structure gives at each scale is kept in ``file``, so that folds share it.
    """
    known = json.loads(file.read_text()) if file.exists() else {}
    for reference in tqdm(training, desc="force scale", disable=not progress):
        if reference.name not in known:
            one = RelaxationSet([reference])
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


def in_words(report: Report, informed: Collection[str] = ()) -> str:
    """The report's table, and what changed in each of its quantities.

    ``informed``: groups that the recipe was chosen on; the change without them is added.
    """
    uninformed = Report([row for row in report.rows if row.group not in informed])
    lines = [str(report), ""]
    for after in (SCALAR, BPTT):
        lines.append(f"{PRETRAINED} → {after}")
        for column in ("dq_k", "dq_rest", "dq_k_rest", "rmsd_k", "rmsd_rest", "force_mae"):
            lines.append("  " + change_in_words(report, column, after))
        lines.append("  same basin under both: " + change_in_words(report, "dq_rest", after, True))
        if 0 < len(uninformed.structures) < len(report.structures):
            lines.append(
                "  groups not looked at before: " + change_in_words(uninformed, "dq_rest", after)
            )
    return "\n".join(lines)


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


def claim(out: Path, settings: dict) -> None:
    """Note the settings in ``out``, or refuse a folder that has others.

    Raises:
        ValueError: ``out`` holds other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / "settings.json"
    settings = json.loads(json.dumps(settings))
    if file.exists():
        saved = json.loads(file.read_text())
        if saved != settings:
            differing = [k for k in settings if saved.get(k) != settings[k]]
            raise ValueError(
                f"{out} holds results with other settings ({', '.join(differing)} differ); choose "
                "another folder or delete it"
            )
    else:
        write(file, json.dumps(settings, indent=1))


def write(target: Path, text: str) -> None:
    """Put a text file in place in one move, so that no reader ever finds half of it."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, target)
