"""`Study`: how the rows of a claim are computed, one run a row or a few that belong together."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bpttviz._files import FolderLock, lock_settings, read_json, write_atomic
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import SMALLEST_SET_WITH_TEST, DatasetSplits
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.claims.evidence import Evidence, read_rows, write_rows
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.origin import Provenance, commit_here
from bpttviz.experiments.protocol import PRETRAINED, PaperRecipe, as_file_name
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, fingerprint_structures, specification
from bpttviz.structures import Structures
from bpttviz.training.config import TrainingConfig
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import Objective
from bpttviz.training.runs import Run

PLAIN = 0.3  # time of a plain evaluation, in that of a differentiated one
LONGEST_WAIT = 24 * 3600.0  # seconds, for another process that measures what both need


@dataclass(eq=False)
class Setting:
    """What a claim's rows are computed with.

    Attributes:
        name: of the potential, as `load_potential` takes it.
        potential: before fine-tuning.
        data: name of the data set.
        training, held_out: what is trained on, and what is measured.
        out: folder for rows and the runs that they are from.
        recipe: map, epochs and learning rate, which all methods share.
        noise_floor: amu^½ Å, of the reference ends.
        unlabelled: structures on which forces are kept, where there are any.
        relaxer: how structures are brought to rest.
        tuned: a fine-tuned potential to look at instead of one that is trained here.
        tuned_name: what it is called.
        command: of the program, without claim and run, for the rows' provenance.
        progress: show bars.
    """

    name: str
    potential: Potential
    data: str
    training: RelaxationDataset
    held_out: RelaxationDataset
    out: Path
    recipe: PaperRecipe = field(default_factory=PaperRecipe)
    noise_floor: float | None = None
    unlabelled: Structures | None = None
    relaxer: Relaxer = field(default_factory=Relaxer)
    tuned: Potential | None = None
    tuned_name: str = ""
    command: str = "bpttviz reproduce"
    progress: bool = True

    @property
    def folder(self) -> Path:
        """For what is shared by runs: trainings and what the pretrained potential gives."""
        return self.out / "work" / as_file_name(f"{self.name}-{self.data}-{self.recipe.seed}")

    @property
    def groups(self) -> dict[str, str]:
        """Held-out structure → group."""
        return {reference.name: reference.group for reference in self.held_out}

    def describe(self) -> dict[str, Any]:
        """All that a row depends on, as JSON can hold it."""
        return {
            "potential": specification(self.potential),
            "weights": fingerprint(self.potential),
            "tuned": None if self.tuned is None else fingerprint(self.tuned),
            "training": self.training.fingerprint(),
            "held_out": self.held_out.fingerprint(),
            "noise_floor": self.noise_floor,
            "unlabelled": None
            if self.unlabelled is None
            else fingerprint_structures(self.unlabelled),
            "recipe": specification(self.recipe),
            "relaxer": specification(self.relaxer),
        }

    def measured(self, name: str, potential: Potential, what: RelaxationDataset) -> Report:
        """A potential on relaxations: computed once, whichever process asks first."""
        place = self.folder / "measured" / as_file_name(name)
        with FolderLock(place.parent, place.name, wait=LONGEST_WAIT):
            report = evaluate(
                {name: potential},
                what,
                self.recipe.rule,
                self.recipe.stop,
                self.relaxer,
                progress=self.progress,
                out=place,
            )
        return Report(report.rows, noise_floor=self.noise_floor)

    def compared(self, name: str, potential: Potential) -> Report:
        """The held-out relaxations before and after."""
        before = self.measured(PRETRAINED, self.potential, self.held_out)
        return before.merge(self.measured(name, potential, self.held_out))

    def trained(
        self,
        name: str,
        objective: Objective,
        config: TrainingConfig,
        potential: Potential | None = None,
        training: RelaxationDataset | None = None,
    ) -> Run:
        """A finished training, resumed where it was stopped.

        Raises:
            KeyboardInterrupt: it was stopped again.
        """
        place = self.folder / "runs" / as_file_name(name)
        with FolderLock(place.parent, place.name, wait=LONGEST_WAIT):
            run = finetune(
                self.potential if potential is None else potential,
                self.training if training is None else training,
                objective,
                config,
                out=place,
                progress=self.progress,
            )
        if run.status == "interrupted":
            raise KeyboardInterrupt
        return run

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """What a function returns, as JSON can hold it: computed once, kept in the folder."""
        file = self.folder / f"{as_file_name(name)}.json"
        with FolderLock(file.parent, file.name, wait=LONGEST_WAIT):
            if not file.exists():
                write_atomic(file, json.dumps(compute()))
            return read_json(file)

    def provenance(self, study: Study, run: str) -> Provenance:
        """Where rows of a run come from; its time is filled in when it is done."""
        return Provenance(
            command=f"{self.command} --claim {study.claim} --run {quoted(run)}",
            commit=commit_here(),
            data=self.held_out.fingerprint(),
            seed=self.recipe.seed,
            machine=machine_here(self.potential.device),
        )


def setting_of(
    name: str, potential: Potential, data: DatasetSplits, data_name: str, out: Path,
    seen: Sequence[str] = (), **others: Any,
) -> Setting:  # fmt: skip
    """The data's own training and test part; of a set without one, the first of two folds.

    Args:
        name, potential, data_name, out, others: of `Setting`.
        data: the data set.
        seen: relaxations that the potential was pretrained or fine-tuned on before: not measured.
    """
    if len(data) >= SMALLEST_SET_WITH_TEST:
        training, held_out = data.train, data.test
    else:
        training, held_out = data.folds(2)[0]
    held_out = RelaxationDataset([r for r in held_out if r.name not in seen])
    return Setting(
        name, potential, data_name, training, held_out, out,
        noise_floor=data.noise_floor, unlabelled=data.unlabelled, **others,
    )  # fmt: skip


class Study(ABC):
    """How the rows of one claim (or of two) are computed.

    Attributes:
        claim: number of the claim.
    """

    claim: int

    @abstractmethod
    def runs(self, setting: Setting) -> tuple[str, ...]:
        """Names of the runs: what can be computed by itself."""

    @abstractmethod
    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        """Compute a run's rows; their time is not filled in."""

    def measures_held_out(self, run: str) -> bool:
        """Whether a run is about the held-out relaxations."""
        return True

    def is_of_today(self, setting: Setting, run: str, row: Evidence) -> bool:
        """Whether a row of a run is what it would give now, and not by an earlier plan."""
        return True

    def gradients(self, setting: Setting, run: str) -> int:
        """About how many differentiated evaluations of a structure a run takes, in training."""
        return 0

    def compute(
        self, setting: Setting, run: str, on_row: Callable[[Evidence], None] | None = None
    ) -> list[Evidence]:
        """A run's rows: read where they are in the folder already, else computed and kept there.

        Raises:
            ValueError: there is no such run, nothing is held out that it could measure, or the
                folder holds rows of other settings.
        """
        if run not in self.runs(setting):
            raise ValueError(
                f"claim {self.claim} has no run {run!r} with {setting.name} on {setting.data}; "
                f"there are {', '.join(self.runs(setting))}"
            )
        if self.measures_held_out(run) and not len(setting.held_out):
            raise ValueError(
                f"{setting.tuned_name or setting.name} has learned from all of {setting.data} that "
                "would be held out, so nothing can be measured: name weights that did not, as "
                "si-defects/chgnet-test"
            )
        lock_settings(setting.folder, setting.describe())
        file = rows_file(setting, self.claim, run)
        if not file.exists():
            began = _processor_time()
            rows = self.rows(setting, run)
            spent = round(_processor_time() - began, 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            timed = [
                replace(row, provenance=replace(row.provenance, seconds=spent)) for row in rows
            ]
            write_rows(file, timed)
        found = read_rows(file, file.name)
        if on_row is not None:
            for row in found:
                on_row(row)
        return found


def _processor_time() -> float:
    """Seconds of this process and of the children that have ended."""
    return sum(os.times()[:4])


def rows_file(setting: Setting, claim: int, run: str) -> Path:
    """Where a run's rows are kept."""
    what = f"{claim}-{setting.name}-{setting.data}-{setting.recipe.seed}-{run}"
    return setting.out / "rows" / f"{as_file_name(what)}.jsonl"


def quoted(run: str) -> str:
    """A run's name for a command line."""
    return f'"{run}"' if " " in run else run
