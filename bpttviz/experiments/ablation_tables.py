"""Tables of variants: what a `Trial` of one leaves beside its folder, and what is committed."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bpttviz._files import FolderLock, read_json
from bpttviz.evaluation.report import Report
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.origin import Provenance, add_note, commit_here
from bpttviz.experiments.points import SUFFIX, Point
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.experiments.trial import FINE_TUNED, Trial
from bpttviz.experiments.variants import variant

STORED = Path(__file__).with_name("stored") / "ablation"
TABLES, ORIGINS = "tables", "provenance.json"
NAMED = re.compile(rf"(?P<variant>[a-z-]+?)-(?P<seed>\d+){SUFFIX}\.csv")
ABOUT = ("potential", "dataset", "folds", "noise_floor", "updates", "epochs")


def write_tables(trial: Trial, name: str, potential: str, data: str, command: str) -> list[Path]:
    """What a trial of a variant measured, a table a seed (and a point), and where it comes from.

    Folds alone: the test part is no place to compare variants on. What is there already, and the
    same, keeps the note of where it came from.

    Args:
        trial: its folds that are measured are told together, for each of its points.
        name: of the variant.
        potential, data: names, as a command line has them.
        command: that makes the trial again, without parts and seeds.

    Returns:
        The files, in ``tables`` beside the trial's own folder.
    """
    folder, written = trial.out.parent / TABLES, []
    folds = [part for part in trial.parts if part.startswith("fold-")]
    epochs = trial.recipe.epochs
    points = list(
        dict.fromkeys(point for fold in folds for point in trial.points(trial.parts[fold]))
    )
    for seed in sorted({seed for fold in folds for seed in trial.seeds(fold)}):
        for point in points:
            with FolderLock(folder, ORIGINS, wait=60):  # other processes measure other folds
                parts = [p for p in folds if trial.report([p], seed, point) is not None]
                report = trial.report(parts, seed, point) if parts else None
                if report is None:
                    continue
                file = folder / f"{name}-{seed}{point.suffix}.csv"
                written.append(file)
                if file.exists() and file.read_text(encoding="utf-8") == report.to_csv():
                    continue
                each = max(len(trial.parts[p].training) for p in parts) / trial.recipe.batch_size
                about = {
                    "potential": potential, "dataset": data, "folds": trial.folds,
                    "noise_floor": trial.data.noise_floor, "epochs": epochs,
                    "updates": epochs * math.ceil(each),
                }  # fmt: skip
                origin = Provenance(
                    f"{command} --parts {' '.join(parts)} --seeds {seed}", commit_here(),
                    trial.data.all[report.structures].fingerprint(), seed,
                    machine_here(trial.potential.device),
                )  # fmt: skip
                report.to_csv(file)
                add_note(folder / ORIGINS, file.name, {**about, **asdict(origin)})
    return written


@dataclass(frozen=True)
class Table:
    """One file: a variant, a seed, and which of the training's weights."""

    variant: str
    seed: int
    point: Point
    note: dict[str, Any]
    report: Report

    @classmethod
    def read(cls, file: Path, notes: Any) -> Table:
        told = NAMED.fullmatch(file.name)
        if told is None:
            raise ValueError(f"{file} is not named as a variant's table is")
        report = Report.from_csv(file)
        try:
            note = notes[file.name]
            _ = [note[key] for key in ABOUT], report.row(FINE_TUNED, 0)
            for name in report.structures:
                _ = [report.row(potential, name) for potential in (PRETRAINED, FINE_TUNED)]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{file} and {ORIGINS} beside it are not what `bpttviz trial --variant` leaves: "
                f"{error}"
            ) from error
        name, seed = variant(told["variant"]).name, int(told["seed"])
        return cls(name, seed, Point.of(told), note, report)

    @property
    def origin(self) -> Provenance:
        return Provenance(**{k: v for k, v in self.note.items() if k not in ABOUT})


def read_tables(folder: Path) -> list[Table]:
    """All tables of a folder, or of the one called ``tables`` in it, in the order of their names.

    Raises:
        FileNotFoundError: none.
        ValueError: a file that is damaged or not ours.
    """
    folder = folder / TABLES if (folder / TABLES).is_dir() else folder
    files = sorted(folder.glob("*.csv"))
    if not files or not (folder / ORIGINS).exists():
        raise FileNotFoundError(
            f"{folder} holds no variant; `bpttviz trial --variant recipe` makes one"
        )
    notes = read_json(folder / ORIGINS)
    return [Table.read(file, notes) for file in files]
