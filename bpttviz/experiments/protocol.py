"""What experiments share: the recipe, the scalar baseline, and what a held-out structure asks."""

from __future__ import annotations

import enum
import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from bpttviz._checks import instance_of, positive
from bpttviz._files import UNDESCRIBED, FolderLock, write_atomic
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.evaluation.evaluate import endpoint_errors
from bpttviz.evaluation.report import Report
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.provenance import fingerprint, specification
from bpttviz.relaxation.adjoints.base import Adjoint
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.config import TrainingConfig

PRETRAINED, SCALAR, BPTT = "pretrained", "scalar", "BPTT"
SCALES_FILE = "scales.json"


class Question(enum.Enum):
    """What a held-out relaxation asks of a potential that was trained on others.

    The three are of different difficulty, and a mean over all mixes them: remembering an end, using
    it for another species, and knowing something about defects that were never seen.
    """

    KNOWN_END = "known end, new start"
    NEW_SPECIES = "known family, new species"
    NEW_FAMILY = "new family"


def question_of(reference: ReferenceRelaxation, training: RelaxationDataset) -> Question:
    """What ``reference`` asks of a potential trained on ``training``.

    A known end is one whose group was trained on: another start that can come to the same end. A
    known family is the same kind of defect (or crystal) with other elements.
    """
    if reference.group in training.groups:
        return Question.KNOWN_END
    if reference.family in {known.family for known in training}:
        return Question.NEW_SPECIES
    return Question.NEW_FAMILY


@dataclass(frozen=True)
class PaperRecipe:
    """The paper's way: from the references' starts alone, at a constant rate, the last weights.

    What it says of map, epochs and learning rate holds for the methods beside it as well.

    Attributes:
        step_size: Å²/eV. With K = 20 steps of 0.06 the softest modes come as far as with 30 of
            0.04, at two thirds of the cost.
        max_step: Å, see `GradientDescent`.
        steps: K.
        epochs, learning_rate, clip, batch_size, seed: as in `finetune`.
        scales: force scales tried for the scalar baseline.
        adjoint: how the gradient goes back.

    Raises:
        TypeError, ValueError: an argument of another kind, or a number out of range; no scale.
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
    adjoint: Adjoint = field(default_factory=CheckpointedBPTT)

    def __post_init__(self) -> None:
        scales = tuple(positive("a force scale", scale) for scale in self.scales)
        if not scales:
            raise ValueError("a recipe needs at least one force scale (scales)")
        object.__setattr__(self, "scales", scales)
        instance_of("adjoint", self.adjoint, Adjoint, "bv.CheckpointedBPTT()")
        # What makes no sense is refused here, before a folder is filed under it.
        _ = self.rule, self.stop, self.config

    @property
    def rule(self) -> GradientDescent:
        """The map that is unrolled."""
        return GradientDescent(self.step_size, self.max_step)

    @property
    def config(self) -> TrainingConfig:
        """The training's numbers."""
        return TrainingConfig(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            clip=self.clip,
            batch_size=self.batch_size,
            seed=self.seed,
        )

    @property
    def stop(self) -> StoppingCriterion:
        """When it ends."""
        return StoppingCriterion(self.steps)


def as_file_name(name: str) -> str:
    """The name of a potential, method or run (``chgnet:0.2.0``) as files can have it."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in name)


def best_scale(
    potential: Potential,
    training: RelaxationDataset,
    recipe: PaperRecipe,
    file: Path,
    progress: bool,
) -> float:
    """The force scale with the smallest mean ΔQ(X_K) on the training structures.

    What each structure gives at each scale is kept in ``file``, filed under all that it depends on,
    so that folds share it.

    Raises:
        ValueError: every scale makes some relaxation diverge.
    """
    errors = []
    for reference in tqdm(training, desc="force scale", disable=not progress):
        key = _filed_under(potential, reference, recipe)
        known = _scales_in(file).get(reference.name, {})
        if key is None or known.get("filed_under") != key:
            known = {"filed_under": key, "errors": _errors_by_scale(potential, reference, recipe)}
            # Another process may have added to the file meanwhile: keep what both know.
            with FolderLock(file.parent, file.name, wait=60):
                write_atomic(file, json.dumps(_scales_in(file) | {reference.name: known}, indent=1))
        errors.append(known["errors"])
    table = np.array(errors, float)  # (structures, scales)
    usable = np.isfinite(table).all(axis=0)  # a scale at which one diverges is no baseline
    if not usable.any():
        raise ValueError("every force scale makes some relaxation diverge; reduce the step size")
    best = int(np.where(usable, table.mean(axis=0), np.inf).argmin())
    if best in (0, len(recipe.scales) - 1):
        warnings.warn(
            f"the best force scale, {recipe.scales[best]}, is at the edge of those tried",
            stacklevel=2,
        )
    return recipe.scales[best]


def _errors_by_scale(
    potential: Potential, reference: ReferenceRelaxation, recipe: PaperRecipe
) -> list[float]:
    """ΔQ(X_K, reference) at each scale; NaN where it diverged."""
    one = RelaxationDataset([reference])
    return [
        float(endpoint_errors(ScaledForces(potential, s), one, recipe.rule, recipe.stop)[0])
        for s in recipe.scales
    ]


def _filed_under(
    potential: Potential, reference: ReferenceRelaxation, recipe: PaperRecipe
) -> str | None:
    """A hash of all that a structure's errors depend on; None where a part cannot be described."""
    parts = [
        specification(potential),
        fingerprint(potential),
        RelaxationDataset([reference]).fingerprint(),
        specification([recipe.rule, recipe.stop, recipe.scales]),
    ]
    text = json.dumps(parts, sort_keys=True)
    if f'"{UNDESCRIBED}"' in text:
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _scales_in(file: Path) -> dict[str, dict]:
    """Name → what is known of it; nothing where there is no file.

    Raises:
        ValueError: a damaged file.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(entry, dict) for entry in found.values()):
            raise ValueError("it was written by an earlier version")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}); delete it: it is made anew") from error
    return found


def format_change(
    report: Report,
    column: str,
    after: str,
    same_basin: bool = False,
    before: str = PRETRAINED,
) -> str:
    """`Report.compare` as a line, also where there is nothing to compare."""
    try:
        return str(report.compare(column, before, after, same_basin))
    except ValueError as nothing_to_compare:
        return str(nothing_to_compare)


def format_questions(
    report: Report, questions: dict[str, Question], columns: Sequence[str], after: str
) -> list[str]:
    """The change of each column told apart by what structures ask: one line each.

    Args:
        report: what was measured.
        questions: structure → question.
        columns: of `StructureResult`.
        after: which potential, against the pretrained one.
    """
    lines = []
    for question in Question:
        names = [name for name in report.structures if questions.get(name) is question]
        if names:
            part = report.subset(names)
            changes = "; ".join(format_change(part, column, after) for column in columns)
            lines.append(f"{question.value} ({len(names)}): {changes}")
    return lines
