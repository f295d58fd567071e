"""Engines: what computes energies (eV) and forces (eV/Å), and how tightly on the way to rest."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ase.calculators.calculator import Calculator

# Of the PAW data sets that the shipped labels were made with, which they therefore do not name.
SILICON_OF_0_9_20000 = "ee77bee481871cc2cb65ac61239ccafa"


@dataclass(frozen=True)
class Stage:
    """One stretch of a relaxation: calculator parameters in force until fmax (eV/Å) is met."""

    fmax: float
    parameters: dict[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """A way to label structures. `settings` tells labels of one kind from those of another."""

    stages: tuple[Stage, ...]
    settings: str

    def calculator(self, log_file: Path | None = None) -> Calculator:
        """A fresh ASE calculator with the first stage's parameters, and its own log in a file."""


class GPAWEngine:
    """PBE in plane waves with GPAW: loose SCF far from rest, tight SCF at the end.

    cutoff in eV; kpts a mesh (n, n, n), or a density in points per Å⁻¹ (then with Γ among them).
    Spin-paired and neutral, point-group symmetry off.
    """

    def __init__(
        self, cutoff: float = 250.0, kpts: tuple[int, int, int] | float = (1, 1, 1)
    ) -> None:
        try:
            import gpaw  # before anything asks ASE for its MPI world, which is chosen at first use
            from gpaw.setup_data import SetupData
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{sys.executable} has no GPAW. Debian's package gpaw brings one for "
                "/usr/bin/python3: run the generator with that, and PYTHONPATH naming the folder "
                "that holds bpttviz",
                name="gpaw",
            ) from error

        self._gpaw = gpaw
        self.cutoff, self.kpts = cutoff, kpts
        self.stages: tuple[Stage, ...] = (
            Stage(0.03, {"convergence": {"density": 1e-4, "eigenstates": 1e-5, "energy": 1e-4}}),
            Stage(0.01, {"convergence": {"density": 1e-5, "eigenstates": 1e-7, "energy": 1e-5}}),
        )
        mesh = kpts if isinstance(kpts, tuple) else f"{kpts:g} per 1/A with Gamma"
        self.settings = (
            f"GPAW {gpaw.__version__} PBE PW {cutoff:g} eV, kpts {mesh}, spin-paired, neutral, "
            "Fermi-Dirac 0.1 eV, SCF density 1e-4 to fmax 0.03 then 1e-5 to fmax 0.01 eV/A"
        )
        silicon = SetupData("Si", "PBE").fingerprint  # its release has that of every element
        if silicon != SILICON_OF_0_9_20000:
            self.settings += f", PAW data sets with Si {silicon[:8]}"

    def calculator(self, log_file: Path | None = None) -> Calculator:
        """As `Engine.calculator`; without `log_file`, GPAW says nothing."""
        gpaw = self._gpaw
        kpts = self.kpts
        mesh = kpts if isinstance(kpts, tuple) else {"density": kpts, "gamma": True}
        return gpaw.GPAW(
            mode=gpaw.PW(self.cutoff),
            xc="PBE",
            kpts=mesh,
            occupations=gpaw.FermiDirac(0.1),
            symmetry={"point_group": False},  # time reversal stays
            nbands="120%",  # fewer leave the highest occupied states slow to converge
            # a second pass an iteration saves the density one iteration at most
            eigensolver=gpaw.Davidson(1),
            mixer=gpaw.Mixer(0.2, 6, 20),
            txt=None if log_file is None else str(log_file),
            **self.stages[0].parameters,
        )


class EMTEngine:
    """ASE's effective-medium theory: some metals, milliseconds a step; for checks."""

    stages: tuple[Stage, ...] = (Stage(0.01),)
    settings = "EMT (ASE)"

    def calculator(self, log_file: Path | None = None) -> Calculator:
        """As `Engine.calculator`; EMT has no log."""
        from ase.calculators.emt import EMT

        return EMT()


class CHGNetEngine:
    """The pretrained CHGNet, about a second a step for 64 atoms; for checks."""

    stages: tuple[Stage, ...] = (Stage(0.01),)

    def __init__(self) -> None:
        from chgnet.model import CHGNet

        self._model = CHGNet.load(use_device="cpu", verbose=False)
        self.settings = f"CHGNet {self._model.version}"

    def calculator(self, log_file: Path | None = None) -> Calculator:
        """As `Engine.calculator`; CHGNet has no log."""
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(self._model, use_device="cpu")
