"""Starts without two atoms on top of each other."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def push_apart(atoms: Atoms, shortest: float) -> None:
    """Move atoms (in place) until no pair is closer than `shortest` (Å, minimum image).

    Raises:
        RuntimeError: 1000 rounds do not suffice.
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
