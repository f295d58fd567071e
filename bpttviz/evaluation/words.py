"""A report in words: its table, its notes, and the conclusions that its numbers allow."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bpttviz.evaluation.metrics import AROUND, HEADINGS, NEAR, RIGHT, UNDESCRIBED, WEAK, WRONG
from bpttviz.evaluation.statistics import (
    BEYOND,
    METHOD,
    MIN_SAMPLES,
    PairedComparison,
    resolution_of,
)
from bpttviz.evaluation.tables import counted, format_table, percent, table_html

if TYPE_CHECKING:
    from bpttviz.evaluation.report import Report

QUESTIONS = {"dq_rest": "Endpoint error at rest", "force_mae": "Force error"}
CHANGES = ("change at rest", "worse", "kept right", "lost")


def report_text(report: Report) -> str:
    """The table and its notes, for a terminal."""
    return "\n".join([format_table(display_table(report)), "", *notes(report)])


def report_html(report: Report) -> str:
    """The table and its notes, for a notebook."""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes(report))
    return f"{table_html(display_table(report))}<ul>{items}</ul>"


def display_table(report: Report) -> pd.DataFrame:
    """`Report.summary` as strings with headings, rounded to what is meaningful."""
    lines = []
    for line in report.summary():
        cells = {"potential": line["potential"]}
        for column, (heading, digits) in HEADINGS.items():
            cells[heading] = f"{line[column]:.{digits}f}"
        cells |= dict.fromkeys(CHANGES, "")
        if "ratio_rest" in line:
            change = percent(line["ratio_rest"])
            worse = f"{line['worse']}/{line['compared']}"
            values = (change, worse, str(line["kept_right"]), str(line["lost"]))
            cells |= dict(zip(CHANGES, values, strict=True))
        cells["same basin"] = f"{line['same_basin']}/{line['n']}"
        lines.append(cells)
    return pd.DataFrame(lines)


def notes(report: Report) -> list[str]:
    """What the table does not say: how it was made, what is missing, and the conclusions."""
    whole = report.complete
    lines = [
        f"{counted(len(whole.structures), 'structure')}; ΔQ in amu^½ Å, means over those that all "
        f"have; change: geometric mean of paired ratios ({METHOD})",
        *([f"K: {report.by_map}"] if report.by_map else []),
        *_gaps(report, whole),
        _resolution(report),
        *_missing(whole),
        *_details(whole),
    ]
    for after in report.potentials[1:]:
        whose = f"{after}: " if len(report.potentials) > 2 else ""
        lines += [whose + each for each in conclusions(report, report.potentials[0], after)]
    return lines


def _gaps(report: Report, whole: Report) -> list[str]:
    """Which structures were left out, as only some of the potentials were measured on them."""
    names = [name for name in report.structures if name not in whole.structures]
    if not names:
        return []
    return [f"left out, as not measured under every potential: {', '.join(names)}"]


def conclusions(report: Report, before: str, after: str) -> list[str]:
    """Plain sentences: is the endpoint better, the force worse, and is that beyond chance?"""
    sentences = []
    for column, what in QUESTIONS.items():
        try:
            change = report.compare(column, before, after)
        except ValueError:
            sentences.append(f"{what}: not measured (no structure has it for both).")
        else:
            sentences.append(_conclusion(what, change))
    return sentences


def _conclusion(what: str, change: PairedComparison) -> str:
    """One comparison as a sentence that claims no more than its structures can tell."""
    count, grown = len(change.before), 100 * (change.ratio - 1)
    extent = f"{grown:+.0f} % over {counted(count, 'structure')}"
    if change.drawn < count:
        extent += f" in {counted(change.drawn, 'group')} (starts that could end alike count as one)"
    extent = ", ".join([extent, f"{change.worse} worse", *_aside(change)])
    if not count:
        beyond = BEYOND * change.floor
        told = ", ".join([f"{change.worse} worse", *_aside(change)])
        return f"{what}: nothing to compare, as no error before is beyond {beyond:g}; {told}."
    if change.drawn < MIN_SAMPLES:
        here = "falls" if grown < 0 else "rises" if grown > 0 else "does not change"
        return f"{what} {here} here, {extent}; too few to tell more."
    low, high = change.interval
    verdict = change.direction or "does not change beyond what these structures can tell"
    interval = f"95 % interval {100 * (low - 1):+.0f} to {100 * (high - 1):+.0f} %"
    return f"{what} {verdict}: {extent} ({interval})."


def _aside(change: PairedComparison) -> list[str]:
    """The structures that are not in the ratio, by what became of them."""
    asides = []
    if change.kept_right:
        asides.append(f"{len(change.kept_right)} kept right")
    if change.lost:
        asides.append(f"{len(change.lost)} of them from right to wrong ({', '.join(change.lost)})")
    if change.undecided:
        asides.append(f"{len(change.undecided)} too close to the labels' error to be compared")
    if change.left_out:
        asides.append(f"{len(change.left_out)} left out ({', '.join(change.left_out)})")
    return asides


def _resolution(report: Report) -> str:
    """Where a ratio of endpoint errors is taken."""
    numerical = resolution_of("dq_rest")
    floor = max(report.noise_floor or 0.0, numerical)
    whose = (
        "the references' own error"
        if report.noise_floor and report.noise_floor >= numerical
        else "numerical; the references' own error is not known"
    )
    return (
        f"compared: ΔQ before beyond {BEYOND * floor:g} amu^½ Å, three times the resolution "
        f"({floor:g}: {whose}); kept right: within it before and after; lost: from right to wrong"
    )


def _missing(report: Report) -> list[str]:
    """Which structures did not come to rest, diverged, or could not be described."""
    lines = []
    for potential in report.potentials:
        rows = [report.row(potential, name) for name in report.structures]
        kinds = {
            "could not be described": [row for row in rows if row.undescribed],
            "diverged": [row for row in rows if row.diverged and not row.undescribed],
            "did not come to rest": [r for r in rows if not r.rest_converged and not r.diverged],
        }
        for what, found in kinds.items():
            if found:
                names = ", ".join(_with_reason(row.structure, row.diverged) for row in found)
                lines.append(f"{potential}: {len(found)} {what} ({names})")
    by_structure = [[report.row(p, name) for p in report.potentials] for name in report.structures]
    without = sum(
        not any(np.isfinite(row.force_mae) for row in rows)
        and not all(row.undescribed for row in rows)  # that was told above
        for rows in by_structure
    )
    if without:
        lines.append(
            f"no force error for {without} of {len(report.structures)} structures: their "
            "references are ends alone, without a trajectory of forces to compare with, or hold "
            "all atoms"
        )
    return lines


def _with_reason(name: str, diverged: str) -> str:
    reason = diverged.removeprefix(f"{UNDESCRIBED}: ")
    return f"{name}: {reason}" if reason else name


def _details(report: Report) -> list[str]:
    """What the table has no column for: one line a quantity, wherever it was measured."""
    lines = _divided_forces(report)
    near = {p: report.mean("dq_rest_near", p) for p in report.potentials}
    if all(np.isfinite(value) for value in near.values()):
        values = {p: f"{value:.3f}" for p, value in near.items()}
        lines.append(f"ΔQ at rest of the atoms within {AROUND:g} Å of the defect: {_list(values)}")
    if any(row.from_start != "not measured" for row in report.rows):
        values = {
            p: f"{report.mean('dq_from_start', p):.3f}"
            f" ({(report.column('from_start', p) == 'not at rest').sum()} not at rest)"
            for p in report.potentials
        }
        lines.append(f"ΔQ at rest, relaxed from the start without the K steps: {_list(values)}")
    others = {p: _other_minima(report, p) for p in report.potentials}
    if any(others.values()):
        lines.append(
            "not in the reference's own minimum (an equivalent one, by symmetry, is as right): "
            f"{_list(others)}"
        )
    lines += _minima_lines(report)
    if any(report.labels.values()):
        learned = {p: report.labels.get(p, "") for p in report.potentials}
        lines.append(f"learned from: {_list(learned)}")
    return lines


def _divided_forces(report: Report) -> list[str]:
    """Force errors near the defect and beyond, of weak forces and of strong ones."""
    pairs = {
        f"force MAE / eV/Å within {NEAR:g} Å of the defect, and beyond": ("near", "far"),
        f"force MAE / eV/Å where the reference is below {WEAK:g} eV/Å, and above": (
            "weak",
            "strong",
        ),
    }
    lines = []
    for what, parts in pairs.items():
        means = {
            p: [report.mean(f"force_mae_{part}", p) for part in parts] for p in report.potentials
        }
        if np.isfinite(list(means.values())).all():
            values = {p: " and ".join(f"{x:.4f}" for x in mean) for p, mean in means.items()}
            lines.append(f"{what}: {_list(values)}")
    return lines


def _other_minima(report: Report, potential: str) -> str:
    found = report.column("basin", potential).tolist()
    counts = {kind: found.count(kind) for kind in ("equivalent", "different", "unknown")}
    return " ".join(f"{n} {kind}" for kind, n in counts.items() if n)


def minima_that_changed(report: Report, before: str, after: str) -> dict[str, list[str]]:
    """The structures that "lost", or "gained", the reference's own minimum, by name."""
    pairs = [
        (name, *(report.row(potential, name).basin for potential in (before, after)))
        for name in report.shared(before, after)
    ]
    return {
        what: [name for name, one, two in pairs if one in had and two in has]
        for what, had, has in (("lost", RIGHT, WRONG), ("gained", WRONG, RIGHT))
    }


def _minima_lines(report: Report) -> list[str]:
    """A line for what each potential but the first has lost, and one for what it has gained."""
    return [
        f"{potential}: minima {what}: {', '.join(names)}"
        for potential in report.potentials[1:]
        for what, names in minima_that_changed(report, report.potentials[0], potential).items()
        if names
    ]


def _list(values: Mapping[str, str]) -> str:
    """`name value` pairs, those without a value left out."""
    return "; ".join(f"{name} {value}" for name, value in values.items() if value)
