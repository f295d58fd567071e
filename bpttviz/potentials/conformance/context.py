"""A potential and structures to check it on, and what several checks ask about them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import Structures

TENSORS = [f.name for f in fields(Structures) if f.name != "names"]


@dataclass(frozen=True)
class Precision:
    """What can be asked of a potential that computes in a given floating-point type.

    Attributes:
        name: of the type.
        step: Å, of central differences: rounding and curvature disturb them about equally.
        slope: of forces against central differences, relative to the largest force.
        same: of results that should be equal (eV, eV/Å), likewise.
        derivative: of second derivatives, relative.
        parameters: of the derivative by parameters, relative.
        nudge: Å, how far parameters are changed, by what it does to the positions after two steps.
        smallest: eV/Å, limits shrink with the forces down to this; below, rounding of the energy
            is all that is seen.
    """

    name: str
    step: float
    slope: float
    same: float
    derivative: float
    parameters: float
    nudge: float
    smallest: float


SINGLE = Precision("float32", 1e-2, 1e-2, 5e-4, 5e-2, 1e-1, 1e-4, 1.0)
DOUBLE = Precision("float64", 1e-4, 1e-5, 1e-6, 1e-3, 1e-3, 1e-6, 1e-2)


class CheckFailed(Exception):
    """A failure that needs a sentence of its own, not a figure."""


class NotApplicable(Exception):
    """A check that cannot be asked of this potential or these structures; says why."""


class CheckContext:
    """A potential, structures, and what several checks ask about them.

    Args:
        potential: what is checked.
        structures: B structures with N atoms, where.
    """

    def __init__(self, potential: Potential, structures: Structures):
        self.potential = potential
        self.structures = structures.with_positions(structures.positions.detach().clone())
        # Frozen parts may stay in float32 where they add no force (CHGNet's composition model).
        kinds = {p.dtype for p in potential.parameters() if p.requires_grad} | {structures.dtype}
        self.precision = DOUBLE if kinds == {torch.float64} else SINGLE

    def random(self, seed: int) -> Tensor:
        """A direction (N, 3) of length 1; fixed atoms take part (a force acts on them too)."""
        draw = torch.Generator().manual_seed(seed)
        shape = self.structures.positions.shape
        direction = torch.randn(shape, generator=draw, dtype=torch.float64)
        return (direction / direction.norm()).to(self.structures.positions)

    def at(self, positions: Tensor) -> Prediction:
        """Energy and forces elsewhere, without gradient."""
        with torch.no_grad():
            return self.potential(copy_of(self.structures.with_positions(positions)))

    @cached_property
    def here(self) -> Prediction:
        """Energy and forces at the structures as they are."""
        return self.at(self.structures.positions)

    @cached_property
    def along(self) -> dict[int, tuple[Prediction, Prediction]]:
        """Predictions a step ahead and a step behind, along two random directions."""
        positions, found = self.structures.positions, {}
        for seed in (0, 1):
            step = self.precision.step * self.random(seed)
            found[seed] = (self.at(positions + step), self.at(positions - step))
        return found

    def force_slope(self, seed: int) -> Tensor:
        """dF/dx along a random direction (N, 3) eV/Å², by central differences."""
        ahead, behind = self.along[seed]
        return (ahead.forces - behind.forces) / (2 * self.precision.step)

    @property
    def force_scale(self) -> float:
        """The largest force component, eV/Å: what limits are relative to."""
        return max(self.precision.smallest, float(self.here.forces.abs().max()))

    def per_structure(self, values: Tensor) -> Tensor:
        """Sums (B, ...) of per-atom values (N, ...)."""
        return segment_sum(values, self.structures.structure_index, len(self.structures))

    def weights(self) -> list[Tensor]:
        """The trainable parameters.

        Raises:
            NotApplicable: there are none.
        """
        weights: list[Tensor] = [p for p in self.potential.parameters() if p.requires_grad]
        if not weights:
            raise NotApplicable(
                "it has no trainable parameters, so it can be relaxed with but not fine-tuned "
                "(a function that calls a module: pass the module too, EnergyFunction(f, module))"
            )
        return weights


def copy_of(structures: Structures) -> Structures:
    """Tensors of its own, which a potential may spoil."""
    return replace(structures, **{f: getattr(structures, f).clone() for f in TENSORS})
