"""`ase.Atoms` at the door: what counts as one structure or several, and who may not move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from bpttviz._checks import shown

HEAVIEST = 118
NO_ELEMENT = "atom {} has atomic number {}, which is no element; name every species in the file"


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


def as_atoms(name: str, value: object) -> list[Atoms]:
    """What unambiguously is one structure or several, as a list of ``ase.Atoms``.

    Raises:
        TypeError: what is not; the message calls the argument ``name``.
        StructureError: a pymatgen structure with partial occupancies.
    """
    found = _one_or_more(value)
    if found is not None:
        return found
    no_list = isinstance(value, (str, bytes, Path, Mapping))
    if no_list or not isinstance(value, Iterable) or getattr(value, "shape", None) == ():
        raise _no_structure(name, value)
    members = []
    for place, member in enumerate(value):
        found = _one_or_more(member)
        if found is None:
            raise _no_structure(f"{name}[{place}]", member)
        members += found
    return members


def _one_or_more(value: object) -> list[Atoms] | None:
    if isinstance(value, Atoms):
        return [value]
    if hasattr(value, "structure_index") and hasattr(value, "to_ase"):  # Structures
        return list(value.to_ase())
    if not isinstance(value, type) and hasattr(value, "to_ase_atoms"):  # pymatgen
        try:
            return [value.to_ase_atoms()]
        except ValueError as error:
            raise StructureError(f"{error} (occupancies must be whole)") from error
    return None


def _no_structure(name: str, value: object) -> TypeError:
    advice = "make one with ase.Atoms(...)"
    if isinstance(value, (str, bytes, Path)):
        advice = "a file is read with ase.io.read(...), or bv.read_relaxations(...)"
    return TypeError(
        f"{name} must be an ase.Atoms, a pymatgen structure, a bv.Structures or a list of these, "
        f"got {shown(value)}; {advice}"
    )


def names_of(batch: Sequence[Atoms], names: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """A name for each structure: one given, one that it carries along, or its formula.

    Raises:
        TypeError: no list of names.
        ValueError: more or fewer names than structures.
    """
    if names is None:
        carried = [member.info.get("name") for member in batch]
        names = [
            member.get_chemical_formula() if name is None else name
            for member, name in zip(batch, carried, strict=True)
        ]
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Iterable):
        raise TypeError(f"names must be a list of strings, got {shown(names)}")
    names = list(names)
    if len(names) != len(batch):
        raise ValueError(
            f"{len(names)} names were given for {len(batch)} structures; give a list with one each"
        )
    return tuple(str(name) for name in names)


def held_atoms(atoms: Atoms, index: int, name: str) -> np.ndarray:
    """(n,) bool, the atoms that a FixAtoms constraint holds.

    Raises:
        StructureError: another constraint, or one that holds an atom that is not there.
    """
    held = np.zeros(len(atoms), bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise StructureError(
                f"has a {type(constraint).__name__} constraint; only FixAtoms is supported: set "
                "that, or remove it",
                index,
                name,
            )
        try:
            held[constraint.index] = True
        except IndexError as error:
            raise StructureError(
                f"holds atoms {np.asarray(constraint.index).tolist()} (FixAtoms), and has "
                f"{len(atoms)}, counted from 0; name those that are there",
                index,
                name,
            ) from error
    return held
