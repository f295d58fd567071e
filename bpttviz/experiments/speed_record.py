"""`SpeedRecord`: what `bpttviz speed` left in a folder, and what is committed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch

from bpttviz._files import FolderLock, read_json
from bpttviz.evaluation.tables import format_table
from bpttviz.experiments.cost import PAIRED_FILE, format_paired
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.origin import Provenance, add_note, commit_here
from bpttviz.experiments.speed import speed_table
from bpttviz.profiling import exponent

STORED = Path(__file__).with_name("stored") / "speed"
BESIDE, GROWTH, ORIGINS = "speed*.json", "growth.json", "provenance.json"


@dataclass(frozen=True)
class SpeedRecord:
    """Timings beside other programs, of gradients beside force matching, and how gradients grow.

    Attributes:
        beside: what `measure_speed` returned, of one machine or several.
        paired: what `measure_paired` returned, or None.
        growth: what `measure_growth` returned; empty where it was not measured.
        origins: what was measured → where it comes from.
    """

    beside: list[list[dict]]
    paired: dict | None
    growth: list[dict]
    origins: Mapping[str, Provenance]

    @classmethod
    def read(cls, folder: str | Path = STORED) -> SpeedRecord:
        """What a folder holds; by default what is committed.

        Raises:
            FileNotFoundError: nothing.
            ValueError: a file of it is damaged.
        """
        folder = Path(folder)
        paired, growth, origins = (
            read_json(folder / name) if (folder / name).exists() else None
            for name in (PAIRED_FILE, GROWTH, ORIGINS)
        )
        beside = [read_json(file) for file in sorted(folder.glob(BESIDE))]
        if not (beside or paired or growth):
            raise FileNotFoundError(f"{folder} holds no timings; `bpttviz speed --out` makes some")
        try:
            made = {what: Provenance(**found) for what, found in (origins or {}).items()}
            record = cls(beside, paired, growth or [], made)
            _ = [(rows[0]["processor"], rows[1]["name"]) for rows in beside], str(record)
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(
                f"{folder} holds files named as timings are, but of other contents "
                f"({type(error).__name__}: {error})"
            ) from error
        return record

    def __str__(self) -> str:
        return "\n\n".join(text for _, text in self.sections())

    def to_markdown(self) -> str:
        """The same, each table as a block of code."""
        return "\n".join(
            f"**{title}**\n\n```text\n{text}\n```\n" for title, text in self.sections()
        )

    def sections(self) -> list[tuple[str, str]]:
        """(title, text) of all that is there."""
        found = [("Beside other programs", speed_table(rows)) for rows in self.beside]
        if self.paired is not None:
            found.append(("Beside force matching", format_paired(self.paired)))
        if self.growth:
            found.append(("Growth of one gradient", growth_table(self.growth)))
        lines = [
            f"{what}: `{made.command}`, commit {made.commit}, {made.machine}"
            for what, made in self.origins.items()
        ]
        return [*found, ("Where it was measured", "\n".join(lines))] if lines else found


def growth_table(rows: list[dict]) -> str:
    """A line a gradient: its size, seconds and memory; then the exponents of the power laws."""
    lines = [
        {
            **{name: row["size"][name] for name in ("atoms", "structures", "steps")},
            "seconds": f"{row['seconds']:.1f}",
            "GB": f"{row['growth_bytes'] / 1e9:.2f}",
        }
        for row in rows
    ]
    laws = []
    for series in dict.fromkeys(row["size"]["series"] for row in rows):
        mine = [row for row in rows if row["size"]["series"] == series]
        grown = [row["size"][series] for row in mine]
        if len(set(grown)) < 2:
            continue  # of one size there is no law
        time, memory = (
            round(exponent(grown, [row[cost] for row in mine]), 2) + 0.0  # no "-0.00"
            for cost in ("seconds", "growth_bytes")
        )
        laws.append(f"over {series}: time to the power {time:.2f}, memory {memory:.2f}")
    return "\n".join([format_table(pd.DataFrame(lines), rule=False), *laws])


def write_origin(folder: Path, what: str, command: str, device: str) -> None:
    """Note in a folder where one of its measurements comes from."""
    file, machine = folder / ORIGINS, machine_here(torch.device(device))
    with FolderLock(folder, ORIGINS, wait=60):
        add_note(file, what, asdict(Provenance(command, commit_here(), machine=machine)))
