"""Starts of small crystals, strained and displaced: `CRYSTALS`, `UNLABELLED_CRYSTALS`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from bpttviz.datasets.generate.hessians import scaled_identity
from bpttviz.datasets.generate.prototypes import (
    Crystal,
    arsenic,
    black_phosphorus,
    cadmium_chloride,
    calomel,
    caswellsilverite,
    chain,
    chalcopyrite,
    chromium_boride,
    cinnabar,
    cooperite,
    face_centred,
    gallium_selenide,
    germanium_telluride,
    herzenbergite,
    janus,
    known_to_ase,
    layer,
    marcasite,
    matlockite,
    molybdenite,
    molybdenum_disilicide,
    nickeline,
    polar_disulfide,
    quartz,
    rutile,
    sodium_arsenide,
    stuffed_layer,
    stuffed_wurtzite,
    zintl,
)
from bpttviz.datasets.generate.spacing import push_apart


@dataclass(frozen=True)
class CrystalTask:
    """One relaxation of a small ordered crystal in a fixed, by default strained, cell."""

    number: int
    crystal: Crystal
    strain: float = 0.02
    initial_hessian = staticmethod(scaled_identity)

    @property
    def seed(self) -> int:
        """Seed of everything random in the start."""
        return 5000 + self.number

    @property
    def name(self) -> str:
        """The file's name, without its ending."""
        return f"{self.number:03d}_{self.crystal.prototype}_{self.crystal.formula}"

    @property
    def info(self) -> dict:
        """What every frame of the file says of its task."""
        return {
            "family": self.crystal.prototype,
            "species": self.crystal.formula,
            "seed": self.seed,
        }

    def ideal(self) -> Atoms:
        """The crystal before strain and displacements."""
        return self.crystal.build()

    def start(self) -> Atoms:
        """The start: the ideal crystal in a strained cell, its atoms displaced by N(0, 0.10 Å).

        Each component of the strain is drawn from N(0, strain) and then made symmetric; no pair is
        closer than three quarters of the ideal shortest distance. The strain lowers the symmetry,
        so that where atoms have no inversion centre, or a free coordinate, the end is not known by
        symmetry alone.
        """
        # RandomState, because numpy promises never to change its stream.
        rng = np.random.RandomState(self.seed)
        atoms = self.ideal()
        shortest = min(neighbor_list("d", atoms, 4.0))
        strain = rng.normal(0.0, self.strain, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.10, (len(atoms), 3))
        push_apart(atoms, 0.75 * shortest)
        return atoms


# Small crystals without magnetism; cells near experiment (they stay fixed). Those with a free
# coordinate or without inversion centres come first; the last ones, whose ends symmetry tells,
# check that nothing else happens.
_STRAINED = [
    chain("Se", 0.225, 4.37, 4.96),
    arsenic("As", 0.227, 3.76, 10.55),
    known_to_ase("wurtzite", "AlN", a=3.11, c=4.98),
    rutile("Mg", "F", 0.303, 4.62, 3.05),
    layer("Mg", "Br", 0.25, 3.81, 6.26),
    face_centred("zincblende", "GaAs", 5.65, 0, 1 / 4),
    herzenbergite("Ge", "S", (0.122, 0.106), (0.848, 0.503), 10.47, 3.64, 4.30),
    chain("Te", 0.264, 4.46, 5.92),
    face_centred("diamond", "Ge", 5.66, 0, 1 / 4),
    known_to_ase("wurtzite", "ZnO", a=3.25, c=5.21),
    arsenic("Sb", 0.233, 4.31, 11.27),
    layer("Ti", "S", 0.25, 3.41, 5.70),
    rutile("Ti", "O", 0.305, 4.59, 2.96),
    known_to_ase("hcp", "Mg", a=3.21, c=5.21),
    black_phosphorus("pnictogen", "P", 0.102, 0.081, 3.31, 10.48, 4.37),
    face_centred("zincblende", "SiC", 4.36, 0, 1 / 4),
    herzenbergite("Sn", "S", (0.119, 0.119), (0.850, 0.479), 11.20, 3.98, 4.33),
    known_to_ase("wurtzite", "GaN", a=3.19, c=5.19),
    arsenic("Bi", 0.234, 4.55, 11.86),
    face_centred("zincblende", "AlP", 5.46, 0, 1 / 4),
    layer("Cd", "I", 0.25, 4.24, 6.84),
    rutile("Sn", "O", 0.306, 4.74, 3.19),
    face_centred("diamond", "C", 3.57, 0, 1 / 4),
    known_to_ase("wurtzite", "BeO", a=2.70, c=4.38),
    face_centred("zincblende", "BN", 3.62, 0, 1 / 4),
    quartz(),
    known_to_ase("hcp", "Zn", a=2.66, c=4.95),
    face_centred("zincblende", "InP", 5.87, 0, 1 / 4),
    layer("Sn", "S", 0.25, 3.65, 5.90),
    known_to_ase("wurtzite", "CdS", a=4.14, c=6.72),
    herzenbergite("Ge", "Se", (0.121, 0.106), (0.852, 0.502), 10.84, 3.83, 4.39),
    face_centred("zincblende", "ZnS", 5.41, 0, 1 / 4),
    face_centred("fluorite", "CaF2", 5.46, 0, 1 / 4, 3 / 4),
    face_centred("diamond", "Sn", 6.49, 0, 1 / 4),
    face_centred("fluorite", "SiMg2", 6.35, 0, 1 / 4, 3 / 4),
    face_centred("zincblende", "AlAs", 5.66, 0, 1 / 4),
    known_to_ase("hcp", "Ti", a=2.95, c=4.68),
    rutile("Ge", "O", 0.306, 4.40, 2.86),
    face_centred("zincblende", "GaP", 5.45, 0, 1 / 4),
    molybdenite("Mo", "S", 0.621, 3.16, 12.30),
    black_phosphorus("gallium", "Ga", 0.155, 0.081, 4.52, 7.66, 4.53),
    face_centred("diamond", "Si", 5.469, 0, 1 / 4),
    face_centred("rocksalt", "MgO", 4.21, 0, 1 / 2),
    face_centred("rocksalt", "NaCl", 5.64, 0, 1 / 2),
    known_to_ase("cesiumchloride", "CsCl", a=4.12),
]

# More with free coordinates, appended later, as the place decides number and seed. The names of
# their groups put all of them into the test part, which alone was to grow. Neither oxygen nor
# fluorine: 400 eV is too little for them.
_FREE = [
    layer("Ti", "Te", 0.262, 3.78, 6.50),
    layer("Hf", "Se", 0.257, 3.75, 6.16),
    zintl("Ca", "Zn", "As", (0.63, 0.25), 4.16, 7.03),
    chromium_boride("Ca", "Si", (0.36, 0.07), 4.55, 10.70, 3.89),
    germanium_telluride("Ge", "Te", 0.525, 4.16, 10.66),
    janus("Bi", "Te", "I", (0.75, 0.29), 4.34, 6.85),
    known_to_ase("wurtzite", "CdSe", a=4.30, c=7.01),
    caswellsilverite("Na", "Y", "S", 0.258, 3.97, 19.90),
    polar_disulfide("Mo", "S", (0.2477, 0.4190), 3.17, 18.41),
    matlockite("Na", "Mg", "P", (0.65, 0.21), 4.25, 6.90),
    layer("Ca", "I", 0.25, 4.48, 6.96),
    cadmium_chloride("Cd", "Cl", 0.25, 3.85, 17.46),
    stuffed_layer("Li", "Zr", "S", 0.235, 3.60, 6.20),
    zintl("Ca", "Mg", "Bi", (0.63, 0.24), 4.73, 7.68),
    chromium_boride("In", "I", (0.398, 0.145), 4.77, 12.76, 4.91),
    calomel("Hg", "Br", (0.116, 0.34), 4.66, 11.10),
    molybdenum_disilicide("W", "Si", 0.335, 3.21, 7.83),
    janus("Mo", "S", "Se", (0.75, 0.28), 3.22, 6.60),
    known_to_ase("wurtzite", "MgSe", a=4.15, c=6.72),
    cooperite("Pd", "S", 3.50, 6.20),
    layer("Ge", "I", 0.25, 4.13, 6.80),
    germanium_telluride("Bi", "Sb", 0.53, 4.43, 11.50),
    caswellsilverite("Li", "Sc", "S", 0.255, 3.70, 18.50),
    stuffed_layer("Li", "Sn", "S", 0.24, 3.67, 7.90),
    cinnabar("Hg", "S", (0.72, 0.489), 4.15, 9.50),
    layer("Pt", "Te", 0.254, 4.03, 5.22),
    known_to_ase("wurtzite", "AlP", a=3.86, c=6.32),
    nickeline("Pt", "Te", 4.10, 5.60),
    zintl("Ca", "Al", "Ge", (0.63, 0.27), 4.18, 7.20),
    chromium_boride("Sr", "Sn", (0.36, 0.07), 5.02, 12.04, 4.49),
    molybdenite("W", "Se", 0.621, 3.28, 12.96),
    stuffed_wurtzite("Li", "Zn", "Sb", (0.2, 0.8), 4.43, 7.16),
    germanium_telluride("Ge", "Se", 0.525, 3.90, 10.30),
    janus("Bi", "Te", "Cl", (0.74, 0.29), 4.24, 6.30),
    layer("Zr", "Te", 0.265, 3.95, 6.63),
    known_to_ase("wurtzite", "CuBr", a=4.06, c=6.66),
    caswellsilverite("Na", "Sc", "S", 0.258, 3.78, 19.70),
    chromium_boride("Nb", "B", (0.354, 0.06), 3.30, 8.70, 3.17),
    marcasite("Os", "As", (0.17, 0.37), 5.41, 6.19, 3.01),
    layer("Zn", "I", 0.25, 4.25, 6.54),
    chalcopyrite("Mg", "Ge", "P", 0.28, 5.65, 10.90),
    known_to_ase("wurtzite", "BN", a=2.55, c=4.21),
    gallium_selenide("In", "Se", (0.157, 0.602), 4.00, 16.64),
    layer("Ca", "Br", 0.25, 4.20, 6.40),
    sodium_arsenide("Na", "Sb", 0.583, 5.37, 9.50),
    matlockite("Zr", "Ge", "S", (0.27, 0.63), 3.63, 8.02),
    chalcopyrite("Li", "Ga", "Te", 0.26, 6.33, 11.70),
    nickeline("Ni", "Bi", 4.07, 5.33),
    chromium_boride("Zr", "Si", (0.36, 0.07), 3.76, 9.90, 3.75),
    layer("Ta", "S", 0.25, 3.36, 5.90),
]

CRYSTALS = (
    *(CrystalTask(300 + k, crystal) for k, crystal in enumerate(_STRAINED)),
    CrystalTask(345, known_to_ase("fcc", "Al", a=4.05, cubic=True), strain=0.0),
    CrystalTask(346, known_to_ase("fcc", "Cu", a=3.62, cubic=True), strain=0.0),
    CrystalTask(347, known_to_ase("bcc", "Na", a=4.23, cubic=True)),
    *(CrystalTask(348 + k, crystal) for k, crystal in enumerate(_FREE)),
)

# Of the same prototypes, but crystals of which no relaxation is planned: starts without labels (see
# `unlabelled_frames`).
_NEVER = [
    layer("Pt", "S", 0.227, 3.54, 5.04),
    layer("Zr", "S", 0.257, 3.66, 5.83),
    layer("Sn", "Se", 0.25, 3.81, 6.14),
    layer("Pb", "I", 0.265, 4.56, 6.98),
    layer("Mg", "I", 0.25, 4.15, 6.88),
    cadmium_chloride("Mg", "Cl", 0.258, 3.64, 17.67),
    cadmium_chloride("Cd", "Br", 0.25, 3.95, 18.67),
    molybdenite("W", "S", 0.622, 3.15, 12.32),
    molybdenite("Mo", "Se", 0.621, 3.29, 12.93),
    polar_disulfide("Nb", "S", (0.247, 0.419), 3.33, 17.81),
    janus("Bi", "Te", "Br", (0.75, 0.29), 4.27, 6.49),
    stuffed_layer("Li", "Ti", "S", 0.24, 3.44, 6.19),
    stuffed_layer("Li", "Zr", "Se", 0.24, 3.73, 6.66),
    caswellsilverite("Na", "In", "S", 0.26, 3.80, 19.89),
    zintl("Ca", "Mg", "Sb", (0.63, 0.24), 4.66, 7.58),
    zintl("Sr", "Zn", "P", (0.63, 0.26), 4.10, 7.10),
    gallium_selenide("Ga", "Se", (0.175, 0.6), 3.75, 15.95),
    germanium_telluride("Sn", "Te", 0.52, 4.48, 10.90),
    cinnabar("Hg", "Se", (0.70, 0.49), 4.32, 9.68),
    calomel("Hg", "Cl", (0.12, 0.34), 4.48, 10.91),
    molybdenum_disilicide("Mo", "Si", 0.333, 3.20, 7.85),
    nickeline("Pd", "Te", 4.15, 5.67),
    nickeline("Pt", "Sb", 4.13, 5.48),
    chromium_boride("Ca", "Ge", (0.36, 0.07), 4.58, 10.85, 4.00),
    chromium_boride("Hf", "Si", (0.36, 0.07), 3.73, 9.75, 3.70),
    sodium_arsenide("Na", "P", 0.583, 4.98, 8.82),
    matlockite("Pb", "F", "Cl", (0.205, 0.65), 4.11, 7.25),
    matlockite("Ba", "F", "Cl", (0.205, 0.647), 4.39, 7.23),
    cooperite("Pt", "S", 3.47, 6.11),
    marcasite("Os", "P", (0.16, 0.37), 5.10, 5.90, 2.92),
    chalcopyrite("Cu", "Ga", "S", 0.25, 5.35, 10.48),
    chalcopyrite("Zn", "Si", "P", 0.27, 5.40, 10.44),
    stuffed_wurtzite("Li", "Ga", "Ge", (0.2, 0.8), 4.18, 6.78),
    herzenbergite("Sn", "Se", (0.118, 0.103), (0.855, 0.479), 11.50, 4.15, 4.44),
    black_phosphorus("pnictogen", "As", 0.101, 0.083, 3.65, 11.00, 4.47),
    rutile("Zn", "F", 0.303, 4.70, 3.13),
    rutile("Pb", "O", 0.308, 4.95, 3.38),
    known_to_ase("wurtzite", "InN", a=3.54, c=5.70),
    known_to_ase("wurtzite", "AgI", a=4.59, c=7.51),
    known_to_ase("wurtzite", "MgTe", a=4.54, c=7.39),
    face_centred("zincblende", "CdTe", 6.48, 0, 1 / 4),
    face_centred("fluorite", "SrCl2", 6.98, 0, 1 / 4, 3 / 4),
    face_centred("rocksalt", "PbS", 5.94, 0, 1 / 2),
    face_centred("rocksalt", "LiF", 4.03, 0, 1 / 2),
    known_to_ase("cesiumchloride", "CsI", a=4.57),
    known_to_ase("hcp", "Zr", a=3.23, c=5.15),
    known_to_ase("fcc", "Au", a=4.08, cubic=True),
    known_to_ase("bcc", "Li", a=3.51, cubic=True),
]
UNLABELLED_CRYSTALS = tuple(CrystalTask(700 + k, crystal) for k, crystal in enumerate(_NEVER))
