"""What has not been computed: rows by potential and data set, with their command and hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bpttviz.evaluation.tables import counted
from bpttviz.experiments.claims.cards import data_set
from bpttviz.experiments.claims.ends import RECIPE_NAMES
from bpttviz.experiments.claims.evidence import Evidence
from bpttviz.experiments.claims.studies import STUDIES
from bpttviz.experiments.claims.study import PLAIN, Setting, quoted, setting_of
from bpttviz.potentials.small.painn import PaiNN

# What the claims are to be examined with: checkpoints of seven architectures, and ours.
ELSEWHERE = (
    "chgnet", "chgnet:0.2.0", "sevennet", "mace:small", "diep",
    "matgl:M3GNet-MatPES-PBE-2025.2", "matgl:TensorNet-PES-MatPES-PBE-2025.2",
)  # fmt: skip
WANTED = tuple(
    (name, data)
    for name in (*ELSEWHERE, "painn", "transformer")
    for data in ("si-defects", "crystals")
    if name in ELSEWHERE or data == "si-defects"  # ours know silicon and what alloys with it
)
SECONDS = {"painn": 0.09, "transformer": 0.09}  # of one core, a differentiated evaluation, 64 atoms
OTHERS = 0.6  # CHGNet's, taken for all others
MEASURED = 120  # plain evaluations that measuring a structure takes, before and after


@dataclass(frozen=True)
class NotRun:
    """Runs of a study that no committed row is from.

    Attributes:
        claim: number.
        potential, data: names.
        runs: their names.
        hours: of one core, about.
        command: that computes them.
    """

    claim: int
    potential: str
    data: str
    runs: tuple[str, ...]
    hours: float
    command: str

    def __str__(self) -> str:
        return f"{counted(len(self.runs), 'run')}, about {self.hours:.1f} h: {self.command}"


def not_run(rows: Sequence[Evidence]) -> list[NotRun]:
    """Runs of any claim that are missing among rows."""
    stand_in = PaiNN.pretrained()  # counts of evaluations are the same for all
    known = {
        data: setting_of("", stand_in, data_set(data), data, Path())
        for data in dict.fromkeys(data for _, data in WANTED)
    }
    found = []
    for number, study in STUDIES.items():
        if number == 2:  # comes with 1
            continue
        for potential, data in WANTED if number != 7 else WANTED[-2:-1]:
            setting = known[data]
            missing = tuple(
                run
                for run in study.runs(setting)
                if not any(
                    _is_from(row, number, potential, data, run)
                    and study.is_of_today(setting, run, row)
                    for row in rows
                )
            )
            if missing:
                second = SECONDS.get(potential, OTHERS) * _size(setting)
                hours = sum(_work(setting, number, run) for run in missing) * second / 3600
                command = (
                    f"bpttviz reproduce --claim {number} --potential {potential} --dataset {data} "
                    f"--run {' '.join(map(quoted, missing))} --out rows"
                )
                found.append(NotRun(number, potential, data, missing, hours, command))
    return found


def _is_from(row: Evidence, claim: int, potential: str, data: str, run: str) -> bool:
    """Whether a row is from this run, or tells the same."""
    names = row.potential.removeprefix("mean of ").split(", ")
    if claim == 1 and row.claim == 1:
        same = row.recipe == RECIPE_NAMES[run]
        return same and potential in names and row.data == data
    about = claim == 7 or (potential in names and row.data == data)
    return about and row.provenance.command.endswith(f"--claim {claim} --run {quoted(run)}")


def _work(setting: Setting, claim: int, run: str) -> float:
    """Differentiated evaluations, and plain ones in their measure."""
    return STUDIES[claim].gradients(setting, run) + PLAIN * MEASURED * len(setting.held_out)


def _size(setting: Setting) -> float:
    """Time of one evaluation, against that of 64 atoms."""
    atoms = float(np.mean([len(reference.start.numbers) for reference in setting.training]))
    return max(0.15, atoms / 64)
