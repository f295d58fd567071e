"""Measure potentials on reference relaxations: ends reached, forces, minima."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from bpttviz._checks import file_path, instance_of, mapping_of, not_negative, whole_or_none
from bpttviz._files import FolderLock, lock_settings, write_atomic
from bpttviz.datasets.read import as_relaxations
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.evaluation.measure import Measured, Protocol, measure, relaxed
from bpttviz.evaluation.metrics import StructureResult
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.rest import Relaxer, batches
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, specification
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion

TABLE = "report.csv"  # in the folder of an evaluation that can be resumed


def evaluate(
    potentials: Mapping[str, Potential],
    references: RelaxationDataset,
    rule: UpdateRule | None = None,
    stop: StoppingCriterion | None = None,
    relaxer: Relaxer | None = None,
    progress: bool = True,
    noise_floor: float | None = None,
    labels: Mapping[str, str] | None = None,
    from_start: bool = False,
    out: str | Path | None = None,
    batch_size: int | None = None,
) -> Report:
    """Relax every start with every potential and compare with the references.

    Several structures are measured at once; each gives the same figures as alone, up to rounding.
    One that a potential cannot describe, or that diverges, is named in the report and counted; the
    rest is measured.

    Args:
        potentials: name → potential, in the order the report shows; the first is "before".
        references: what to compare with; those with frames also give the force error. Files, one
            relaxation or a list of them become a set, as in `finetune`.
        rule, stop: the map, as in `relax`.
        relaxer: how X_rest is reached from X_K.
        progress: show a bar.
        noise_floor, labels: passed on to the `Report`.
        from_start: also bring each start to rest by ``relaxer`` alone, as a user's own relaxation
            would; it takes about as long again.
        out: a folder. Its ``report.csv`` gets rows as they come, filed under all that they depend
            on, and a repeated call goes on where the last one stopped. Rows that were there have no
            relaxation in the report: paths are not saved.
        batch_size: structures in one call of a potential; by default as many as have 256 atoms
            together on the CPU, and 4096 on an accelerator.

    Raises:
        ValueError: no potential or no reference was given, a number out of its range, or ``out``
            holds the results of other settings.
        TypeError: an argument of the wrong kind.
        DataError, StructureError: files that cannot be read.
    """
    potentials = _named(potentials)
    references = as_relaxations(references, "references")
    if not len(references):
        raise ValueError("evaluate needs at least one reference relaxation")
    how = _protocol(rule, stop, relaxer, from_start, batch_size)
    noise_floor = None if noise_floor is None else not_negative("noise_floor", noise_floor)
    labels = mapping_of("labels", {} if labels is None else labels, str, '{"fine-tuned": "ends"}')
    out = None if out is None else file_path("out", out)
    with nullcontext() if out is None else FolderLock(out):
        table = _Table(out, potentials, references, how)
        found = _measure_all(potentials, references, table, how, progress)
    report = _report(table, found, references, noise_floor, labels)
    report.by_map = f"{how.stop.max_steps} steps of {how.rule!r}"
    return report


def _report(
    table: _Table,
    found: Mapping[tuple[str, str], Measured],
    references: RelaxationDataset,
    noise_floor: float | None,
    labels: Mapping[str, str],
) -> Report:
    return Report(
        table.ordered(),
        _each(found, "relaxation"),
        {r.name: r.end for r in references},
        _each(found, "rest"),
        noise_floor,
        labels,
        _each(found, "rest_path"),
        _each(found, "force_errors"),
    )


def _each(found: Mapping[tuple[str, str], Measured], part: str) -> dict[tuple[str, str], Any]:
    """One part of what was found, where there is one."""
    values = {key: getattr(one, part) for key, one in found.items()}
    return {key: value for key, value in values.items() if value is not None}


def _measure_all(
    potentials: Mapping[str, Potential],
    references: RelaxationDataset,
    table: _Table,
    how: Protocol,
    progress: bool,
) -> dict[tuple[str, str], Measured]:
    """Measure what the table has not yet: (potential, structure) → what was found."""
    found: dict[tuple[str, str], Measured] = {}
    total = len(potentials) * len(references)
    with tqdm(total=total, initial=len(table.rows), desc="evaluate", disable=not progress) as bar:
        for name, potential, members in _pending(potentials, references, table, how):
            measured = measure(name, potential, members, how)
            table.add([one.row for one in measured])
            found |= {(name, one.row.structure): one for one in measured}
            bar.update(len(measured))
    return found


def endpoint_errors(
    potential: Potential,
    references: RelaxationDataset,
    rule: UpdateRule,
    stop: StoppingCriterion,
    batch_size: int | None = None,
) -> np.ndarray:
    """ΔQ(X_K, reference) of each structure (n,); NaN where it diverged or cannot be described."""
    how = Protocol(rule, stop, Relaxer(), False, batch_size)
    errors = []
    for members in _batches(potential, list(references), how):
        paths, _ = relaxed(potential, members, how)
        for path, reference in zip(paths, members, strict=True):
            if path is None or path.diverged:
                errors.append(np.nan)
            else:
                errors.append(
                    float(delta_q(path.final.to("cpu"), reference.end, potential.places_matter))
                )
    return np.array(errors)


class _Table:
    """The rows so far, in a file where there is a folder for it."""

    def __init__(
        self,
        out: str | Path | None,
        potentials: Mapping[str, Potential],
        references: RelaxationDataset,
        how: Protocol,
    ):
        self.order = [(name, reference.name) for reference in references for name in potentials]
        self.file = None if out is None else Path(out) / TABLE
        self.rows: dict[tuple[str, str], StructureResult] = {}
        if out is None:
            return
        settings = {
            # a list, because the first is "before"
            "potentials": [
                [name, specification(p), fingerprint(p)] for name, p in potentials.items()
            ],
            "references": references.fingerprint(),
            "rule": [specification(how.rule), fingerprint(how.rule)],
            "stop": specification(how.stop),
            "relaxer": specification(how.relaxer),
            "from_start": how.from_start,
        }
        lock_settings(out, settings, ("report.csv", "report.txt"))
        if self.file is not None and self.file.exists():
            rows = Report.from_csv(self.file).rows
            self.rows = {(row.potential, row.structure): row for row in rows}

    def add(self, rows: Sequence[StructureResult]) -> None:
        """Keep rows, and write all so far."""
        self.rows |= {(row.potential, row.structure): row for row in rows}
        if self.file is not None:
            write_atomic(self.file, Report(self.ordered()).to_csv())

    def ordered(self) -> list[StructureResult]:
        """The rows by structure, and for each in the order of the potentials."""
        return [self.rows[key] for key in self.order if key in self.rows]


def _named(potentials: Mapping[str, Potential]) -> dict[str, Potential]:
    """Potentials by name, checked."""
    if isinstance(potentials, Potential):
        raise TypeError("evaluate takes potentials by name: {'pretrained': potential, ...}")
    if not isinstance(potentials, Mapping):
        raise TypeError(
            "potentials must be a dictionary from names to potentials, got "
            f"{type(potentials).__name__}"
        )
    if not potentials:
        raise ValueError("evaluate needs at least one potential")
    for name, potential in potentials.items():
        instance_of(f"potential {name!r}", potential, Potential, "bv.CHGNet()")
    return {str(name): potential for name, potential in potentials.items()}


def _protocol(
    rule: UpdateRule | None,
    stop: StoppingCriterion | None,
    relaxer: Relaxer | None,
    from_start: bool,
    batch_size: int | None,
) -> Protocol:
    """How to measure, with defaults for what was not given; refuses parts of another kind."""
    how = Protocol(
        GradientDescent() if rule is None else rule,
        StoppingCriterion() if stop is None else stop,
        Relaxer() if relaxer is None else relaxer,
        bool(from_start),
        whole_or_none("batch_size", batch_size),
    )
    instance_of("rule", how.rule, UpdateRule, "bv.GradientDescent()")
    instance_of("stop", how.stop, StoppingCriterion, "bv.StoppingCriterion(max_steps=20)")
    instance_of("relaxer", how.relaxer, Relaxer, "bv.Relaxer(fmax=0.005)")
    return how


def _pending(
    potentials: Mapping[str, Potential],
    references: RelaxationDataset,
    table: _Table,
    how: Protocol,
) -> Iterator[tuple[str, Potential, list[ReferenceRelaxation]]]:
    """(name, potential, references) that are still to be measured, a batch at a time.

    A batch is measured under every potential before the next one, so that an evaluation that is
    stopped has whole lines to compare.
    """
    for batch in _batches(next(iter(potentials.values())), list(references), how):
        for name, potential in potentials.items():
            members = [r for r in batch if (name, r.name) not in table.rows]
            if members:
                yield name, potential, members


def _batches(
    potential: Potential, references: Sequence[ReferenceRelaxation], how: Protocol
) -> list[list[ReferenceRelaxation]]:
    """References whose structures share a call of the potential."""
    counts = [len(reference.start.numbers) for reference in references]
    return [
        [references[place] for place in places]
        for places in batches(counts, potential.device, how.batch_size)
    ]
