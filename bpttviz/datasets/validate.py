"""What a relaxation must be to enter a shipped set: one unbroken path that ends at rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from bpttviz._checks import positive
from bpttviz.datasets.labels import has_labels, largest_force, not_finite, settings_of, unfinished

AT_REST = 0.01  # eV/Å

# The generator's optimiser moves no atom further than 0.15 Å in a step.
LONGEST_STEP = 0.3  # Å
SAME_PLACE = 1e-6  # Å

# How much shorter (summed squares) the way from start to end may be if atoms of one element trade
# places. Above it, the file most likely lists them in another order at the end.
SHORTER_WAY = 0.1  # Å²
MOVES = 0.2  # Å
FEW = 60  # atoms


def find_problems(frames: Sequence[Atoms], at_rest: float = AT_REST) -> list[str]:
    """Why these frames cannot enter a set, in sentences; nothing if they can.

    Args:
        frames: of one relaxation, from the start to the end.
        at_rest: largest force (eV/Å) that an atom of the last frame may feel.

    Raises:
        TypeError, ValueError: ``at_rest`` is no positive number.
    """
    at_rest = positive("at_rest", at_rest)
    if len(frames) < 2:
        return ["a relaxation has a start and an end, two frames at least"]
    first = frames[0]
    for number, frame in enumerate(frames):
        if len(frame) != len(first) or (frame.numbers != first.numbers).any():
            return [f"frame {number} lists other atoms, or in another order, than the start"]
        if (frame.pbc != first.pbc).any():
            return [f"frame {number} is periodic in other directions than the start"]
        if not np.allclose(frame.cell[frame.pbc], first.cell[first.pbc], atol=1e-6):
            return [f"frame {number} has another cell than the start"]
        if not has_labels(frame):
            return [f"frame {number} comes without energy or forces (by ASE's names)"]
        infinite = not_finite(frame)
        if infinite:
            return [f"{infinite} of frame {number} are not finite"]
    return [
        *_of_labels(frames, at_rest),
        *(fault for number in range(1, len(frames)) for fault in _of_step(frames, number)),
        *_of_order(first, frames[-1]),
    ]


def _of_labels(frames: Sequence[Atoms], at_rest: float) -> list[str]:
    found = []
    settings = {settings_of(frame) for frame in frames}
    if len(settings) > 1:
        found.append(f"labels of different settings in one file: {'; '.join(sorted(settings))}")
    if unfinished(frames):
        found.append("the file says that its relaxation is not finished; continue it")
    force = largest_force(frames[-1])
    if not force <= at_rest:
        found.append(
            f"the end is not at rest: an atom feels {force:.4f} eV/Å, more than {at_rest:g}; "
            "continue the relaxation"
        )
    return found


def _of_step(frames: Sequence[Atoms], number: int) -> list[str]:
    before, after = frames[number - 1], frames[number]
    moved = after.positions - before.positions
    shortest, distance = find_mic(moved, before.cell, before.pbc)
    atom = int(distance.argmax())
    if distance[atom] > LONGEST_STEP:
        return [
            f"atom {atom} jumps {distance[atom]:.2f} Å from frame {number - 1} to {number}: atoms "
            "swapped, frames missing, or a step into another basin"
        ]
    if distance[atom] < SAME_PLACE:
        return [f"frame {number} is where frame {number - 1} was: keep one of the two"]
    wrapped = np.abs(moved - shortest).max(axis=1)
    if wrapped.max() > SAME_PLACE:
        return [
            f"atom {int(wrapped.argmax())} is wrapped into the cell between frames {number - 1} "
            f"and {number}: unwrap the positions"
        ]
    return []


def _of_order(start: Atoms, end: Atoms) -> list[str]:
    atoms = permuted_atoms(
        start.numbers, start.positions, end.positions, start.cell.array, start.pbc
    )
    if not atoms:
        return []
    named = ", ".join(map(str, atoms))
    return [f"atoms {named} have traded places from start to end: list them in one order"]


def permuted_atoms(
    numbers: np.ndarray, start: np.ndarray, end: np.ndarray, cell: np.ndarray, pbc: np.ndarray
) -> list[int]:
    """Atoms that would have a clearly shorter way if they traded places with their own kind.

    The assignment of ends to starts that makes the summed squares of ways shortest, compared with
    the file's. Only ends in reach are looked at: no trade of two that shortens their ways has one
    longer than √2 times the longest way there is. So the work grows with the number of atoms.

    Args:
        numbers: (N,) atomic numbers.
        start, end: (N, 3) Å.
        cell, pbc: (3, 3) Å and (3,) bool.
    """
    own = find_mic(end - start, cell, pbc)[1]
    if own.max(initial=0) <= MOVES:
        return []
    reach = np.sqrt(2) * own.max() + SAME_PLACE
    near = _near_movers(start, end, own, reach, cell, pbc)
    numbers, own, count = numbers[near], own[near], len(near)
    first, second, way = _ways(numbers, start[near], end[near], reach, cell, pbc)
    rows = np.concatenate([np.arange(count), first])
    columns = np.concatenate([np.arange(count), second])
    ways = np.concatenate([own, way]) ** 2
    order = np.lexsort((ways, columns, rows))  # of several images of a pair the nearest counts
    pairs = np.stack([rows, columns])[:, order]
    nearest = np.append(True, (np.diff(pairs) != 0).any(axis=0))
    # One is added to each: a way of length zero would count as none.
    cost = csr_array((ways[order][nearest] + 1, tuple(pairs[:, nearest])), shape=(count, count))
    row, partner = min_weight_full_bipartite_matching(cost)
    saved = cost.diagonal().sum() - cost[row, partner].sum()
    return near[row[row != partner]].tolist() if saved > SHORTER_WAY else []


def _near_movers(
    start: np.ndarray,
    end: np.ndarray,
    own: np.ndarray,
    reach: float,
    cell: np.ndarray,
    pbc: np.ndarray,
) -> np.ndarray:
    """Which atoms start or end near one that moves far; all, where many do.

    Two that move less than `MOVES` have less than `SHORTER_WAY` to save by a trade.
    """
    movers = np.flatnonzero(own > MOVES)
    if len(movers) > FEW:
        return np.arange(len(start))
    near = np.zeros(len(start), bool)
    for mover in movers:
        for place in (start[mover], end[mover]):
            for places in (start, end):
                near |= find_mic(places - place, cell, pbc)[1] <= reach
    return np.flatnonzero(near)


def _ways(
    numbers: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    reach: float,
    cell: np.ndarray,
    pbc: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts (P,), other atoms' ends of one kind (P,) in reach, and their distances in Å."""
    count = len(numbers)
    both = Atoms(np.tile(numbers, 2), np.concatenate([start, end]), cell=cell, pbc=pbc)
    first, second, distance = neighbor_list("ijd", both, reach)
    chosen = (first < count) & (second >= count)
    first, second, distance = first[chosen], second[chosen] - count, distance[chosen]
    alike = (numbers[first] == numbers[second]) & (first != second)
    return first[alike], second[alike], distance[alike]
