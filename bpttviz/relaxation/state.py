"""`State`: what one step of a relaxation hands to the next, with a name for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bpttviz.structures import Structures


@dataclass(frozen=True, eq=False)
class State:
    """Where N atoms of B structures are, and what an update rule carries along.

    Attributes:
        positions: (N, 3) Å.
        structure_index: (N,) int64, the structure that each atom belongs to.
        per_atom: name → (N, ...), e.g. velocities.
        per_structure: name → (B, ...), e.g. time steps; counts may be integers.
        step: number of steps that the rule has made.
    """

    positions: Tensor
    structure_index: Tensor
    per_atom: Mapping[str, Tensor] = field(default_factory=dict)
    per_structure: Mapping[str, Tensor] = field(default_factory=dict)
    step: int = 0

    @classmethod
    def first(
        cls,
        structures: Structures,
        per_atom: Mapping[str, Tensor] | None = None,
        per_structure: Mapping[str, Tensor] | None = None,
    ) -> State:
        """Before the first step from ``structures``."""
        return cls(
            structures.positions, structures.structure_index, per_atom or {}, per_structure or {}
        )

    def after(
        self,
        positions: Tensor,
        per_atom: Mapping[str, Tensor] | None = None,
        per_structure: Mapping[str, Tensor] | None = None,
    ) -> State:
        """One step later at ``positions``; parts that are not given stay as they are."""
        return replace(
            self,
            positions=positions,
            per_atom={**self.per_atom, **(per_atom or {})},
            per_structure={**self.per_structure, **(per_structure or {})},
            step=self.step + 1,
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Positions, then per-atom, then per-structure parts: all that a gradient may pass."""
        return (self.positions, *self.per_atom.values(), *self.per_structure.values())

    def with_tensors(self, tensors: Sequence[Tensor]) -> State:
        """The same parts (in the order of `tensors`) with other values."""
        positions, *parts = tensors
        atoms = len(self.per_atom)
        return replace(
            self,
            positions=positions,
            per_atom=dict(zip(self.per_atom, parts[:atoms], strict=True)),
            per_structure=dict(zip(self.per_structure, parts[atoms:], strict=True)),
        )

    def detached(self, members: Tensor | None = None) -> State:
        """Without a graph: all of it, or what belongs to the structures in ``members`` (B,)."""
        if members is None:
            return self.with_tensors([x.detach() for x in self.tensors])
        return self.with_tensors([x.detach() for x in self.tensors]).merged(self, members)

    def merged(self, other: State, members: Tensor, atoms: Tensor | None = None) -> State:
        """This state's values for some, the other's for the rest.

        Args:
            other: a state with the same parts.
            members: (B,) bool, structures that keep this state's per-structure parts.
            atoms: (N,) bool, atoms that keep this state's positions and per-atom parts; by default
                all atoms of ``members``.
        """
        atoms = members[self.structure_index] if atoms is None else atoms
        by_atom = 1 + len(self.per_atom)
        return self.with_tensors(
            [
                _where(atoms if place < by_atom else members, mine, theirs)
                for place, (mine, theirs) in enumerate(
                    zip(self.tensors, other.tensors, strict=True)
                )
            ]
        )


def _where(rows: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """``one`` in the rows chosen, ``two`` elsewhere, whatever dimensions follow."""
    return torch.where(rows.reshape(-1, *[1] * (one.ndim - 1)), one, two)
