"""Linear springs: a potential whose relaxations and their gradients are known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures


class Springs(Potential):
    """E = Σ_p ½ k_p |x_j - x_i - d_p|² over pairs p = (i, j), the same network in every structure.

    Rest vectors d_p that do not add up to zero around loops make the network *frustrated*: at rest
    the springs still pull, in balance, so the resting place depends on the stiffnesses. (Without
    frustration that gradient is zero and a test of it would prove nothing.) The energy is quadratic
    in the positions: gradient descent is a linear map with the graph Laplacian as its Hessian.

    Args:
        pairs: (P, 2) atom indices within a structure.
        stiffness: (P,) eV/Å², learnable.
        rest: (P, 3) Å, learnable. Both are kept in float64: this potential is there to be exact.
    """

    equivariant = False  # rest vectors point in fixed directions
    exchangeable = False  # springs are tied to places in the list of atoms

    def __init__(self, pairs: Tensor, stiffness: Tensor, rest: Tensor):
        super().__init__()
        self.register_buffer("pairs", torch.as_tensor(pairs, dtype=torch.int64))
        self.stiffness = nn.Parameter(torch.as_tensor(stiffness, dtype=torch.float64))
        self.rest = nn.Parameter(torch.as_tensor(rest, dtype=torch.float64))

    @classmethod
    def frustrated(cls, atoms: int = 4, seed: int = 0) -> Springs:
        """All pairs of ``atoms`` atoms joined by springs of random stiffness and rest vector."""
        draw = torch.Generator().manual_seed(seed)
        pairs = torch.combinations(torch.arange(atoms))
        stiffness = 0.5 + torch.rand(len(pairs), generator=draw, dtype=torch.float64)
        rest = 1.5 * torch.randn(len(pairs), 3, generator=draw, dtype=torch.float64)
        return cls(pairs, stiffness, rest)

    def config(self) -> dict:
        return {
            "pairs": self.pairs.tolist(),
            "stiffness": self.stiffness.tolist(),
            "rest": self.rest.tolist(),
        }

    def energy(self, structures: Structures) -> Tensor:
        size = int(self.pairs.max()) + 1
        for index, count in enumerate(structures.counts):
            if count != size:
                raise StructureError(
                    f"has {count} atoms; this spring network joins {size}",
                    index,
                    structures.names[index],
                )
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
