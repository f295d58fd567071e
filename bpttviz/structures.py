"""`Structures`: a batch of atomic structures as one flat dataclass of tensors, ASE in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list
from torch import Tensor

from bpttviz.geometry import reduced_cells

# Shorter than any chemical bond (H2 is 0.74 Å): two atoms this close are a mistake in the input.
OVERLAP = 0.5


class StructureError(ValueError):
    """A structure that cannot be used: names which one, where, and what to do.

    Attributes:
        index: position in the batch, where there is one and it is not all that is meant.
        reason: the complaint without the structure's name.
    """

    def __init__(self, reason: str, index: int | None = None, name: str = ""):
        self.reason, self.index, self.name = reason, index, name
        where = name if index is None else f"structure {index}" + (f" ({name})" if name else "")
        super().__init__(f"{where}: {reason}" if where else reason)


@dataclass(frozen=True, eq=False)
class Structures:
    """B structures with N atoms in all.

    Attributes:
        positions: (N, 3) Å, floating point; may carry a gradient graph.
        numbers: (N,) atomic numbers, int64.
        masses: (N,) amu.
        cell: (B, 3, 3) Å, lattice vectors in rows; those without periodicity may be zero.
        pbc: (B, 3) bool.
        owner: (N,) int64, the structure that each atom belongs to, ascending.
        fixed: (N,) bool, atoms that a relaxation does not move.
        names: B strings used in messages, tables and plots.
    """

    positions: Tensor
    numbers: Tensor
    masses: Tensor
    cell: Tensor
    pbc: Tensor
    structure_index: Tensor
    fixed: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def counts(self) -> list[int]:
        """Number of atoms in each structure."""
        return torch.bincount(self.structure_index, minlength=len(self)).tolist()

    @property
    def dtype(self) -> torch.dtype:
        return self.positions.dtype

    @property
    def device(self) -> torch.device:
        return self.positions.device

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Cut per-atom ``values`` (N, ...) into one tensor a structure."""
        return values.split(self.counts)

    def with_positions(self, positions: Tensor) -> Structures:
        """The same structures elsewhere; ``positions`` (N, 3) Å may carry a graph."""
        return replace(self, positions=positions)

    def to(self, device=None, dtype: torch.dtype | None = None) -> Structures:
        """Move to a device and/or change the floating-point type."""
        moved = {
            key: getattr(self, key).to(device)
            for key in ("numbers", "pbc", "structure_index", "fixed")
        }
        floating = {
            key: getattr(self, key).to(device=device, dtype=dtype)
            for key in ("positions", "masses", "cell")
        }
        return replace(self, **moved, **floating)

    def __getitem__(self, index: int | slice | Sequence[int]) -> Structures:
        """One structure (as a batch of one) or several, in the order given."""
        several = index if isinstance(index, (slice, int, np.integer)) else list(index)
        chosen = np.atleast_1d(np.arange(len(self))[several]).tolist()
        starts = np.concatenate([[0], np.cumsum(self.counts)])
        atoms = torch.cat([torch.arange(starts[i], starts[i + 1]) for i in chosen]).to(self.device)
        sizes = torch.tensor([self.counts[i] for i in chosen], device=self.device)
        return Structures(
            positions=self.positions[atoms],
            numbers=self.numbers[atoms],
            masses=self.masses[atoms],
            cell=self.cell[chosen],
            pbc=self.pbc[chosen],
            structure_index=torch.repeat_interleave(
                torch.arange(len(chosen), device=self.device), sizes
            ),
            fixed=self.fixed[atoms],
            names=tuple(self.names[i] for i in chosen),
        )

    @classmethod
    def from_ase(
        cls,
        atoms: Atoms | Sequence[Atoms],
        names: Sequence[str] | None = None,
        dtype: torch.dtype = torch.float64,
        device="cpu",
        check: bool = True,
    ) -> Structures:
        """Build a batch from ASE, and check that it can be used.

        ``check=False`` is for structures on their way through a relaxation, which may pass through
        places that no one should start from.

        Positions are float64 unless asked otherwise, whatever the potential computes in: at 10 Å a
        float32 resolves 1e-6 Å, which many small steps would add up.

        Raises:
            StructureError: see `check`.
        """
        batch = [atoms] if isinstance(atoms, Atoms) else list(atoms)
        if not batch:
            raise StructureError("no structures given; pass at least one ase.Atoms")
        for index, member in enumerate(batch):
            if len(member) == 0:
                raise StructureError("has no atoms", index)
        if names is None:
            names = [member.info.get("name", member.get_chemical_formula()) for member in batch]
        if len(names) != len(batch):
            raise ValueError(f"{len(names)} names were given for {len(batch)} structures")
        fixed = [np.zeros(len(member), bool) for member in batch]
        for index, member in enumerate(batch):
            for constraint in member.constraints:
                if not isinstance(constraint, FixAtoms):
                    raise StructureError(
                        f"has a {type(constraint).__name__} constraint; only FixAtoms is "
                        "supported: set that, or remove it",
                        index,
                        names[index],
                    )
                fixed[index][constraint.index] = True

        def stack(values, dtype):
            return torch.as_tensor(np.concatenate(values), dtype=dtype, device=device)

        sizes = torch.tensor([len(member) for member in batch])
        result = cls(
            positions=stack([member.positions for member in batch], dtype),
            numbers=stack([member.numbers for member in batch], torch.int64),
            masses=stack([member.get_masses() for member in batch], dtype),
            cell=torch.as_tensor(
                np.array([member.cell.array for member in batch]), dtype=dtype, device=device
            ),
            pbc=torch.as_tensor(np.array([member.pbc for member in batch]), device=device),
            structure_index=torch.repeat_interleave(torch.arange(len(batch)), sizes).to(device),
            fixed=stack(fixed, torch.bool),
            names=tuple(names),
        )
        if check:
            result.check()
        return result

    def to_ase(self) -> list[Atoms]:
        """One ``ase.Atoms`` a structure (detached; fixed atoms become a FixAtoms constraint)."""
        result = []
        per_atom = zip(
            *(
                self.split(x.detach().cpu())
                for x in (self.positions, self.numbers, self.masses, self.fixed)
            ),
            strict=True,
        )
        for index, (positions, numbers, masses, fixed) in enumerate(per_atom):
            atoms = Atoms(
                numbers=numbers.numpy(),
                positions=positions.double().numpy(),
                masses=masses.double().numpy(),
                cell=self.cell[index].detach().cpu().double().numpy(),
                pbc=self.pbc[index].cpu().numpy(),
            )
            atoms.info["name"] = self.names[index]
            if fixed.any():
                atoms.set_constraint(FixAtoms(mask=fixed.numpy()))
            result.append(atoms)
        return result

    def check(self) -> None:
        """Refuse what no potential can use.

        Raises:
            StructureError: NaN or infinite positions or cell, an unknown element (atomic number
                below 1), non-positive masses, a periodic cell without volume, or two atoms closer
                than 0.5 Å.
        """
        for index, (positions, numbers, masses) in enumerate(
            zip(
                *(
                    self.split(x.detach().cpu())
                    for x in (self.positions, self.numbers, self.masses)
                ),
                strict=True,
            )
        ):
            name = self.names[index]
            bad = (~torch.isfinite(positions)).any(1).nonzero().flatten().tolist()
            if bad:
                raise StructureError(
                    f"position of atom {bad[0]} is not finite (NaN or inf; {len(bad)} atoms in "
                    "all); repair the file or leave this structure out",
                    index,
                    name,
                )
            if (numbers < 1).any():
                atom = int((numbers < 1).nonzero()[0])
                raise StructureError(
                    f"atom {atom} has atomic number {int(numbers[atom])}, which is no element; "
                    "name every species in the file",
                    index,
                    name,
                )
            if not (masses > 0).all():
                atom = int((~(masses > 0)).nonzero()[0])
                raise StructureError(
                    f"atom {atom} has mass {float(masses[atom])} amu; masses must be positive",
                    index,
                    name,
                )
            self._check_cell(index, name)
            self._check_overlap(index, name, positions, numbers)

    def _check_cell(self, index: int, name: str) -> None:
        cell, pbc = self.cell[index].detach().cpu().double(), self.pbc[index].cpu()
        if not torch.isfinite(cell).all():
            raise StructureError("cell is not finite (NaN or inf)", index, name)
        vectors = cell[pbc]  # (periodic directions, 3)
        span = float(torch.linalg.det(vectors @ vectors.T).clamp(min=0).sqrt())
        if len(vectors) and span < 1e-6 * max(float(vectors.norm(dim=1).prod()), 1e-6):
            raise StructureError(
                f"periodic cell has zero volume (rows {cell.tolist()} Å); give independent lattice "
                "vectors or set pbc=False",
                index,
                name,
            )

    def _check_overlap(self, index: int, name: str, positions: Tensor, numbers: Tensor) -> None:
        atoms = Atoms(
            numbers=numbers.numpy(),
            positions=positions.double().numpy(),
            cell=self.cell[index].detach().cpu().double().numpy(),
            pbc=self.pbc[index].cpu().numpy(),
        )
        # Very skewed cells make the neighbour search slow; a reduced one does not.
        atoms.set_cell(reduced_cells(self.cell[[index]], self.pbc[[index]])[0].cpu().numpy())
        first, second, distance = neighbor_list("ijd", atoms, OVERLAP)
        if len(first):
            worst = distance.argmin()
            raise StructureError(
                f"atoms {first[worst]} and {second[worst]} are {distance[worst]:.3f} Å apart "
                f"(less than {OVERLAP} Å); they overlap: check the cell, the units (Å) and "
                "duplicate atoms",
                index,
                name,
            )


def concatenate(batches: Sequence[Structures]) -> Structures:
    """Join several batches into one, in order."""
    offsets = np.cumsum([0] + [len(batch) for batch in batches[:-1]])
    joined = {
        key: torch.cat([getattr(batch, key) for batch in batches])
        for key in ("positions", "numbers", "masses", "cell", "pbc", "fixed")
    }
    structure_index = torch.cat(
        [
            batch.structure_index + int(offset)
            for batch, offset in zip(batches, offsets, strict=True)
        ]
    )
    return Structures(
        **joined, structure_index=structure_index, names=sum((batch.names for batch in batches), ())
    )
