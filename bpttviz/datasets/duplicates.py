"""Relaxations that are in a set twice: a copied file, or two outputs of one calculation."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bpttviz.datasets.labels import DataError
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.geometry import minimum_image
from bpttviz.structures import Structures

SAME = 1e-4  # Å; programs write five or six digits
SHOWN = 8  # pairs in a sentence


def require_no_copies(references: Sequence[ReferenceRelaxation]) -> None:
    """See that no two members are one and the same relaxation: start and end within 1e-4 Å.

    Raises:
        DataError: two are, and in different groups: one could train, the other test.

    Warns where two are in one group: that relaxation counts twice.
    """
    alike: list[str] = []
    apart: list[str] = []
    for one, other in _copies(references):
        (alike if one.group == other.group else apart).append(f"{one.name} and {other.name}")
    if apart:
        raise DataError(
            f"{_listed(apart)}: the same start and end, in different groups, so that what is "
            "trained on could be tested on. Leave one out, or give both one group"
        )
    if alike:
        warnings.warn(
            f"{_listed(alike)}: the same start and end (a copied file, or two outputs of one "
            "calculation), so that it counts twice; leave one out",
            stacklevel=3,
        )


def _listed(pairs: Sequence[str]) -> str:
    more = f"; and {len(pairs) - SHOWN} more pairs" if len(pairs) > SHOWN else ""
    return "; ".join(pairs[:SHOWN]) + more


def _copies(
    references: Sequence[ReferenceRelaxation],
) -> Iterator[tuple[ReferenceRelaxation, ReferenceRelaxation]]:
    """Pairs of members that are the same; each member but the first of its kind comes once."""
    of_atoms = defaultdict(list)
    for reference in references:
        start = reference.start
        of_atoms[start.numbers.numpy().tobytes(), start.pbc.numpy().tobytes()].append(reference)
    for members in of_atoms.values():
        # How far all atoms move is the same of two that are, whichever images files give.
        moved = np.array([float(_apart(r.start, r.end).norm()) for r in members])
        tolerance = 2 * SAME * math.sqrt(len(members[0].start.numbers))
        for place, member in enumerate(members):
            near = np.flatnonzero(np.abs(moved[:place] - moved[place]) <= tolerance)
            for earlier in (members[index] for index in near):
                if _same(earlier, member):
                    yield earlier, member
                    break


def _same(one: ReferenceRelaxation, other: ReferenceRelaxation) -> bool:
    pbc = one.start.pbc[0]
    cells = (one.start.cell[0, pbc], other.start.cell[0, pbc])
    return torch.allclose(*cells, rtol=0, atol=SAME) and all(
        bool((_apart(here, there).norm(dim=1) <= SAME).all())
        for here, there in ((one.start, other.start), (one.end, other.end))
    )


def _apart(one: Structures, other: Structures) -> Tensor:
    """Vectors (N, 3) Å between the nearest images of atoms of two structures in one cell."""
    vectors = other.positions - one.positions
    return minimum_image(vectors, one.cell, one.pbc, one.structure_index)
