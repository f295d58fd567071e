"""Measure potentials on reference relaxations: ends reached, forces, minima."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from ase import Atoms
from tqdm.auto import tqdm

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q, rmsd
from bpttviz.evaluation.forces import force_measures
from bpttviz.evaluation.metrics import StructureResult
from bpttviz.evaluation.minima import basin
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.relax import Relaxation, relax
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures


def evaluate(
    potentials: Mapping[str, Potential],
    references: RelaxationDataset,
    rule=None,
    stop: StoppingCriterion | None = None,
    rest: Relaxer | None = None,
    progress: bool = True,
    noise_floor: float | None = None,
    labels: Mapping[str, str] | None = None,
    from_start: bool = False,
) -> Report:
    """Relax every start with every potential and compare with the references.

    Args:
        potentials: name → potential, in the order the report shows; the first is "before".
        references: what to compare with; those with frames also give the force error.
        rule, stop: the map, as in `relax`.
        rest: how X_rest is reached from X_K.
        progress: show a bar.
        noise_floor, labels: passed on to the `Report`.
        from_start: also bring each start to rest by ``rest`` alone, as a user's own relaxation
            would; it takes about as long again.

    Raises:
        ValueError: no potential or no reference was given.
    """
    if not potentials or not len(references):
        raise ValueError("evaluate needs at least one potential and one reference relaxation")
    rest = Relaxer() if rest is None else rest
    rows, relaxations, rests = [], {}, {}
    with tqdm(
        total=len(potentials) * len(references), desc="evaluate", disable=not progress
    ) as bar:
        for reference in references:
            for name, potential in potentials.items():
                row, relaxation, resting = measure(
                    name, potential, reference, rule, stop, rest, from_start
                )
                rows.append(row)
                relaxations[name, reference.name] = relaxation
                rests[name, reference.name] = resting
                bar.update()
    return Report(
        rows,
        relaxations,
        {r.name: r.end for r in references},
        rests,
        noise_floor,
        dict(labels or {}),
    )


def measure(
    name: str,
    potential: Potential,
    reference: ReferenceRelaxation,
    rule,
    stop: StoppingCriterion | None,
    rest: Relaxer,
    from_start: bool = False,
) -> tuple[StructureResult, Relaxation, Atoms]:
    """One structure under one potential: its `StructureResult`, K-step relaxation and resting place."""
    start = Structures.from_ase(reference.start, [reference.name])
    end = Structures.from_ase(reference.end, [reference.name])
    with torch.no_grad():
        relaxation = relax(potential, start, rule, stop)
    final = relaxation.final.to("cpu")
    lost = relaxation.diverged.get(0)
    if lost:  # a diverged path has no end to measure, and none to go on from
        resting, steps, converged = final.to_ase()[0], 0, False
    else:
        resting, steps, converged = rest.reach(potential, final.to_ase()[0])
    at_rest = Structures.from_ase(resting, [reference.name], check=False)
    at_k_known, at_rest_known = (1.0 if known else float("nan") for known in (not lost, converged))
    row = StructureResult(
        structure=reference.name,
        group=reference.group,
        potential=name,
        dq_start=float(delta_q(start, end)),
        dq_k=float(delta_q(final, end)) * at_k_known,
        dq_rest=float(delta_q(at_rest, end)) * at_rest_known,
        dq_k_rest=float(delta_q(final, at_rest)) * at_rest_known,
        rmsd_k=float(rmsd(final, end)) * at_k_known,
        rmsd_rest=float(rmsd(at_rest, end)) * at_rest_known,
        fmax_k=float(relaxation.fmax[-1]),
        rest_steps=steps,
        rest_converged=converged,
        basin=basin(potential, resting, reference, rest) if converged else "unknown",
        **asdict(force_measures(potential, reference)),
        diverged=f"step {lost.step}: {lost.cause}" if lost else "",
        **(_from_start(potential, reference, rest) if from_start else {}),
    )
    return row, relaxation, resting


def _from_start(potential: Potential, reference: ReferenceRelaxation, rest: Relaxer) -> dict:
    """The figures of a `StructureResult` about the rest that is reached from the start, not from X_K."""
    resting, _, converged = rest.reach(potential, reference.start)
    if not converged:
        return {"from_start": "not at rest"}
    ends = (Structures.from_ase(x, [reference.name], check=False) for x in (resting, reference.end))
    return {"from_start": "at rest", "dq_from_start": float(delta_q(*ends))}


def endpoint_errors(potential: Potential, references: RelaxationDataset, rule, stop) -> np.ndarray:
    """ΔQ(X_K, reference) of each structure (n,), one after another; NaN where it diverged."""
    errors = []
    for reference in references:
        start = Structures.from_ase(reference.start, [reference.name])
        end = Structures.from_ase(reference.end, [reference.name])
        with torch.no_grad():
            relaxation = relax(potential, start, rule, stop)
        error = float(delta_q(relaxation.final.to("cpu"), end))
        errors.append(float("nan") if relaxation.diverged else error)
    return np.array(errors)
