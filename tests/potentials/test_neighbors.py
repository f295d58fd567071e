"""Neighbours: the pairs and images of ASE's search, found faster."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list

import bpttviz as bv
from bpttviz.potentials.neighbors import neighbours


def random_cell(rng):
    """Upright, tilted far, tiny, turned or any; rows of directions that are open may be zero."""
    lengths = rng.uniform(1.5, 8.0, 3)
    cell = np.diag(lengths)
    match rng.integers(5):
        case 0:
            cell = rng.normal(size=(3, 3)) * 4
        case 1:
            cell[1, 0], cell[2, 0] = rng.uniform(-12, 12), rng.uniform(-20, 20)
        case 2:
            cell = cell * 0.5
        case 3:
            cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pbc = rng.integers(2, size=3).astype(bool)
    if rng.integers(2):
        cell[~pbc] = 0
    return cell, pbc


def random_structure(rng):
    """1 to 11 atoms, also far outside of the cell, and a cutoff up to several cells away."""
    while True:
        cell, pbc = random_cell(rng)
        spanned = cell[pbc]
        if not pbc.any() or np.sqrt(np.linalg.det(spanned @ spanned.T)) > 1.5:
            break
    positions = rng.normal(size=(rng.integers(1, 12), 3)) * rng.choice([2, 30])
    atoms = Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=pbc)
    return atoms, float(rng.uniform(1, 6))


def test_pairs_and_images_are_those_of_ase():
    rng, pairs = np.random.default_rng(0), 0
    for number in range(80):
        atoms, cutoff = random_structure(rng)
        graph = neighbours(bv.Structures.from_ase(atoms, check=False), cutoff)
        found = torch.cat([graph.first[:, None], graph.second[:, None], graph.images], 1).tolist()
        first, second, images = neighbor_list("ijS", atoms, cutoff)
        expected = np.column_stack([first, second, images]).tolist()
        assert sorted(found) == sorted(expected), (number, atoms.cell.array, atoms.pbc, cutoff)
        pairs += len(found)
    assert pairs > 2_500  # there was something to compare


def test_edges_come_in_one_order_whatever_was_searched_before():
    rng = np.random.default_rng(1)
    (atoms, _), (other, _) = random_structure(rng), random_structure(rng)
    first = neighbours(bv.Structures.from_ase(atoms, check=False), 5.0)
    neighbours(bv.Structures.from_ase(other, check=False), 3.0)
    again = neighbours(bv.Structures.from_ase(atoms, check=False), 5.0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert (first.first.diff() >= 0).all()


def test_neighbours_are_those_of_the_positions_as_they_are():
    """In a small skewed cell, with atoms far outside it, against a search over all images."""
    cell = np.array([[3.0, 0, 0], [1.5, 2.6, 0], [0.4, 0.7, 4.0]])
    positions = np.array([[0.1, 0.2, 0.3], [20.5, -7.0, 9.1], [1.5, 1.2, -30.0]])
    crystal = Atoms("Si3", positions=positions, cell=cell, pbc=[True, True, False])
    molecule = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.0]])
    batch = bv.Structures.from_ase([crystal, molecule])
    graph = neighbours(batch, 3.7)
    lengths = graph.vectors(batch.positions).norm(dim=1)
    assert lengths.max() <= 3.7
    assert torch.equal(batch.structure_index[graph.first], batch.structure_index[graph.second])
    images = np.array([[i, j, 0] for i in range(-15, 16) for j in range(-15, 16)]) @ cell
    apart = positions[None, :, None] - positions[:, None, None] + images[None, None]
    expected = np.linalg.norm(apart, axis=3)
    expected = np.sort(expected[(expected > 1e-9) & (expected < 3.7)])
    found = np.sort(lengths[batch.structure_index[graph.first] == 0].numpy())
    assert found == pytest.approx(expected, abs=1e-9)
    assert (batch.structure_index[graph.first] == 1).sum() == 2


def test_what_has_no_neighbours_is_refused():
    batch = bv.Structures.from_ase([Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.0]])] * 2)
    lost = batch.with_positions(batch.positions.index_fill(0, torch.tensor([2]), torch.nan))
    with pytest.raises(bv.StructureError, match="structure 1.*not finite"):
        neighbours(lost, 3.7)
    for cutoff in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cutoff must be a positive, finite number"):
            neighbours(batch, cutoff)


@pytest.mark.parametrize("apart", [3e3, 3e5, 1e6, 1e12])
@pytest.mark.parametrize("pbc", [False, (True, True, False)], ids=str)
def test_atoms_thrown_far_apart_are_refused_before_the_search(apart, pbc):
    """It took minutes, or killed the process with a division by zero."""
    far = Atoms("Si2", [[0, 0, 0], [0, 0, apart]], cell=[8, 8, 8], pbc=pbc)
    structures = bv.Structures.from_ase([far], check=False)
    if apart < 1e4 and pbc is not False:
        assert len(neighbours(structures, 5.0).first) == 0
        return
    with pytest.raises(bv.StructureError, match="too far for a search of neighbours within 5 Å"):
        neighbours(structures, 5.0)


def test_far_from_the_origin_and_unwrapped_is_near_all_the_same():
    near = Atoms("Si2", [[0, 0, 0], [1.4, 1.4, 1.4]], cell=[5.4] * 3, pbc=True)
    far = near.copy()
    far.positions[1] += 1e5 * near.cell[0]
    first, second = (neighbours(bv.Structures.from_ase(x), 5.0) for x in (near, far))
    assert len(first.first) == len(second.first)


@pytest.mark.parametrize("shift", [1e6, 9e6])
def test_where_a_structure_may_lie_its_neighbours_are_found(shift):
    near = Atoms("Si3", [[0, 0, 0], [0, 0, 2.0], [1.5, 1.2, 3.0]])
    far = near.copy()
    far.positions += shift
    first, second = (neighbours(bv.Structures.from_ase(x), 5.0) for x in (near, far))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_atoms_far_from_the_origin_are_not_said_to_be_far_apart():
    far = Atoms("Si2", [[2e7, 0, 0], [2e7, 0, 2.0]])
    structures = bv.Structures.from_ase(far, check=False)
    with pytest.raises(bv.StructureError, match=r"2e\+07 Å from the origin.*shift the structure"):
        neighbours(structures, 5.0)
