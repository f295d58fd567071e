"""The README's table of results, written from committed rows.

python -m bpttviz.experiments.claims.readme README.md            put it in place
python -m bpttviz.experiments.claims.readme README.md --check    say whether it is
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bpttviz._files import write_atomic
from bpttviz.experiments.claims.committed import committed_rows
from bpttviz.experiments.claims.ends import RECIPE_NAMES
from bpttviz.experiments.claims.evidence import ENDS, FORCES, Evidence
from bpttviz.experiments.claims.trials import REPLAYED
from bpttviz.experiments.methods import BOTH_ENDS
from bpttviz.experiments.protocol import BPTT

HEAD = "| learned from | held out | ΔQ at rest | force error |\n|---|---|---|---|\n"
FOLDS = 5
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}


@dataclass(frozen=True)
class Line:
    """One line of the table: which rows it is from, and what it calls them."""

    learned_from: str
    recipe: str
    asked: Callable[[str], bool]
    held_out: Callable[[str, int], str]


def _by_folds(question: str, count: int) -> str:
    folds = int(question.split()[0])
    if folds == FOLDS:
        return f"all {count}, by five folds"
    return f"{count}, {NUMBERS[folds]} fold{'s' * (folds > 1)}"


LINES = (
    Line(
        "both ends, `bv.Recipe`", RECIPE_NAMES[BOTH_ENDS],
        lambda question: question.endswith(" folds"), _by_folds,
    ),
    Line(
        "far starts, the paper's way", RECIPE_NAMES[BPTT],
        lambda question: question.endswith(" folds"), _by_folds,
    ),
    Line(
        "both ends, `bv.Recipe`", RECIPE_NAMES[BOTH_ENDS],
        lambda question: question.startswith("test part"), lambda _, count: f"{count}, new kinds",
    ),
    Line(
        "likewise, own minima replayed", RECIPE_NAMES[BOTH_ENDS] + REPLAYED,
        lambda question: question.startswith("test part"), lambda _, count: f"{count}, new kinds",
    ),
)  # fmt: skip


def results_table(rows: Sequence[Evidence]) -> str:
    """CHGNet's results on silicon as Markdown."""
    known = [row for row in rows if (row.data, row.potential) == ("si-defects", "chgnet")]
    return HEAD + "".join(_written(line, known) for line in LINES)


def _written(line: Line, rows: Sequence[Evidence]) -> str:
    """A line of the table.

    Raises:
        ValueError: no row of that kind.
    """
    found = {}
    for quantity in (ENDS, FORCES):
        mine = [
            row
            for row in rows
            if (row.recipe, row.quantity) == (line.recipe, quantity) and line.asked(row.question)
        ]
        if not mine:
            raise ValueError(f"there is no row for {line.recipe}, {quantity}")
        found[quantity] = mine[0]
    ends, forces = found[ENDS], found[FORCES]
    held_out = line.held_out(forces.question, forces.n)
    return f"| {line.learned_from} | {held_out} | {ends.change} | {forces.change} |\n"


def with_table(text: str, table: str) -> str:
    """A text with its table of results replaced. Raises ValueError where it has none."""
    before, head, after = text.partition(HEAD)
    if not head:
        raise ValueError("there is no table of results: its head has changed")
    return before + table + after[after.index("\n\n") + 1 :]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bpttviz.experiments.claims.readme",
        description=(__doc__ or "").split("\n")[0],
    )
    parser.add_argument("file", type=Path, help="README.md")
    parser.add_argument("--check", action="store_true", help="write nothing")
    choices = parser.parse_args(arguments)
    text = choices.file.read_text(encoding="utf-8")
    wanted = with_table(text, results_table(committed_rows()))
    if wanted == text:
        print("the table is that of the rows")
        return 0
    if choices.check:
        print("the table is not that of the rows: leave out --check")
        return 1
    write_atomic(choices.file, wanted)
    print("the table was written anew")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
