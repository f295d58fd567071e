"""What a potential refuses, each in one sentence that names the structure: what it cannot describe.

Every complaint about a member of a batch carries its index, so that a relaxation can give up that
one alone and go on with the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from numbers import Integral

import torch
from ase.data import atomic_numbers, chemical_symbols

from bpttviz._checks import instance_of
from bpttviz.structures import StructureError, Structures

SHOWN = 20  # elements that a sentence lists before it says how many more there are


def require_choice(value: object, known: Collection[str], what: str, advice: str = "") -> str:
    """A name among those there are.

    Args:
        value: what the caller gave.
        known: the names there are.
        what: they are names of, as "CHGNet checkpoint".
        advice: what else to do, for the end of the sentence.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"no {what} {value!r}; choose one of {', '.join(known)}{advice}")
    return value


def require_elements(
    structures: Structures, known: Iterable[int], model: str, advice: str = ""
) -> None:
    """Refuse an element that a model does not know.

    Args:
        structures: the batch.
        known: atomic numbers.
        model: what does not know it, as "this MACE".
        advice: what to do about it.

    Raises:
        StructureError: names the unknown elements of the first structure that has any, and those
            that are known.
    """
    _require_structures(structures)
    known = sorted(known)
    accepted = torch.tensor(known, dtype=torch.int64, device=structures.device)
    strange = ~torch.isin(structures.numbers, accepted)
    if not bool(strange.any()):
        return
    index = int(structures.structure_index[strange][0])
    here = strange & (structures.structure_index == index)
    unknown = symbols(sorted(set(structures.numbers[here].tolist())))
    word = "element" if len(unknown) == 1 else "elements"
    raise _complaint(
        structures,
        index,
        f"has {word} {', '.join(unknown)}, which {model} does not know; it knows "
        f"{_listed(known)}" + (f". {advice}" if advice else ""),
    )


def require_periodic(structures: Structures, model: str) -> None:
    """Refuse a structure that is not periodic in all three directions.

    Raises:
        StructureError: names the first such structure.
    """
    _require_structures(structures)
    open_ones = ~structures.pbc.all(1)
    if bool(open_ones.any()):
        raise _complaint(
            structures,
            int(open_ones.nonzero()[0]),
            f"is not periodic in all three directions, which {model} needs; give it a cell with "
            "vacuum and pbc=True (a molecule's rotation counts in ΔQ then)",
        )


def require_finite(structures: Structures) -> None:
    """Refuse positions that are NaN or infinite.

    Raises:
        StructureError: names the first such structure.
    """
    _require_structures(structures)
    lost = ~torch.isfinite(structures.positions.detach()).all(1)
    if bool(lost.any()):
        index = int(structures.structure_index[lost][0])
        raise _complaint(structures, index, "has positions that are not finite")


def require_neighbours(
    structures: Structures, first: torch.Tensor, cutoff: float, model: str
) -> None:
    """Refuse an atom without any neighbour.

    Args:
        structures: the batch.
        first: (E,) the first atom of every edge, of the flat batch.
        cutoff: within which neighbours were searched, Å.
        model: what cannot describe it, as "this DIEP".

    Raises:
        StructureError: names the first such atom, counted in its structure.
    """
    _require_structures(structures)
    lonely = torch.bincount(first, minlength=len(structures.numbers)) == 0
    if bool(lonely.any()):
        found = int(lonely.nonzero()[0])
        index = int(structures.structure_index[found])
        raise _complaint(
            structures,
            index,
            f"atom {found - sum(structures.counts[:index])} has no neighbour within {cutoff:g} Å; "
            f"{model} cannot describe an isolated atom",
        )


def require_sizes(structures: Structures, size: int, explanation: str) -> None:
    """Refuse a structure of another number of atoms.

    Args:
        structures: the batch.
        size: atoms in each.
        explanation: why it must have so many, as the end of the sentence "has 3 atoms; ...".

    Raises:
        StructureError: names the first such structure.
    """
    _require_structures(structures)
    for index, count in enumerate(structures.counts):
        if count != size:
            raise _complaint(structures, index, f"has {count} atoms; {explanation}")


def symbols(numbers: Iterable[int]) -> list[str]:
    """Chemical symbols of atomic numbers; "element 200" where there is none."""
    return [
        chemical_symbols[number] if 0 <= number < len(chemical_symbols) else f"element {number}"
        for number in numbers
    ]


def numbers_of(elements: Iterable[str | int]) -> tuple[int, ...]:
    """Sorted atomic numbers of elements given as symbols or numbers.

    Raises:
        ValueError: one of them is no element.
    """
    given: object = elements
    no_list = isinstance(given, (str, bytes)) or not isinstance(given, Iterable)
    if no_list or getattr(given, "shape", None) == ():
        raise ValueError(f"elements must be a list, as ['Si', 'P'], got {elements!r}")
    return tuple(sorted({_number_of(element) for element in elements}))


def _number_of(element: object) -> int:
    number = atomic_numbers.get(element) if isinstance(element, str) else element
    whole = isinstance(number, Integral) and not isinstance(number, bool)
    number = int(number) if whole else 0  # type: ignore[call-overload]  # as asked before
    if not 0 < number < len(chemical_symbols):
        raise ValueError(f"elements must be symbols, as ['Si', 'P']; there is no {element!r}")
    return number


def _listed(numbers: Sequence[int]) -> str:
    """Elements for a sentence; a range of the periodic table where they are one."""
    names = symbols(numbers)
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{names[0]} to {names[-1]} (atomic numbers {numbers[0]} to {numbers[-1]})"
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _require_structures(value: object) -> None:
    instance_of("structures", value, Structures, "bv.Structures.from_ase(atoms)")


def _complaint(structures: Structures, index: int, reason: str) -> StructureError:
    return StructureError(reason, index, structures.names[index])
