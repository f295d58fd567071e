"""Which minimum a structure rests in, judged by where the same potential takes the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms
from pymatgen.io.ase import AseAtomsAdaptor

from bpttviz.datasets.matching import MATCHER, SAME_ENERGY
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.distances import delta_q
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures

# Two relaxed ends closer than this are one minimum: a force of 0.005 eV/Å leaves about 0.05
# amu^½ Å in silicon's soft modes, and different minima are 1 or more apart.
SAME_MINIMUM = 0.3  # amu^½ Å

# Along a very soft mode 0.005 eV/Å may leave more than SAME_MINIMUM (CHGNet's split interstitials:
# 0.56 amu^½ Å; a fifth of it leaves 0.22), so ends of one energy are brought closer to rest first.
CLOSER = 5


def basin(
    potential: Potential, resting: Atoms, reference: ReferenceRelaxation, rest: Relaxer
) -> str:
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
