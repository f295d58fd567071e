"""All methods on one potential: what `benchmark` wrote into its folder, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bpttviz._files import read_json
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import MIN_SAMPLES
from bpttviz.evaluation.tables import format_table, percent
from bpttviz.experiments.methods import FORCES, LABELS, METHODS, table_of
from bpttviz.experiments.protocol import BPTT, PRETRAINED, Question, format_change

ENDPOINT, FORCE = "dq_rest", "force_mae"


class Unfinished(ValueError):
    """No part has been finished yet by the pretrained potential and another method."""


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
        development_groups: groups that the recipe was chosen on.
        seen: relaxations that it was pretrained on; none of them is measured.
        questions: structure → what it asks of a potential trained on its part's training.
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
    questions: Mapping[str, Question] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Those that are done, the pretrained potential first."""
        return self.report.potentials

    @property
    def groups(self) -> dict[str, str]:
        """Structure → its group."""
        return dict(zip(self.report.structures, self.report.groups, strict=True))

    def log_ratios(self, column: str, method: str) -> dict[str, float]:
        """Structure → ln(after/before) of one column, where it can be compared."""
        return self.report.log_ratios(column, PRETRAINED, method)

    def direction(self, column: str, method: str) -> str:
        """ "falls", "rises", or "" where these structures cannot tell."""
        try:
            return self.report.compare(column, PRETRAINED, method).direction
        except ValueError:
            return ""

    def verdict(self, method: str = BPTT) -> str:
        """Whether both halves of the paradox hold for a method, in a sentence."""
        logs = [self.log_ratios(column, method) for column in (ENDPOINT, FORCE)]
        groups = self.groups
        fewest = min(len({groups[name] for name in half}) for half in logs)
        if fewest < MIN_SAMPLES:
            what = "groups" if fewest < min(map(len, logs)) else "structures"
            return f"{method}: {fewest} {what} are too few for a verdict on the paradox."
        falls = self.direction(ENDPOINT, method) == "falls"
        rises = self.direction(FORCE, method) == "rises"
        halves = {
            (True, True): "both halves hold: the endpoint improves and the force error rises",
            (True, False): "the endpoint improves; that the force error rises is not borne out",
            (False, True): "the force error rises; that the endpoint improves is not borne out",
            (False, False): "neither half is borne out",
        }
        return f"{method}: {halves[falls, rises]}."

    def question_table(self) -> pd.DataFrame:
        """The change of each method told apart by what structures ask; strings."""
        lines = []
        for question in Question:
            names = [name for name in self.report.structures if self.asks(name, question)]
            part = self.report.subset(names)
            for method in self.methods[1:] if names else ():
                line = next(x for x in part.summary() if x["potential"] == method)
                changes = [_change(part, column, method) for column in (ENDPOINT, FORCE)]
                lines.append(
                    {
                        "question": question.value,
                        "method": method,
                        "structures": str(len(names)),
                        "ΔQ at rest": changes[0],
                        "force MAE": changes[1],
                        "worse": f"{line['worse']}/{line['compared']}",
                        "kept right": str(line["kept_right"]),
                        "lost": str(line["lost"]),
                    }
                )
        return pd.DataFrame(lines)

    def asks(self, structure: str, question: Question) -> bool:
        """Whether a structure asks this question."""
        return self.questions.get(structure) is question

    def __str__(self) -> str:
        kind = "pretrained elsewhere" if self.external else "made here"
        title = f"{self.name} ({kind}), {self.done} of {self.parts} parts"
        lines = [title, "=" * len(title)]
        if self.caveat:
            lines.append(f"Mind: {self.caveat}.")
        if self.seen:
            lines.append(f"Not measured, as pretrained on: {', '.join(self.seen)}.")
        lines += ["", str(self.report), ""]
        asked = self.question_table()
        if len(asked):
            lines += [format_table(asked), ""]
        spent = (f"{m} {n}" for m, n in self.evaluations.items() if n)
        lines.append(f"differentiated force evaluations spent: {', '.join(spent)}")
        for method in self.methods[1:]:
            lines += self._changes_by(method)
        if {FORCES, BPTT} <= set(self.methods):
            lines.append(f"{FORCES} → {BPTT}")
            for column in (ENDPOINT, FORCE):
                lines.append("  " + format_change(self.report, column, BPTT, before=FORCES))
        lines += [self.verdict(method) for method in self.methods if method == BPTT]
        return "\n".join(lines)

    def _changes_by(self, method: str) -> list[str]:
        """What a method changed in each quantity, and on which structures."""
        lines = [f"{PRETRAINED} → {method}"]
        for column in ("dq_k", ENDPOINT, "dq_k_rest", "dq_from_start", FORCE):
            lines.append("  " + format_change(self.report, column, method))
        same = format_change(self.report, ENDPOINT, method, True)
        lines.append(f"  same basin under both: {same}")
        groups = self.groups
        names = [name for name, group in groups.items() if group not in self.development_groups]
        if 0 < len(names) < len(groups):
            change = format_change(self.report.subset(names), ENDPOINT, method)
            lines.append(f"  groups not looked at before: {change}")
        return lines


def read_benchmark_result(folder: str | Path) -> BenchmarkResult:
    """What `benchmark` has written into a folder so far.

    Raises:
        Unfinished: no part has been finished by the pretrained potential and another method.
        ValueError: a damaged file; it is named.
        OSError: a file that cannot be read.
    """
    folder = Path(folder)
    settings = read_json(folder / "settings.json")
    try:
        parts = list(settings["parts"])
        present = [m for m in METHODS if any(table_of(folder, p, m).exists() for p in parts)]
        done = [p for p in parts if all(table_of(folder, p, m).exists() for m in present)]
        if not done or present[:1] != [PRETRAINED] or len(present) < 2:
            raise Unfinished(f"{folder}: no part is finished yet")
        tables = {m: [table_of(folder, p, m) for p in done] for m in present}
        rows = [row for m in present for table in tables[m] for row in Report.from_csv(table).rows]
        records = {m: [read_json(t.with_suffix(".json")) for t in tables[m]] for m in present}
        about = settings["about"]
        return BenchmarkResult(
            name=about["name"],
            external=about["external"],
            caveat=about.get("caveat", ""),
            family=settings["potential"]["class"],
            report=Report(
                rows,
                noise_floor=settings["noise_floor"],
                labels={m: LABELS[m] for m in present},
            ),
            evaluations={m: sum(r["evaluations"] for r in records[m]) for m in present},
            done=len(done),
            parts=len(parts),
            development_groups=frozenset(settings["development_groups"]),
            seen=tuple(settings["seen"]),
            questions={name: Question(asked) for name, asked in settings["questions"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / 'settings.json'} is damaged: {error!r}") from error


@dataclass(frozen=True)
class Average:
    """Mean change over potentials: geometric over structures, then over potentials.

    Attributes:
        ratio: after/before; below 1 is better.
        interval: 95 % t interval of the logarithms over structures, which all potentials have in
            common; groups are taken whole. NaN where there are fewer than two.
        potentials: how many.
    """

    ratio: float
    interval: tuple[float, float]
    potentials: int

    def __str__(self) -> str:
        change = percent(self.ratio)
        low, high = (100 * (x - 1) for x in self.interval)
        return change if np.isnan(low) else f"{change} ({low:+.1f} to {high:+.1f})"


def _change(report: Report, column: str, method: str) -> str:
    """One report's change of a column, as a cell."""
    try:
        change = report.compare(column, PRETRAINED, method)
    except ValueError:
        return "not measured"
    return (
        "none compared"
        if not len(change.before)
        else str(Average(change.ratio, change.interval, 1))
    )
