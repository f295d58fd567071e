"""The crystal graphs that CHGNet reads: bonds within 6 Å, and angles between those within 3 Å.

The chgnet package makes the same graph edge by edge in Python, a sixth of a relaxation's time. Here
it is a few operations on whole arrays; the search for neighbours is vesin's.
"""

from __future__ import annotations

import torch
from chgnet.graph import CrystalGraph
from torch import Tensor

from bpttviz.potentials.neighbors import neighbours
from bpttviz.structures import StructureError, Structures

SAME_PLACE = 1e-8  # Å; the chgnet package leaves out such a bond in silence


def crystal_graphs(
    structures: Structures, atom_cutoff: float, bond_cutoff: float, dtype: torch.dtype
) -> list[CrystalGraph]:
    """A graph for each structure, its fractional coordinates tied to ``structures.positions``.

    Positions stay unwrapped, exactly as the search saw them: the images refer to these. Only atoms
    beyond the neighbouring cells are taken home, and images accordingly: float32 resolves
    fractional coordinates the worse the larger they are.

    Args:
        structures: periodic in all directions.
        atom_cutoff, bond_cutoff: Å; for bonds, and for the shorter ones that form angles.
        dtype: of coordinates, cell and images.

    Raises:
        StructureError: two atoms at one place, an atom without neighbour, or atoms too far apart
            for a search.
    """
    found = neighbours(structures, atom_cutoff)
    lengths = found.vectors(structures.positions.detach()).norm(dim=1)  # (E,) Å
    last = torch.tensor(structures.counts).cumsum(0)
    bounds = torch.searchsorted(found.first.cpu(), last).tolist()  # edges come by structure
    graphs, offset, begin = [], 0, 0
    members = zip(
        structures.split(structures.positions), structures.split(structures.numbers), bounds,
        strict=True,
    )  # fmt: skip
    for index, (positions, numbers, end) in enumerate(members):
        pairs = torch.stack([found.first, found.second], 1)[begin:end] - offset  # (E, 2)
        cell = structures.cell[index].double()
        fractions = positions.double() @ torch.linalg.inv(cell)
        cells = fractions.detach().floor()
        home = torch.where((cells < -1) | (cells > 1), cells, 0.0)
        moved = home[pairs[:, 1]] - home[pairs[:, 0]]
        images = found.images[begin:end] + moved.to(found.images)
        _require_apart(structures, index, pairs, lengths[begin:end])
        _require_neighbours(structures, index, pairs[:, 0], atom_cutoff)
        undirected, directed = _bonds(pairs, images)
        graphs.append(
            CrystalGraph(
                atomic_number=numbers.to(torch.int32),
                atom_frac_coord=(fractions - home).to(dtype),
                atom_graph=pairs.to(torch.int32),
                atom_graph_cutoff=atom_cutoff,
                neighbor_image=images.to(dtype),
                directed2undirected=undirected.to(torch.int32),
                undirected2directed=directed.to(torch.int32),
                bond_graph=_angles(pairs[:, 0], lengths[begin:end], undirected, bond_cutoff),
                bond_graph_cutoff=bond_cutoff,
                lattice=cell.to(dtype),
            )
        )
        offset, begin = offset + len(numbers), end
    return graphs


def _bonds(pairs: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Bond of each directed edge (E,), and one directed edge of each bond (E/2,).

    A bond is an edge (i, j, image) together with its way back, (j, i, −image). Each is told by a
    whole number, and the smaller of the two tells the bond.
    """
    atoms = int(pairs.max()) + 1 if len(pairs) else 1
    reach = int(images.abs().max()) if len(images) else 0

    def number(first: Tensor, second: Tensor, image: Tensor) -> Tensor:
        code = first * atoms + second
        for axis in range(3):
            code = code * (2 * reach + 1) + image[:, axis] + reach
        return code

    there = number(pairs[:, 0], pairs[:, 1], images)
    back = number(pairs[:, 1], pairs[:, 0], -images)
    bonds, undirected = torch.unique(torch.minimum(there, back), return_inverse=True)
    edges = torch.arange(len(pairs), device=pairs.device)
    first = torch.full_like(bonds, len(pairs)).scatter_reduce(0, undirected, edges, "amin")
    return undirected, first


def _angles(centres: Tensor, lengths: Tensor, undirected: Tensor, cutoff: float) -> Tensor:
    """(A, 5) int32: centre, bond, edge, other bond, other edge, of all two edges at one atom.

    Args:
        centres: (E,) where each edge begins, in ascending order.
        lengths: (E,) Å.
        undirected: (E,) bond of each edge.
        cutoff: Å.
    """
    short = (lengths <= cutoff).nonzero()[:, 0]  # (S,) edges
    at = centres[short]
    there = torch.bincount(at, minlength=int(at.max()) + 1 if len(at) else 0)  # short edges by atom
    begin = there.cumsum(0) - there
    partners = there[at]  # (S,) edges that each may be paired with, itself included
    one = torch.repeat_interleave(short, partners)  # (P,)
    turn = torch.arange(len(one), device=one.device)
    turn = turn - torch.repeat_interleave(partners.cumsum(0) - partners, partners)
    other = short[torch.repeat_interleave(begin[at], partners) + turn]
    # As in the package: the second edge has to be shorter than the cutoff, not as long.
    kept = (one != other) & (lengths[other] < cutoff)
    one, other = one[kept], other[kept]
    columns = [centres[one], undirected[one], one, undirected[other], other]
    return torch.stack(columns, 1).to(torch.int32)


def _require_apart(structures: Structures, index: int, pairs: Tensor, lengths: Tensor) -> None:
    touching = (lengths <= SAME_PLACE).nonzero()[:, 0]
    if len(touching):
        first, second = pairs[touching[0]].tolist()
        raise StructureError(
            f"atoms {first} and {second} (or an image) are at one place: CHGNet has no energy for "
            "that",
            index,
            structures.names[index],
        )


def _require_neighbours(structures: Structures, index: int, centres: Tensor, cutoff: float) -> None:
    connected = torch.zeros(structures.counts[index], dtype=torch.bool, device=centres.device)
    connected[centres] = True
    if not bool(connected.all()):
        atom = int((~connected).nonzero()[0])
        raise StructureError(
            f"atom {atom} has no neighbour within {cutoff:g} Å; CHGNet cannot describe an isolated "
            "atom",
            index,
            structures.names[index],
        )
