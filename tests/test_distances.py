import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import bpttviz as bv
from bpttviz.geometry import segment_sum


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    start = bulk("GaAs", "zincblende", a=5.6, cubic=True)
    end = start.copy()
    end.positions += rng.normal(scale=0.1, size=end.positions.shape)
    return start, end


def by_hand(start, end, masses):
    moved = end.positions - start.positions
    moved -= (masses[:, None] * moved).sum(0) / masses.sum()
    return np.sqrt((masses[:, None] * moved**2).sum())


def test_delta_q_and_rmsd_by_hand(pair):
    a, b = (bv.Structures.from_ase(x) for x in pair)
    assert float(bv.delta_q(a, b)) == pytest.approx(by_hand(*pair, pair[0].get_masses()), rel=1e-12)
    expected = by_hand(*pair, np.ones(len(pair[0]))) / np.sqrt(len(pair[0]))
    assert float(bv.rmsd(a, b)) == pytest.approx(expected, rel=1e-12)


def test_translations_and_images_cost_nothing(pair):
    start, end = pair
    moved = end.copy()
    moved.positions += [0.3, -0.2, 0.1]
    moved.positions[2] += moved.cell[0] - 2 * moved.cell[1]
    a, b, c = (bv.Structures.from_ase(x) for x in (start, end, moved))
    assert float(bv.delta_q(a, c)) == pytest.approx(float(bv.delta_q(a, b)), rel=1e-10)
    assert float(bv.delta_q(b, c)) == pytest.approx(0, abs=1e-10)


def test_gradient_against_differences_and_at_coincidence(pair):
    a, b = (bv.Structures.from_ase(x) for x in pair)

    def loss(x):
        return bv.delta_q(a, b.with_positions(x)).sum()

    assert torch.autograd.gradcheck(loss, b.positions.clone().requires_grad_())
    x = a.positions.clone().requires_grad_()
    (slope,) = torch.autograd.grad(bv.delta_q(a, a.with_positions(x)).sum(), x)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_force_error_is_the_mean_absolute_component():
    structure_index = torch.tensor([0, 1, 1])
    predicted = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]])
    error = bv.force_error(predicted, torch.zeros(3, 3), structure_index, 2)
    assert error.tolist() == pytest.approx([1 / 3, 5 / 6])


def test_different_atoms_are_refused(pair):
    start, end = pair
    a = bv.Structures.from_ase(start, ["GaAs"])
    swapped = end[[1, 0, *range(2, 8)]]
    with pytest.raises(bv.StructureError, match=r"GaAs.*atom 0 is element 31.*same order"):
        bv.delta_q(a, bv.Structures.from_ase(swapped))
    with pytest.raises(bv.StructureError, match="has 8 atoms, its reference 7"):
        bv.delta_q(a, bv.Structures.from_ase(end[:7]))
    wider = end.copy()
    wider.set_cell(end.cell * 1.01)
    with pytest.raises(bv.StructureError, match="another cell"):
        bv.delta_q(a, bv.Structures.from_ase(wider))
    with pytest.raises(bv.StructureError, match="1 structures cannot be compared with 2"):
        bv.delta_q(a, bv.Structures.from_ase([start, Atoms("H")]))


def test_two_number_types_are_compared_in_the_finer_one():
    atoms = bulk("Si", cubic=True)
    one = bv.Structures.from_ase(atoms)
    moved = atoms.copy()
    moved.positions[0] += 0.1
    two = bv.Structures.from_ase(moved)
    expected = bv.delta_q(one, two)
    for a, b in ((one.to(dtype=torch.float32), two), (one, two.to(dtype=torch.float32))):
        assert torch.allclose(bv.delta_q(a, b), expected, rtol=1e-5)
        assert torch.allclose(bv.rmsd(a, b), bv.rmsd(one, two), rtol=1e-5)


def test_where_places_matter_nothing_is_free():
    """A field with two wells: whoever rests in the other one is not where it should be."""

    def energy(structures, positions):
        wells = (positions[:, 0] ** 2 - 1) ** 2
        return segment_sum(wells, structures.structure_index, len(structures))

    field = bv.EnergyFunction(energy, equivariant=False, net_force_free=False)
    assert field.places_matter
    assert not bv.EnergyFunction(energy).places_matter
    assert not bv.ForceFunction(energy).places_matter
    atom = Atoms("H", [[-0.5, 0, 0]])
    start = bv.Structures.from_ase(atom)
    end = start.with_positions(torch.tensor([[1.0, 0, 0]]).double())
    assert float(bv.delta_q(start, end)) == 0
    assert float(bv.delta_q(start, end, places_matter=True)) == pytest.approx(1.5 * 1.008**0.5)
    reference = bv.ReferenceRelaxation("a", "g", start, end)
    data = bv.RelaxationDataset([reference])
    loss = bv.EndpointLoss(bv.GradientDescent(0.02), bv.StoppingCriterion(200)).loss(field, data)
    assert float(loss) == pytest.approx(2 * 1.008**0.5, abs=1e-3)
    report = bv.evaluate({"field": field}, data, progress=False)
    (row,) = report.rows
    assert row.basin == "different"
    assert row.dq_rest == pytest.approx(2 * 1.008**0.5, abs=1e-2)


@pytest.mark.parametrize(
    ("index", "count", "named"),
    [
        ([0, 0, 2, 2], 2, r"\[0, 2\]"),
        ([0, 0, 2, 2], 3, r"\[0, 2\]"),
        ([-1, 0, 0, 1], 2, r"\[-1, 0, 1\]"),
    ],
)
def test_force_errors_are_of_the_structures_there_are(index, count, named):
    forces = torch.zeros(4, 3)
    with pytest.raises(ValueError, match=rf"must name the structures from 0.*it names {named}"):
        bv.force_error(forces, forces + 1, torch.tensor(index), count)
