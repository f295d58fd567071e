"""The table of claims: what committed rows, and those of a folder, say of each."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bpttviz._files import write_atomic
from bpttviz.evaluation.tables import format_markdown
from bpttviz.experiments.claims.claim import ClaimResult, Outcome, PartResult, decide
from bpttviz.experiments.claims.committed import committed_rows
from bpttviz.experiments.claims.evidence import NUMBER, Evidence, read_rows
from bpttviz.experiments.claims.paper import CLAIMS
from bpttviz.experiments.claims.plan import NotRun, not_run

MARKDOWN, JSON = "claims.md", "claims.json"
LEGEND = (
    "A row is for a part of a claim where all of its 95 % interval (groups taken whole, six at "
    "least) is where the part says, against it where all of it is elsewhere, open otherwise. A "
    "part holds where rows are for it (of two potentials, where it is about potentials at large), "
    "none is against it, and no more are open than for it; likewise it does not hold. A claim "
    "holds where all its parts do, and does not where one does not."
)
HEADINGS = ("claim", "verdict", "its parts", "holds?", "for, against, open", "figure")


@dataclass(frozen=True)
class ClaimsTable:
    """Claims with their results.

    Attributes:
        results: one a claim.
        missing: runs that no row is from.
    """

    results: tuple[ClaimResult, ...]
    missing: tuple[NotRun, ...] = ()

    @classmethod
    def read(cls, folder: Path | None = None) -> ClaimsTable:
        """From what is committed, and what `bpttviz reproduce --run` left in a folder.

        Args:
            folder: its rows take the place of committed ones of the same key.

        Raises:
            ValueError: a damaged file; it is named.
        """
        rows = {row.key: row for row in committed_rows()}
        files = sorted((folder / "rows").glob("*.jsonl")) if folder is not None else []
        for file in files:
            rows |= {row.key: row for row in read_rows(file, f"rows/{file.name}")}
        found = list(rows.values())
        return cls(tuple(decide(claim, found) for claim in CLAIMS), tuple(not_run(found)))

    def subset(self, numbers: Collection[int]) -> ClaimsTable:
        """Some claims, by number."""
        results = tuple(r for r in self.results if r.claim.number in numbers)
        return ClaimsTable(results, tuple(m for m in self.missing if m.claim in numbers))

    @property
    def rows(self) -> list[Evidence]:
        """All rows, those that decide first."""
        return [
            row
            for result in self.results
            for row in (*(row for part in result.parts for row, _ in part.rows), *result.context)
        ]

    @property
    def frame(self) -> pd.DataFrame:
        """A line for each part of each claim; strings."""
        lines = []
        for result in self.results:
            for number, part in enumerate(result.parts):
                first = number == 0
                count = ", ".join(str(len(part.those(one))) for one in Outcome)
                claim = f"{result.claim.number}. {result.claim.title}" if first else ""
                verdict = result.verdict.value if first else ""
                said = (part.part.title, part.answer, count, headline(part))
                lines.append((claim, verdict, *said))
        return pd.DataFrame(lines, columns=list(HEADINGS))

    def to_text(self, rows: bool = False) -> str:
        """For a terminal: claims with their parts, below each what decides it.

        Args:
            rows: those of context too, and where each comes from.
        """
        lines = []
        for result in self.results:
            claim = result.claim
            lines += [f"{claim.number}. {claim.title}: {result.verdict.value.upper()}"]
            lines += [f"   the paper: {claim.says}"]
            for part in result.parts:
                lines.append(f"   - {part.part.title} ({part.part.rule}): {part.answer}")
                shown = part.rows if rows else part.rows[:4]
                lines += [f"       {outcome.value:7} {_said(row, rows)}" for row, outcome in shown]
                if len(shown) < len(part.rows):
                    lines.append(f"       and {len(part.rows) - len(shown)} more (--rows)")
            if rows:
                lines += [f"     context: {_said(row, True)}" for row in result.context]
            lines += [f"   not run: {each}" for each in self._missing(claim.number, rows)]
            lines.append("")
        return "\n".join([*lines, LEGEND])

    def _missing(self, number: int, whole: bool) -> list[str]:
        """What is to be said of runs that are missing: each, or how many hours they are."""
        mine = [one for one in self.missing if one.claim == number]
        if whole or not mine:
            return [str(one) for one in mine]
        hours = sum(one.hours for one in mine)
        potentials = len({one.potential for one in mine})
        time = f"about {hours:.0f} h" if hours >= 1 else "less than an hour"
        several = f"{potentials} potentials" if potentials > 1 else "one potential"
        return [f"{time} of one core, for {several} (--rows: commands)"]

    def verdicts_markdown(self) -> str:
        """The table of verdicts, and how they are reached."""
        return f"{format_markdown(self.frame)}\n\n{LEGEND}\n"

    def to_markdown(self) -> str:
        """The table of verdicts, and below it every row."""
        parts = [self.verdicts_markdown()]
        for result in self.results:
            parts += [f"## {result.claim.number}. {result.claim.title}", ""]
            parts += [format_markdown(rows_frame(result)), ""]
            missing = [one for one in self.missing if one.claim == result.claim.number]
            parts += ["Not run, for lack of hours (of one core, about):", ""] if missing else []
            parts += [f"- {one.hours:.1f} h: `{one.command}`" for one in missing] + [""]
        return "\n".join(parts)

    def to_json(self) -> list[dict[str, Any]]:
        """Everything, as JSON can hold it."""
        return [
            {
                "claim": result.claim.number,
                "title": result.claim.title,
                "says": result.claim.says,
                "verdict": result.verdict.value,
                "parts": [
                    {
                        "title": part.part.title,
                        "rule": str(part.part.rule),
                        "verdict": part.verdict.value,
                        "rows": [
                            {**_plain(row), "outcome": outcome.value} for row, outcome in part.rows
                        ],
                    }
                    for part in result.parts
                ],
                "context": [_plain(row) for row in result.context],
                "not run": [asdict(m) for m in self.missing if m.claim == result.claim.number],
            }
            for result in self.results
        ]

    def write(self, folder: Path) -> None:
        """``claims.md`` and ``claims.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / MARKDOWN, self.to_markdown())
        written = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(folder / JSON, written + "\n")


def headline(part: PartResult) -> str:
    """The row that says most: one that decided, of the most structures; else the largest."""
    if not part.rows:
        return "not computed"
    order = {Outcome.FOR: 1, Outcome.AGAINST: 1, Outcome.OPEN: 0}
    row, _ = max(part.rows, key=lambda pair: (order[pair[1]], pair[0].n))
    what = f"{row.quantity}: " if row.unit == NUMBER else ""
    return f"{what}{row.change}, {row.potential}"


def rows_frame(result: ClaimResult) -> pd.DataFrame:
    """The rows of a claim; strings."""
    decided = [(row, part.part.title, o.value) for part in result.parts for row, o in part.rows]
    lines = [
        {
            "part": title,
            "potential": row.potential,
            "recipe": row.recipe,
            "measured on": f"{row.data}: {row.question}" if row.question else row.data,
            "quantity": row.quantity,
            "change": row.change,
            "n (groups)": f"{row.n}" if row.exact else f"{row.n} ({row.groups})",
            "worse": "" if row.worse is None else f"{row.worse} of {row.judged}",
            "": outcome,
        }
        for row, title, outcome in [*decided, *((row, "", "context") for row in result.context)]
    ]
    return pd.DataFrame(lines)


def _said(row: Evidence, whole: bool) -> str:
    worse = "" if row.worse is None else f", {row.worse} of {row.judged} worse"
    count = f"n = {row.n}" if row.exact else f"n = {row.n} in {row.groups} groups"
    text = f"{row}{worse} [{row.data}, {count}]"
    if not whole:
        return text
    origin = row.provenance
    told = (row.remark, origin.command, origin.commit, origin.source)
    return f"{text} ({'; '.join(part for part in told if part)})"


def _plain(row: Evidence) -> dict[str, Any]:
    held = asdict(row)
    held.pop("pairs")
    for name in ("value", "low", "high"):
        held[name] = held[name] if math.isfinite(held[name]) else None
    return held
