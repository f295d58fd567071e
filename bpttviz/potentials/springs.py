"""Linear springs: a potential whose relaxations and their gradients are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bpttviz._checks import whole
from bpttviz._tensor_checks import require_tensor
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.potentials.requirements import require_sizes
from bpttviz.structures import Structures

LAST_SEED = 2**63 - 1  # of torch's generators
Values = Tensor | Sequence[Any]


class Springs(Potential):
    """E = Σ_p ½ k_p |x_j - x_i - d_p|² over pairs p = (i, j), the same network in every structure.

    Rest vectors d_p that do not add up to zero around loops make the network *frustrated*: at rest
    the springs still pull, in balance, so the resting place depends on the stiffnesses. (Without
    frustration that gradient is zero and a test of it would prove nothing.) The energy is quadratic
    in the positions: gradient descent is a linear map with the graph Laplacian as its Hessian.

    Args:
        pairs: (P, 2) indices of two different atoms within a structure, from 0.
        stiffness: (P,) eV/Å², learnable.
        rest: (P, 3) Å, learnable. Both are kept in float64: this potential is there to be exact.

    Raises:
        TypeError, ValueError: no numbers, shapes that do not fit together, an index below 0.
        StructureError: (when called) another number of atoms than the network joins.
    """

    equivariant = False  # rest vectors point in fixed directions
    exchangeable = False  # springs are tied to places in the list of atoms

    pairs: Tensor

    def __init__(self, pairs: Values, stiffness: Values, rest: Values):
        super().__init__()
        joined = require_tensor("pairs", pairs, (None, 2), torch.int64)
        if bool((joined < 0).any()) or bool((joined[:, 0] == joined[:, 1]).any()):
            raise ValueError("pairs must be indices of two different atoms each, counted from 0")
        self.register_buffer("pairs", joined)
        self.stiffness = nn.Parameter(require_tensor("stiffness", stiffness, (len(joined),)))
        self.rest = nn.Parameter(require_tensor("rest", rest, (len(joined), 3)))

    @classmethod
    def frustrated(cls, atoms: int = 4, seed: int = 0) -> Springs:
        """All pairs of ``atoms`` atoms joined by springs of random stiffness and rest vector.

        Raises:
            TypeError, ValueError: fewer than 2 atoms, more than 1000, or no whole seed.
        """
        atoms = whole("atoms", atoms, least=2, most=1000)
        draw = torch.Generator().manual_seed(whole("seed", seed, least=0, most=LAST_SEED))
        pairs = torch.combinations(torch.arange(atoms))
        stiffness = 0.5 + torch.rand(len(pairs), generator=draw, dtype=torch.float64)
        rest = 1.5 * torch.randn(len(pairs), 3, generator=draw, dtype=torch.float64)
        return cls(pairs, stiffness, rest)

    def config(self) -> dict[str, Any]:
        return {
            "pairs": self.pairs.tolist(),
            "stiffness": self.stiffness.tolist(),
            "rest": self.rest.tolist(),
        }

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        size = int(self.pairs.max()) + 1
        require_sizes(structures, size, f"this spring network joins {size}")
        first = torch.arange(len(structures), device=structures.device) * size
        pairs = (self.pairs[None] + first[:, None, None]).reshape(-1, 2)
        repeat = len(structures)
        stretch = structures.positions[pairs[:, 1]] - structures.positions[pairs[:, 0]]
        stretch = stretch - self.rest.to(stretch.dtype).repeat(repeat, 1)
        energies = 0.5 * self.stiffness.to(stretch.dtype).repeat(repeat) * (stretch**2).sum(1)
        return segment_sum(energies, structures.structure_index[pairs[:, 0]], repeat)

    def laplacian(self) -> Tensor:
        """(n, n) eV/Å²: the Hessian of the energy is this matrix for each Cartesian direction."""
        size = int(self.pairs.max()) + 1
        incidence = torch.zeros(len(self.pairs), size, dtype=self.stiffness.dtype)
        rows = torch.arange(len(self.pairs))
        incidence[rows, self.pairs[:, 1]] = 1.0
        incidence[rows, self.pairs[:, 0]] = -1.0
        return incidence.T @ (self.stiffness[:, None] * incidence)

    def rest_positions(self, start: Tensor) -> Tensor:
        """The exact minimum (n, 3) Å with the centroid of ``start`` (n, 3) Å; differentiable."""
        size = len(start)
        pull = torch.zeros(size, 3, dtype=self.stiffness.dtype)
        load = self.stiffness[:, None] * self.rest
        pull = pull.index_add(0, self.pairs[:, 1], load).index_add(0, self.pairs[:, 0], -load)
        # The Laplacian is singular along translations; adding the mean's projector fixes the
        # centroid at the origin without touching anything else.
        pinned = self.laplacian() + torch.ones(size, size, dtype=pull.dtype) / size
        return torch.linalg.solve(pinned, pull) + start.mean(0)
