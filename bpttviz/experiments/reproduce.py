"""The paper's experiment on the shipped data: cross-validated fine-tuning through relaxations.

The recipe is fixed here and the same for all folds. It was chosen while looking at some of the
data (`DatasetSplits.development_groups`), so the result without those groups is reported beside that of all. Each
fold fine-tunes on the other folds' relaxations and is measured on its own; the scalar baseline gets
one force scale fitted on the same training structures.

Everything is written as it comes, and a repeated call goes on
where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from bpttviz._files import lock_settings, write
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.report import Report
from bpttviz.experiments.protocol import (
    BPTT,
    PRETRAINED,
    SCALAR,
    Recipe,
    best_scale,
    change_in_words,
)
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.provenance import fingerprint, specification
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss


def cross_validate(
    potential: Potential,
    data: DatasetSplits,
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
        "potential": specification(potential),
        "weights": fingerprint(potential),
        "data": data.all.fingerprint(),
        "folds": folds,
    }
    lock_settings(out, settings)
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
            EndpointLoss(recipe.rule, recipe.stop, recipe.adjoint),
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
    write(out / "report.txt", format_cross_validation(report, data.development_groups) + "\n")
    return report


def format_cross_validation(report: Report, development_groups: Collection[str] = ()) -> str:
    """The report's table, and what changed in each of its quantities.

    ``development_groups``: groups that the recipe was chosen on; the change without them is added.
    """
    uninformed = Report([row for row in report.rows if row.group not in development_groups])
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
