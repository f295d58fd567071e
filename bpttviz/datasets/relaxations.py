"""Reference relaxations, and ordered collections of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from bpttviz.datasets.consistency import (
    Contents,
    require_finite,
    require_same_atoms,
    require_same_places,
    require_small_displacements,
)
from bpttviz.datasets.labels import DataError, has_labels, not_finite, settings_of
from bpttviz.structures import StructureError, Structures, concatenate


def default_group(start: Atoms) -> str:
    """The group of a relaxation where the user names none.

    ``info["group"]`` or ``info["defect"]`` of the first frame where the file has one (the shipped
    defects carry family and species), else the composition. Starts that can relax to one and the
    same end have the same composition, so the latter divides no such pair.
    """
    for key in ("group", "defect"):
        if key in start.info:
            return str(start.info[key])
    return start.get_chemical_formula("hill")


@dataclass(frozen=True, eq=False)
class ReferenceTrajectory:
    """The T labelled frames of one relaxation of N atoms, on the CPU in double precision.

    Attributes:
        positions: (T, N, 3) Å.
        energy: (T,) eV; NaN where a frame comes with forces alone.
        forces: (T, N, 3) eV/Å.

    Raises:
        ValueError: no frame, or shapes that do not belong together.
    """

    positions: Tensor
    energy: Tensor
    forces: Tensor

    def __post_init__(self) -> None:
        for part in ("positions", "energy", "forces"):
            value = torch.as_tensor(getattr(self, part)).detach().to("cpu", torch.float64)
            object.__setattr__(self, part, value)
        shape = tuple(self.positions.shape)
        if len(shape) != 3 or shape[2] != 3 or not len(self):
            raise ValueError(f"positions must be (T, N, 3) with at least one frame, got {shape}")
        if tuple(self.forces.shape) != shape or tuple(self.energy.shape) != shape[:1]:
            raise ValueError(
                f"positions {shape} need forces of the same shape and energies {shape[:1]}, got "
                f"{tuple(self.forces.shape)} and {tuple(self.energy.shape)}"
            )

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class ReferenceRelaxation:
    """One relaxation done with the method to be learned, DFT usually.

    It is checked once, when it is made; what comes later need not look again.

    Attributes:
        name: unique in its set.
        group: what must not be divided between training and test; structures that could relax to
            one and the same end share a group.
        start, end: batches of one on the CPU: the same atoms in the same order and cell.
        trajectory: the frames with energies (eV) and forces (eV/Å), first the start, last the end
            where all have labels; None where only the two ends are known.
        family: what kind it is; by default the group's name up to a colon.

    Raises:
        StructureError: a start or end that cannot be used, ends or frames that do not fit
            together, or numbers that are not finite.
    """

    name: str
    group: str
    start: Structures
    end: Structures
    trajectory: ReferenceTrajectory | None = None
    family: str = ""

    def __post_init__(self) -> None:
        for which in ("start", "end"):
            object.__setattr__(self, which, self._checked(which))
        if not self.family:
            object.__setattr__(self, "family", self.group.partition(":")[0])
        start, end = (Contents.of_structures(s) for s in (self.start, self.end))
        require_same_atoms(self.name, start, end)
        require_small_displacements(
            self.name, start, self.start.positions.numpy(), self.end.positions.numpy()
        )
        path = [self.start.positions[None], self.end.positions[None]]
        if self.trajectory is not None:
            labels = self.trajectory
            if labels.positions.shape[1] != len(start.numbers):
                raise StructureError(
                    f"its frames have {labels.positions.shape[1]} atoms, its start "
                    f"{len(start.numbers)}",
                    name=self.name,
                )
            require_finite(self.name, labels.positions, labels.energy, labels.forces)
            path.insert(1, labels.positions)
        require_same_places(self.name, start, torch.cat(path).numpy())

    def _checked(self, which: str) -> Structures:
        """The start or the end, named after this relaxation, once it has been checked."""
        structures: Structures = getattr(self, which)
        if not isinstance(structures, Structures):
            raise StructureError(
                f"the {which} must be Structures, got {type(structures).__name__}; "
                "ReferenceRelaxation.from_ase takes ase.Atoms",
                name=self.name,
            )
        if len(structures) != 1:
            raise StructureError(
                f"the {which} must be one structure, got {len(structures)}", name=self.name
            )
        try:
            structures.check()
        except StructureError as error:
            raise StructureError(error.reason, name=f"{self.name}, {which}") from error
        at_home = replace(
            structures.to("cpu", torch.float64),
            positions=structures.positions.detach().to("cpu", torch.float64),
            names=(self.name,),
        )
        return at_home

    @classmethod
    def from_ase(
        cls,
        name: str,
        frames: Sequence[Atoms],
        group: str | Callable[[Atoms], str] = default_group,
        trajectory: bool = True,
    ) -> ReferenceRelaxation:
        """From structures in ASE: the first is the start, the last the end.

        Args:
            name: unique in its set.
            frames: two at least; those with energy and forces become the trajectory.
            group: its name, or what makes one from the start.
            trajectory: False leaves labels aside.

        Raises:
            DataError: frames of different settings.
            StructureError: frames that do not fit together.
        """
        settings = {settings_of(f) for f in frames if "settings" in f.info or has_labels(f)}
        if trajectory and len(settings) > 1:
            raise DataError(
                f"{name}: its frames have different settings ({'; '.join(sorted(settings))}), so "
                "that their energies and forces do not belong together; make one file of each"
            )
        first = Contents.of_atoms(frames[0])
        for number, frame in enumerate(frames):
            require_same_atoms(f"{name}, frame {number}", first, Contents.of_atoms(frame))
        start, end = (
            Structures.from_ase(atoms, [name], check=False) for atoms in (frames[0], frames[-1])
        )
        labelled = trajectory and all(has_labels(frame) for frame in frames)
        for number, frame in enumerate(frames if labelled else ()):
            if problem := not_finite(frame):
                raise StructureError(f"{problem} of frame {number} are not finite", name=name)
        return cls(
            name=name,
            group=group if isinstance(group, str) else group(frames[0]),
            start=start,
            end=end,
            trajectory=_stacked(frames) if labelled else None,
            family=str(frames[0].info.get("family") or ""),
        )

    def to_ase(self) -> list[Atoms]:
        """Frames with energies and forces; start and end where there is no trajectory.

        ``info`` holds name, group and family, so that what is written can be read again.
        """
        if self.trajectory is None:
            frames = [*self.start.to_ase(), *self.end.to_ase()]
        else:
            frames = self.frames(range(len(self.trajectory)))[0].to_ase()
            labels = zip(self.trajectory.energy, self.trajectory.forces, strict=True)
            for frame, (energy, forces) in zip(frames, labels, strict=True):
                results = {"forces": forces.numpy().copy()}
                if not energy.isnan():
                    results["energy"] = float(energy)
                frame.calc = SinglePointCalculator(frame, **results)
        for frame in frames:
            frame.info |= {"name": self.name, "group": self.group, "family": self.family}
        return frames

    def frames(self, places: Sequence[int]) -> tuple[Structures, Tensor]:
        """Chosen frames as one batch of B, and their forces.

        Args:
            places: B whole numbers, counted from the first frame.

        Returns:
            the batch, float64 on the CPU, and (B·N, 3) eV/Å in the order of its atoms.

        Raises:
            ValueError: there is no trajectory.
        """
        if self.trajectory is None:
            raise ValueError(f"{self.name} has no frames with energies and forces, only its ends")
        places = list(places)
        count, atoms = len(places), len(self.start.numbers)
        positions = self.trajectory.positions[places].reshape(-1, 3)
        batch = Structures(
            positions=positions,
            numbers=self.start.numbers.repeat(count),
            masses=self.start.masses.repeat(count),
            cell=self.start.cell.repeat(count, 1, 1),
            pbc=self.start.pbc.repeat(count, 1),
            structure_index=torch.arange(count).repeat_interleave(atoms),
            fixed=self.start.fixed.repeat(count),
            names=tuple(f"{self.name}, frame {place}" for place in places),
        )
        return batch, self.trajectory.forces[places].reshape(-1, 3)


def _stacked(frames: Sequence[Atoms]) -> ReferenceTrajectory:
    return ReferenceTrajectory(
        positions=torch.as_tensor(np.array([frame.positions for frame in frames])),
        energy=torch.as_tensor(np.array([frame.calc.results["energy"] for frame in frames])),
        forces=torch.as_tensor(np.array([frame.calc.results["forces"] for frame in frames])),
    )


class RelaxationDataset(Sequence):
    """An ordered collection of `ReferenceRelaxation` relaxations.

    Indexing with a number or a name gives one `ReferenceRelaxation`; with a slice or a list, a
    smaller set.
    """

    def __init__(self, references: Sequence[ReferenceRelaxation]):
        self.references = tuple(references)
        twice = [name for name, n in Counter(r.name for r in references).items() if n > 1]
        if twice:
            raise ValueError(f"names must be unique; {twice[0]!r} occurs more than once")

    def __len__(self) -> int:
        return len(self.references)

    def __iter__(self) -> Iterator[ReferenceRelaxation]:
        return iter(self.references)

    @overload
    def __getitem__(self, key: int | str) -> ReferenceRelaxation: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int | str]) -> RelaxationDataset: ...
    def __getitem__(
        self, key: int | str | slice | Sequence[int | str]
    ) -> ReferenceRelaxation | RelaxationDataset:
        if isinstance(key, str):
            for reference in self.references:
                if reference.name == key:
                    return reference
            raise KeyError(f"no relaxation named {key!r}; there are {', '.join(self.names)}")
        if isinstance(key, slice):
            return RelaxationDataset(self.references[key])
        if isinstance(key, (list, tuple)):
            return RelaxationDataset([self[member] for member in key])
        return self.references[key]

    @property
    def names(self) -> list[str]:
        return [reference.name for reference in self.references]

    @property
    def groups(self) -> list[str]:
        return [reference.group for reference in self.references]

    def out_of_distribution(self, others: RelaxationDataset) -> list[str]:
        """Names of those of ``others`` with a family or an element that this set has not."""
        families = {reference.family for reference in self}
        elements = {number for r in self for number in r.start.numbers.tolist()}
        return [
            r.name
            for r in others
            if r.family not in families or not elements.issuperset(r.start.numbers.tolist())
        ]

    def with_ends_of(self, others: RelaxationDataset) -> RelaxationDataset:
        """Those that ``others`` has too, by name: the same starts, the others' ends.

        For judging by ends from better settings. Frames are left out, because their forces are
        not of those settings.

        Raises:
            ValueError: no name in common.
            StructureError: two of one name that do not list the same atoms in the same cell.
        """
        theirs = {reference.name: reference.end for reference in others}
        common = [replace(r, end=theirs[r.name], trajectory=None) for r in self if r.name in theirs]
        if not common:
            raise ValueError(
                f"no relaxation is in both sets: one has {', '.join(self.names)}; the other "
                f"{', '.join(theirs)}"
            )
        return RelaxationDataset(common)

    @property
    def has_forces(self) -> bool:
        """Whether every relaxation comes with a trajectory of energies and forces."""
        return bool(self.references) and all(r.trajectory for r in self.references)

    def starts(self) -> Structures:
        """All starting structures as one batch."""
        return self._batch("start")

    def ends(self) -> Structures:
        """All relaxed structures as one batch."""
        return self._batch("end")

    def _batch(self, which: str) -> Structures:
        if not self.references:
            raise ValueError("this set holds no relaxation")
        return concatenate([getattr(r, which) for r in self.references])

    def fingerprint(self) -> str:
        """A short hash of all that a set is: same hash, same data, to the last bit.

        Names, groups and families, elements, masses, held atoms, cells, periodicity, positions and
        labels.
        """
        digest = hashlib.sha256()
        for reference in self.references:
            words = [reference.name, reference.group, reference.family]
            parts = [
                getattr(structures, part)
                for structures in (reference.start, reference.end)
                for part in ("numbers", "masses", "fixed", "cell", "pbc", "positions")
            ]
            if reference.trajectory is not None:
                labels = reference.trajectory
                parts += [labels.positions, labels.energy, labels.forces]
            # Lengths go first, so that no two inputs run together into one.
            digest.update(json.dumps([words, [list(part.shape) for part in parts]]).encode())
            for part in parts:
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def folds(self, count: int = 4) -> list[tuple[RelaxationDataset, RelaxationDataset]]:
        """(training, held-out) pairs for cross-validation; a group is never divided.

        Groups are dealt out largest first, each to the fold with the fewest relaxations, ties by
        name: no seed, and the same folds every time.

        Raises:
            ValueError: fewer groups than folds.
        """
        sizes = Counter(self.groups)
        if len(sizes) < count:
            raise ValueError(
                f"{count} folds need at least {count} groups; this set has {len(sizes)}. Groups "
                "are compositions where nothing else names them: say with group= of "
                "read_relaxations which relaxations could end alike"
            )
        load, home = [0] * count, {}
        for group, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
            fold = load.index(min(load))
            home[group] = fold
            load[fold] += size
        return [
            (
                RelaxationDataset([r for r in self.references if home[r.group] != fold]),
                RelaxationDataset([r for r in self.references if home[r.group] == fold]),
            )
            for fold in range(count)
        ]

    def __repr__(self) -> str:
        kind = "with forces" if self.has_forces else "ends only"
        return f"<RelaxationDataset: {len(self)} relaxations in {len(set(self.groups))} groups, {kind}>"
