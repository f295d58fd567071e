"""Claim 6: what was learned beside ends, and what was forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.evaluation.bulk import compare_bulk, simple_crystals
from bpttviz.evaluation.dynamics import short_dynamics
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.ends import RECIPE_NAMES, Methods
from bpttviz.experiments.claims.evidence import ENDS, NUMBER, Evidence, of_pairs, of_report
from bpttviz.experiments.claims.study import Setting, Study
from bpttviz.experiments.methods import BOTH_ENDS
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures

FINE_TUNED = "fine-tuned"
OTHER_SET = {"si-defects": "crystals", "crystals": "si-defects"}
RESOLUTION = 1e-3  # eV
WARMED = 4  # structures: a picosecond of 64 atoms takes CHGNet about a minute of one core


class Forgotten(Study):
    """Claim 6: energies along the path, perfect crystals, another set, warm atoms."""

    claim = 6

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """What is looked at, of what this potential can be asked."""
        names = [paper.PATH, paper.BULK] if setting.potential.conservative else []
        if setting.data in OTHER_SET:
            names.append(paper.OTHERS)
        return (*names, paper.WARM)

    def measures_held_out(self, run: str) -> bool:
        """Perfect crystals, and another set, are not held out of anything."""
        return run not in (paper.BULK, paper.OTHERS)

    def gradients(self, setting: Setting, run: str) -> int:
        """Those of the training, where the potential is not given."""
        return 0 if setting.tuned is not None else Methods().gradients(setting, BOTH_ENDS)

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        looked_at: dict[str, Callable[[Setting, Potential, Evidence], list[Evidence]]] = {
            paper.PATH: along_the_path, paper.BULK: perfect_crystals, paper.OTHERS: another_set,
            paper.WARM: at_600_kelvin,
        }  # fmt: skip
        tuned, recipe = setting.tuned, setting.tuned_name
        if tuned is None:
            tuned, recipe = Methods().tuned(setting, BOTH_ENDS), RECIPE_NAMES[BOTH_ENDS]
        start = Evidence(
            6, run, setting.data, setting.name, recipe, "", "", np.nan,
            provenance=setting.provenance(self, run),
        )  # fmt: skip
        return looked_at[run](setting, tuned, start)


def along_the_path(setting: Setting, tuned: Potential, start: Evidence) -> list[Evidence]:
    """Mean error of energies against that of the end, on each reference's frames."""
    known = [r for r in setting.held_out if r.trajectory is not None and len(r.trajectory) > 1]
    before, after = (
        {r.name: path_error(potential, r) for r in known}
        for potential in (setting.potential, tuned)
    )
    row = replace(start, question="test part", quantity="error of the energy along the path")
    return [of_pairs(row, before, after, setting.groups, resolution=RESOLUTION)]


@torch.no_grad()
def path_error(potential: Potential, reference: ReferenceRelaxation) -> float:
    """Mean absolute error (eV) of frames' energies above the last frame's."""
    assert reference.trajectory is not None
    true = reference.trajectory.energy
    found = torch.cat(
        [
            potential(reference.frames([place])[0].to(potential.device)).energy.detach().cpu()
            for place in range(len(true))
        ]
    ).double()
    wrong = (found - found[-1]) - (true - true[-1])
    return float(wrong[:-1].abs().mean())


def perfect_crystals(setting: Setting, tuned: Potential, start: Evidence) -> list[Evidence]:
    """How far the lattice constants at rest move, in percent, and what else the crystals say."""
    rows, moved = [], []
    for name, crystal in simple_crystals().items():
        try:
            one = _bulk(setting.potential, name, crystal)
        except (ValueError, StructureError) as error:  # nothing that could be forgotten
            rows.append(replace(start, part="", question=name, quantity="bulk", remark=str(error)))
            continue
        try:
            two = _bulk(tuned, name, crystal)
        except (ValueError, StructureError) as error:
            moved.append(np.inf)
            rows.append(
                replace(
                    start, part="", question=name, quantity="lost by fine-tuning", value=1,
                    unit=NUMBER, exact=True, n=1, remark=str(error),
                )
            )  # fmt: skip
            continue
        change = 100 * ((1 + two["strain"]) / (1 + one["strain"]) - 1)
        moved.append(change)
        told = {
            "lattice constant": change,
            "bulk modulus": 100 * (two["bulk_modulus"] / one["bulk_modulus"] - 1),
            "highest Γ frequency": 100 * (two["highest_frequency"] / one["highest_frequency"] - 1),
        }
        rows += [
            replace(
                start, part="", question=name, quantity=f"{what}, change in %", value=value,
                unit=NUMBER, exact=True, n=1,
            )
            for what, value in told.items()
        ]  # fmt: skip
    silicon = [row for row in rows if row.question == "Si" and "lattice" in row.quantity]
    largest = replace(
        start, question=f"largest of {len(moved)} crystals", unit=NUMBER, exact=True, n=len(moved),
        quantity="lattice constant, change in %", value=max(map(abs, moved), default=np.nan),
        remark=f"Si alone: {', '.join(row.change for row in silicon)}" if silicon else "",
    )  # fmt: skip
    return [largest, *rows]


def _bulk(potential: Potential, name: str, crystal: Structures) -> dict[str, Any]:
    """Of one crystal.

    Raises:
        ValueError, StructureError: the potential has no minimum there.
    """
    (found,) = compare_bulk({PRETRAINED: potential}, {name: crystal}).to_dict("records")
    return {str(what): value for what, value in found.items()}


def another_set(setting: Setting, tuned: Potential, start: Evidence) -> list[Evidence]:
    """Ends at rest of the test part of a data set that it was not trained on."""
    other = load_dataset(OTHER_SET[setting.data])
    before = setting.measured(f"{PRETRAINED} other", setting.potential, other.test)
    report = before.merge(setting.measured(f"{FINE_TUNED} other", tuned, other.test))
    report.noise_floor = other.noise_floor
    row = replace(start, question=f"{OTHER_SET[setting.data]}, test part", quantity=ENDS)
    return [of_report(row, report)]


def at_600_kelvin(setting: Setting, tuned: Potential, start: Evidence) -> list[Evidence]:
    """A picosecond from some reference ends: how many explode that did not, and how the rest is."""
    mobile = [place for place, r in enumerate(setting.held_out) if int((~r.end.fixed).sum()) > 1]
    some = setting.held_out[mobile[:: max(1, len(mobile) // WARMED)][:WARMED]]
    found = {
        name: short_dynamics(potential, some.ends())
        for name, potential in ((PRETRAINED, setting.potential), (FINE_TUNED, tuned))
    }
    told = [
        f"{name}: {sum(bool(one.exploded) for one in runs)} explode; "
        + ", ".join(
            f"{one.name} {one.exploded or f'{one.temperature:.0f} K, {one.farthest:.1f} Å'}"
            for one in runs
        )
        for name, runs in found.items()
    ]
    pairs = zip(found[PRETRAINED], found[FINE_TUNED], strict=True)
    lost = sum(bool(after.exploded) and not before.exploded for before, after in pairs)
    return [
        replace(
            start, question=f"{len(some)} ends of the test part", quantity="explode",
            value=lost, unit=NUMBER, exact=True, n=len(some), groups=len(set(some.groups)),
            worse=lost, judged=len(some), remark="; ".join(told),
        )
    ]  # fmt: skip
