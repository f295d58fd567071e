"""What each ingredient of the recipe buys: variants of it on the same held-out structures.

A variant is trained by `Trial` and leaves a table a seed; several processes can make variants side
by side. What is committed is read where no folder is named.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bpttviz._files import FolderLock, read_json, write_atomic
from bpttviz.datasets.library import load_dataset
from bpttviz.evaluation.metrics import RIGHT
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import PairedComparison, compare
from bpttviz.evaluation.tables import format_markdown, format_table
from bpttviz.experiments.origin import Provenance, commit_here, machine_here
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.experiments.trial import FINE_TUNED, Trial
from bpttviz.experiments.variants import VARIANTS, WHOLE, variant

STORED = Path(__file__).with_name("stored") / "ablation"
TABLES, ORIGINS = "tables", "provenance.json"
NAMED = re.compile(r"(?P<variant>[a-z-]+?)-(?P<seed>\d+)(-after-(?P<updates>\d+))?\.csv")
ABOUT = ("potential", "dataset", "updates")  # of a table, beside where it is from
ENDS, AFTER_K, FORCES = "dq_rest", "dq_k", "force_mae"
HEADINGS = {ENDS: "ΔQ at rest", AFTER_K: "after K steps", FORCES: "force error"}


def write_tables(trial: Trial, name: str, potential: str, data: str, command: str) -> list[Path]:
    """What a trial of a variant measured, a table a seed (and an epoch), and where it comes from.

    Args:
        trial: its parts that are measured are told together; with a curve after each epoch too.
        name: of the variant.
        potential, data: names, as a command line has them.
        command: that makes the trial again, without parts and seeds.

    Returns:
        The files, in ``tables`` beside the trial's own folder.
    """
    folder, written = trial.out.parent / TABLES, []
    folder.mkdir(parents=True, exist_ok=True)
    for seed in sorted({seed for part in trial.parts for seed in trial.seeds(part)}):
        for epoch in [*range(1, trial.recipe.epochs), None]:
            parts = [p for p in trial.parts if trial.report([p], seed, epoch) is not None]
            report = trial.report(parts, seed, epoch) if parts else None
            if report is None:
                continue
            each = -(-len(trial.parts[parts[0]].training) // trial.recipe.batch_size)
            after = "" if epoch is None else f"-after-{epoch * each}"
            file = folder / f"{name}-{seed}{after}.csv"
            report.to_csv(file)
            written.append(file)
            if epoch is None:
                origin = Provenance(
                    f"{command} --parts {' '.join(parts)} --seeds {seed}", commit_here(),
                    trial.data.all[report.structures].fingerprint(), seed,
                    machine_here(trial.potential.device),
                )  # fmt: skip
                note = {"potential": potential, "dataset": data}
                _note(folder, file.name, {**note, "updates": trial.recipe.epochs * each}, origin)
    return written


def _note(folder: Path, file: str, about: dict[str, Any], origin: Provenance) -> None:
    """Where a table comes from; other processes note theirs in the same file."""
    with FolderLock(folder, ORIGINS, wait=60):
        known = read_json(folder / ORIGINS) if (folder / ORIGINS).exists() else {}
        known[file] = {**about, **asdict(origin)}
        write_atomic(folder / ORIGINS, json.dumps(known, indent=1, ensure_ascii=False) + "\n")


@dataclass(frozen=True, eq=False)
class Measured:
    """A variant after its training: a report of the same structures a seed.

    Attributes:
        name: of the variant.
        updates: of each training.
        reports: seed → before and after.
    """

    name: str
    updates: int
    reports: dict[int, Report]

    @property
    def structures(self) -> list[str]:
        """Held out, and measured with every seed."""
        first, *more = self.reports.values()
        return [n for n in first.structures if all(n in other.structures for other in more)]

    def values(self, column: str, after: bool = True) -> dict[str, float]:
        """Structure → geometric mean over seeds, as ratios are averaged; NaN where one has none."""
        potential = FINE_TUNED if after else PRETRAINED
        columns = [
            [float(getattr(report.row(potential, name), column)) for name in self.structures]
            for report in self.reports.values()
        ]
        with np.errstate(divide="ignore"):
            means = np.exp(np.log(np.array(columns)).mean(axis=0))
        return dict(zip(self.structures, map(float, means), strict=True))

    def changed(self, right: bool) -> list[str]:
        """Minima lost (``right`` before) or gained, by name, with how many seeds did so."""
        counts: dict[str, int] = {}
        for report in self.reports.values():
            for name in self.structures:
                before, after = (report.row(p, name).basin for p in (PRETRAINED, FINE_TUNED))
                if (before in RIGHT) == right and (after in RIGHT) != right:
                    counts[name] = counts.get(name, 0) + 1
        seeds = len(self.reports)
        return [f"{name} ({n} of {seeds})" if seeds > 1 else name for name, n in counts.items()]


@dataclass(frozen=True, eq=False)
class Ablation:
    """Variants side by side.

    Attributes:
        potential, data: names of what was fine-tuned, and of the data set.
        measured: after the whole training, in the order of `VARIANTS`.
        curves: after each epoch, where that was measured; the last one is in ``measured``.
        groups: structure → group.
        noise_floor: of the reference's ends, amu^½ Å.
        origins: file → where it comes from.
    """

    potential: str
    data: str
    measured: list[Measured]
    curves: list[Measured]
    groups: dict[str, str]
    noise_floor: float | None
    origins: dict[str, Provenance]

    @classmethod
    def read(cls, folder: str | Path = STORED) -> Ablation:
        """What a folder holds; by default what is committed.

        Raises:
            FileNotFoundError: no table of a variant.
            ValueError: a table that is none, or several data sets or potentials in one folder.
        """
        folder = Path(folder)
        folder = folder / TABLES if (folder / TABLES).is_dir() else folder
        if not (folder / ORIGINS).exists():
            raise FileNotFoundError(
                f"{folder} holds no variant; `bpttviz trial --variant recipe` makes one"
            )
        notes = read_json(folder / ORIGINS)
        about = {(note["potential"], note["dataset"]) for note in notes.values()}
        if len(about) != 1:
            has = "; ".join(f"{potential} on {data}" for potential, data in sorted(about))
            raise ValueError(f"variants are of one potential on one data set: {folder} has {has}")
        ((potential, data_name),) = about
        splits = load_dataset(data_name)
        found: dict[tuple[str, int], dict[int, Report]] = {}
        for file in sorted(folder.glob("*.csv")):
            told = NAMED.fullmatch(file.name)
            if told is None:
                raise ValueError(f"{file} is not named as a variant's table is")
            name, seed = variant(told["variant"]).name, int(told["seed"])
            updates = int(told["updates"] or notes[file.name]["updates"])
            found.setdefault((name, updates), {})[seed] = Report.from_csv(file)
        order = [one.name for one in VARIANTS]
        all_ = [
            Measured(name, updates, reports)
            for (name, updates), reports in sorted(
                found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
            )
        ]
        last = {one.name: one.updates for one in all_}  # the longest is last
        origins = {
            file: Provenance(**{k: v for k, v in note.items() if k not in ABOUT})
            for file, note in notes.items()
        }
        return cls(
            potential,
            data_name,
            [one for one in all_ if one.updates == last[one.name]],
            [one for one in all_ if one.updates != last[one.name]],
            {r.name: r.group for r in splits.all},
            splits.noise_floor,
            origins,
        )

    def change(self, one: Measured, column: str, against: Measured | None = None) -> str:
        """The change of a column: of the variant against pretrained, or against another one."""
        compared = self.compare(one, column, against)
        if compared is None:
            return "—"
        low, high = (100 * (x - 1) for x in compared.interval)
        value = f"{_signed(100 * (compared.ratio - 1))} %"
        return value if np.isnan(low) else f"{value} ({_signed(low)} to {_signed(high)})"

    def compare(
        self, one: Measured, column: str, against: Measured | None = None
    ) -> PairedComparison | None:
        """Paired, over what both have measured; None where there is nothing to compare."""
        after = one.values(column)
        before = one.values(column, after=False) if against is None else against.values(column)
        names = [name for name in after if name in before]
        floor = self.noise_floor if column in (ENDS, AFTER_K) else None
        one_by_one = [[which[name] for name in names] for which in (before, after)]
        groups = [self.groups[name] for name in names]
        try:
            return compare(column, names, one_by_one[0], one_by_one[1], groups, floor)
        except ValueError:
            return None

    def frame(self) -> pd.DataFrame:
        """A line a variant: changes against pretrained, minima, and beside the whole recipe."""
        whole = next((one for one in self.measured if one.name == WHOLE.name), None)
        lines = []
        for one in self.measured:
            ends = self.compare(one, ENDS)
            line = {
                "variant": variant(one.name).title,
                "seeds": f"{len(one.reports)}",
                "n": f"{len(one.structures)}",
                **{heading: self.change(one, column) for column, heading in HEADINGS.items()},
                "worse": "—" if ends is None else f"{ends.worse} of {ends.judged}",
                "minima lost": ", ".join(one.changed(right=True)) or "none",
                "gained": f"{len(one.changed(right=False))}",
            }
            if whole is not None:
                beside = {ENDS: "at rest, beside the recipe", FORCES: "forces, beside it"}
                for column, heading in beside.items():
                    line[heading] = "" if one is whole else self.change(one, column, whole)
            lines.append(line)
        return pd.DataFrame(lines)

    def histories(self) -> dict[str, list[Measured]]:
        """Variant → what it was after each epoch, the last one too, where that was measured."""
        found: dict[str, list[Measured]] = {}
        for one in self.curves:
            found.setdefault(one.name, []).append(one)
        for one in self.measured:
            if one.name in found:
                found[one.name].append(one)
        return found

    def curve(self) -> list[dict[str, Any]]:
        """The same as numbers, for `plot_curve`: (ratio, low, high) of both errors."""
        rows = []
        for name, history in self.histories().items():
            for one in history:
                row: dict[str, Any] = {"variant": variant(name).title, "updates": one.updates}
                for column in (ENDS, FORCES):
                    change = self.compare(one, column)
                    nothing = (np.nan,) * 3
                    row[column] = nothing if change is None else (change.ratio, *change.interval)
                rows.append(row)
        return rows

    def curve_frame(self) -> pd.DataFrame:
        """A line an epoch of a variant: both errors over updates."""
        return pd.DataFrame(
            [
                {
                    "variant": variant(name).title,
                    "updates": f"{one.updates}",
                    "n": f"{len(one.structures)}",
                    **{heading: self.change(one, column) for column, heading in HEADINGS.items()},
                }
                for name, history in self.histories().items()
                for one in history
            ]
        )

    def sections(self) -> list[tuple[str, pd.DataFrame]]:
        """(title, table) of all that is there."""
        found = [("Variants of the recipe", self.frame())]
        return [*found, ("Over updates", self.curve_frame())] if self.curves else found

    def __str__(self) -> str:
        parts = [
            f"{title}\n\n{format_table(frame, rule=False)}" for title, frame in self.sections()
        ]
        made = [f"{origin.command} (commit {origin.commit})" for origin in self.origins.values()]
        return "\n\n".join([*parts, "Made by\n\n" + "\n".join(made)])

    def to_markdown(self) -> str:
        """The tables, and where they are from."""
        tables = [f"**{title}**\n\n{format_markdown(frame)}" for title, frame in self.sections()]
        made = [
            f"- `{origin.command}`, commit {origin.commit}, {origin.machine}"
            for origin in self.origins.values()
        ]
        return "\n\n".join([*tables, "\n".join(made)])


def _signed(percent: float) -> str:
    return f"{percent:+.0f}".replace("-", "−")
