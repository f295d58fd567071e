"""What frames say and what is measured on them, where torch (and so `bpttviz.losses`) is not."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import find_mic


def settings_of(frame: Atoms) -> str:
    """The settings that a frame's labels were made with, in the engine's words."""
    return str(frame.info.get("settings", "not stated"))


def largest_force(frame: Atoms) -> float:
    """Largest force on an atom of a labelled frame, eV/Å."""
    return float(np.linalg.norm(frame.calc.results["forces"], axis=1).max())


def delta_q(a: Atoms, b: Atoms) -> float:
    """Mass-weighted distance in amu^½ Å: minimum image, mass-weighted drift removed."""
    masses = a.get_masses()[:, None]
    moved, _ = find_mic(b.positions - a.positions, a.cell, a.pbc)
    moved = moved - (masses * moved).sum(0) / masses.sum()
    return float(np.sqrt((masses * moved**2).sum()))
