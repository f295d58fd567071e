"""What is measured of several structures under one potential: paths, ends, minima and forces."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q, displacements, rmsd
from bpttviz.evaluation.defects import distance_from_defect
from bpttviz.evaluation.forces import ForceMeasures, force_measures
from bpttviz.evaluation.metrics import AROUND, UNDESCRIBED, StructureResult
from bpttviz.evaluation.minima import basins
from bpttviz.evaluation.rest import Relaxer, RestResult
from bpttviz.evaluation.rest_path import RestPath
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.relax import Relaxation, relax
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures, concatenate

NAN = float("nan")


@dataclass(frozen=True)
class Protocol:
    """How every structure is measured.

    Attributes:
        rule, stop: the map, as in `relax`.
        relaxer: how X_rest is reached from X_K.
        from_start: whether the start is brought to rest too.
        batch_size: structures in a call of the potential, see `Relaxer.run`.
    """

    rule: UpdateRule
    stop: StoppingCriterion
    relaxer: Relaxer
    from_start: bool = False
    batch_size: int | None = None


@dataclass(frozen=True)
class Measured:
    """One structure under one potential."""

    row: StructureResult
    relaxation: Relaxation | None = None
    rest: Structures | None = None
    rest_path: RestPath | None = None
    force_errors: np.ndarray | None = None  # (N,) eV/Å, of each atom over the labelled frames


def measure(
    name: str, potential: Potential, references: Sequence[ReferenceRelaxation], how: Protocol
) -> list[Measured]:
    """Several structures under one potential."""
    paths, refused = relaxed(potential, references, how)
    finished = {
        place: path.final
        for place, path in enumerate(paths)
        if path is not None and not path.diverged
    }
    rests: dict[int, tuple[RestResult, int, str]] = {}
    if finished:
        ends = RelaxationDataset([references[place] for place in finished]).ends()
        finals = concatenate(list(finished.values()))
        rest = how.relaxer.run(potential, finals, how.batch_size)
        kinds = basins(potential, rest, ends, how.relaxer, how.batch_size)
        rests = {place: (rest, n, kinds[n]) for n, place in enumerate(finished)}
    extras = _from_start(potential, references, how)
    forces = [_forces(potential, reference, how) for reference in references]
    measured = []
    for place, reference in enumerate(references):
        path = paths[place]
        way = delta_q(reference.start, reference.end, potential.places_matter)
        known = asdict(forces[place]) | extras[place] | {"dq_start": float(way)}
        by_atom = known.pop("by_atom")
        if path is None:
            why = f"{UNDESCRIBED}: {refused[place]}"
            one = Measured(_row(name, reference, why, known))
        else:
            one = _of_path(potential, name, reference, path, rests.get(place), known)
        measured.append(replace(one, force_errors=by_atom))
    return measured


def _of_path(
    potential: Potential,
    name: str,
    reference: ReferenceRelaxation,
    path: Relaxation,
    rest: tuple[RestResult, int, str] | None,
    known: dict,
) -> Measured:
    """What a relaxation of one structure came to; ``rest``: result, place in it, and basin."""
    final, end, matter = path.final.to("cpu"), reference.end, potential.places_matter
    known = known | {"fmax_k": float(path.fmax[-1])}
    if rest is None:  # a diverged path has no end to measure, and none to go on from
        lost = path.diverged[0]
        row = _row(name, reference, f"step {lost.step}: {lost.cause}", known)
        return Measured(row, path, final)
    result, place, basin = rest
    at_rest = result.structures[place]
    known |= {"dq_k": float(delta_q(final, end, matter)), "rmsd_k": float(rmsd(final, end, matter))}
    known |= {
        "rest_steps": int(result.steps[place]),
        "rest_converged": bool(result.converged[place]),
        "basin": basin,
    }
    if known["rest_converged"]:
        known |= {
            "dq_rest": float(delta_q(at_rest, end, matter)),
            "dq_k_rest": float(delta_q(final, at_rest, matter)),
            "rmsd_rest": float(rmsd(at_rest, end, matter)),
            "dq_rest_near": _near_defect(at_rest, end, matter),
        }
    return Measured(_row(name, reference, "", known), path, at_rest, result.paths[place])


def _row(
    name: str, reference: ReferenceRelaxation, diverged: str, known: Mapping
) -> StructureResult:
    """A row with what is known, and NaN for what is not."""
    unknown = dict.fromkeys(("dq_k", "dq_rest", "dq_k_rest", "rmsd_k", "rmsd_rest", "fmax_k"), NAN)
    start = {
        "structure": reference.name,
        "group": reference.group,
        "potential": name,
        "rest_steps": 0,
        "rest_converged": False,
        "basin": "unknown",
        "diverged": diverged,
    }
    return StructureResult(**{**unknown, **start, **known})


def relaxed(
    potential: Potential, references: Sequence[ReferenceRelaxation], how: Protocol
) -> tuple[list[Relaxation | None], dict[int, str]]:
    """The K-step relaxation of each; None, and place → why, where one cannot be described."""
    places, refused = list(range(len(references))), {}
    while places:
        starts = RelaxationDataset([references[i] for i in places]).starts()
        try:
            with torch.no_grad():
                together = relax(potential, starts, how.rule, how.stop)
        except StructureError as error:
            if error.index is None and len(places) > 1:
                return _relaxed_alone(potential, references, how)
            gone = places.pop(error.index or 0)
            refused[gone] = error.reason
            _warn(references[gone].name, error.reason)
            continue
        found: list[Relaxation | None] = [None] * len(references)
        for number, place in enumerate(places):
            lost = together.diverged.get(number)
            if lost is not None and lost.at_start:
                refused[place] = lost.cause
            else:
                found[place] = together[number]
        return found, refused
    return [None] * len(references), refused


def _relaxed_alone(
    potential: Potential, references: Sequence[ReferenceRelaxation], how: Protocol
) -> tuple[list[Relaxation | None], dict[int, str]]:
    """As `relaxed`, one after another: a complaint did not say whom it is about."""
    found: list[Relaxation | None] = []
    refused = {}
    for place, reference in enumerate(references):
        paths, why = relaxed(potential, [reference], how)
        found += paths
        if why:
            refused[place] = why[0]
    return found, refused


def _from_start(
    potential: Potential, references: Sequence[ReferenceRelaxation], how: Protocol
) -> list[dict]:
    """What rows say about the rest that is reached from the start, not from X_K."""
    if not how.from_start:
        return [{} for _ in references]
    data = RelaxationDataset(references)
    rest = how.relaxer.run(potential, data.starts(), how.batch_size)
    errors = delta_q(rest.structures, data.ends(), potential.places_matter).tolist()
    return [
        {"from_start": "at rest", "dq_from_start": error}
        if converged
        else {"from_start": "not at rest"}
        for converged, error in zip(rest.converged.tolist(), errors, strict=True)
    ]


def _forces(potential: Potential, reference: ReferenceRelaxation, how: Protocol) -> ForceMeasures:
    """The force errors; none where a frame cannot be described."""
    try:
        return force_measures(potential, reference, how.batch_size)
    except StructureError as error:
        _warn(f"{reference.name}, its frames", error.reason)
        return ForceMeasures()


def _near_defect(at_rest: Structures, end: Structures, places_matter: bool) -> float:
    """ΔQ (amu^½ Å) of the atoms near the defect alone; NaN where there is none."""
    distance = distance_from_defect(end)
    if distance is None:
        return NAN
    moved = displacements(end, at_rest, True, places_matter) * end.masses.sqrt()[:, None]
    return float(moved[torch.as_tensor(distance < AROUND)].norm())


def _warn(whose: str, why: str) -> None:
    warnings.warn(
        f"{whose}: {why}; it is left out, and the rest is measured", UserWarning, stacklevel=6
    )
