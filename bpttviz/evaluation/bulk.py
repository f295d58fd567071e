"""What a potential says of perfect crystals, which fine-tuning on defects must not unlearn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from ase import units
from ase.build import bulk
from ase.eos import EquationOfState

from bpttviz._checks import instance_of, mapping_of
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures, concatenate, scaled

STRAINS = np.linspace(-0.03, 0.03, 7)  # of the lattice constant
DISPLACEMENT = 0.01  # Å, of one atom, for the Hessian
TERAHERTZ = units.second * 1e-12 / (2 * math.pi)  # sqrt(eV/(Å² amu)) as a frequency in THz


@dataclass(frozen=True)
class BulkProperties:
    """A crystal at rest under a potential, its atoms where symmetry holds them.

    Attributes:
        volume: Å³ an atom, at the lowest energy.
        strain: of the lattice constant there, against the structure given.
        bulk_modulus: GPa, of a third-order Birch-Murnaghan equation of state.
        highest_frequency: THz, of the phonons at Γ there.
        lowest_frequency: THz, of the optical phonons at Γ there (all but three); negative stands
            for an imaginary one, and means that the crystal does not stay as it is.
    """

    volume: float
    strain: float
    bulk_modulus: float
    highest_frequency: float
    lowest_frequency: float


def bulk_properties(potential: Potential, crystal: Structures) -> BulkProperties:
    """Equation of state and Γ phonons of a crystal.

    The cell is scaled as a whole, so that the figures are those of cubic crystals whose atoms
    cannot move by symmetry; of others they say what happens with the shape held.

    Args:
        potential: any.
        crystal: a batch of one, periodic, its cell within 3 % of the one at rest.

    Raises:
        TypeError: no potential or structure.
        ValueError: not one structure; or the energy is not finite, is the same whatever the volume
            (of a potential without energies), or has no minimum within 3 %.
        StructureError: not periodic in all directions.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("crystal", crystal, Structures, "bv.Structures.from_ase(bulk('Si'))")
    if len(crystal) != 1:
        raise ValueError(f"bulk_properties takes one crystal at a time, got {len(crystal)}")
    if not bool(crystal.pbc.all()):
        raise StructureError("a crystal has to be periodic in all three directions")
    stretched = [scaled(crystal, 1 + strain) for strain in STRAINS]
    with torch.no_grad():
        energies = potential(concatenate(stretched).to(potential.device)).energy.cpu().double()
    finite, alike = bool(energies.isfinite().all()), bool((energies == energies[0]).all())
    if alike or not finite:
        what = "the same at every volume" if finite else "not finite"
        raise ValueError(
            f"the energy of {crystal.names[0]} under {type(potential).__name__} is {what}: an "
            "equation of state needs a potential with energies"
        )
    volumes = [float(torch.linalg.det(one.cell[0]).abs()) for one in stretched]
    fit = EquationOfState(volumes, energies.numpy(), eos="birchmurnaghan")
    nothing = ValueError(
        f"the energy of {crystal.names[0]} has no minimum within {STRAINS[-1]:.0%} of the lattice "
        "constant given: start from the potential's own"
    )
    try:
        volume, _, modulus = fit.fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise nothing from error
    if not volumes[0] < volume < volumes[-1] or modulus <= 0:
        raise nothing
    strain = (volume / volumes[len(volumes) // 2]) ** (1 / 3) - 1
    frequencies = _gamma_frequencies(potential, scaled(crystal, 1 + strain))
    return BulkProperties(
        volume=volume / len(crystal.numbers),
        strain=strain,
        bulk_modulus=modulus / units.GPa,
        highest_frequency=float(frequencies.max()),
        lowest_frequency=_lowest_optical(frequencies),
    )


def compare_bulk(
    potentials: Mapping[str, Potential], crystals: Mapping[str, Structures] | None = None
) -> pd.DataFrame:
    """`bulk_properties` side by side, a line for each crystal and potential.

    Args:
        potentials: name → potential.
        crystals: name → a batch of one; by default silicon and three that have nothing to do with
            it: germanium, gallium arsenide, magnesium oxide.
    """
    potentials = mapping_of("potentials", potentials, Potential, '{"pretrained": potential}')
    if not potentials:
        raise ValueError("compare_bulk needs at least one potential")
    chosen = mapping_of(
        "crystals", simple_crystals() if crystals is None else crystals, Structures, '{"Si": one}'
    )
    return pd.DataFrame(
        [
            {"crystal": name, "potential": who, **asdict(bulk_properties(potential, crystal))}
            for name, crystal in chosen.items()
            for who, potential in potentials.items()
        ]
    )


def simple_crystals() -> dict[str, Structures]:
    """Silicon, germanium, gallium arsenide and magnesium oxide at about their PBE constants."""
    cells = {
        "Si": bulk("Si", "diamond", 5.47),
        "Ge": bulk("Ge", "diamond", 5.76),
        "GaAs": bulk("GaAs", "zincblende", 5.75),
        "MgO": bulk("MgO", "rocksalt", 4.25),
    }
    return {name: Structures.from_ase(atoms) for name, atoms in cells.items()}


def _gamma_frequencies(potential: Potential, crystal: Structures) -> np.ndarray:
    """Frequencies (3n,) THz at Γ, imaginary ones negative, by central differences of forces."""
    count = len(crystal.numbers)
    moves = DISPLACEMENT * torch.eye(3 * count, dtype=torch.float64).reshape(-1, count, 3)
    ahead, behind = (
        [crystal.with_positions(crystal.positions + sign * move) for move in moves]
        for sign in (1, -1)
    )
    with torch.no_grad():
        forces = potential(concatenate(ahead + behind).to(potential.device)).forces
    up, down = forces.cpu().double().reshape(2, 3 * count, 3 * count)
    hessian = (down - up).numpy() / (2 * DISPLACEMENT)  # eV/Å²
    masses = np.repeat(crystal.masses.cpu().numpy(), 3)
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.sqrt(np.outer(masses, masses)))
    return np.sign(squares) * np.sqrt(np.abs(squares)) * TERAHERTZ


def _lowest_optical(frequencies: np.ndarray) -> float:
    """The lowest frequency but for the three translations, those nearest to zero."""
    rest = np.delete(frequencies, np.argsort(np.abs(frequencies))[:3])
    return float(rest.min()) if len(rest) else math.nan
