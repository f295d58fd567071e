"""Which minimum a structure rests in, judged by where the same potential takes the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure

from bpttviz.datasets.matching import MATCHER, SAME_ENERGY
from bpttviz.distances import delta_q
from bpttviz.evaluation.rest import Relaxer, RestResult
from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures

# Two relaxed ends closer than this are one minimum: a force of 0.005 eV/Å leaves about 0.05
# amu^½ Å in silicon's soft modes, and different minima are 1 or more apart.
SAME_MINIMUM = 0.3  # amu^½ Å

# Along a very soft mode 0.005 eV/Å may leave more than SAME_MINIMUM (CHGNet's split interstitials:
# 0.56 amu^½ Å; a fifth of it leaves 0.22), so ends of one energy are brought closer to rest first.
CLOSER = 5


def basins(
    potential: Potential,
    rest: RestResult,
    ends: Structures,
    relaxer: Relaxer,
    batch_size: int | None = None,
) -> list[str]:
    """Which minimum each of B structures rests in, judged by where the potential takes its end.

    "same": that very minimum; "equivalent": one related to it by a symmetry operation and
    permutation (the variants of a Jahn-Teller distortion, say); "different": another; "unknown":
    the structure or its reference end did not come to rest. Equivalent minima have the same energy
    too, where the potential is conservative; one that is not has no energy to compare, and geometry
    alone decides.

    Args:
        potential: what brought the structures to rest.
        rest: where they are.
        ends: B reference ends.
        relaxer: how the ends are brought to rest.
        batch_size: see `Relaxer.run`.
    """
    found = ["unknown"] * len(rest)
    resting = [i for i, converged in enumerate(rest.converged.tolist()) if converged]
    if not resting:
        return found
    target = relaxer.run(potential, ends[resting], batch_size)
    here = rest.structures[resting]
    apart = delta_q(here, target.structures, potential.places_matter).tolist()
    gap = (rest.energy[resting] - target.energy).abs().tolist()
    open_cases = []
    for number, place in enumerate(resting):
        if not target.converged[number]:
            continue
        if apart[number] < SAME_MINIMUM:
            found[place] = "same"
        elif potential.conservative and gap[number] > SAME_ENERGY:
            found[place] = "different"
        else:
            open_cases.append(number)
    if open_cases:
        pair = (here[open_cases], target.structures[open_cases])
        verdicts = _closer(potential, pair, relaxer, batch_size)
        for number, verdict in zip(open_cases, verdicts, strict=True):
            found[resting[number]] = verdict
    return found


def _closer(
    potential: Potential,
    pair: tuple[Structures, Structures],
    relaxer: Relaxer,
    batch_size: int | None,
) -> list[str]:
    """The verdicts on ends of one energy, by where they are once brought closer to rest."""
    relaxer = relaxer.closer(CLOSER)
    here, there = (relaxer.run(potential, ends, batch_size).structures for ends in pair)
    verdicts = []
    for index, apart in enumerate(delta_q(here, there, potential.places_matter).tolist()):
        if apart < SAME_MINIMUM:
            verdicts.append("same")
        elif (
            not potential.places_matter
            and symmetric_distance(here[index], there[index]) < SAME_MINIMUM
        ):
            verdicts.append("equivalent")
        else:
            verdicts.append("different")
    return verdicts


def symmetric_distance(a: Structures, b: Structures) -> float:
    """ΔQ (amu^½ Å) of two batches of one up to symmetry and permutations; inf without a match.

    The matcher's root mean square distance stands for all atoms alike, so this takes their mean
    mass. Only what is periodic in three directions can be matched.
    """
    if not bool(a.pbc.all()):
        return float("inf")
    match = MATCHER.get_rms_dist(*(_for_matcher(x) for x in (a, b)))
    if match is None:
        return float("inf")
    volume = float(a.cell[0].det().abs())
    length = (volume / len(a.numbers)) ** (1 / 3)  # the unit of the matcher's distances
    return match[0] * length * float(np.sqrt(float(a.masses.sum())))


def _for_matcher(structure: Structures) -> Structure:
    """The one door to pymatgen: a batch of one as its ``Structure``."""
    values: Sequence[np.ndarray] = [
        x.detach().cpu().numpy()
        for x in (structure.cell[0], structure.numbers, structure.positions)
    ]
    cell, numbers, positions = values
    return Structure(cell, numbers.tolist(), positions, coords_are_cartesian=True)
