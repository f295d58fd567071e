"""Short molecular dynamics: a fine-tuned potential must hold its atoms when they are warm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin

from bpttviz._checks import instance_of, number, whole
from bpttviz.potentials.base import Potential
from bpttviz.potentials.calculator import Calculator
from bpttviz.structures import StructureError, Structures

TIME_STEP = 2.0  # fs; hydrogen would ask for less
FRICTION = 0.02  # 1/fs: a thermostat's time of 50 fs


@dataclass(frozen=True)
class Dynamics:
    """What became of one structure.

    Attributes:
        name: of the structure.
        steps: that were made.
        temperature: K, mean over the second half of them.
        farthest: Å, the way of the atom that is farthest from where it started.
        exploded: why it was given up, "" where it was not.
    """

    name: str
    steps: int
    temperature: float
    farthest: float
    exploded: str


def short_dynamics(
    potential: Potential,
    structures: Structures,
    temperature: float = 600.0,
    steps: int = 500,
    seed: int = 0,
) -> list[Dynamics]:
    """Langevin dynamics (ASE's, 2 fs a step, friction 0.02/fs) of each structure.

    Velocities are drawn from the Maxwell-Boltzmann distribution; held atoms stay where they are.
    A structure explodes where forces are not finite, atoms come too close for the potential, or
    the kinetic temperature exceeds what a thermostat ever gives (`too_hot`).

    Args:
        potential: any.
        structures: at rest, or about.
        temperature: K.
        steps: of 2 fs; 500 are a picosecond.
        seed: of velocities and thermostat: the same for the same structure under any potential.

    Returns:
        One `Dynamics` a structure, in their order.

    Raises:
        TypeError: no potential or structures.
        ValueError: a number out of range, or a structure in which nothing can move: all atoms held,
            or a single one, which only has itself to move against.
        StructureError: a structure that the potential cannot evaluate where it starts.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("structures", structures, Structures, "bv.Structures.from_ase(atoms)")
    temperature = number("temperature", temperature, above=0)
    steps, seed = whole("steps", steps), whole("seed", seed, least=0)
    for name, fixed in zip(structures.names, structures.split(structures.fixed), strict=True):
        if bool(fixed.all()) or len(fixed) == 1:
            raise ValueError(
                f"nothing can move in {name}: "
                + ("it has a single atom" if len(fixed) == 1 else "all of its atoms are held")
            )
    named = zip(structures.names, structures.to_ase(), strict=True)
    return [_one(potential, name, atoms, temperature, steps, seed) for name, atoms in named]


def _one(
    potential: Potential, name: str, atoms: Atoms, temperature: float, steps: int, seed: int
) -> Dynamics:
    random = np.random.default_rng(seed)
    atoms.calc = Calculator(potential)
    if not np.isfinite(atoms.get_forces()).all():  # which refuses what cannot be evaluated at all
        return Dynamics(name, 0, float("nan"), 0.0, "forces are not finite where it starts")
    if not atoms.constraints:
        atoms.set_constraint(FixCom())  # or all of it would wander
    momenta = np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None]
    atoms.set_momenta(momenta * random.normal(size=(len(atoms), 3)))  # Maxwell-Boltzmann
    limit = too_hot(temperature, atoms.get_number_of_degrees_of_freedom())
    began, seen, exploded = atoms.get_positions(), [], ""
    with Langevin(
        atoms, TIME_STEP * units.fs, temperature_K=temperature,
        friction=FRICTION / units.fs, rng=random, fixcm=False,
    ) as motion:  # fmt: skip
        for _ in range(steps):
            try:
                motion.run(1)
            except StructureError as error:
                exploded = str(error)
                break
            seen.append(float(atoms.get_temperature()))
            if not seen[-1] < limit:  # also where it is not a number
                exploded = f"{seen[-1]:.0f} K after {len(seen)} steps"
                break
    farthest = float(np.linalg.norm(atoms.get_positions() - began, axis=1).max())
    warm = seen[len(seen) // 2 :]
    return Dynamics(
        name, len(seen), float(np.mean(warm)) if warm else float("nan"), farthest, exploded
    )


def too_hot(temperature: float, freedom: int) -> float:
    """Kelvin that a thermostat at ``temperature`` does not give, to one step in millions.

    Of f degrees of freedom the kinetic temperature scatters by sqrt(2 / f) of its mean, and more
    to above than to below.
    """
    return temperature * (5 + 10 * (2 / freedom) ** 0.5)
