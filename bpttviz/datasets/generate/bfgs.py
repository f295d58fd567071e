"""The steps of a relaxation: BFGS that can learn from frames computed earlier."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.optimize.precon import Exp
from ase.optimize.precon.neighbors import estimate_nearest_neighbour_distance


def scaled_identity(atoms: Atoms) -> np.ndarray:
    """A first Hessian (3N,3N) in eV/Å² that knows nothing: 45 eV/Å² in every direction."""
    return 45.0 * np.eye(3 * len(atoms))


def spring_hessian(atoms: Atoms) -> np.ndarray:
    """A first Hessian (3N,3N) in eV/Å² of springs to the neighbours, weaker with distance.

    It knows which modes are soft: silicon defects come to rest in half to two thirds of the steps
    from `scaled_identity`. ASE's exponential preconditioner (Packwood et al., doi:10.1063/1.4947024);
    mu, their energy scale, suits DFT's silicon.
    """
    distance = estimate_nearest_neighbour_distance(atoms)
    springs = Exp(A=3.0, r_NN=distance, r_cut=1.25 * distance, mu=5.0, c_stab=0.1)
    springs.make_precon(atoms)
    return springs.P.toarray()


class BFGS:
    """Quasi-Newton steps with a learnt Hessian, absolute eigenvalues and a longest step.

    The rule of ASE's BFGS (and its options' names); written out because it has to learn from an
    earlier trajectory under ASE versions whose own class keeps that private.

    hessian: (3N,3N) in eV/Å², before anything is learnt. maxstep: longest step of an atom, Å.
    """

    def __init__(self, hessian: np.ndarray, maxstep: float = 0.15):
        self.hessian, self.maxstep = hessian.copy(), maxstep
        self.positions = self.forces = None

    def learn(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Take in forces (N,3) in eV/Å at positions (N,3) in Å."""
        x, f = positions.ravel().copy(), forces.ravel().copy()
        if self.positions is not None:
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
