"""What comparing methods came to: a table for each potential, and the average over potentials.

The question is the paradox of arXiv 2512.01067: fine-tuning on ends alone improves where
relaxations end (by 32 % on average) while the forces get worse. Each half is judged for each
potential; only potentials pretrained elsewhere count in the average.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bpttviz._files import write
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import MIN_SAMPLES
from bpttviz.experiments.benchmark import FORCES, LABELS, METHODS, table_of
from bpttviz.experiments.protocol import BPTT, PRETRAINED, change_in_words

RESAMPLES = 10_000
ENDPOINT, FORCE = "dq_rest", "force_mae"


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """All methods on one potential, as far as they have been done.

    Attributes:
        name: of the potential.
        external: pretrained elsewhere, so that it counts in the average.
        caveat: what is to be remembered when its numbers are read.
        family: its class; several checkpoints of one architecture share it.
        report: rows of the parts that all methods present have finished.
        evaluations: method → differentiated force evaluations spent, over those parts.
        done, parts: how many parts those are, and how many there will be.
        informed: groups that the recipe was chosen on.
        seen: relaxations that it was pretrained on; none of them is measured.
        unfamiliar: structures of a family, or with an element, that its training relaxations lack.
    """

    name: str
    external: bool
    caveat: str
    family: str
    report: Report
    evaluations: dict[str, int]
    done: int
    parts: int
    development_groups: frozenset[str]
    seen: tuple[str, ...] = ()
    unfamiliar: frozenset[str] = frozenset()

    @property
    def methods(self) -> list[str]:
        return self.report.potentials

    def log_ratios(self, column: str, method: str) -> dict[str, float]:
        """Structure → ln(after/before) of one column, where both are known and positive."""
        before, after = (self.report.column(column, m) for m in (PRETRAINED, method))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(after / before)
        names = self.report.structures
        return {name: x for name, x in zip(names, logs, strict=True) if np.isfinite(x)}

    def direction(self, column: str, method: str) -> str:
        """ "falls", "rises", or "" where these structures cannot tell."""
        try:
            return self.report.compare(column, PRETRAINED, method).direction
        except ValueError:
            return ""

    def verdict(self, method: str = BPTT) -> str:
        """Whether both halves of the paradox hold for a method, in a sentence."""
        compared = min(len(self.log_ratios(column, method)) for column in (ENDPOINT, FORCE))
        if compared < MIN_SAMPLES:
            return f"{method}: {compared} structures are too few for a verdict on the paradox."
        falls = self.direction(ENDPOINT, method) == "falls"
        rises = self.direction(FORCE, method) == "rises"
        halves = {
            (True, True): "both halves hold: the endpoint improves and the force error rises",
            (True, False): "the endpoint improves; that the force error rises is not borne out",
            (False, True): "the force error rises; that the endpoint improves is not borne out",
            (False, False): "neither half is borne out",
        }
        return f"{method}: {halves[falls, rises]}."

    def __str__(self) -> str:
        kind = "pretrained elsewhere" if self.external else "a small student of ours"
        title = f"{self.name} ({kind}), {self.done} of {self.parts} parts"
        lines = [title, "=" * len(title)]
        if self.caveat:
            lines.append(f"Mind: {self.caveat}.")
        if self.seen:
            lines.append(f"Not measured, as pretrained on: {', '.join(self.seen)}.")
        lines += ["", str(self.report), ""]
        spent = (f"{m} {n}" for m, n in self.evaluations.items() if n)
        lines.append(f"differentiated force evaluations spent: {', '.join(spent)}")
        trained = [m for m in self.methods if m != PRETRAINED]
        rows = self.report.rows
        subsets = {
            "groups not looked at before": [
                r for r in rows if r.group not in self.development_groups
            ],
            "known family and elements": [r for r in rows if r.structure not in self.unfamiliar],
            "family or element not trained on": [r for r in rows if r.structure in self.unfamiliar],
        }
        for method in trained:
            lines.append(f"{PRETRAINED} → {method}")
            for column in ("dq_k", "dq_rest", "dq_k_rest", "dq_from_start", "force_mae"):
                lines.append("  " + change_in_words(self.report, column, method))
            if len({row.group for row in rows}) < len(self.report.structures):
                for column in (ENDPOINT, FORCE):
                    lines.append("  " + change_in_words(self.report, column, method, by_group=True))
            lines.append(
                "  same basin under both: " + change_in_words(self.report, ENDPOINT, method, True)
            )
            for name, subset in subsets.items():
                if 0 < len(subset) < len(rows):
                    change = change_in_words(Report(subset), ENDPOINT, method)
                    lines.append(f"  {name}: {change}")
        if {FORCES, BPTT} <= set(trained):
            lines.append(f"{FORCES} → {BPTT}")
            for column in (ENDPOINT, FORCE):
                lines.append("  " + change_in_words(self.report, column, BPTT, before=FORCES))
        lines += [self.verdict(method) for method in trained if method == BPTT]
        return "\n".join(lines)


def read_benchmark_result(folder: Path) -> BenchmarkResult:
    """What `benchmark` has written into a folder so far.

    Raises:
        ValueError: no part has been finished by the pretrained potential and another method.
    """
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    parts = list(settings["parts"])
    present = [m for m in METHODS if any(table_of(folder, p, m).exists() for p in parts)]
    done = [p for p in parts if all(table_of(folder, p, m).exists() for m in present)]
    if not done or present[:1] != [PRETRAINED] or len(present) < 2:
        raise ValueError(f"{folder}: no part is finished yet")
    tables = {m: [table_of(folder, p, m) for p in done] for m in present}
    records = {
        m: [json.loads(t.with_suffix(".json").read_text(encoding="utf-8")) for t in tables[m]]
        for m in present
    }
    about = settings["about"]
    return BenchmarkResult(
        name=about["name"],
        external=about["external"],
        caveat=about.get("caveat", ""),
        family=settings["potential"],
        report=Report(
            [row for m in present for table in tables[m] for row in Report.from_csv(table).rows],
            noise_floor=settings["noise_floor"],
            labels={m: LABELS[m] for m in present},
        ),
        evaluations={m: sum(r["evaluations"] for r in records[m]) for m in present},
        done=len(done),
        parts=len(parts),
        development_groups=frozenset(settings["informed"]),
        seen=tuple(settings["seen"]),
        unfamiliar=frozenset(settings["unfamiliar"]),
    )


def read_benchmark(folder: str | Path) -> list[BenchmarkResult]:
    """One `BenchmarkResult` for each potential's folder in ``folder``; external ones first, then by name.

    Potentials of which no part is finished yet are left out.
    """
    found = []
    for settings in sorted(Path(folder).glob("*/settings.json")):
        try:
            found.append(read_benchmark_result(settings.parent))
        except ValueError:
            continue
    return sorted(found, key=lambda result: (not result.external, result.name))


@dataclass(frozen=True)
class Average:
    """Mean change over potentials: geometric over structures, then over potentials.

    Attributes:
        ratio: after/before; below 1 is better.
        interval: 95 % bootstrap interval over structures, which all potentials have in common.
        potentials: how many.
    """

    ratio: float
    interval: tuple[float, float]
    potentials: int

    def __str__(self) -> str:
        low, high = (100 * (x - 1) for x in self.interval)
        return f"{100 * (self.ratio - 1):+.1f} % ({low:+.1f} to {high:+.1f})"


def average(
    results: Sequence[BenchmarkResult],
    column: str,
    method: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Average:
    """Average over potentials of the change that a method makes to a column.

    Structures are drawn once for all potentials, as their errors on one structure are no
    independent evidence. Values that a potential lacks leave its other structures in.

    Raises:
        ValueError: nothing to average.
    """
    logs = [result.log_ratios(column, method) for result in results]
    logs = [one for one in logs if one]
    names = list(dict.fromkeys(name for one in logs for name in one))
    if not names:
        raise ValueError(f"no potential has {column} both before and after {method}")
    table = np.array([[one.get(name, np.nan) for name in names] for one in logs])
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    known = np.isfinite(table)
    sums = np.where(known, table, 0.0)[:, draws].sum(2)  # (potentials, resamples)
    counts = known[:, draws].sum(2)
    with np.errstate(invalid="ignore"):
        means = np.nanmean(sums / counts, axis=0)
    low, high = np.exp(np.nanpercentile(means, [2.5, 97.5]))
    ratio = float(np.exp(np.nanmean(table, axis=1).mean()))
    return Average(ratio, (float(low), float(high)), len(logs))


def format_benchmark(results: Sequence[BenchmarkResult]) -> str:
    """The whole account: the average first, then each potential."""
    if not results:
        return "No potential has been compared yet."
    return "\n\n\n".join([_headline(results), *map(str, results)])


def _headline(results: Sequence[BenchmarkResult]) -> str:
    external = [result for result in results if result.external]
    lines = ["Change against the pretrained potential: geometric mean (95 % interval)", ""]
    cells = [["potential", "method", "ΔQ at rest", "force MAE", "beyond chance"]]
    for method in METHODS[1:]:
        mine = [o for o in external if method in o.methods]
        if len(mine) > 1:
            name = f"mean of {len(mine)} pretrained elsewhere"
            falls, rises = (
                sum(o.direction(c, method) == d for o in mine)
                for c, d in ((ENDPOINT, "falls"), (FORCE, "rises"))
            )
            verdict = f"endpoint improves in {falls}, force error rises in {rises}"
            cells.append([name, method, *_changes(mine, method), verdict])
    for result in results:
        for method in result.methods[1:]:
            found = (
                f"endpoint {result.direction(ENDPOINT, method) or 'open'}, "
                f"force error {result.direction(FORCE, method) or 'open'}"
            )
            name = result.name + ("" if result.external else " (student)")
            cells.append([name, method, *_changes([result], method), found])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines += [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    ]
    lines.append("")
    families = sorted({result.family for result in external})
    if len(families) < 2:
        which = f"{families[0]} only" if families else "none so far"
        lines.append(
            f"Architectures pretrained elsewhere: {which}. Whether this holds across architectures "
            "is not settled here."
        )
    lines += [f"{o.name}: mind that {o.caveat}." for o in results if o.caveat]
    lines += [f"{o.name}: {o.done} of {o.parts} parts so far." for o in results if o.done < o.parts]
    return "\n".join(lines)


def _changes(results: Sequence[BenchmarkResult], method: str) -> list[str]:
    cells = []
    for column in (ENDPOINT, FORCE):
        try:
            cells.append(str(average(results, column, method)))
        except ValueError:
            cells.append("not measured")
    return cells


def to_csv(results: Sequence[BenchmarkResult]) -> str:
    """One line for each potential and method: means, counts, and changes against pretrained."""
    lines = []
    for result in results:
        for line in result.report.summary():
            method = line.pop("potential")
            row = {
                "potential": result.name,
                "external": result.external,
                "method": method,
                "labels": LABELS[method],
                "evaluations": result.evaluations[method],
                **line,
            }
            basins = result.report.column("basin", method).tolist()
            row |= {kind: basins.count(kind) for kind in ("equivalent", "different", "unknown")}
            for column in ("dq_from_start", *(f"force_mae_{x}" for x in
                           ("near", "far", "weak", "strong"))):  # fmt: skip
                row[column] = result.report.mean(column, method)
            lines.append(row)
            if method == PRETRAINED:
                continue
            for column in (ENDPOINT, FORCE):
                try:
                    change = average([result], column, method)
                except ValueError:
                    continue
                row[f"{column} ratio"] = change.ratio
                row[f"{column} low"], row[f"{column} high"] = change.interval
    names = list(dict.fromkeys(name for row in lines for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def summarise(folder: str | Path) -> str:
    """Read all potentials' folders in ``folder``; write and return the whole account."""
    folder = Path(folder)
    results = read_benchmark(folder)
    text = format_benchmark(results)
    if results:
        write(folder / "table.txt", text + "\n")
        write(folder / "table.csv", to_csv(results))
    return text
