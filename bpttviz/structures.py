"""`Structures`: a batch of atomic structures as one flat dataclass of tensors, ASE in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from torch import Tensor

from bpttviz._checks import instance_of, places
from bpttviz._tensor_checks import require_device, require_dtype
from bpttviz.atoms import HEAVIEST, NO_ELEMENT, StructureError, as_atoms, held_atoms, names_of
from bpttviz.geometry import closest_pair, reduced_cells, shortest_period

# Shorter than any chemical bond (H2 is 0.74 Å): two atoms this close are a mistake in the input.
OVERLAP = 0.5
FARTHEST = 1e7  # Å from the origin, in a coordinate: beyond it rounding would be felt


@dataclass(frozen=True, eq=False)
class Structures:
    """B structures with N atoms in all.

    Attributes:
        positions: (N, 3) Å, floating point; may carry a gradient graph.
        numbers: (N,) atomic numbers, int64.
        masses: (N,) amu.
        cell: (B, 3, 3) Å, lattice vectors in rows; those without periodicity may be zero.
        pbc: (B, 3) bool.
        structure_index: (N,) int64, the structure that each atom belongs to, ascending.
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
        """B."""
        return len(self.names)

    @property
    def counts(self) -> list[int]:
        """Number of atoms in each structure."""
        return torch.bincount(self.structure_index, minlength=len(self)).tolist()

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the positions."""
        return self.positions.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.positions.device

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Cut per-atom ``values`` (N, ...) into one tensor a structure.

        Raises:
            TypeError, ValueError: no tensor, or one of another length.
        """
        self._require_per_atom("values", values)
        return values.split(self.counts)

    def with_positions(self, positions: Tensor) -> Structures:
        """The same structures elsewhere; ``positions`` (N, 3) Å may carry a graph.

        Raises:
            TypeError, ValueError: no tensor, or one of another shape.
        """
        self._require_per_atom("positions", positions, (3,))
        return replace(self, positions=positions)

    def _require_per_atom(self, name: str, value: object, rest: tuple[int, ...] = ()) -> None:
        count = len(self.structure_index)
        found = instance_of(name, value, Tensor, "torch.zeros(n, 3)").shape
        if found[:1] != (count,) or (rest and found[1:] != rest):
            wanted = ", ".join(map(str, (count, *(rest or ("...",)))))
            raise ValueError(f"{name} must be of shape ({wanted}), got {tuple(found)}")

    def to(
        self, device: str | torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Structures:
        """Move to a device and/or change the floating-point type.

        Raises:
            ValueError: no such device or type.
        """
        device = None if device is None else require_device(device)
        dtype = None if dtype is None else require_dtype(dtype)
        moved = {
            key: getattr(self, key).to(device)
            for key in ("numbers", "pbc", "structure_index", "fixed")
        }
        floating = {
            key: getattr(self, key).to(device=device, dtype=dtype)
            for key in ("positions", "masses", "cell")
        }
        return replace(self, **moved, **floating)

    def clone(self) -> Structures:
        """A copy that shares no tensor with this one (a graph to the positions goes on)."""
        names = ("positions", "numbers", "masses", "cell", "pbc", "structure_index", "fixed")
        return replace(self, **{name: getattr(self, name).clone() for name in names})

    def __getitem__(self, index: int | slice | Sequence[int]) -> Structures:
        """One structure (as a batch of one) or several, in the order given, or by a mask.

        Raises:
            TypeError: something else.
            IndexError: no such structure, or a mask that is not of B.
            StructureError: none is chosen.
        """
        chosen = places("structures", index, len(self))
        if not chosen:
            raise StructureError(
                f"none of the {len(self)} structures is chosen; choose at least one"
            )
        counts = self.counts
        starts = np.concatenate([[0], np.cumsum(counts)])
        atoms = torch.cat([torch.arange(starts[i], starts[i + 1]) for i in chosen]).to(self.device)
        sizes = torch.tensor([counts[i] for i in chosen], device=self.device)
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
        names: str | Sequence[str] | None = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
        check: bool = True,
    ) -> Structures:
        """Build a batch from ASE, and check that it can be used.

        Args:
            atoms: one or several; pymatgen structures and molecules are converted, `Structures` are
                joined.
            names: one for each, used in messages, tables and plots; by default what
                ``info["name"]`` says, or the formula.
            dtype: of positions, masses and cells. float64 whatever the potential computes in: at
                10 Å a float32 resolves 1e-6 Å, which many small steps would add up.
            device: where the tensors go.
            check: False for structures on their way through a relaxation, which may pass through
                places that no one should start from.

        Raises:
            TypeError: something else, such as a file's name (read it first).
            ValueError: another number of names.
            StructureError: constraints other than FixAtoms; what `check` refuses.
        """
        batch = as_atoms("atoms", atoms)
        device, dtype = require_device(device), require_dtype(dtype)
        _require_elements(batch)
        names = names_of(batch, names)
        fixed = [
            held_atoms(member, index, name)
            for index, (member, name) in enumerate(zip(batch, names, strict=True))
        ]

        def stack(values: Sequence[np.ndarray], dtype: torch.dtype) -> Tensor:
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
            names=names,
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

        Time and memory grow with the number of atoms, not with that of pairs.

        Raises:
            StructureError: tensors of shapes that do not belong together, or a
                ``structure_index`` that does not count up; NaN or infinite positions or cell, an
                unknown element (atomic number below 1 or above 118), non-positive masses, a
                periodic cell without volume or with a period below 0.5 Å, or two atoms closer than
                that.
        """
        self._check_shapes()
        positions, numbers, masses = (
            x.detach().cpu() for x in (self.positions, self.numbers, self.masses)
        )
        self._refuse(
            ~torch.isfinite(positions).all(1),
            lambda atom, _: (
                f"position of atom {atom} is not finite (NaN or inf); repair the file "
                "or leave this structure out"
            ),
        )
        self._refuse(
            (positions.abs() > FARTHEST).any(1),
            lambda atom, row: (
                f"atom {atom} lies {float(positions[row].abs().max()):.1g} Å from the origin; "
                "check the units (Å)"
            ),
        )
        self._refuse(
            (numbers < 1) | (numbers > HEAVIEST),
            lambda atom, row: NO_ELEMENT.format(atom, int(numbers[row])),
        )
        self._refuse(
            ~((masses > 0) & torch.isfinite(masses)),
            lambda atom, row: (
                f"atom {atom} has mass {float(masses[row])} amu; masses must be positive"
            ),
        )
        for index, mine in enumerate(self.split(positions)):
            cell = self._checked_cell(index)
            pbc = self.pbc[index].cpu().numpy()
            closest = closest_pair(mine.double().numpy(), cell, pbc, OVERLAP)
            if closest is not None and closest[2] < OVERLAP:
                one, two, distance = closest
                raise StructureError(
                    f"atoms {one} and {two} are {distance:.3f} Å apart (less than {OVERLAP} Å); "
                    "they overlap: check the cell, the units (Å) and duplicate atoms",
                    index,
                    self.names[index],
                )

    def _check_shapes(self) -> None:
        atoms, structures = len(self.positions), len(self)
        shapes = {
            "positions": (atoms, 3),
            "numbers": (atoms,),
            "masses": (atoms,),
            "cell": (structures, 3, 3),
            "pbc": (structures, 3),
            "structure_index": (atoms,),
            "fixed": (atoms,),
        }
        for part, shape in shapes.items():
            found = tuple(getattr(self, part).shape)
            if found != shape:
                raise StructureError(
                    f"{part} of {structures} structures with {atoms} atoms must be of shape "
                    f"{shape}, got {found}"
                )
        index = self.structure_index.cpu()
        if not structures or not torch.equal(index.unique(), torch.arange(structures)):
            raise StructureError(
                f"structure_index must name each of the {structures} structures, counted from 0, "
                "for at least one atom"
            )
        if bool((index.diff() < 0).any()):
            raise StructureError("structure_index must be ascending: atoms come by structure")

    def _refuse(self, bad: Tensor, complaint: Callable[[int, int], str]) -> None:
        """Name the first bad atom (N,): by its place in its structure and its row in the batch."""
        if bool(bad.any()):
            row = int(bad.nonzero()[0])
            index = int(self.structure_index[row])
            raise StructureError(
                complaint(row - sum(self.counts[:index]), row), index, self.names[index]
            )

    def _checked_cell(self, index: int) -> np.ndarray:
        """One structure's reduced cell (3, 3) Å, if it is one."""
        name = self.names[index]
        cell, pbc = self.cell[[index]].detach().cpu().double(), self.pbc[[index]].cpu()
        if not torch.isfinite(cell).all():
            raise StructureError("cell is not finite (NaN or inf)", index, name)
        vectors = cell[pbc]  # (periodic directions, 3)
        lengths = vectors.norm(dim=1)
        # Of unit vectors, so that neither small nor large cells are misjudged.
        units = vectors / torch.where(lengths > 0, lengths, 1.0)[:, None]
        span = float(torch.linalg.det(units @ units.T).clamp(min=0).sqrt())
        rows = cell[0].tolist()
        if len(vectors) and span < 1e-6:
            raise StructureError(
                f"periodic cell has zero volume (rows {rows} Å); give independent lattice vectors "
                "or set pbc=False",
                index,
                name,
            )
        too_short = (
            f"periodic cell (rows {rows} Å) repeats itself within less than {OVERLAP} Å: every "
            "atom would overlap with its own image; check the units (Å)"
        )
        if bool((lengths < OVERLAP).any()):
            raise StructureError(too_short, index, name)
        try:
            reduced = reduced_cells(cell, pbc)
        except RuntimeError as error:
            raise StructureError(
                f"cell is too skewed to be used (rows {rows} Å); give shorter lattice vectors",
                index,
                name,
            ) from error
        if bool(shortest_period(reduced, pbc) < OVERLAP):
            raise StructureError(too_short, index, name)
        return reduced[0].numpy()


def _require_elements(batch: Sequence[Atoms]) -> None:
    """Structures, atoms and elements: there are some. Raises StructureError."""
    if not batch:
        raise StructureError("no structures given; pass at least one ase.Atoms")
    for index, member in enumerate(batch):
        if len(member) == 0:
            raise StructureError("has no atoms", index)
        if member.numbers.max() > HEAVIEST:  # ASE knows no name and no mass for it
            atom = int(member.numbers.argmax())
            raise StructureError(NO_ELEMENT.format(atom, member.numbers[atom]), index)


def to_structures(name: str, value: object) -> Structures:
    """What a caller gave as the argument ``name``, as a batch. Raises as `Structures.from_ase`."""
    return value if isinstance(value, Structures) else Structures.from_ase(as_atoms(name, value))


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


def scaled(structures: Structures, factor: float) -> Structures:
    """Cells (B, 3, 3) Å and places (N, 3) Å of a batch times one factor, about the origin."""
    return replace(
        structures, positions=factor * structures.positions, cell=factor * structures.cell
    )
