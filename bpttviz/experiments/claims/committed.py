"""Rows that come with the package: shipped runs, stored trainings, data cards, computed rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from bpttviz.evaluation.evaluate import TABLE
from bpttviz.evaluation.report import Report
from bpttviz.experiments.ablation import Ablation, stored_ablations
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.cards import card_rows, data_set
from bpttviz.experiments.claims.evidence import NUMBER, Evidence, read_rows
from bpttviz.experiments.claims.trials import rows_of_parts
from bpttviz.experiments.methods import BOTH_ENDS
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.protocol import BPTT
from bpttviz.experiments.robustness_result import (
    ARRIVES,
    METRICS,
    TOO_SHORT,
    UNSTABLE,
    stored_robustness,
)
from bpttviz.experiments.trial import FOLDS, parts_of
from bpttviz.experiments.variants import PAPER, REPLAYED
from bpttviz.training.shipped import card_of, shelf, shipped_runs

MEASURED = re.compile(
    r"(?P<data>[\w-]+)/(?P<potential>\w+)-(?P<part>fold-\d+|test)(?P<replay>-replay)?"
)
COMMIT = re.compile(r"\(commit ([0-9a-f]{7,})")


def committed_rows() -> list[Evidence]:
    """All rows that the package's own files hold."""
    return [*shipped_rows(), *variant_rows(), *landscape_rows(), *card_rows(), *stored_rows()]


def shipped_rows() -> list[Evidence]:
    """What was measured of the shipped runs: folds together, whichever there are; and tests."""
    found: dict[tuple[str, str, bool, bool], list[str]] = {}
    for name in shipped_runs():
        match = MEASURED.fullmatch(name)
        if match and (shelf() / name / TABLE).is_file():
            kind = match["part"] != "test", match["replay"] is not None
            found.setdefault((match["data"], match["potential"], *kind), []).append(name)
    return [
        row
        for (data_name, potential, _, replay), names in found.items()
        for row in _rows_of_runs(data_name, potential, names, replay)
    ]


def _rows_of_runs(
    data_name: str, potential: str, names: Sequence[str], replay: bool
) -> list[Evidence]:
    """Rows of shipped runs of one kind."""
    data = data_set(data_name)
    parts = [name.partition(f"{potential}-")[2].removesuffix("-replay") for name in names]
    tables = [Report.from_csv(shelf() / name / TABLE) for name in names]
    report = Report([row for one in tables for row in one.rows], noise_floor=data.noise_floor)
    commit = COMMIT.search(" ".join(card_of(shelf() / names[0]).split()))
    provenance = Provenance(
        f"bpttviz trial --potential {potential} --parts {' '.join(parts)} "
        f"{'--replay ' if replay else ''}--threads 1 --out trial",
        commit=commit[1] if commit else "",
        data=data.all[report.structures].fingerprint(),
        seed=0,
        machine="two virtual cores, one thread each",
        source=f"training/shipped_runs/{data_name}",
    )
    known = parts_of(data)
    chosen = [known[name] for name in parts]
    return rows_of_parts(data_name, potential, chosen, FOLDS, report, provenance, replay)


def variant_rows() -> list[Evidence]:
    """Folds by structure of the paper's way, and with own minima replayed: a table a seed."""
    return [
        row for name, found in stored_ablations().items() for row in _rows_of_variants(name, found)
    ]


def _rows_of_variants(folder: str, found: Ablation) -> list[Evidence]:
    """Those of one potential."""
    data = data_set(found.data)
    rows = []
    for one in found.measured:
        if one.name not in (PAPER.name, REPLAYED.name):
            continue
        for seed, report in one.reports.items():
            held_out = set(report.structures)
            parts = [
                part
                for name, part in parts_of(data, one.folds).items()
                if name.startswith("fold-") and held_out >= set(part.held_out.names)
            ]
            source = f"experiments/stored/ablation/{folder}/{one.name}-{seed}.csv"
            rows += rows_of_parts(
                found.data, found.potential, parts, one.folds,
                Report(report.rows, noise_floor=data.noise_floor),
                replace(one.origins[seed], source=source),
                replay=one.name == REPLAYED.name,
                method=BPTT if one.name == PAPER.name else BOTH_ENDS,
            )  # fmt: skip
    return rows


def landscape_rows() -> list[Evidence]:
    """The stored trainings with every procedure: least and largest gain, condition by condition."""
    stored = stored_robustness("landscape")
    parts = {ARRIVES: paper.ARRIVING, TOO_SHORT: paper.SHORT, UNSTABLE: ""}
    rows = []
    for condition, part in parts.items():
        cells = stored.those(condition)
        spread = stored.spread("dq_rest", cells)
        share = stored.least_share(cells)
        if spread is None or share is None:
            continue
        rows.append(
            Evidence(
                3, part, "landscape", "one valley", f"{len(cells)} trainings: {condition}",
                "held-out walkers", f"{METRICS['dq_rest']}: least gain / largest gain",
                share, unit=NUMBER, exact=True, n=len(cells), groups=len(cells),
                worse=sum((cell.change["dq_rest"] or np.inf) > 1 for cell in cells),
                judged=len(cells),
                remark=f"error at rest × {spread[0]:.2g} to × {spread[1]:.2g}",
                provenance=Provenance(
                    stored.made["command"], data=stored.made["held_out"], seed=0,
                    source="experiments/stored/landscape.json.xz",
                ),
            )
        )  # fmt: skip
    return rows


def stored_shelf() -> Path:
    """Where rows of the studies stand, a file a run."""
    return Path(str(files("bpttviz") / "experiments" / "stored" / "claims"))


def stored_rows() -> list[Evidence]:
    """What `bpttviz reproduce --run` gave and was kept."""
    place = stored_shelf()
    return [
        row
        for file in sorted(place.glob("*.jsonl"))
        for row in read_rows(file, f"experiments/stored/claims/{file.name}")
    ]
