"""Claims 1, 2 and 5: ends, forces, and how many relaxations they are learned from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.metrics import RIGHT
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.words import minima_that_changed
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.evidence import (
    AFTER_K,
    ENDS,
    FORCES,
    NUMBER,
    Evidence,
    of_comparison,
    of_pairs,
    of_report,
)
from bpttviz.experiments.claims.study import PLAIN, Setting, Study
from bpttviz.experiments.methods import BOTH_ENDS, stages_of
from bpttviz.experiments.methods import FORCES as FORCE_MATCHED
from bpttviz.experiments.protocol import (
    BPTT,
    SCALAR,
    SCALES_FILE,
    Question,
    best_scale,
    question_of,
)
from bpttviz.potentials.base import Potential
from bpttviz.potentials.scaled import ScaledForces
from bpttviz.training.recipe import Recipe

METHODS = (SCALAR, FORCE_MATCHED, BPTT, BOTH_ENDS)
THROUGH_TIME = {BPTT: paper.PAPERS, BOTH_ENDS: paper.OURS}  # method → part of claim 2
RECIPE_NAMES = {
    SCALAR: "forces × one number",
    FORCE_MATCHED: "force matching",
    BPTT: "BPTT, the paper's way",
    BOTH_ENDS: "BPTT from both ends",
}
PART_OF = {
    Question.KNOWN_END: paper.KNOWN,
    Question.NEW_SPECIES: paper.SPECIES,
    Question.NEW_FAMILY: paper.FAMILY,
}
HELD_OUT = "test part"
WHERE = {
    "near the defect": "force_mae_near",
    "far from the defect": "force_mae_far",
    "weak forces": "force_mae_weak",
    "strong forces": "force_mae_strong",
}
SIZES = (2, 4, paper.FEW, 16, 32)
UPDATES = 48  # at least, of the training of claim 5 on all relaxations


class Methods(Study):
    """Claims 1 and 2: methods side by side, trained for one budget without any choice."""

    claim = 1

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """A method each."""
        return METHODS

    def gradients(self, setting: Setting, run: str) -> int:
        """The budget, which is one for all that train; the scalar relaxes at every scale."""
        recipe = setting.recipe
        epoch = len(setting.training) * recipe.steps
        if run == SCALAR:
            return round(PLAIN * len(recipe.scales) * epoch)
        rehearsed = len(setting.training) if run == BOTH_ENDS and setting.unlabelled else 0
        return recipe.epochs * (epoch + rehearsed)

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        report = setting.compared(run, self.tuned(setting, run))
        origin = setting.provenance(self, run)
        start = Evidence(
            1, "", setting.data, setting.name, RECIPE_NAMES[run], HELD_OUT, ENDS, np.nan,
            remark=f"{len(setting.training)} relaxations, {setting.recipe.epochs} epochs",
            provenance=origin,
        )  # fmt: skip
        asked = {r.name: question_of(r, setting.training) for r in setting.held_out}
        return rows_of_report(start, report, asked, run)

    def tuned(self, setting: Setting, run: str) -> Potential:
        """The potential that a method makes."""
        if run == SCALAR:
            file = setting.folder / SCALES_FILE
            scale = best_scale(
                setting.potential, setting.training, setting.recipe, file, setting.progress
            )
            return ScaledForces(setting.potential, scale)
        potential = setting.potential
        how = setting.potential, setting.training, setting.recipe, setting.unlabelled
        for number, stage in enumerate(stages_of(run, *how)):
            name = f"{run}-{number}"
            trained = setting.trained(name, stage.objective, stage.config, potential)
            potential = trained.potential
        return potential


def rows_of_report(
    start: Evidence, report: Report, asked: dict[str, Question], method: str
) -> list[Evidence]:
    """Rows of claims 1, 2 and 6 from a report of two potentials.

    Args:
        start: says what they have in common.
        report: before and after.
        asked: structure → what it asks of the training.
        method: of `bpttviz.experiments.methods`.
    """
    through_time = method in THROUGH_TIME
    part = THROUGH_TIME.get(method, "")
    labelled = any(math.isfinite(row.force_mae) for row in report.rows)  # or ends alone are known
    rows = [of_report(replace(start, quantity=AFTER_K), report)]
    if labelled:
        rows.append(of_report(replace(start, claim=2, quantity=FORCES, part=part), report))
    for question, some in by_question(report, asked).items():
        alone = len(some.structures) == len(report.structures)
        ends = replace(start, part=PART_OF[question] if through_time else "")
        rows.append(of_report(_asking(ends, question), some))
        if labelled and not alone:
            forces = replace(start, claim=2, quantity=FORCES)
            rows.append(of_report(_asking(forces, question), some))
    if len({asked.get(name) for name in report.structures}) > 1:
        rows.append(of_report(start, report))
    if through_time:
        rows += _forces_by_place(start, report)
        unknown = [name for name in report.structures if asked.get(name) is not Question.KNOWN_END]
        if unknown:
            rows.append(minima_row(start, report.subset(unknown)))
    return rows


def by_question(report: Report, asked: Mapping[str, Question]) -> dict[Question, Report]:
    """The report divided by what structures ask."""
    names = {
        question: [name for name in report.structures if asked.get(name) is question]
        for question in Question
    }
    return {question: report.subset(some) for question, some in names.items() if some}


def _asking(row: Evidence, question: Question) -> Evidence:
    return replace(row, question=f"{row.question}: {question.value}")


def _forces_by_place(start: Evidence, report: Report) -> list[Evidence]:
    """Where forces change, as context."""
    rows = []
    for where, column in WHERE.items():
        row = replace(start, claim=2, part="", quantity=f"force error, {where}")
        try:
            rows.append(of_comparison(row, report.compare(column)))
        except ValueError:  # no such atoms
            continue
    return rows


def minima_row(start: Evidence, report: Report) -> Evidence:
    """How many minima that were right before are wrong after."""
    before, after = report.potentials[0], report.potentials[-1]
    changed = minima_that_changed(report, before, after)
    lost = len(changed["lost"])
    told = [f"{what}: {', '.join(names)}" for what, names in changed.items() if names]
    return replace(
        start, claim=6, part=paper.MINIMA, quantity="minima lost", value=lost, unit=NUMBER,
        exact=True, n=len(report.structures), groups=len(set(report.groups)), worse=lost,
        judged=sum(basin in RIGHT for basin in report.column("basin", before)),
        remark="; ".join(told),
    )  # fmt: skip


class FewRelaxations(Study):
    """Claim 5: about as many updates on more and more relaxations, each set in the next.

    Whole epochs: of all relaxations as many as make 48 updates at least, of fewer as many as make
    no more than these, so that few can only be as good by themselves.
    """

    claim = 5

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """A number of relaxations each; the last is all of them."""
        sizes = [size for size in SIZES if size < len(setting.training)]
        return tuple(str(size) for size in (*sizes, len(setting.training)))

    def gradients(self, setting: Setting, run: str) -> int:
        """K of each update."""
        return _updates(int(run), setting) * setting.recipe.steps

    def is_of_today(self, setting: Setting, run: str, row: Evidence) -> bool:
        """Whether it had as many updates."""
        return row.remark.startswith(f"{_updates(int(run), setting)} updates")

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        count, most = int(run), len(setting.training)
        report = setting.compared(f"{count} relaxations", self.tuned(setting, count))
        updates = _updates(count, setting)
        start = Evidence(
            5, paper.GAIN if count == paper.FEW else "", setting.data, setting.name,
            f"BPTT from both ends, {count} relaxations", HELD_OUT, ENDS, np.nan,
            remark=f"{updates} updates", provenance=setting.provenance(self, run),
        )  # fmt: skip
        rows = [
            of_report(start, report),
            of_report(replace(start, part="", quantity=FORCES), report),
        ]
        if count == most:
            return rows
        whole = setting.compared(f"{most} relaxations", self.tuned(setting, most))
        name = report.potentials[-1]
        few, all_ = (
            {s: r.row(n, s).dq_rest for s in r.structures}
            for r, n in ((report, name), (whole, whole.potentials[-1]))
        )
        behind = replace(
            start, part=paper.ENOUGH if count == paper.FEW else "",
            question=f"{HELD_OUT}, against all {most}",
            remark=f"{updates} updates against {_updates(most, setting)}",
        )  # fmt: skip
        return [*rows, of_pairs(behind, all_, few, setting.groups, setting.noise_floor)]

    def tuned(self, setting: Setting, count: int) -> Potential:
        """Trained on so many relaxations, as `Recipe` does, without any choice."""
        chosen = RelaxationDataset([setting.training[i] for i in _order(setting)[:count]])
        paper_recipe = setting.recipe
        recipe = Recipe(
            setting.unlabelled, step_size=paper_recipe.step_size, max_step=paper_recipe.max_step,
            steps=paper_recipe.steps, adjoint=paper_recipe.adjoint,
            epochs=_updates(count, setting) // count, seed=paper_recipe.seed,
        )  # fmt: skip
        run = setting.trained(
            f"few-{count}", recipe.objective(setting.potential), recipe.config(count),
            training=chosen,
        )  # fmt: skip
        return run.potential


def _order(setting: Setting) -> list[int]:
    """Places of the training relaxations in the order in which they are added."""
    draw = np.random.default_rng(setting.recipe.seed)
    return [int(place) for place in draw.permutation(len(setting.training))]


def _updates(count: int, setting: Setting) -> int:
    """Of a training on so many relaxations."""
    most = len(setting.training)
    whole = most * math.ceil(UPDATES / most)
    return whole // count * count
