"""Reference relaxations, and ordered collections of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from bpttviz.datasets.labels import not_finite
from bpttviz.datasets.validate import permuted_atoms
from bpttviz.structures import StructureError, Structures

# Nearest-image displacements beyond this are a swapped or wrongly ordered pair of atoms far more
# often than a relaxation.
LARGEST_DISPLACEMENT = 4.0

# Å between two frames; atoms that trade places in one move further, down to hydrogen's 0.74.
SHORTEST_TRADE = 0.5


@dataclass(frozen=True, eq=False)
class ReferenceRelaxation:
    """One relaxation done with the method to be learned, DFT usually.

    Attributes:
        name: unique in its set.
        group: what must not be divided between training and test; structures that could relax to
            one and the same end share a group.
        start, end: ``ase.Atoms``, the same atoms in the same order and cell.
        frames: the whole trajectory with energies (eV) and forces (eV/Å); empty where only the
            two ends are known.

    Raises:
        StructureError: (from `check`) a start or end that cannot be used, or that do not match.
    """

    name: str
    group: str
    start: Atoms
    end: Atoms
    frames: tuple[Atoms, ...] = ()

    @property
    def family(self) -> str:
        """What kind it is: ``info["family"]`` of the start, or the group's name up to a colon."""
        return str(self.start.info.get("family") or self.group.partition(":")[0])

    def check(self) -> None:
        for atoms, which in ((self.start, "start"), (self.end, "end")):
            try:
                Structures.from_ase(atoms)  # building it checks it
            except StructureError as error:
                raise StructureError(error.reason, name=f"{self.name}, {which}") from error
        _require_same_atoms(self.name, self.start, self.end)
        _, distance = find_mic(
            self.end.positions - self.start.positions, self.start.cell, self.start.pbc
        )
        if distance.max() > LARGEST_DISPLACEMENT:
            atom = int(distance.argmax())
            raise StructureError(
                f"atom {atom} ({self.start.symbols[atom]}) moves {distance[atom]:.1f} Å from start "
                f"to end, more than {LARGEST_DISPLACEMENT} Å; atoms are probably listed in another "
                "order in the two: reorder them",
                name=self.name,
            )
        for number, frame in enumerate(self.frames):
            _require_same_atoms(f"{self.name}, frame {number}", self.start, frame)
            infinite = not_finite(frame)
            if infinite:
                raise StructureError(f"{infinite} of frame {number} are not finite", name=self.name)
        for before, after in pairwise(self.frames or (self.start, self.end)):
            _require_same_places(self.name, before, after)


def _require_same_places(name: str, before: Atoms, after: Atoms) -> None:
    """Atoms may trade places in many steps, as real ones do, but not in one."""
    _, distance = find_mic(after.positions - before.positions, before.cell, before.pbc)
    atoms = permuted_atoms(before, after) if distance.max() > SHORTEST_TRADE else []
    if atoms:
        raise StructureError(
            f"atoms {', '.join(map(str, atoms))} have traded places with their own kind, in one "
            "step; list them in one order (if they really did, give the frames between)",
            name=name,
        )


def _require_same_atoms(name: str, one: Atoms, two: Atoms) -> None:
    if len(one) != len(two):
        raise StructureError(
            f"start has {len(one)} atoms, end has {len(two)}; both must list the same atoms",
            name=name,
        )
    different = np.flatnonzero(one.numbers != two.numbers)
    if len(different):
        atom = int(different[0])
        raise StructureError(
            f"atom {atom} is {one.symbols[atom]} at the start and {two.symbols[atom]} later; the "
            "atoms must be listed in the same order",
            name=name,
        )
    if (one.pbc != two.pbc).any():
        raise StructureError(
            f"the start is periodic in {_directions(one)}, a later frame in {_directions(two)}; "
            "give both the same pbc",
            name=name,
        )
    if not np.allclose(one.cell.array, two.cell.array, atol=1e-3):
        raise StructureError(
            "the cell changes between start and end; relaxations in a fixed cell are compared "
            "(relax with the cell fixed, or give both the same cell)",
            name=name,
        )


def _directions(atoms: Atoms) -> str:
    return " and ".join(np.array(["a", "b", "c"])[atoms.pbc]) or "no direction"


class RelaxationDataset(Sequence):
    """An ordered collection of `ReferenceRelaxation` relaxations.

    Indexing with a number or a name gives one `ReferenceRelaxation`; with a slice or a list, a smaller set.
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

    def __getitem__(self, key):
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
        elements = {number for reference in self for number in reference.start.numbers}
        return [
            r.name
            for r in others
            if r.family not in families or not elements.issuperset(r.start.numbers)
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
        common = [replace(r, end=theirs[r.name], frames=()) for r in self if r.name in theirs]
        if not common:
            raise ValueError(
                f"no relaxation is in both sets: one has {', '.join(self.names)}; the other "
                f"{', '.join(theirs)}"
            )
        for reference in common:
            reference.check()
        return RelaxationDataset(common)

    @property
    def has_forces(self) -> bool:
        """Whether every relaxation comes with a trajectory of energies and forces."""
        return bool(self.references) and all(len(r.frames) > 0 for r in self.references)

    def starts(self) -> Structures:
        """All starting structures as one batch."""
        return Structures.from_ase([r.start for r in self.references], self.names)

    def ends(self) -> Structures:
        """All relaxed structures as one batch."""
        return Structures.from_ase([r.end for r in self.references], self.names)

    def fingerprint(self) -> str:
        """A short hash of names, species, cells, positions and labels: same hash, same data."""
        digest = hashlib.sha256()

        def add(numbers, decimals: int) -> None:
            digest.update((np.round(numbers, decimals) + 0.0).tobytes())  # + 0.0: no minus zero

        for reference in self.references:
            digest.update(reference.name.encode())
            for atoms in (reference.start, reference.end, *reference.frames):
                digest.update(atoms.numbers.tobytes() + atoms.pbc.tobytes())
                add(atoms.cell.array, 6)
                add(atoms.positions, 6)
            for frame in reference.frames:
                add(frame.calc.results["energy"], 6)
                add(frame.calc.results["forces"], 5)
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
        return f"<RelaxationSet: {len(self)} relaxations in {len(set(self.groups))} groups, {kind}>"
