"""Reference relaxations, and ordered collections of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from bpttviz._checks import instance_of, places, sequence_of, text, whole
from bpttviz._tensor_checks import to_tensor
from bpttviz.datasets.consistency import (
    Contents,
    require_finite,
    require_held_in_place,
    require_path,
    require_same_atoms,
)
from bpttviz.datasets.from_ase import as_frames, attach_labels, fixed_alike, labelled_frames
from bpttviz.datasets.groups import deal, default_group, family_of, group_of
from bpttviz.datasets.names import clean_name, require_clean
from bpttviz.distances import displacements
from bpttviz.provenance import fingerprint_structures, fingerprint_tensors
from bpttviz.structures import StructureError, Structures, concatenate


@dataclass(frozen=True, eq=False)
class ReferenceTrajectory:
    """The T labelled frames of one relaxation of N atoms, on the CPU in double precision.

    Attributes:
        positions: (T, N, 3) Å.
        energy: (T,) eV; NaN where a frame comes with forces alone.
        forces: (T, N, 3) eV/Å.

    Raises:
        TypeError: no numbers.
        ValueError: no frame, or shapes that do not belong together.
    """

    positions: Tensor
    energy: Tensor
    forces: Tensor

    def __post_init__(self) -> None:
        for part in ("positions", "energy", "forces"):
            object.__setattr__(self, part, to_tensor(part, getattr(self, part)).cpu().clone())
        shape = tuple(self.positions.shape)
        if len(shape) != 3 or shape[2] != 3 or not len(self):
            raise ValueError(f"positions must be (T, N, 3) with at least one frame, got {shape}")
        if tuple(self.forces.shape) != shape or tuple(self.energy.shape) != shape[:1]:
            raise ValueError(
                f"positions {shape} need forces of the same shape and energies {shape[:1]}, got "
                f"{tuple(self.forces.shape)} and {tuple(self.energy.shape)}"
            )

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, energy and forces."""
        return self.positions, self.energy, self.forces

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
        TypeError: a name, a group or a trajectory that is none.
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
        for which in ("name", "group"):
            text(which, getattr(self, which))
        if self.trajectory is not None:
            hint = "ReferenceTrajectory(positions, energy, forces)"
            instance_of("trajectory", self.trajectory, ReferenceTrajectory, hint)
        made = self._checked("start")
        object.__setattr__(self, "end", made if self.end is self.start else self._checked("end"))
        object.__setattr__(self, "start", made)
        if not self.family:
            object.__setattr__(self, "family", self.group.partition(":")[0])
        for what in ("name", "group", "family"):
            require_clean(what, getattr(self, what))
        start, end = (Contents.of_structures(s) for s in (self.start, self.end))
        require_same_atoms(self.name, start, end)
        if not torch.equal(self.start.fixed, self.end.fixed):
            raise StructureError(
                "start and end hold different atoms; hold the same ones in both", name=self.name
            )
        path = [self.start.positions[None], self.end.positions[None]]
        require_held_in_place(self.name, start, self.start.fixed.numpy(), *torch.cat(path).numpy())
        if self.trajectory is not None:
            labels = self.trajectory
            if labels.positions.shape[1] != len(start.numbers):
                raise StructureError(
                    f"its frames have {labels.positions.shape[1]} atoms, its start "
                    f"{len(start.numbers)}",
                    name=self.name,
                )
            require_finite(self.name, *labels.parts)
            path.insert(1, labels.positions)
        self._require_one_path(start, torch.cat(path))

    def _require_one_path(self, contents: Contents, path: Tensor) -> None:
        """``path`` (T, N, 3) Å, see `require_path`."""
        try:
            require_path(self.name, contents, path.numpy())
        except StructureError:
            # As a whole a structure may have moved however far, where that costs nothing.
            there = (self.start.with_positions(positions) for positions in path)
            ways = [displacements(self.start, structure) for structure in there]
            require_path(self.name, contents, (path[:1] + torch.stack(ways)).numpy())

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
        source: str = "",
    ) -> ReferenceRelaxation:
        """From structures in ASE: the first is the start, the last the end.

        Energies and forces are taken under ASE's names or under a known other one (`labels_of`);
        warns where they are found under another name, in some frames only, or not taken.

        Args:
            name: unique in its set.
            frames: of one relaxation; those with forces (eV/Å) become the trajectory. Structures
                of pymatgen are taken too.
            group: its name, or what makes one from the start.
            trajectory: False leaves labels aside.
            source: what warnings call it, a file for instance; by default its name.

        Raises:
            TypeError: something else than structures.
            DataError: no frame, or frames of different settings.
            StructureError: frames that do not fit together.
        """
        atoms = as_frames(name, frames)
        found = labelled_frames(name, atoms, source or name) if trajectory else None
        start = end = Structures.from_ase(atoms[0], [name], check=False)
        if len(atoms) > 1:
            start, end = fixed_alike(start, Structures.from_ase(atoms[-1], [name], check=False))
        return cls(
            name=name,
            group=clean_name(group_of(atoms[0], group)),
            start=start,
            end=end,
            trajectory=None if found is None else ReferenceTrajectory(*found),
            family=clean_name(family_of(atoms[0])),
        )

    def to_ase(self) -> list[Atoms]:
        """Frames with energies and forces; start and end where there is no trajectory.

        ``info`` holds name, group and family, so that what is written can be read again.
        """
        if self.trajectory is None:
            frames = [*self.start.to_ase(), *self.end.to_ase()]
        else:
            frames = self.frames(range(len(self.trajectory)))[0].to_ase()
            attach_labels(frames, self.trajectory.energy, self.trajectory.forces)
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
            TypeError: something else than places.
            ValueError: there is no trajectory, or no such frame.
        """
        if self.trajectory is None:
            raise ValueError(f"{self.name} has no frames with energies and forces, only its ends")
        last = len(self.trajectory) - 1
        places = [
            whole("a place among the frames", place, least=0, most=last)
            for place in sequence_of("places", places, object, "[0, 5]")
        ]
        if not places:
            raise ValueError("places must name one frame at least")
        batch = replace(
            self.start[[0] * len(places)],
            positions=self.trajectory.positions[places].reshape(-1, 3),
            names=tuple(f"{self.name}, frame {place}" for place in places),
        )
        return batch, self.trajectory.forces[places].reshape(-1, 3)


class RelaxationDataset(Sequence):
    """An ordered collection of `ReferenceRelaxation` relaxations.

    Indexing with a number or a name gives one `ReferenceRelaxation`; with a slice, a list, or a
    mask (a True or False for each), a smaller set.

    Raises:
        TypeError: something else than reference relaxations.
        ValueError: two of one name.
    """

    def __init__(self, references: Iterable[ReferenceRelaxation]):
        hint = "[ReferenceRelaxation.from_ase(name, frames)] (read_relaxations makes a whole set)"
        self.references = tuple(sequence_of("references", references, ReferenceRelaxation, hint))
        twice = [name for name, n in Counter(self.names).items() if n > 1]
        if twice:
            raise ValueError(f"names must be unique; {twice[0]!r} occurs more than once")

    def __len__(self) -> int:
        return len(self.references)

    def __iter__(self) -> Iterator[ReferenceRelaxation]:
        return iter(self.references)

    @overload
    def __getitem__(self, key: int | np.integer | str) -> ReferenceRelaxation: ...
    @overload
    def __getitem__(
        self, key: slice | list | tuple | range | np.ndarray | Tensor
    ) -> RelaxationDataset: ...
    def __getitem__(self, key: Any) -> ReferenceRelaxation | RelaxationDataset:
        plain = key.tolist() if hasattr(key, "tolist") else key  # NumPy's arrays, and tensors
        if isinstance(plain, str):
            return self.references[self._place(plain)]
        if isinstance(plain, (list, tuple)):
            plain = [self._place(m) if isinstance(m, str) else m for m in plain]
        found = [self.references[place] for place in places("relaxations", plain, len(self))]
        return RelaxationDataset(found) if isinstance(plain, (slice, Iterable)) else found[0]

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(f"no relaxation named {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    @property
    def names(self) -> list[str]:
        """One for each relaxation, in order."""
        return [reference.name for reference in self.references]

    @property
    def groups(self) -> list[str]:
        """That of each relaxation, in order."""
        return [reference.group for reference in self.references]

    def out_of_distribution(self, others: RelaxationDataset) -> list[str]:
        """Names of those of ``others`` with a family or an element that this set has not.

        Raises:
            TypeError: ``others`` is no set of relaxations.
        """
        instance_of("others", others, RelaxationDataset, "bv.read_relaxations(files)")
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
            TypeError: ``others`` is no set of relaxations.
            ValueError: no name in common.
            StructureError: two of one name that do not list the same atoms in the same cell.
        """
        instance_of("others", others, RelaxationDataset, "bv.load_dataset(name).all")
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
        labels (`bpttviz.provenance`).
        """
        parts = [
            [
                *(r.name, r.group, r.family),
                *(fingerprint_structures(structures) for structures in (r.start, r.end)),
                *([fingerprint_tensors(*r.trajectory.parts)] if r.trajectory is not None else []),
            ]
            for r in self.references
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def folds(self, count: int = 4) -> list[tuple[RelaxationDataset, RelaxationDataset]]:
        """(training, held-out) pairs for cross-validation; a group is never divided.

        No seed, and the same folds every time (`bpttviz.datasets.groups.deal`).

        Raises:
            TypeError, ValueError: ``count`` is no whole number of at least 2, or there are fewer
                groups than folds.
        """
        count = whole("the number of folds", count, least=2)
        home = deal(self.groups, count)
        return [
            (
                RelaxationDataset([r for r in self.references if home[r.group] != fold]),
                RelaxationDataset([r for r in self.references if home[r.group] == fold]),
            )
            for fold in range(count)
        ]

    def __repr__(self) -> str:
        what = (
            f"{len(set(self.groups))} groups, {'with forces' if self.has_forces else 'ends only'}"
        )
        return f"<RelaxationDataset: {len(self)} relaxations in {what}>"
