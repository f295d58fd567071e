"""What a relaxation knows of the curvature before its first step: initial Hessians.

`ase.optimize.BFGS` starts from them, and learns from there: absolute eigenvalues and one longest
step, the same rule in ASE 3.22.1 (Debian's, beside GPAW) and in today's. An interrupted relaxation
goes on with ``replay_trajectory`` as if it had not been, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.optimize.precon import Exp
from ase.optimize.precon.neighbors import estimate_nearest_neighbour_distance

InitialHessian = Callable[[Atoms], np.ndarray]


def scaled_identity(atoms: Atoms) -> np.ndarray:
    """A Hessian (3N, 3N) in eV/Å² that knows nothing: 45 eV/Å² in every direction."""
    return 45.0 * np.eye(3 * len(atoms))


def spring_hessian(atoms: Atoms) -> np.ndarray:
    """A Hessian (3N, 3N) in eV/Å² of springs to the neighbours, weaker with distance.

    It knows which modes are soft: silicon defects come to rest in half to two thirds of the steps
    from `scaled_identity`. ASE's exponential preconditioner (Packwood et al.,
    doi:10.1063/1.4947024); mu, their energy scale, suits DFT's silicon.
    """
    distance = estimate_nearest_neighbour_distance(atoms)
    springs = Exp(A=3.0, r_NN=distance, r_cut=1.25 * distance, mu=5.0, c_stab=0.1)
    springs.make_precon(atoms)
    return springs.P.toarray()  # type: ignore[union-attr]  # make_precon sets it
