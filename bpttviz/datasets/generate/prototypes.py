"""Small ordered crystals by their prototype; lengths in Å, angles in degrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

_RIGHT = (90.0, 90.0, 90.0)
_HEXAGONAL = (90.0, 90.0, 120.0)


@dataclass(frozen=True)
class Crystal:
    """A crystal: its prototype, its formula, and how to build it."""

    prototype: str
    formula: str
    build: Callable[[], Atoms]


def known_to_ase(prototype: str, formula: str, **lattice: Any) -> Crystal:
    """A prototype that `ase.build.bulk` knows by name; `lattice` are its options."""
    return Crystal(prototype, formula, lambda: bulk(formula, prototype, **lattice))


def face_centred(prototype: str, formula: str, a: float, *along: float) -> Crystal:
    """A primitive face-centred cubic cell, its atoms at fractions `along` its diagonal."""
    cell = a / 2 * (1 - np.eye(3))
    basis = np.outer(along, np.ones(3))
    symbols = f"{formula}2" if prototype == "diamond" else formula
    return Crystal(
        prototype, formula, lambda: Atoms(symbols, cell=cell, scaled_positions=basis, pbc=True)
    )


def from_space_group(
    prototype: str, formula: str, basis: dict[str, tuple], group: int, *cell: float
) -> Crystal:
    """A crystal by space group (ITA number, first setting) and cell (a, b, c, three angles).

    `basis` has the fractional coordinates of one atom of each species.
    """

    def build() -> Atoms:
        made = crystal(list(basis), list(basis.values()), spacegroup=group, cellpar=cell)
        return Atoms(made.symbols, made.positions, cell=made.cell, pbc=True)  # without extras

    return Crystal(prototype, formula, build)


def chain(symbol: str, x: float, a: float, c: float) -> Crystal:
    """Helical chains, P3_121, as in selenium."""
    basis = {symbol: (x, 0, 1 / 3)}
    return from_space_group("chain", symbol, basis, 152, a, a, c, *_HEXAGONAL)


def arsenic(symbol: str, z: float, a: float, c: float) -> Crystal:
    """Buckled layers, A7, in the hexagonal cell."""
    return from_space_group("arsenic", symbol, {symbol: (0, 0, z)}, 166, a, a, c, *_HEXAGONAL)


def rutile(metal: str, other: str, u: float, a: float, c: float) -> Crystal:
    """Rutile, P4_2/mnm, the other species on (u, u, 0)."""
    basis = {metal: (0, 0, 0), other: (u, u, 0)}
    return from_space_group("rutile", f"{metal}{other}2", basis, 136, a, a, c, *_RIGHT)


def layer(metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """Layers of the CdI2 type, P-3m1, the other species on (1/3, 2/3, z)."""
    basis = {metal: (0, 0, 0), other: (1 / 3, 2 / 3, z)}
    return from_space_group("layer", f"{metal}{other}2", basis, 164, a, a, c, *_HEXAGONAL)


def herzenbergite(
    metal: str,
    other: str,
    metal_xz: tuple[float, float],
    other_xz: tuple[float, float],
    a: float,
    b: float,
    c: float,
) -> Crystal:
    """Tin sulfide's structure, Pnma, both species on (x, 1/4, z)."""
    basis = {metal: (metal_xz[0], 0.25, metal_xz[1]), other: (other_xz[0], 0.25, other_xz[1])}
    return from_space_group("herzenbergite", metal + other, basis, 62, a, b, c, *_RIGHT)


def black_phosphorus(
    prototype: str, symbol: str, y: float, z: float, a: float, b: float, c: float
) -> Crystal:
    """Black phosphorus' and gallium's structure, Cmce, the atoms on (0, y, z)."""
    return from_space_group(prototype, symbol, {symbol: (0, y, z)}, 64, a, b, c, *_RIGHT)


def quartz() -> Crystal:
    """α-quartz, P3_221."""
    basis = {"Si": (0.47, 0, 2 / 3), "O": (0.414, 0.267, 0.786)}
    return from_space_group("quartz", "SiO2", basis, 154, 4.91, 4.91, 5.40, *_HEXAGONAL)


def molybdenite() -> Crystal:
    """2H molybdenum disulfide, P6_3/mmc."""
    basis = {"Mo": (1 / 3, 2 / 3, 0.25), "S": (1 / 3, 2 / 3, 0.621)}
    return from_space_group("molybdenite", "MoS2", basis, 194, 3.16, 3.16, 12.30, *_HEXAGONAL)
