"""The steps of a relaxation: BFGS that can learn from frames computed earlier."""

from __future__ import annotations

import numpy as np


class BFGS:
    """Quasi-Newton steps with a learnt Hessian, absolute eigenvalues and a longest step.

    The rule of ASE's BFGS (and its options' names); written out because it has to learn from an
    earlier trajectory under ASE versions whose own class keeps that private.

    alpha: curvature before anything is learnt, eV/Å². maxstep: longest step of an atom, Å.
    """

    def __init__(self, alpha: float = 45.0, maxstep: float = 0.15):
        self.alpha, self.maxstep = alpha, maxstep
        self.hessian = self.positions = self.forces = None

    def learn(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Take in forces (N,3) in eV/Å at positions (N,3) in Å."""
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
