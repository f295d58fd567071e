"""What `bpttviz.Recipe` gives: held out by structure, on the data's test part, and from all of it.

Five folds by structure hold each relaxation out once; other starts of its end, or other species of
its family, may be trained on, and the report tells those apart. The part "test" trains on the
training and validation relaxations and is measured on the data's own test part: new species and new
families. The part "all" trains on everything, for others to use, and is measured on nothing here.

Each part is one run, several processes can share the work, and a repeated call goes on.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bpttviz._checks import (
    file_path,
    instance_of,
    memory_size,
    number,
    sequence_of,
    text,
    whole,
)
from bpttviz._files import FolderLock, lock_settings, write_atomic
from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import SMALLEST_SET_WITH_TEST, DatasetSplits, random_folds
from bpttviz.evaluation.evaluate import TABLE, evaluate
from bpttviz.evaluation.report import Report
from bpttviz.experiments.points import LAST, Point
from bpttviz.experiments.protocol import (
    PRETRAINED,
    Question,
    format_change,
    format_questions,
    question_of,
)
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, fingerprint_structures, specification
from bpttviz.training.blend import blend
from bpttviz.training.finetune import finetune
from bpttviz.training.recipe import Recipe
from bpttviz.training.runs import FILE, Run, load_run
from bpttviz.training.shipped import shelf, shipped_runs

FINE_TUNED = "fine-tuned"
ALL, TEST = "all", "test"
FOLDS = 5
LONGEST_WAIT = 3600.0  # seconds, for another process that measures what both need
COLUMNS = ("dq_rest", "dq_rest_near", "dq_k", "dq_k_rest", "force_mae")


@dataclass(frozen=True, eq=False)
class Part:
    """What one run trains on, and what it is measured on (nothing, for the part "all")."""

    name: str
    training: RelaxationDataset
    held_out: RelaxationDataset

    def questions(self) -> dict[str, Question]:
        """Held-out structure → what it asks of this part's training."""
        return {held.name: question_of(held, self.training) for held in self.held_out}


def parts_of(data: DatasetSplits, folds: int = FOLDS) -> dict[str, Part]:
    """Name → part: "fold-0" and so on, "test" where the data has a test part, and "all".

    Raises:
        TypeError, ValueError: no data set, or a number of folds that makes no sense for it.
    """
    instance_of("data", data, DatasetSplits, 'bv.load_dataset("si-defects")')
    pairs = enumerate(random_folds(data.all, folds, seed=0))
    parts = [Part(f"fold-{number}", *pair) for number, pair in pairs]
    if len(data.all) >= SMALLEST_SET_WITH_TEST and data.test:
        parts.append(Part(TEST, RelaxationDataset([*data.train, *data.val]), data.test))
    parts.append(Part(ALL, data.all, RelaxationDataset([])))
    return {part.name: part for part in parts}


@dataclass(eq=False)
class Trial:
    """A recipe on a data set, in a folder.

    Args:
        potential: the pretrained potential.
        data: what is trained on and measured on.
        recipe: with the data's unlabelled structures, if any; its seed is replaced by each in turn.
        out: folder for runs (PART-SEED), tables and reports.
        folds: see `parts_of`.
        progress: show bars.
        memory: as of `TrainingConfig`; the gradient is the same, and faster with more.
        curve: measure after every epoch too (same weights at the end); from a training's beginning
            on, as weights of an epoch are not kept.
        alphas: measure blends with the pretrained potential too, each so much of the way; see
            `bpttviz.blend`.
        shared: folder for what the pretrained potential gives, where several trials share it.

    Raises:
        TypeError, ValueError: an argument of the wrong kind, or ``out`` holds results of other
            settings.
    """

    potential: Potential
    data: DatasetSplits
    recipe: Recipe
    out: Path
    folds: int = FOLDS
    progress: bool = True
    memory: str | float | None = None
    curve: bool = False
    alphas: Sequence[float] = ()
    shared: Path | None = None

    def __post_init__(self) -> None:
        instance_of("potential", self.potential, Potential, "bv.CHGNet()")
        instance_of("recipe", self.recipe, Recipe, "bv.Recipe(data.unlabelled)")
        self.out = file_path("out", self.out)
        if self.memory is not None:
            memory_size("memory", self.memory)
        alphas = sequence_of("alphas", self.alphas, object, "[0.25, 0.5, 0.75]")
        self.alphas = [number("an alpha", alpha, least=0.01, most=0.99) for alpha in alphas]
        self.parts = parts_of(self.data, self.folds)
        if self.curve:
            self._require_weights_of_an_epoch()
        map_and_data = {
            "potential": specification(self.potential),
            "weights": fingerprint(self.potential),
            "data": self.data.all.fingerprint(),
            "folds": self.folds,
        }
        if self.shared is not None:  # refused here, not after hours of training
            how = {"rule": self.recipe.rule, "stop": self.recipe.stop}
            lock_settings(self.shared, {**map_and_data, **specification(how)})
        lock_settings(self.out, {**map_and_data, **self._of_recipe()}, ("report.txt",))

    def _of_recipe(self) -> dict[str, Any]:
        """What runs depend on but for their seed: numbers, and what is kept."""
        elsewhere = {"seed", "unlabelled", "minima"}
        numbers = {
            one.name: specification(getattr(self.recipe, one.name))
            for one in fields(self.recipe)
            if one.name not in elsewhere
        }
        unlabelled, minima = self.recipe.unlabelled, self.recipe.minima
        return {
            "recipe": numbers,
            "unlabelled": None if unlabelled is None else fingerprint_structures(unlabelled),
            "minima": None if minima is None else minima.fingerprint(),
        }

    def _require_weights_of_an_epoch(self) -> None:
        """Raise ValueError where a training of some epochs is no part of one of more."""
        for part in self.parts.values():
            if self.recipe.config(len(part.training)).schedule.needs_length:
                raise ValueError(
                    "a schedule that depends on its length has no weights of an epoch, and so no "
                    "curve: give it a number of updates of its own"
                )

    def run(self, parts: Collection[str] | None = None, seeds: Sequence[int] = (0,)) -> bool:
        """Train and measure; False where a training was interrupted.

        Args:
            parts: names, by default all (see `parts_of`).
            seeds: each is a training of its own.

        Raises:
            TypeError, ValueError: no such part, or a seed that is none.
        """
        chosen = self._chosen(parts)
        given = sequence_of("seeds", seeds, int, "[0, 1, 2]")
        for seed in [whole("a seed", seed, least=0) for seed in given]:
            for part in chosen:
                for point in self.points(part):
                    if self.report([part.name], seed, point) is not None:
                        continue
                    run = self.train(part, seed, point.epoch)
                    if run.status == "interrupted":
                        return False
                    self.measure(part, seed, run.potential, point)
        self.write_report()
        return True

    def train(self, part: Part, seed: int, epoch: int | None = None) -> Run:
        """The run of a part, finished where it was not interrupted.

        Args:
            part: what to train on.
            seed: of the training.
            epoch: stop after so many; a later call goes on, to the same weights.

        Raises:
            ValueError: the run in the folder is further already.
        """
        recipe = replace(self.recipe, seed=seed)
        config = replace(recipe.config(len(part.training)), memory=self.memory)
        if epoch is not None:
            config = replace(config, epochs=epoch)
        folder = self.folder(part.name, seed)
        updates = config.epochs * math.ceil(len(part.training) / config.batch_size)
        if (folder / FILE).exists():
            made = load_run(folder, copy.deepcopy(self.potential))
            if made.status == "finished" and len(made.history) == updates:
                return made  # without computing again what is to be kept
            if epoch is not None and len(made.history) > updates:
                raise ValueError(
                    f"{folder} has made {len(made.history)} updates, and what it was after "
                    f"{updates} is not kept: a curve is measured from a training's beginning on, "
                    "so give another folder, or leave the curve out"
                )
        return finetune(
            self.potential,
            part.training,
            recipe.objective(self.potential),
            config,
            out=folder,
            progress=self.progress,
        )

    def measure(self, part: Part, seed: int, tuned: Potential, point: Point = LAST) -> None:
        """Measure a part's held-out structures before (once, whatever the seed) and after.

        Args:
            part: what it was trained on.
            seed: of the training.
            tuned: with the training's weights, of which the point may want a part of the way.
            point: which weights.
        """
        if not part.held_out:
            return
        if point.alpha is not None:
            tuned = blend(self.potential, tuned, point.alpha)
        places = {PRETRAINED: self._before(part), FINE_TUNED: self._after(part, seed, point)}
        for (name, place), potential in zip(places.items(), (self.potential, tuned), strict=True):
            with FolderLock(place.parent, place.name, wait=LONGEST_WAIT):
                evaluate(
                    {name: potential},
                    part.held_out,
                    self.recipe.rule,
                    self.recipe.stop,
                    progress=self.progress,
                    out=place,
                )

    def folder(self, part: str, seed: int) -> Path:
        """Where a part's run is."""
        return self.out / f"{part}-{seed}"

    def report(self, parts: Collection[str], seed: int = 0, point: Point = LAST) -> Report | None:
        """What parts gave, merged; None where one of them is not measured yet, or holds nothing.

        Args:
            parts: names.
            seed: of the training.
            point: which of its weights.
        """
        rows = []
        for part in self._chosen(parts):
            if not part.held_out:
                return None
            places = self._before(part), self._after(part, seed, point)
            files = [place / TABLE for place in places]
            tables = [Report.from_csv(file).rows for file in files if file.exists()]
            if [len(table) for table in tables] != [len(part.held_out)] * 2:
                return None
            rows += [row for table in tables for row in table]
        return Report(rows, noise_floor=self.data.noise_floor, labels={FINE_TUNED: "ends"})

    def points(self, part: Part) -> list[Point]:
        """Which weights of its trainings are measured, in the order of a training."""
        if not part.held_out:
            return [LAST]
        before = [Point(epoch) for epoch in range(1, self.recipe.epochs)] if self.curve else []
        return [*before, LAST, *(Point(alpha=alpha) for alpha in self.alphas)]

    def _before(self, part: Part) -> Path:
        return (self.shared or self.out) / f"pretrained-{part.name}"

    def _after(self, part: Part, seed: int, point: Point) -> Path:
        return self.folder(part.name, seed) / point.place

    def seeds(self, part: str) -> list[int]:
        """The seeds that a part was trained with."""
        found = (folder.name.rpartition("-")[2] for folder in self.out.glob(f"{part}-*"))
        return sorted(int(seed) for seed in found if seed.isdecimal())

    def write_report(self) -> str:
        """``report.txt``: what is measured so far, seed by seed, and how many folds."""
        by_structure = [name for name in self.parts if name.startswith("fold-")]
        sections = []
        for title, names in (("held out once, by structure", by_structure), (TEST, [TEST])):
            known = [name for name in names if name in self.parts]
            for seed in sorted({seed for name in known for seed in self.seeds(name)}):
                measured = [name for name in known if self.report([name], seed) is not None]
                report = self.report(measured, seed) if measured else None
                if report is None:
                    continue
                questions = {k: v for n in measured for k, v in self.parts[n].questions().items()}
                heading = f"{title}, seed {seed}"
                if len(measured) < len(known):
                    heading += f": {len(measured)} of {len(known)} folds so far"
                sections.append(f"# {heading}\n\n{format_trial(report, questions)}\n")
        found = "\n".join(sections) or "nothing is measured yet\n"
        write_atomic(self.out / "report.txt", found)
        return found

    def export(self, part: str, folder: Path, seed: int = 0) -> None:
        """Write the run of a part, and what was measured of it, for others to use.

        Raises:
            RunError: it has not been trained.
            ValueError: no such part.
        """
        (chosen,) = self._chosen([part])
        run = load_run(self.folder(part, seed), copy.deepcopy(self.potential))
        run.export(folder, self.potential)
        report = self.report([part], seed) if chosen.held_out else None
        if report is not None:
            report.to_csv(folder / TABLE)

    def _chosen(self, names: Collection[str] | None) -> list[Part]:
        """Parts by name, all by default."""
        if names is None:
            return list(self.parts.values())
        for name in sequence_of("parts", names, str, '["fold-0"]'):
            if name not in self.parts:
                raise ValueError(f"there is no part {name!r}; there are {', '.join(self.parts)}")
        return [self.parts[name] for name in names]


def format_trial(report: Report, questions: dict[str, Question]) -> str:
    """The report's table, then each quantity's change, and that at rest by what was asked."""
    lines = [str(report), "", f"{PRETRAINED} → {FINE_TUNED}"]
    lines += ["  " + format_change(report, column, FINE_TUNED) for column in COLUMNS]
    asked = format_questions(report, questions, ["dq_rest", "dq_k", "force_mae"], FINE_TUNED)
    return "\n".join(lines + [f"  {line}" for line in asked])


def shipped_report(name: str, *more: str) -> Report:
    """What was measured of a run that comes with bpttviz, on structures that it did not train on.

    Args:
        name: as of `bpttviz.load_run`: "si-defects/chgnet-test".
        more: other runs of the same data set, whose held-out structures are others: folds.

    Raises:
        TypeError: no string.
        ValueError: no such run, nothing was measured of it, or two that do not belong together.
    """
    names = [text("name", name), *(text("name", other) for other in more)]
    measured = [one for one in shipped_runs() if (shelf() / one / TABLE).is_file()]
    for one in names:
        if one not in measured:
            raise ValueError(
                f"no shipped run called {one!r} was measured; there are {', '.join(measured)}"
            )
    data_sets = {one.partition("/")[0] for one in names}
    if len(data_sets) > 1:
        raise ValueError(f"runs of several data sets are not merged: {', '.join(data_sets)}")
    data = load_dataset(data_sets.pop())
    rows = [row for one in names for row in Report.from_csv(shelf() / one / TABLE).rows]
    held_out = Counter(row.structure for row in rows if row.potential == PRETRAINED)
    twice = [structure for structure, count in held_out.items() if count > 1]
    if twice:
        raise ValueError(f"held out by two of these runs: {', '.join(twice)}; name one of the two")
    ends = {r.name: r.end for r in data.all if r.name in held_out}
    return Report(rows, references=ends, noise_floor=data.noise_floor, labels={FINE_TUNED: "ends"})
