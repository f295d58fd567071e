"""Make the shipped relaxations: starts from a seed, relaxed by an ASE calculator.

    python -m bpttviz.datasets.generate si-defects --out DIR --index 0/4
    python -m bpttviz.datasets.generate crystals --out DIR --index 0/4
    python -m bpttviz.datasets.generate continue FILE... --out DIR
    python -m bpttviz.datasets.generate restart FILE... --out DIR --cutoff 350 --kpts 2

Needs numpy and ASE (3.22 or later) and the chosen engine, not torch: Debian's GPAW lives in the
system's Python. Each relaxation becomes NAME.extxyz, written whole when it is at rest, every frame
with energy (eV) and forces (eV/Å). Until then NAME.partial.extxyz holds what is known, and a second
call goes on from there. One folder holds one kind of label: other settings are refused. Runs under
MPI too (`mpirun -np 4 python3 -m ...`): rank 0 alone touches files, without collective calls.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

PARTIAL = ".partial.extxyz"


class SettingsMismatch(ValueError):
    """A folder or file holds labels made with other engine settings."""


class NotAtRest(RuntimeError):
    """A relaxation reached its largest number of steps before its force tolerance."""


# --- Engines: what computes energies and forces ---------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """One stretch of a relaxation: calculator parameters in force until fmax (eV/Å) is met."""

    fmax: float
    parameters: dict = field(default_factory=dict)


class GPAWEngine:
    """PBE in plane waves with GPAW: loose SCF far from rest, tight SCF at the end.

    cutoff in eV; kpts a mesh (n, n, n), or a density in points per Å⁻¹ (then with Γ among them).
    Spin-paired and neutral, point-group symmetry off.
    """

    def __init__(self, cutoff: float = 250.0, kpts: tuple | float = (1, 1, 1)):
        import gpaw  # before anything asks ASE for its MPI world, which is chosen at first use

        self._gpaw = gpaw
        self.cutoff, self.kpts = cutoff, kpts
        self.stages = (
            Stage(0.03, {"convergence": {"density": 1e-4, "eigenstates": 1e-5, "energy": 1e-4}}),
            Stage(0.01, {"convergence": {"density": 1e-5, "eigenstates": 1e-7, "energy": 1e-5}}),
        )
        mesh = kpts if isinstance(kpts, tuple) else f"{kpts:g} per 1/A with Gamma"
        self.settings = (
            f"GPAW {gpaw.__version__} PBE PW {cutoff:g} eV, kpts {mesh}, spin-paired, neutral, "
            "Fermi-Dirac 0.1 eV, SCF density 1e-4 to fmax 0.03 then 1e-5 to fmax 0.01 eV/A"
        )

    def calculator(self, log: Path | None = None):
        """A fresh calculator with the first stage's parameters, its own log going to `log`."""
        gpaw = self._gpaw
        mesh = self.kpts
        if not isinstance(mesh, tuple):
            mesh = {"density": mesh, "gamma": True}
        return gpaw.GPAW(
            mode=gpaw.PW(self.cutoff),
            xc="PBE",
            kpts=mesh,
            occupations=gpaw.FermiDirac(0.1),
            symmetry={"point_group": False},  # time reversal stays
            nbands="106%",
            eigensolver=gpaw.Davidson(2),
            mixer=gpaw.Mixer(0.2, 6, 20),
            txt=None if log is None else str(log),
            **self.stages[0].parameters,
        )


class EMTEngine:
    """ASE's effective-medium theory: some metals, milliseconds a step; for checks."""

    stages = (Stage(0.01),)
    settings = "EMT (ASE)"

    def calculator(self, log: Path | None = None):
        from ase.calculators.emt import EMT

        return EMT()


class CHGNetEngine:
    """The pretrained CHGNet, about a second a step for 64 atoms; for checks."""

    stages = (Stage(0.01),)

    def __init__(self):
        from chgnet.model import CHGNet

        self._model = CHGNet.load(use_device="cpu", verbose=False)
        self.settings = f"CHGNet {self._model.version}"

    def calculator(self, log: Path | None = None):
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(self._model, use_device="cpu")


# --- Starts: silicon with a defect ----------------------------------------------------------------

SILICON_A = 5.469  # Å, PBE lattice constant of the host
SHORTEST_PAIR = 2.05  # Å, no start has a closer pair


@dataclass(frozen=True)
class Site:
    """Where a defect goes: atom i, one of its neighbours j, and the vector i → j (Å)."""

    i: int
    j: int
    bond: np.ndarray
    axis: np.ndarray  # a random <110> unit vector


# Each family changes the host in place and returns the centres (n,3) of the defect in Å.


def vac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Vacancy."""
    centres = atoms.positions[[site.i]].copy()
    del atoms[[site.i]]
    return centres


def divac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two neighbouring vacancies."""
    centre = atoms.positions[site.i]
    centres = np.array([centre, centre + site.bond])
    del atoms[[site.i, site.j]]
    return centres


def sub(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """One silicon atom replaced."""
    atoms.symbols[site.i] = species
    return atoms.positions[[site.i]].copy()


def subvac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """A replaced atom beside a vacancy."""
    atoms.symbols[site.j] = species
    centre = atoms.positions[site.i].copy()
    del atoms[[site.i]]
    return np.array([centre, centre + site.bond])


def subsub(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two neighbouring atoms replaced by the same species."""
    atoms.symbols[[site.i, site.j]] = species
    centre = atoms.positions[site.i]
    return np.array([centre, centre + site.bond])


def _add(atoms: Atoms, species: str, position: np.ndarray) -> np.ndarray:
    atoms += Atoms(species, positions=[position])
    return position[None].copy()


def tet(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Interstitial in a tetrahedral hole: opposite to a bond, one bond length away."""
    return _add(atoms, species, atoms.positions[site.i] - site.bond)


def hex(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Interstitial in a hexagonal ring: half way between two tetrahedral holes."""
    return _add(atoms, species, atoms.positions[site.i] - 1.5 * site.bond)


def split(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two atoms share a site, 2.4 Å apart along <110>: the species and silicon."""
    centre = atoms.positions[site.i].copy()
    atoms.symbols[site.i] = species
    atoms.positions[site.i] = centre + 1.2 * site.axis
    _add(atoms, "Si", centre - 1.2 * site.axis)
    return centre[None]


@dataclass(frozen=True)
class DefectTask:
    """One relaxation of a defect in 64-site silicon. `variant` counts the starts of one defect."""

    number: int
    family: Callable[[Atoms, Site, str], np.ndarray]
    species: str
    variant: int = 0

    @property
    def seed(self) -> int:
        return 3000 + self.number

    @property
    def name(self) -> str:
        return f"{self.number:03d}_{self.family.__name__}_{self.species}"

    @property
    def info(self) -> dict:
        family = self.family.__name__
        return {
            "defect": f"{family}:{self.species}",
            "family": family,
            "species": self.species,
            "seed": self.seed,
        }

    def start(self) -> Atoms:
        """The start: a random site, half of its neighbours stretched (variants), all rattled.

        Every atom is displaced by N(0, 0.02 Å), atoms within 3.6 Å of the defect by N(0, 0.12 Å)
        more. Odd variants first pull half of the nearest neighbours 12 % towards the centre, even
        ones from the second on push them away, so that starts of one defect do not all fall into
        the nearest minimum (the idea of ShakeNBreak, doi:10.1038/s41524-023-00973-1).
        """
        # RandomState, because numpy promises never to change its stream.
        rng = np.random.RandomState(self.seed)
        atoms = bulk("Si", "diamond", a=SILICON_A, cubic=True) * (2, 2, 2)
        centres = self.family(atoms, _random_site(atoms, rng), self.species)
        vectors, distances = _from_centres(atoms, centres)
        if self.variant:
            factor = -0.12 if self.variant % 2 else 0.12
            shell = np.flatnonzero((distances > 0.5) & (distances < 2.7))
            half = rng.permutation(shell)[: max(1, len(shell) // 2)]
            atoms.positions[half] += factor * vectors[half]
        atoms.positions += rng.normal(0.0, 0.02, (len(atoms), 3))
        near = distances < 3.6
        atoms.positions[near] += rng.normal(0.0, 0.12, (int(near.sum()), 3))
        push_apart(atoms, SHORTEST_PAIR)
        return atoms


def _random_site(atoms: Atoms, rng: np.random.RandomState) -> Site:
    i = int(rng.randint(len(atoms)))
    vectors = atoms.get_distances(i, range(len(atoms)), mic=True, vector=True)
    neighbours = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[1:5]
    j = int(np.sort(neighbours)[rng.randint(4)])
    axis = np.zeros(3)
    plane = rng.permutation(3)[:2]
    axis[plane] = rng.choice([-1.0, 1.0], 2) / np.sqrt(2)
    return Site(i, j, vectors[j], axis)


def _from_centres(atoms: Atoms, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vector (N,3) from each atom's nearest centre, and its length (N,), in Å."""
    all_vectors = np.stack(
        [find_mic(atoms.positions - centre, atoms.cell, atoms.pbc)[0] for centre in centres]
    )
    lengths = np.linalg.norm(all_vectors, axis=2)
    nearest, every = lengths.argmin(0), np.arange(len(atoms))
    return all_vectors[nearest, every], lengths[nearest, every]


def push_apart(atoms: Atoms, shortest: float) -> None:
    """Move atoms (in place) until no pair is closer than `shortest` (Å, minimum image).

    Raises RuntimeError where 1000 rounds do not suffice.
    """
    for _ in range(1000):
        vectors = atoms.get_all_distances(mic=True, vector=True)
        lengths = np.linalg.norm(vectors, axis=2)
        i, j = np.nonzero(np.triu(lengths < shortest, k=1))
        if len(i) == 0:
            return
        length = lengths[i, j][:, None]
        # a hundredth more than needed, or the last 1e-16 Å would take for ever
        half = 0.505 * (shortest - length) * vectors[i, j] / length + 1e-6 * vectors[i, j] / length
        np.add.at(atoms.positions, j, half)
        np.add.at(atoms.positions, i, -half)
    raise RuntimeError(f"atoms of {atoms.symbols} cannot be {shortest} Å apart")


def _silicon_defects() -> tuple[DefectTask, ...]:
    """New defects first, so that unseen groups exist early; then more starts of each."""
    new = [
        (sub, "Sn"), (subvac, "P"), (tet, "Ge"), (subsub, "Ge"), (split, "Ge"), (sub, "B"),
        (hex, "P"), (subvac, "Sb"), (sub, "Al"), (subsub, "P"), (sub, "C"), (tet, "Al"),
        (subvac, "Sn"), (split, "P"), (sub, "Ga"), (subsub, "As"), (hex, "Ge"), (subvac, "B"),
        (tet, "As"), (split, "C"), (sub, "In"), (subsub, "B"), (subvac, "C"), (hex, "Al"),
        (sub, "N"), (subsub, "C"), (tet, "B"), (split, "B"), (subvac, "Al"), (subsub, "Sb"),
    ]  # fmt: skip
    more = [
        (vac, "Si", 1), (split, "Si", 1), (divac, "Si", 1), (tet, "Si", 1), (subvac, "Ge", 1),
        (vac, "Si", 2), (hex, "Si", 1), (subvac, "As", 1), (sub, "P", 1), (subvac, "P", 1),
        (tet, "Ge", 1), (split, "Ge", 1), (hex, "P", 1), (tet, "P", 1), (subsub, "Sn", 1),
        (sub, "C", 1), (sub, "B", 1), (tet, "Al", 1), (subvac, "Sb", 1), (split, "P", 1),
        (divac, "Si", 2), (tet, "Si", 2), (sub, "Sn", 1), (subvac, "Sn", 1), (hex, "Ge", 1),
        (sub, "As", 1), (split, "C", 1), (subsub, "P", 1), (subvac, "B", 1), (hex, "Si", 2),
        (split, "Si", 2), (subvac, "Ge", 2), (subvac, "P", 2), (tet, "Ge", 2), (split, "Ge", 2),
    ]  # fmt: skip
    rows = [(*row, 0) for row in new] + more
    return tuple(DefectTask(200 + k, *row) for k, row in enumerate(rows))


SILICON_DEFECTS = _silicon_defects()


# --- Starts: small crystals -----------------------------------------------------------------------


@dataclass(frozen=True)
class CrystalTask:
    """One relaxation of a small ordered crystal in a fixed, by default strained, cell."""

    number: int
    prototype: str
    species: str
    ideal: Callable[[], Atoms]
    strain: float = 0.02

    @property
    def seed(self) -> int:
        return 5000 + self.number

    @property
    def name(self) -> str:
        return f"{self.number:03d}_{self.prototype}_{self.species}"

    @property
    def info(self) -> dict:
        return {"family": self.prototype, "species": self.species, "seed": self.seed}

    def start(self) -> Atoms:
        """The ideal crystal, its cell strained by N(0, strain) a component, its atoms by
        N(0, 0.10 Å), no pair closer than three quarters of the ideal shortest distance.

        The strain lowers the symmetry, so that where atoms have no inversion centre, or a free
        coordinate, the end is not known by symmetry alone.
        """
        rng = np.random.RandomState(self.seed)
        atoms = self.ideal()
        shortest = min(neighbor_list("d", atoms, 4.0))
        strain = rng.normal(0.0, self.strain, (3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.10, (len(atoms), 3))
        push_apart(atoms, 0.75 * shortest)
        return atoms


def _free(symbols, basis, group: int, *cell: float) -> Callable[[], Atoms]:
    """A crystal from its space group (ITA number, first setting), basis and cell in Å, degrees."""

    def ideal() -> Atoms:
        made = crystal(symbols, basis, spacegroup=group, cellpar=cell)
        return Atoms(made.symbols, made.positions, cell=made.cell, pbc=True)  # without extras

    return ideal


def _crystals() -> tuple[CrystalTask, ...]:
    """Small crystals without magnetism; cells near experiment (they stay fixed).

    Those with a free coordinate or without inversion centres come first; the last ones, whose
    ends symmetry tells, check that nothing else happens.
    """
    hexagonal = (90.0, 90.0, 120.0)
    rows = []

    def add(prototype: str, species: str, ideal: Callable[[], Atoms], strain: float = 0.02):
        rows.append(CrystalTask(300 + len(rows), prototype, species, ideal, strain))

    def chain(symbol, x, a, c):  # helical chains, P3_121
        add("chain", symbol, _free([symbol], [(x, 0, 1 / 3)], 152, a, a, c, *hexagonal))

    def arsenic(symbol, z, a, c):  # A7 in its hexagonal cell
        add("arsenic", symbol, _free([symbol], [(0, 0, z)], 166, a, a, c, *hexagonal))

    def rutile(metal, other, u, a, c):
        basis = [(0, 0, 0), (u, u, 0)]
        add("rutile", f"{metal}{other}2", _free([metal, other], basis, 136, a, a, c, 90, 90, 90))

    def layer(metal, other, z, a, c):  # CdI2 type
        basis = [(0, 0, 0), (1 / 3, 2 / 3, z)]
        add("layer", f"{metal}{other}2", _free([metal, other], basis, 164, a, a, c, *hexagonal))

    def tin_sulfide(metal, other, m, o, a, b, c):  # Pnma, both species on (x, 1/4, z)
        basis = [(m[0], 0.25, m[1]), (o[0], 0.25, o[1])]
        add("herzenbergite", metal + other, _free([metal, other], basis, 62, a, b, c, 90, 90, 90))

    def fcc(kind, formula, a, *along):  # primitive cell, atoms along its diagonal
        cell = a / 2 * (1 - np.eye(3))
        basis = np.outer(along, np.ones(3))
        symbols = f"{formula}2" if kind == "diamond" else formula
        add(kind, formula, lambda: Atoms(symbols, cell=cell, scaled_positions=basis, pbc=True))

    def wurtzite(formula, a, c, u=None):
        add("wurtzite", formula, lambda: bulk(formula, "wurtzite", a=a, c=c, u=u))

    chain("Se", 0.225, 4.37, 4.96)
    arsenic("As", 0.227, 3.76, 10.55)
    wurtzite("AlN", 3.11, 4.98)
    rutile("Mg", "F", 0.303, 4.62, 3.05)
    layer("Mg", "Br", 0.25, 3.81, 6.26)
    fcc("zincblende", "GaAs", 5.65, 0, 1 / 4)
    tin_sulfide("Ge", "S", (0.122, 0.106), (0.848, 0.503), 10.47, 3.64, 4.30)
    chain("Te", 0.264, 4.46, 5.92)
    fcc("diamond", "Ge", 5.66, 0, 1 / 4)
    wurtzite("ZnO", 3.25, 5.21)
    arsenic("Sb", 0.233, 4.31, 11.27)
    layer("Ti", "S", 0.25, 3.41, 5.70)
    rutile("Ti", "O", 0.305, 4.59, 2.96)
    add("hcp", "Mg", lambda: bulk("Mg", "hcp", a=3.21, c=5.21))
    add("pnictogen", "P", _free(["P"], [(0, 0.102, 0.081)], 64, 3.31, 10.48, 4.37, 90, 90, 90))
    fcc("zincblende", "SiC", 4.36, 0, 1 / 4)
    tin_sulfide("Sn", "S", (0.119, 0.119), (0.850, 0.479), 11.20, 3.98, 4.33)
    wurtzite("GaN", 3.19, 5.19)
    arsenic("Bi", 0.234, 4.55, 11.86)
    fcc("zincblende", "AlP", 5.46, 0, 1 / 4)
    layer("Cd", "I", 0.25, 4.24, 6.84)
    rutile("Sn", "O", 0.306, 4.74, 3.19)
    fcc("diamond", "C", 3.57, 0, 1 / 4)
    wurtzite("BeO", 2.70, 4.38)
    fcc("zincblende", "BN", 3.62, 0, 1 / 4)
    add("quartz", "SiO2", _free(["Si", "O"], [(0.47, 0, 2 / 3), (0.414, 0.267, 0.786)], 154,
                                4.91, 4.91, 5.40, *hexagonal))  # fmt: skip
    add("hcp", "Zn", lambda: bulk("Zn", "hcp", a=2.66, c=4.95))
    fcc("zincblende", "InP", 5.87, 0, 1 / 4)
    layer("Sn", "S", 0.25, 3.65, 5.90)
    wurtzite("CdS", 4.14, 6.72)
    tin_sulfide("Ge", "Se", (0.121, 0.106), (0.852, 0.502), 10.84, 3.83, 4.39)
    fcc("zincblende", "ZnS", 5.41, 0, 1 / 4)
    fcc("fluorite", "CaF2", 5.46, 0, 1 / 4, 3 / 4)
    fcc("diamond", "Sn", 6.49, 0, 1 / 4)
    fcc("fluorite", "SiMg2", 6.35, 0, 1 / 4, 3 / 4)
    fcc("zincblende", "AlAs", 5.66, 0, 1 / 4)
    add("hcp", "Ti", lambda: bulk("Ti", "hcp", a=2.95, c=4.68))
    rutile("Ge", "O", 0.306, 4.40, 2.86)
    fcc("zincblende", "GaP", 5.45, 0, 1 / 4)
    add("molybdenite", "MoS2", _free(["Mo", "S"], [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)],
                                     194, 3.16, 3.16, 12.30, *hexagonal))  # fmt: skip
    add("gallium", "Ga", _free(["Ga"], [(0, 0.155, 0.081)], 64, 4.52, 7.66, 4.53, 90, 90, 90))
    fcc("diamond", "Si", SILICON_A, 0, 1 / 4)
    fcc("rocksalt", "MgO", 4.21, 0, 1 / 2)
    fcc("rocksalt", "NaCl", 5.64, 0, 1 / 2)
    add("cesiumchloride", "CsCl", lambda: bulk("CsCl", "cesiumchloride", a=4.12))
    add("fcc", "Al", lambda: bulk("Al", "fcc", a=4.05, cubic=True), 0.0)
    add("fcc", "Cu", lambda: bulk("Cu", "fcc", a=3.62, cubic=True), 0.0)
    add("bcc", "Na", lambda: bulk("Na", "bcc", a=4.23, cubic=True))
    return tuple(rows)


CRYSTALS = _crystals()


# --- Relaxation -----------------------------------------------------------------------------------


class BFGS:
    """Quasi-Newton steps with a learnt Hessian, absolute eigenvalues and a longest step.

    The rule of ASE's BFGS (and its defaults' names); written out because it has to learn from an
    earlier trajectory under ASE versions whose own class keeps that private.
    """

    def __init__(self, alpha: float = 45.0, maxstep: float = 0.15):
        self.alpha, self.maxstep = alpha, maxstep  # eV/Å², Å
        self.hessian = self.positions = self.forces = None

    def learn(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Take in forces (N,3) at positions (N,3)."""
        x, f = positions.ravel().copy(), forces.ravel().copy()
        if self.hessian is None:
            self.hessian = self.alpha * np.eye(len(x))
        else:
            dx, df = x - self.positions, f - self.forces
            if np.abs(dx).max() > 1e-7:  # else: the same place, computed again
                hdx = self.hessian @ dx
                self.hessian -= np.outer(df, df) / (dx @ df) + np.outer(hdx, hdx) / (dx @ hdx)
        self.positions, self.forces = x, f

    def step(self) -> np.ndarray:
        """Displacement (N,3) in Å from where it learnt last."""
        omega, modes = np.linalg.eigh(self.hessian)
        step = (modes @ ((self.forces @ modes) / np.abs(omega))).reshape(-1, 3)
        return step * min(1.0, self.maxstep / np.linalg.norm(step, axis=1).max())


def largest_force(frame: Atoms) -> float:
    """Largest force on an atom of a labelled frame, eV/Å."""
    return float(np.linalg.norm(frame.get_forces(), axis=1).max())


def delta_q(a: Atoms, b: Atoms) -> float:
    """Mass-weighted distance in amu^½ Å: minimum image, mass-weighted drift removed."""
    masses = a.get_masses()[:, None]
    moved, _ = find_mic(b.positions - a.positions, a.cell, a.pbc)
    moved = moved - (masses * moved).sum(0) / masses.sum()
    return float(np.sqrt((masses * moved**2).sum()))


def _labelled(atoms: Atoms, stage: int) -> Atoms:
    """A copy that keeps energy and forces (and the energy the forces derive from, if told)."""
    frame = atoms.copy()
    frame.info["stage"] = stage
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if "free_energy" in atoms.calc.results:
        results["free_energy"] = atoms.calc.results["free_energy"]
    frame.calc = SinglePointCalculator(frame, **results)
    if not all(np.isfinite(value).all() for value in results.values()):
        raise FloatingPointError("energy or forces are not finite")
    return frame


def relax(
    atoms: Atoms,
    engine,
    known: list[Atoms] = (),
    record: Callable[[list[Atoms]], None] = lambda frames: None,
    max_steps: int = 200,
    log: Path | None = None,
) -> list[Atoms]:
    """Relax from `atoms` through the engine's stages; the frames, `known` ones first.

    `known` are frames of the same relaxation so far, ending where `atoms` is: their forces teach
    the Hessian, and stages that they have passed are skipped. Frames say in info["stage"] which
    stage labelled them; one computed twice at the same place is kept in its later form only.
    `record` sees the frames after each step. Raises NotAtRest after max_steps.
    """
    frames, bfgs, first = list(known), BFGS(), 0
    for frame in frames:
        bfgs.learn(frame.positions, frame.get_forces())
    if frames:
        passed = [largest_force(frames[-1]) <= stage.fmax for stage in engine.stages[:-1]]
        first = max(sum(passed), frames[-1].info.get("stage", 0))
    atoms = atoms.copy()
    atoms.calc = engine.calculator(log)
    for number, stage in list(enumerate(engine.stages))[first:]:
        atoms.calc.set(**stage.parameters)
        while True:
            began = time.time()
            frame = _labelled(atoms, number)
            if frames and np.abs(frame.positions - frames[-1].positions).max() < 1e-6:
                frames.pop()
            frames.append(frame)
            record(frames)
            fmax = largest_force(frame)
            say(
                f"  {len(frames) - 1:3d}  stage {number}  {frame.get_potential_energy():14.6f} eV"
                f"  fmax {fmax:8.4f} eV/Å  {time.time() - began:7.1f} s"
            )
            bfgs.learn(frame.positions, frame.get_forces())
            if fmax <= stage.fmax:
                break
            if len(frames) > max_steps:
                raise NotAtRest(f"fmax {fmax:.4f} eV/Å after {max_steps} steps")
            atoms.positions += bfgs.step()
    return frames


# --- Files ----------------------------------------------------------------------------------------


def _world():
    from ase.parallel import world  # GPAW's when GPAW was imported first, else a lone process

    return world


def say(line: str) -> None:
    """Print from rank 0, at once."""
    if _world().rank == 0:
        print(line, flush=True)


def write_atomically(path: Path, frames: list[Atoms]) -> None:
    """Write extended XYZ so that `path` is never half a file, from rank 0 alone."""
    if _world().rank == 0:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            # parallel=False: ase.io.write is collective otherwise and would wait for other ranks
            ase.io.write(str(temporary), frames, format="extxyz", parallel=False)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    _world().barrier()


def read_frames(path: Path) -> list[Atoms]:
    """All frames of a file, with their labels."""
    return ase.io.read(str(path), ":", format="extxyz", parallel=False)


def refuse_mixed_settings(folder: Path, settings: str) -> None:
    """Raise SettingsMismatch where a file in the folder was made with other settings."""
    for path in sorted(folder.glob("*.extxyz")):
        first = ase.io.read(str(path), 0, format="extxyz", parallel=False)
        found = first.info.get("settings", "not stated")
        if found != settings:
            raise SettingsMismatch(f"{path} has settings {found!r}, this run {settings!r}")


def produce(
    name: str,
    start: Callable[[], Atoms],
    info: dict,
    engine,
    out: Path,
    earlier: list[Atoms] = (),
    max_steps: int = 200,
) -> Path | None:
    """One relaxation into out/NAME.extxyz; None where that file exists already.

    `earlier` frames open the trajectory (for continuing a finished relaxation). A partial file
    from an interrupted call takes precedence over `start` and `earlier`.
    """
    path, partial = out / f"{name}.extxyz", out / f"{name}{PARTIAL}"
    if path.exists():
        return None
    info = {**info, "settings": engine.settings}

    def save(target: Path, frames: list[Atoms], converged: bool) -> None:
        for frame in frames:
            frame.info = {**info, "converged": converged, "stage": frame.info.get("stage", 0)}
        write_atomically(target, frames)

    known = read_frames(partial) if partial.exists() else list(earlier)
    atoms = known[-1] if known else start()
    say(f"{name}: {len(atoms)} atoms" + (f", {len(known)} frames known" if known else ""))
    began = time.time()
    frames = relax(
        atoms,
        engine,
        known,
        record=lambda frames: save(partial, frames, False),
        max_steps=max_steps,
        log=out / f"{name}.log",
    )
    save(path, frames, True)
    if _world().rank == 0:
        partial.unlink(missing_ok=True)
    _world().barrier()
    # What the last stage moved is the noise floor of ends that stopped before it.
    handed_over = next(f for f in frames if f.info["stage"] == len(engine.stages) - 1)
    say(
        f"{name}: {len(frames)} frames, {time.time() - began:.0f} s, Delta Q "
        f"{delta_q(frames[0], frames[-1]):.3f} from start to end, "
        f"{delta_q(handed_over, frames[-1]):.3f} in the last stage (amu^1/2 Å)"
    )
    return path


def run(jobs: list[Callable[[], Path | None]]) -> int:
    """Do the jobs; one that fails is reported and leaves its partial file. Number that failed."""
    failed = 0
    for job in jobs:
        try:
            job()
        except SettingsMismatch:
            raise
        except Exception as error:  # an SCF that does not converge must not stop the other jobs
            failed += 1
            say(f"  FAILED: {type(error).__name__}: {error}")
    return failed


def part(tasks, index: str) -> list:
    """The tasks of slice i of n, given as "i/n" with i from 0: every task is in exactly one."""
    try:
        i, n = (int(piece) for piece in index.split("/"))
    except ValueError:
        raise ValueError(f"--index is i/n, as in 0/4, not {index!r}") from None
    if not 0 <= i < n:
        raise ValueError(f"--index i/n needs 0 <= i < n, not {index!r}")
    return list(tasks)[i::n]


def _from_file(path: Path, engine, out: Path, fresh: bool) -> Path | None:
    """Take a finished relaxation's end further: appended to its frames, or as a new trajectory."""
    frames = read_frames(path)
    end = frames[-1].copy()
    info = {key: value for key, value in end.info.items() if key in ("defect", "seed")}
    info["family"], _, info["species"] = info.get("defect", ":").partition(":")
    found = end.info.get("settings", engine.settings)  # the first nineteen files state none
    if not fresh and found != engine.settings:
        raise SettingsMismatch(f"{path} has settings {found!r}: `restart` makes a new trajectory")
    written = produce(path.stem, lambda: end, info, engine, out, () if fresh else frames)
    if written is not None:
        moved = delta_q(end, read_frames(written)[-1])
        say(f"{path.stem}: moved Delta Q {moved:.3f} amu^1/2 Å from the end it was given")
    return written


def _mesh(text: str) -> tuple[int, int, int]:
    return (int(text),) * 3


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the number of relaxations that failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bpttviz.datasets.generate", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "si-defects": "point defects in 64-site silicon",
        "crystals": "small crystals, elements and binaries",
        "continue": "take finished relaxations to a tighter end, appending to their frames",
        "restart": "relax again from the ends of finished relaxations (other settings allowed)",
    }
    for command, text in helps.items():
        sub_parser = commands.add_parser(command, help=text)
        if command in ("continue", "restart"):
            sub_parser.add_argument("files", nargs="+", type=Path)
        sub_parser.add_argument("--out", type=Path, required=True)
        sub_parser.add_argument("--index", default="0/1", help="slice i of n, i from 0: i/n")
        sub_parser.add_argument("--limit", type=int, help="only the first N of the slice")
        sub_parser.add_argument("--engine", choices=("gpaw", "emt", "chgnet"), default="gpaw")
        cutoff = 400.0 if command == "crystals" else 250.0
        sub_parser.add_argument("--cutoff", type=float, default=cutoff, help="GPAW only, eV")
        if command == "crystals":
            sub_parser.add_argument(
                "--kpts", type=float, default=3.0, help="GPAW only: points per 1/Å"
            )
        else:
            sub_parser.add_argument(
                "--kpts", type=_mesh, default=(1, 1, 1), help="GPAW only: n for n × n × n"
            )
        sub_parser.add_argument("--list", action="store_true", help="name the tasks and stop")
    options = parser.parse_args(arguments)

    from_files = options.command in ("continue", "restart")
    tasks = {"si-defects": SILICON_DEFECTS, "crystals": CRYSTALS}
    work = part(options.files if from_files else tasks[options.command], options.index)
    work = work[: options.limit]
    if options.list:
        for item in work:
            print(item if from_files else item.name)
        return 0
    if options.engine == "gpaw":
        engine = GPAWEngine(options.cutoff, options.kpts)
    else:
        engine = EMTEngine() if options.engine == "emt" else CHGNetEngine()
    options.out.mkdir(parents=True, exist_ok=True)
    refuse_mixed_settings(options.out, engine.settings)
    if from_files:
        fresh = options.command == "restart"
        jobs = [lambda f=f: _from_file(f, engine, options.out, fresh) for f in work]
    else:
        jobs = [lambda t=t: produce(t.name, t.start, t.info, engine, options.out) for t in work]
    return run(jobs)


if __name__ == "__main__":
    raise SystemExit(min(main(), 125))
