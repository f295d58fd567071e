"""What frames say (energies, forces, settings) and what is measured on them, without torch."""

from __future__ import annotations

import io
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic


class DataError(ValueError):
    """A data file that cannot be used: says which one, what is wrong, and what to do."""


def not_finite(frame: Atoms) -> str:
    """Which of a frame's numbers are not finite, in words; "" where all are."""
    if not np.isfinite(frame.positions).all():
        return "positions"
    labels = [frame.calc.results[key] for key in ("energy", "forces")] if has_labels(frame) else []
    return "" if all(np.isfinite(label).all() for label in labels) else "energy or forces"


def has_labels(frame: Atoms) -> bool:
    """Whether energy (eV) and forces (eV/Å) come with a frame."""
    return frame.calc is not None and {"energy", "forces"} <= frame.calc.results.keys()


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


def decompressed(path: Path) -> io.StringIO:
    """The text of an xz file, whole.

    ASE's reader seeks to and fro, and in a compressed stream every step back starts over.
    """
    return io.StringIO(lzma.decompress(path.read_bytes()).decode())
