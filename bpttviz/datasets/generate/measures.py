"""What frames say and what is measured on them, where torch (and so `bpttviz.losses`) is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic


def settings_of(frame: Atoms) -> str:
    """The settings that a frame's labels were made with, in the engine's words."""
    return str(frame.info.get("settings", "not stated"))


def unfinished(frames: Sequence[Atoms]) -> bool:
    """Whether the last frame says ``converged=False``, as the generator's partial files do."""
    return not frames[-1].info.get("converged", True)


def same_structure(one: Atoms, other: Atoms) -> bool:
    """Whether two frames are one, but for the digits lost in a file (1e-5 Å)."""
    return (
        np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.pbc, other.pbc)
        and np.allclose(one.cell.array, other.cell.array, rtol=0, atol=1e-5)
        and np.allclose(one.positions, other.positions, rtol=0, atol=1e-5)
    )


def largest_force(frame: Atoms) -> float:
    """Largest force on an atom of a labelled frame, eV/Å."""
    return float(np.linalg.norm(frame.calc.results["forces"], axis=1).max())


def delta_q(a: Atoms, b: Atoms) -> float:
    """Mass-weighted distance in amu^½ Å: minimum image, mass-weighted drift removed."""
    masses = a.get_masses()[:, None]
    moved, _ = find_mic(b.positions - a.positions, a.cell, a.pbc)
    moved = moved - (masses * moved).sum(0) / masses.sum()
    return float(np.sqrt((masses * moved**2).sum()))
