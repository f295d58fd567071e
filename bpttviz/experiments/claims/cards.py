"""Rows that data cards tell: tables of benchmarks made before rows were kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.ends import RECIPE_NAMES
from bpttviz.experiments.claims.evidence import ENDS, FORCES, SHARE, Evidence
from bpttviz.experiments.methods import FORCES as FORCE_MATCHED
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.protocol import BPTT, SCALAR

NUMBER = r"([+−-]?\d+) %\*{0,2} \(([+−-]?\d+) to ([+−-]?\d+)\)"
ROW = re.compile(rf"^\| (?P<name>[\w×, ]+?) \|.*?{NUMBER}.*?{NUMBER}[ *]*\|$", re.MULTILINE)
RIGHT = re.compile(r"untrained (\d+) of (\d+); \*every\* gradient, the implicit one too, (\d+) of")
REMARK = "an older table: percentile bootstrap over structures, which is too narrow for so few"
METHODS = {
    "forces × one number": RECIPE_NAMES[SCALAR],
    "force matching": RECIPE_NAMES[FORCE_MATCHED],
    "BPTT": RECIPE_NAMES[BPTT],
    "force matching, then BPTT": "force matching, then BPTT",
}


@dataclass(frozen=True)
class Card:
    """A data card with a table of changes: method, ΔQ at rest, force error.

    Attributes:
        data: name of the data set.
        potential: what was fine-tuned.
        question: what the measured structures ask.
        commit: that the table was made with; "" where the card does not say.
        measured: relaxations of the test part, as it was then; 0: as it is.
    """

    data: str
    potential: str
    question: str
    commit: str = ""
    measured: int = 0

    @property
    def names(self) -> str:
        """Of the potentials, for a command."""
        return self.potential.removeprefix("mean of ").replace(",", "")

    @property
    def path(self) -> Path:
        """The card."""
        return Path(str(files("bpttviz") / "datasets" / "data" / self.data / "README.md"))


SILICON = Card("si-defects", "chgnet", "test part: new species", "a556122")
CRYSTALS = Card(
    "crystals", "mean of chgnet, chgnet:0.2.0, chgnet:r2scan, sevennet",
    "test part: new compositions", measured=15,
)  # fmt: skip


@cache
def data_set(name: str) -> DatasetSplits:
    """A shipped data set, read once: reading takes most of a table's time."""
    return load_dataset(name)


def changes_in(card: str) -> dict[str, tuple[list[int], list[int]]]:
    """Method → change of ΔQ at rest, and of the force error, each as (%, low, high).

    Args:
        card: Markdown with a table whose rows end in two changes with their intervals.

    Raises:
        ValueError: there is no such table.
    """
    found: dict[str, tuple[list[int], list[int]]] = {}
    for row in ROW.finditer(card):
        if row["name"] not in found:
            values = [int(text.replace("−", "-")) for text in row.groups()[1:]]
            found[row["name"]] = (values[:3], values[3:])
    if not found:
        raise ValueError("the data card has no table of changes with intervals any more")
    return found


def card_rows() -> list[Evidence]:
    """Rows of claims 1, 2 and 7 that the cards hold."""
    rows = [row for card in (SILICON, CRYSTALS) for row in _benchmark_rows(card)]
    return [*rows, *_basin_rows(SILICON)]


def _benchmark_rows(card: Card) -> list[Evidence]:
    held_out = data_set(card.data).test
    count = card.measured or len(held_out)
    groups = card.measured or len(set(held_out.groups))  # of crystals each is one
    origin = Provenance(
        f"bpttviz benchmark --potential {card.names} --dataset {card.data} --out table",
        card.commit, source=f"datasets/data/{card.data}/README.md",
    )  # fmt: skip
    rows = []
    for method, (ends, forces) in changes_in(card.path.read_text(encoding="utf-8")).items():
        recipe, bptt = METHODS[method], method == "BPTT"
        parts = (paper.SPECIES, paper.PAPERS) if bptt else ("", "")
        for number, (quantity, change) in enumerate(((ENDS, ends), (FORCES, forces))):
            value, low, high = (1 + percent / 100 for percent in change)
            rows.append(
                Evidence(
                    number + 1, parts[number], card.data, card.potential, recipe, card.question,
                    quantity, value, low, high, n=count, groups=groups,
                    remark=REMARK, provenance=origin,
                )
            )  # fmt: skip
    return rows


def _basin_rows(card: Card) -> Sequence[Evidence]:
    """Silicon's interstitials, by every gradient: a count."""
    found = RIGHT.search(" ".join(card.path.read_text(encoding="utf-8").split()))
    if found is None:
        raise ValueError(f"{card.path} does not count interstitials in the right basin any more")
    before, of, after = map(int, found.groups())
    return [
        Evidence(
            7, "", card.data, "chgnet", "every gradient, against untrained", "three interstitials, "
            "trained and counted on the same, five seeds", "in the right basin",
            (after - before) / of, unit=SHARE, n=of, groups=3, exact=True,
            remark=f"{before} of {of}, then {after}",
            provenance=Provenance(
                "bpttviz basins --problem silicon", source=f"datasets/data/{card.data}/README.md"
            ),
        )
    ]  # fmt: skip
