"""Rows of claims 1, 2 and 6 from trials of the recipe: folds together, and the test part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bpttviz.evaluation.report import Report
from bpttviz.experiments.claims.ends import RECIPE_NAMES, rows_of_report
from bpttviz.experiments.claims.evidence import ENDS, Evidence, read_rows, write_rows
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.methods import BOTH_ENDS
from bpttviz.experiments.origin import Provenance, commit_here
from bpttviz.experiments.protocol import Question, as_file_name
from bpttviz.experiments.trial import TEST, Part, Trial

REPLAYED = ", own minima replayed"


def rows_of_parts(
    data_name: str,
    potential: str,
    parts: Sequence[Part],
    folds: int,
    report: Report,
    provenance: Provenance,
    replay: bool = False,
    method: str = BOTH_ENDS,
) -> list[Evidence]:
    """Rows of parts that were measured: folds, told together, or the test part alone.

    Args:
        data_name: of the data set.
        potential: its name, as `load_potential` takes it.
        parts: see `parts_of`.
        folds: how many there are.
        report: of what they held out, before and after.
        provenance: where it comes from.
        replay: the potential's own minima were replayed as well.
        method: of `bpttviz.experiments.methods`: the recipe's, or the paper's way.
    """
    asked: dict[str, Question] = {}
    for part in parts:
        asked |= part.questions()
    only_test = [part.name for part in parts] == [TEST]
    start = Evidence(
        1, "", data_name, potential, RECIPE_NAMES[method] + (REPLAYED if replay else ""),
        "test part" if only_test else f"{len(parts)} of {folds} folds", ENDS, np.nan,
        remark="forces rehearsed, 5 epochs" if method == BOTH_ENDS else "5 epochs",
        provenance=provenance,
    )  # fmt: skip
    return rows_of_report(start, report, asked, method)


def write_trial(trial: Trial, data_name: str, potential: str, command: str) -> list[Path]:
    """Rows of what a trial has measured, a file a seed, where `bpttviz reproduce --out` reads them.

    Args:
        trial: its folder gets ``rows/trial-...jsonl``.
        data_name, potential: as a command line names them.
        command: that makes the trial again, without parts and seed.
    """
    by_structure = [name for name in trial.parts if name.startswith("fold-")]
    replay = trial.recipe.minima is not None
    written = []
    for seed in sorted({seed for name in trial.parts for seed in trial.seeds(name)}):
        rows: list[Evidence] = []
        for names in (by_structure, [TEST] if TEST in trial.parts else []):
            measured = [name for name in names if trial.report([name], seed) is not None]
            report = trial.report(measured, seed) if measured else None
            if report is None:
                continue
            origin = Provenance(
                f"{command} --parts {' '.join(measured)} --seeds {seed}", commit_here(),
                trial.data.all[report.structures].fingerprint(), seed,
                machine_here(trial.potential.device),
            )  # fmt: skip
            parts = [trial.parts[name] for name in measured]
            rows += rows_of_parts(data_name, potential, parts, trial.folds, report, origin, replay)
        if rows:
            replayed = "-replay" if replay else ""
            what = as_file_name(f"trial{replayed}-{potential}-{data_name}-{seed}")
            file = trial.out / "rows" / f"{what}.jsonl"
            file.parent.mkdir(exist_ok=True)
            kept = {_key(row): row for row in read_rows(file)} if file.exists() else {}
            write_rows(file, [kept.get(_key(row), row) for row in rows])
            written.append(file)
    return written


def _key(row: Evidence) -> tuple[str, str, str]:
    """What a row says, and by what command: the same one keeps the commit that it was made at."""
    return str(row), row.part, row.provenance.command
