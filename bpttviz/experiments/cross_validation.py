"""The paper's experiment on the shipped data: cross-validated fine-tuning through relaxations.

The recipe is fixed here and the same for all folds. It was chosen while looking at some of the
data (`DatasetSplits.development_groups`), so the result without those groups is reported beside
that of all. Each fold fine-tunes on the other folds' relaxations and is measured on its own; the
scalar baseline gets one force scale fitted on the same training structures.

Everything is written as it comes, and a repeated call goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpttviz._checks import file_path, instance_of, sequence_of, whole
from bpttviz._files import lock_settings, write_atomic
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.report import Report
from bpttviz.experiments.protocol import (
    BPTT,
    PRETRAINED,
    SCALAR,
    SCALES_FILE,
    PaperRecipe,
    Question,
    best_scale,
    format_change,
    format_questions,
    question_of,
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
    recipe: PaperRecipe | None = None,
    folds: int = 4,
    only: Sequence[int] | None = None,
    progress: bool = True,
) -> Report | None:
    """Fine-tune and measure fold by fold.

    Args:
        potential: the pretrained potential.
        data: all its relaxations are used; folds never divide a group.
        out: folder for runs, tables and the final report; resumed when it has some already.
        recipe: `PaperRecipe` by default.
        folds: number of folds.
        only: do just these folds (several processes can share the work, one folder between them).
        progress: show bars.

    Returns:
        The merged `Report` (rows only) when all folds are done, else None.

    Raises:
        ValueError: ``out`` holds results of another recipe or other data, a damaged table, a number
            out of range, or there is no such fold.
        TypeError: an argument of the wrong kind.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("data", data, DatasetSplits, 'bv.load_dataset("si-defects")')
    recipe = PaperRecipe() if recipe is None else recipe
    instance_of("recipe", recipe, PaperRecipe, "PaperRecipe()")
    folds, out = whole("folds", folds, least=2), file_path("out", out)
    pairs = data.folds(folds)
    chosen = _chosen(only, folds)
    settings = {
        "recipe": specification(recipe),
        "potential": specification(potential),
        "weights": fingerprint(potential),
        "data": data.all.fingerprint(),
        "folds": folds,
    }
    lock_settings(out, settings, ("report.csv", "report.txt"))
    for number in chosen:
        if not _table_of(out, number).exists():
            training, held_out = pairs[number]
            fold = _Fold(number, training, held_out, out, progress)
            if not fold.done(potential, recipe):
                return None
    tables = [_table_of(out, number) for number in range(folds)]
    if not all(table.exists() for table in tables):
        return None
    rows = (row for table in tables for row in Report.from_csv(table).rows)
    report = Report(list(rows), noise_floor=data.noise_floor)
    questions = {r.name: question_of(r, training) for training, held in pairs for r in held}
    text = format_cross_validation(report, data.development_groups, questions)
    write_atomic(out / "report.csv", report.to_csv())
    write_atomic(out / "report.txt", text + "\n")
    return report


def _chosen(only: Sequence[int] | None, folds: int) -> Sequence[int]:
    """The folds to do, all by default. Raises TypeError, ValueError for one that there is not."""
    if only is None:
        return range(folds)
    given = sequence_of("only", only, object, "[0]")
    numbers = [whole("a number in only", number, least=0) for number in given]
    if unknown := [number for number in numbers if number >= folds]:
        raise ValueError(f"there is no fold {unknown[0]}; {folds} folds are numbered from 0")
    return numbers


def format_cross_validation(
    report: Report,
    development_groups: Collection[str] = (),
    questions: Mapping[str, Question] | None = None,
) -> str:
    """The report's table, and what changed in each of its quantities.

    Args:
        report: rows of all folds.
        development_groups: groups that the recipe was chosen on; the change without them is added.
        questions: structure → what it asks of its fold's training; told apart where given.
    """
    names = dict(zip(report.structures, report.groups, strict=True))
    new = report.subset([name for name, group in names.items() if group not in development_groups])
    lines = [str(report), ""]
    for after in (SCALAR, BPTT):
        lines.append(f"{PRETRAINED} → {after}")
        for column in ("dq_k", "dq_rest", "dq_k_rest", "rmsd_k", "rmsd_rest", "force_mae"):
            lines.append("  " + format_change(report, column, after))
        lines.append("  same basin under both: " + format_change(report, "dq_rest", after, True))
        if 0 < len(new.structures) < len(report.structures):
            lines.append("  groups not looked at before: " + format_change(new, "dq_rest", after))
        asked = format_questions(report, dict(questions or {}), ["dq_rest"], after)
        lines += [f"  {line}" for line in asked]
    return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Fold:
    """One fold: what it is trained on and measured on."""

    number: int
    training: RelaxationDataset
    held_out: RelaxationDataset
    out: Path
    progress: bool

    def done(self, potential: Potential, recipe: PaperRecipe) -> bool:
        """Train and measure, and write the table; False where training was interrupted."""
        folder = self.out / f"fold-{self.number}"
        run = finetune(
            potential,
            self.training,
            EndpointLoss(recipe.rule, recipe.stop, recipe.adjoint),
            recipe.config,
            out=folder,
            progress=self.progress,
        )
        if run.status == "interrupted":
            return False
        scales = self.out / SCALES_FILE
        scale = best_scale(potential, self.training, recipe, scales, self.progress)
        report = evaluate(
            {PRETRAINED: potential, SCALAR: ScaledForces(potential, scale), BPTT: run.potential},
            self.held_out,
            recipe.rule,
            recipe.stop,
            progress=self.progress,
            out=folder / "evaluation",
        )
        write_atomic(_table_of(self.out, self.number), report.to_csv())
        return True


def _table_of(out: Path, number: int) -> Path:
    """The file with a fold's rows."""
    return out / f"fold-{number}.csv"
