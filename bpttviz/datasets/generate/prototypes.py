"""Small ordered crystals by their prototype; lengths in Å, angles in degrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    prototype: str,
    formula: str,
    basis: Mapping[str, tuple] | Sequence[tuple[str, tuple]],
    group: int,
    *cell: float,
    primitive: bool = False,
) -> Crystal:
    """A crystal by space group (ITA number, first setting) and cell (a, b, c, three angles).

    `basis` has the fractional coordinates of one atom of each site; of a centred cell the
    `primitive` one may be taken.
    """
    sites = list(basis.items() if isinstance(basis, Mapping) else basis)
    species, places = zip(*sites, strict=True)

    def build() -> Atoms:
        made = crystal(species, places, spacegroup=group, cellpar=cell, primitive_cell=primitive)
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


def molybdenite(metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """2H molybdenum disulfide, P6_3/mmc."""
    basis = {metal: (1 / 3, 2 / 3, 0.25), other: (1 / 3, 2 / 3, z)}
    return from_space_group("molybdenite", f"{metal}{other}2", basis, 194, a, a, c, *_HEXAGONAL)


def cadmium_chloride(metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """Layers of the CdCl2 type, R-3m, stacked in three positions."""
    return _rhombohedral(
        "CdCl2", f"{metal}{other}2", {metal: (0, 0, 0), other: (0, 0, z)}, 166, a, c
    )


def polar_disulfide(metal: str, other: str, z: tuple[float, float], a: float, c: float) -> Crystal:
    """3R molybdenum disulfide, R3m."""
    sites = [(metal, (0, 0, 0)), (other, (0, 0, z[0])), (other, (0, 0, z[1]))]
    return _rhombohedral("polytype3R", f"{metal}{other}2", sites, 160, a, c)


def janus(one: str, two: str, three: str, z: tuple[float, float], a: float, c: float) -> Crystal:
    """Layers with two different sides, as in bismuth telluride iodide, P3m1."""
    basis = {one: (0, 0, 0), two: (2 / 3, 1 / 3, z[0]), three: (1 / 3, 2 / 3, z[1])}
    return from_space_group("BiTeI", one + two + three, basis, 156, a, a, c, *_HEXAGONAL)


def stuffed_layer(guest: str, metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """Layers of the CdI2 type with guests between them, as in LiTiS2, P-3m1."""
    basis = {guest: (0, 0, 0.5), metal: (0, 0, 0), other: (1 / 3, 2 / 3, z)}
    return from_space_group("LiTiS2", f"{guest}{metal}{other}2", basis, 164, a, a, c, *_HEXAGONAL)


def caswellsilverite(guest: str, metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """Layers in three positions with guests between them, as in NaCrS2, R-3m."""
    basis = {guest: (0, 0, 0.5), metal: (0, 0, 0), other: (0, 0, z)}
    return _rhombohedral("caswellsilverite", f"{guest}{metal}{other}2", basis, 166, a, c)


def zintl(
    cation: str, inner: str, outer: str, z: tuple[float, float], a: float, c: float
) -> Crystal:
    """The CaAl2Si2 type, P-3m1."""
    basis = {cation: (0, 0, 0), inner: (1 / 3, 2 / 3, z[0]), outer: (1 / 3, 2 / 3, z[1])}
    formula = f"{cation}{inner}2{outer}2"
    return from_space_group("CaAl2Si2", formula, basis, 164, a, a, c, *_HEXAGONAL)


def gallium_selenide(metal: str, other: str, z: tuple[float, float], a: float, c: float) -> Crystal:
    """Double layers, β-GaSe, P6_3/mmc."""
    basis = {metal: (1 / 3, 2 / 3, z[0]), other: (1 / 3, 2 / 3, z[1])}
    return from_space_group("GaSe", metal + other, basis, 194, a, a, c, *_HEXAGONAL)


def germanium_telluride(one: str, two: str, z: float, a: float, c: float) -> Crystal:
    """Buckled layers of two species, R3m."""
    return _rhombohedral("GeTe", one + two, {one: (0, 0, 0), two: (0, 0, z)}, 160, a, c)


def cinnabar(metal: str, other: str, x: tuple[float, float], a: float, c: float) -> Crystal:
    """Helical chains of two species, P3_121."""
    basis = {metal: (x[0], 0, 1 / 3), other: (x[1], 0, 5 / 6)}
    return from_space_group("cinnabar", metal + other, basis, 152, a, a, c, *_HEXAGONAL)


def calomel(metal: str, halogen: str, z: tuple[float, float], a: float, c: float) -> Crystal:
    """Linear molecules of four atoms, I4/mmm."""
    basis = {metal: (0, 0, z[0]), halogen: (0, 0, z[1])}
    cell = (a, a, c, *_RIGHT)
    return from_space_group("calomel", metal + halogen, basis, 139, *cell, primitive=True)


def molybdenum_disilicide(metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """The MoSi2 type, I4/mmm."""
    basis, cell = {metal: (0, 0, 0), other: (0, 0, z)}, (a, a, c, *_RIGHT)
    return from_space_group("MoSi2", f"{metal}{other}2", basis, 139, *cell, primitive=True)


def nickeline(metal: str, other: str, a: float, c: float) -> Crystal:
    """Nickel arsenide's structure, P6_3/mmc."""
    basis = {metal: (0, 0, 0), other: (1 / 3, 2 / 3, 0.25)}
    return from_space_group("nickeline", metal + other, basis, 194, a, a, c, *_HEXAGONAL)


def chromium_boride(
    metal: str, other: str, y: tuple[float, float], a: float, b: float, c: float
) -> Crystal:
    """Zigzag chains between prisms, Cmcm, both species on (0, y, 1/4)."""
    basis = {metal: (0, y[0], 0.25), other: (0, y[1], 0.25)}
    return from_space_group("CrB", metal + other, basis, 63, a, b, c, *_RIGHT, primitive=True)


def sodium_arsenide(metal: str, other: str, z: float, a: float, c: float) -> Crystal:
    """The Na3As type, P6_3/mmc."""
    sites = [
        (metal, (0, 0, 0.25)),
        (metal, (1 / 3, 2 / 3, z)),
        (other, (1 / 3, 2 / 3, 0.25)),
    ]
    return from_space_group("Na3As", f"{metal}3{other}", sites, 194, a, a, c, *_HEXAGONAL)


def matlockite(
    one: str, plane: str, two: str, z: tuple[float, float], a: float, c: float
) -> Crystal:
    """The PbFCl type, P4/nmm, `plane` on the square net."""
    basis = {one: (0, 0.5, z[0]), plane: (0, 0, 0), two: (0, 0.5, z[1])}
    return from_space_group("matlockite", one + plane + two, basis, 129, a, a, c, *_RIGHT)


def cooperite(metal: str, other: str, a: float, c: float) -> Crystal:
    """Platinum sulfide's structure, P4_2/mmc."""
    basis = {metal: (0, 0.5, 0), other: (0, 0, 0.25)}
    return from_space_group("cooperite", metal + other, basis, 131, a, a, c, *_RIGHT)


def marcasite(
    metal: str, other: str, xy: tuple[float, float], a: float, b: float, c: float
) -> Crystal:
    """Marcasite, Pnnm, the other species on (x, y, 0)."""
    basis = {metal: (0, 0, 0), other: (*xy, 0)}
    return from_space_group("marcasite", f"{metal}{other}2", basis, 58, a, b, c, *_RIGHT)


def chalcopyrite(one: str, two: str, other: str, x: float, a: float, c: float) -> Crystal:
    """Chalcopyrite, I-42d."""
    basis = {one: (0, 0, 0), two: (0, 0, 0.5), other: (x, 0.25, 0.125)}
    formula, cell = f"{one}{two}{other}2", (a, a, c, *_RIGHT)
    return from_space_group("chalcopyrite", formula, basis, 122, *cell, primitive=True)


def stuffed_wurtzite(
    guest: str, one: str, two: str, z: tuple[float, float], a: float, c: float
) -> Crystal:
    """The LiGaGe type, P6_3mc."""
    basis = {guest: (0, 0, 0), one: (1 / 3, 2 / 3, z[0]), two: (1 / 3, 2 / 3, z[1])}
    return from_space_group("LiGaGe", guest + one + two, basis, 186, a, a, c, *_HEXAGONAL)


def _rhombohedral(
    prototype: str,
    formula: str,
    basis: Mapping[str, tuple] | Sequence[tuple[str, tuple]],
    group: int,
    a: float,
    c: float,
) -> Crystal:
    """The primitive cell of what is given in the hexagonal one."""
    cell = (a, a, c, *_HEXAGONAL)
    return from_space_group(prototype, formula, basis, group, *cell, primitive=True)
