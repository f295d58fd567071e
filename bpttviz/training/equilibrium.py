"""`EquilibriumLoss`: no relaxation at all, only what holds at the reference's end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpttviz._checks import not_negative, number, positive, whole
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.geometry import safe_sqrt, segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.arnoldi import ArnoldiBasis
from bpttviz.relaxation.zero_modes import ZeroModes
from bpttviz.structures import Structures
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective, beyond_resolution, require_arguments

DISPLACEMENT = 0.02  # Å along a unit vector, for the curvature: well above a float32's noise


class EquilibriumLoss(Objective):
    """The reference's end is to be a place of rest: no forces there, and no soft direction.

    The forces that are left are given as a displacement, as springs of the stated stiffness would
    make of them: ΔQ = sqrt(Σ m |F/k|²) in amu^½ Å, so that weights beside an `EndpointLoss` mean
    the same. In a material whose modes all have that curvature it is how far the minimum is. Free
    rigid motions are left out. What a soft mode would make of a small force is not seen: it is the
    loss at the end that the whole path has to be compared with.

    Optionally the softest curvature is kept above a bound. It is looked for without gradient, by
    Lanczos products in the space of one random vector (more products find softer ones), then
    evaluated by two displaced forces, whose gradient is exact to second order: at an eigenvector
    the direction need not be differentiated (Hellmann-Feynman).

    Args:
        stiffness: k, eV/Å².
        resolution: q0, amu^½ Å, as of `EndpointLoss`.
        least_curvature: eV/Å²; what the softest curvature lacks of it is added to the loss. None:
            curvatures do not count. It costs two more differentiated evaluations.
        hinge: weight of what is lacking, amu^½ Å per eV/Å².
        products: Lanczos products, each about as dear as one evaluation.

    Raises:
        TypeError, ValueError: a number out of range.
    """

    def __init__(
        self,
        stiffness: float = 10.0,
        resolution: float = 0.0,
        least_curvature: float | None = None,
        hinge: float = 1.0,
        products: int = 8,
    ):
        self.stiffness = positive("stiffness", stiffness)
        self.resolution = not_negative("resolution", resolution)
        self.least_curvature = (
            None if least_curvature is None else number("least_curvature", least_curvature)
        )
        self.hinge, self.products = positive("hinge", hinge), whole("products", products)

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """The displacement (B,) in amu^½ Å that is left, and what is lacking of the curvature."""
        require_arguments(potential, references, draw)
        ends = references.ends().to(potential.device)
        index, count = ends.structure_index, len(ends)
        forces = ZeroModes(ends, potential).remove(potential(ends).forces)
        squares = ends.masses.to(forces) * ((forces / self.stiffness) ** 2).sum(1)
        loss = beyond_resolution(safe_sqrt(segment_sum(squares, index, count)), self.resolution)
        if self.least_curvature is None:
            return loss
        softest = curvature(potential, ends, softest_direction(potential, ends, self.products))
        return loss + self.hinge * (self.least_curvature - softest).clamp(min=0)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("stiffness", "resolution", "least_curvature", "hinge", "products")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"EquilibriumLoss({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


def curvature(potential: Potential, structures: Structures, direction: Tensor) -> Tensor:
    """uᵀHu (B,) eV/Å² along unit vectors (N, 3), by central differences of the forces."""
    step = DISPLACEMENT * direction
    ahead, behind = (
        potential(structures.with_positions(structures.positions + sign * step)).forces
        for sign in (1, -1)
    )
    along = ((behind - ahead) * direction).sum(1) / (2 * DISPLACEMENT)
    return segment_sum(along, structures.structure_index, len(structures))


def softest_direction(potential: Potential, structures: Structures, products: int) -> Tensor:
    """Each structure's softest direction found, unit vectors (N, 3), without gradient.

    It is the lowest Ritz vector of a Krylov space of ``products`` vectors, zero modes and held
    atoms left out; always the same for a structure of the same name.
    """
    internal = ZeroModes(structures, potential)
    always = Draw(0, 0)
    parts = zip(structures.names, structures.split(structures.positions), strict=True)
    noise = torch.cat([always.normal(name, "softest", x.detach()) for name, x in parts])
    with torch.enable_grad():
        leaf = structures.positions.detach().clone().requires_grad_()
        forces = potential(structures.with_positions(leaf)).forces
    basis = ArnoldiBasis(internal.remove(noise), structures.structure_index, len(structures))
    for _ in range(products):
        # -(∂F/∂X)ᵀ u, one backward pass. No create_graph: nobody differentiates it further.
        along = basis.vectors[-1].to(forces)
        (slope,) = torch.autograd.grad(forces, leaf, along, retain_graph=True)
        basis.extend(internal.remove(-slope))
    square = basis.hessenberg[:, :-1]
    size = torch.arange(square.shape[1], device=square.device)
    # A vector of an exhausted space is zero: its place must not hold the lowest eigenvalue.
    empty = torch.stack([basis.inner(q, q) == 0 for q in basis.vectors[:-1]], 1)
    square = 0.5 * (square + square.transpose(1, 2))
    beyond = 1 + square.abs().sum((1, 2), keepdim=True)[:, :, 0]
    square[:, size, size] += torch.where(empty, beyond, 0.0)
    lowest = torch.linalg.eigh(square).eigenvectors[:, :, 0]
    direction = basis.combine(lowest)
    return basis.divide(direction, basis.inner(direction, direction).sqrt()).detach()
