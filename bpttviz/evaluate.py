"""Measure potentials on reference relaxations: ends reached, forces, basins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.optimize import FIRE
from pymatgen.io.ase import AseAtomsAdaptor
from tqdm.auto import tqdm

from bpttviz.datasets.identity import MATCHER, SAME_ENERGY
from bpttviz.datasets.relaxation_set import Reference, RelaxationSet
from bpttviz.defect import distance_from_defect
from bpttviz.iterate import Stop
from bpttviz.losses import delta_q, rmsd
from bpttviz.potentials.base import Potential
from bpttviz.relax import Relaxation, relax
from bpttviz.report import NEAR, WEAK, Report, Row
from bpttviz.structures import StructureError, Structures

# Two relaxed ends closer than this are one minimum: a force of 0.005 eV/Å leaves about 0.05
# amu^½ Å in silicon's soft modes, and different minima are 1 or more apart.
SAME_MINIMUM = 0.3  # amu^½ Å
# Along a very soft mode 0.005 eV/Å may leave more than SAME_MINIMUM (CHGNet's split interstitials:
# 0.56 amu^½ Å; a fifth of it leaves 0.22), so ends of one energy are brought closer to rest first.
CLOSER = 5


@dataclass(frozen=True)
class Rest:
    """How a structure is brought to rest: by ASE's optimiser, independent of the trained map.

    Args:
        fmax: eV/Å. steps: at most. optimizer: an ASE optimiser class.
    """

    fmax: float = 0.005
    steps: int = 500
    optimizer: type = FIRE

    def reach(self, potential: Potential, atoms: Atoms) -> tuple[Atoms, int, bool]:
        """(atoms at rest, steps made, converged)."""
        atoms = atoms.copy()
        atoms.calc = potential.calculator()
        optimizer = self.optimizer(atoms, logfile=None)
        try:
            converged = bool(optimizer.run(fmax=self.fmax, steps=self.steps))
        except StructureError:
            converged = False  # it ran away; where it got to is still recorded
        return atoms, optimizer.get_number_of_steps(), converged


def evaluate(
    potentials: Mapping[str, Potential],
    references: RelaxationSet,
    rule=None,
    stop: Stop | None = None,
    rest: Rest | None = None,
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
    rest = Rest() if rest is None else rest
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
    reference: Reference,
    rule,
    stop: Stop | None,
    rest: Rest,
    from_start: bool = False,
) -> tuple[Row, Relaxation, Atoms]:
    """One structure under one potential: its `Row`, K-step relaxation and resting place."""
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
    row = Row(
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


def _from_start(potential: Potential, reference: Reference, rest: Rest) -> dict:
    """The figures of a `Row` about the rest that is reached from the start, not from X_K."""
    resting, _, converged = rest.reach(potential, reference.start)
    if not converged:
        return {"from_start": "not at rest"}
    ends = (Structures.from_ase(x, [reference.name], check=False) for x in (resting, reference.end))
    return {"from_start": "at rest", "dq_from_start": float(delta_q(*ends))}


def basin(potential: Potential, resting: Atoms, reference: Reference, rest: Rest) -> str:
    """Which minimum a structure rests in, judged by where the same potential takes the reference.

    "same": that very minimum; "equivalent": one related to it by a symmetry operation and
    permutation (the variants of a Jahn-Teller distortion, say); "different": another; "unknown":
    the reference end did not come to rest. Equivalent minima have the same energy too, where the
    potential is conservative; one that is not has no energy to compare, and geometry alone decides.
    """
    target, _, converged = rest.reach(potential, reference.end)
    if not converged:
        return "unknown"
    if _distance(resting, target) < SAME_MINIMUM:
        return "same"
    if potential.conservative:
        energies = [atoms.get_potential_energy() for atoms in (resting, target)]
        if abs(energies[0] - energies[1]) > SAME_ENERGY:
            return "different"
    closer = replace(rest, fmax=rest.fmax / CLOSER)
    resting, target = (closer.reach(potential, atoms)[0] for atoms in (resting, target))
    if _distance(resting, target) < SAME_MINIMUM:
        return "same"
    return "equivalent" if _symmetric_distance(resting, target) < SAME_MINIMUM else "different"


def _distance(a: Atoms, b: Atoms) -> float:
    """ΔQ (amu^½ Å) between two structures of the same atoms."""
    return float(delta_q(*(Structures.from_ase(atoms, check=False) for atoms in (a, b))))


def _symmetric_distance(a: Atoms, b: Atoms) -> float:
    """ΔQ (amu^½ Å) up to symmetry operations and permutations; inf where there is no match.

    The matcher's root mean square distance stands for all atoms alike, so this takes their mean
    mass. Only periodic structures can be matched.
    """
    if not a.pbc.all():
        return float("inf")
    match = MATCHER.get_rms_dist(*(AseAtomsAdaptor.get_structure(_plain(x)) for x in (a, b)))
    if match is None:
        return float("inf")
    length = (a.get_volume() / len(a)) ** (1 / 3)  # the unit of the matcher's distances
    return match[0] * length * float(np.sqrt(a.get_masses().sum()))


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


@dataclass(frozen=True)
class ForceMeasures:
    """How wrong forces are on the frames of one reference; see `Row` for each figure."""

    force_mae: float = float("nan")
    force_slope: float = float("nan")
    force_cosine: float = float("nan")
    force_mae_near: float = float("nan")
    force_mae_far: float = float("nan")
    force_mae_weak: float = float("nan")
    force_mae_strong: float = float("nan")


def force_measures(potential: Potential, reference: Reference) -> ForceMeasures:
    """Errors, slope and cosine over all frames of a reference; NaN where there is nothing to tell.

    Slope and cosine are of all predicted against all reference components of the trajectory.
    """
    if not reference.frames:
        return ForceMeasures()
    predicted, true = [], []
    for frame in reference.frames:
        structure = Structures.from_ase(frame, [reference.name], check=False).to(potential.device)
        with torch.no_grad():
            predicted.append(potential(structure).forces.cpu().numpy())
        true.append(frame.calc.results["forces"])
    p, t = np.array(predicted, float), np.array(true, float)  # (frames, atoms, 3)
    error = np.abs(p - t).mean(axis=2)
    weak = np.linalg.norm(t, axis=2) < WEAK
    distance = distance_from_defect(reference.end)
    near = np.zeros_like(weak) if distance is None else np.tile(distance < NEAR, (len(t), 1))
    far = np.zeros_like(weak) if distance is None else ~near

    def mean(where: np.ndarray) -> float:
        return float(error[where].mean()) if where.any() else float("nan")

    p, t = p.ravel(), t.ravel()
    return ForceMeasures(
        force_mae=float(error.mean()),
        force_slope=float(p @ t / (t @ t)),
        force_cosine=float(p @ t / np.sqrt((p @ p) * (t @ t))),
        force_mae_near=mean(near),
        force_mae_far=mean(far),
        force_mae_weak=mean(weak),
        force_mae_strong=mean(~weak),
    )


def endpoint_errors(potential: Potential, references: RelaxationSet, rule, stop) -> np.ndarray:
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
