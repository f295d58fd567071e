"""Which minimum a structure rests in."""

import pytest
import torch
from ase import Atoms

import bpttviz as bv
from bpttviz.evaluation.minima import SAME_MINIMUM, basins
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential, Prediction


class TwoWells(Potential):
    """Two atoms joined by a double well in their distance: two minima, at 2 and 4 Å."""

    equivariant = True

    def energy(self, structures):
        pairs = structures.positions.reshape(-1, 2, 3)
        distance = (pairs[:, 1] - pairs[:, 0]).norm(dim=1)
        return 0.2 * (distance - 2) ** 2 * (distance - 4) ** 2 + 0.05 * distance


def pair(name, *distances, cell=(12, 12, 12)):
    """A reference relaxation of two atoms."""
    frames = [
        Atoms("Si2", positions=[[0, 0, 0], [d, 0, 0]], cell=cell, pbc=True) for d in distances
    ]
    return bv.ReferenceRelaxation.from_ase(name, frames)


@pytest.mark.parametrize("batch_size", [1, None])
def test_basins_are_told_apart(batch_size):
    ways = {"stays": (2.3, 2.0), "wrong side": (3.5, 2.0), "comes over": (2.5, 2.0)}
    data = bv.RelaxationDataset([pair(name, *way) for name, way in ways.items()])
    result = bv.evaluate(
        {"wells": TwoWells()},
        data,
        bv.GradientDescent(0.1),
        bv.StoppingCriterion(5),
        progress=False,
        batch_size=batch_size,
    )
    assert result.column("basin", "wells").tolist() == ["same", "different", "same"]


def test_who_did_not_come_to_rest_is_in_no_basin():
    data = bv.RelaxationDataset([pair("a", 2.3, 1.9724), pair("b", 2.0, 2.6)])
    relaxer = Relaxer(max_steps=2)
    rest = Relaxer().run(TwoWells(), data.starts())
    assert rest.converged.all()
    assert basins(TwoWells(), rest, data.ends(), relaxer) == ["same", "unknown"]
    hasty = relaxer.run(TwoWells(), data.starts())
    assert basins(TwoWells(), hasty, data.ends(), Relaxer())[0] == "unknown"


class SoftWell(Potential):
    """One well, 3 Å apart, so soft that 0.15 Å beside it the force is below 0.005 eV/Å."""

    def energy(self, structures):
        pairs = structures.positions.reshape(-1, 2, 3)
        return 0.015 * ((pairs[:, 1] - pairs[:, 0]).norm(dim=1) - 3) ** 2


def test_a_soft_mode_that_has_not_come_to_rest_is_no_other_basin():
    data = bv.RelaxationDataset([pair("soft", 2.85, 3.15)])
    relaxer, potential = Relaxer(), SoftWell()
    rest = relaxer.run(potential, data.starts())
    assert (int(rest.steps), bool(rest.converged)) == (0, True)
    assert float(bv.delta_q(data.starts(), data.ends())) > 3 * SAME_MINIMUM
    assert basins(potential, rest, data.ends(), relaxer) == ["same"]


class Twins(TwoWells):
    """Two wells that are one another's mirror image; energies that tell them apart all the same."""

    def __init__(self, conservative):
        super().__init__()
        self.conservative = conservative

    def forward(self, structures):
        x = structures.positions.detach().requires_grad_()
        with torch.enable_grad():
            pairs = x.reshape(-1, 2, 3)
            distance = (pairs[:, 1] - pairs[:, 0]).norm(dim=1)
            energy = 0.2 * (distance - 2) ** 2 * (distance - 4) ** 2
            (slope,) = torch.autograd.grad(energy.sum(), x)
        return Prediction(distance.detach(), -slope)


@pytest.mark.parametrize(("conservative", "basin"), [(True, "different"), (False, "equivalent")])
def test_equivalent_minima_of_a_potential_without_energies_are_told_by_geometry(
    conservative, basin
):
    data = bv.RelaxationDataset([pair("mirrored", 3.5, 2, cell=(6, 9, 11))])
    result = bv.evaluate(
        {"twins": Twins(conservative)},
        data,
        bv.GradientDescent(0.1),
        bv.StoppingCriterion(5),
        progress=False,
    )
    assert result.rows[0].basin == basin
