"""The pressure that is to stay as it was before."""

import json

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk
from springs import check_gradient, network, starts
from taught import references
from torch import nn

import bpttviz as bv
from bpttviz.provenance import specification
from bpttviz.training.pressure import pressure

DRAW = bv.Draw(7, 2)


class Swollen(bv.Potential):
    """E = -a V + b V^2 for each cell, and springs to where atoms are: pressure in closed form."""

    def __init__(self, a=0.01, b=1e-4):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def energy(self, structures):
        volume = torch.linalg.det(structures.cell).abs()
        touched = 0 * structures.positions.sum()
        return self.b * volume**2 - self.a * volume + touched


def crystals():
    atoms = [bulk("Si", "diamond", a, cubic=True) for a in (5.3, 5.4, 5.5)]
    for one in atoms:
        one.rattle(0.05, seed=1)
    return bv.Structures.from_ase(atoms, [f"c{i}" for i in range(3)])


def test_pressure_in_closed_form():
    crystal = crystals()[0]
    found = float(pressure(Swollen(), crystal, 1e-4).detach()) * units.GPa
    volume = float(torch.linalg.det(crystal.cell[0]))
    assert found == pytest.approx(0.01 - 2e-4 * volume, rel=1e-6)


def test_the_loss_is_the_change_of_the_pressure():
    objective = bv.PressureRehearsal(Swollen(), crystals(), count=2)
    data = references(3)
    found = objective.loss(Swollen(a=0.013), data, DRAW).detach()
    assert found.tolist() == pytest.approx([0.003 / units.GPa] * 3, rel=1e-9)
    assert float(objective.loss(Swollen(), data, DRAW).detach().sum()) == 0


def test_its_gradient_is_that_of_central_differences():
    objective = bv.PressureRehearsal(Swollen(a=0.02), crystals(), count=2)
    potential = Swollen()
    loss = objective.loss(potential, references(2), DRAW).sum()
    slope = torch.autograd.grad(loss, potential.a)[0]
    assert float(slope) == pytest.approx(-2 / units.GPa, rel=1e-9)
    small, other = (
        bv.PaiNN(features=4, layers=1, radial=3, dtype=torch.float64, elements=["Si"])
        for _ in range(2)
    )
    check_gradient(bv.PressureRehearsal(other, crystals()), small, references(1), DRAW)


def test_it_holds_the_lattice_constant_that_another_objective_moves():
    class Push(bv.training.objectives.Objective):
        """Lowers a: away from the pressure of before."""

        rule = None

        def loss(self, potential, references, draw=None):
            return (potential.a * 100).expand(len(references))

    data, keep = references(4), bv.PressureRehearsal(Swollen(), crystals())
    call = {"epochs": 6, "learning_rate": 1e-4, "clip": None, "progress": False}
    moved = []
    for objective in (Push(), Push() + 10 * keep):
        swollen = Swollen()
        swollen.b.requires_grad_(False)
        run = bv.finetune(swollen, data, objective, **call)
        with torch.no_grad():
            moved.append(float(keep.loss(run.potential, data).mean()))
    assert moved[1] < 0.2 * moved[0]


def test_it_is_filed_under_potential_structures_strain_and_count():
    one = crystals()
    made = [
        bv.PressureRehearsal(Swollen(), one),
        bv.PressureRehearsal(Swollen(a=0.02), one),
        bv.PressureRehearsal(Swollen(), one[[0, 1]]),
        bv.PressureRehearsal(Swollen(), one, strain=0.02),
        bv.PressureRehearsal(Swollen(), one, count=2),
    ]
    said = [json.dumps(specification(objective)) for objective in made]
    assert len(set(said)) == len(said)
    assert repr(made[0]) == "PressureRehearsal(3 structures, strain=0.01, count=1)"


def test_what_has_no_pressure_is_refused():
    with pytest.raises(TypeError, match="potential must be a Potential"):
        bv.PressureRehearsal("chgnet", crystals())
    with pytest.raises(bv.StructureError, match="periodic in three directions"):
        bv.PressureRehearsal(network(), starts())
    for strain in (0, 0.06, np.nan):
        with pytest.raises(ValueError, match="strain"):
            bv.PressureRehearsal(Swollen(), crystals(), strain)
    with pytest.raises(ValueError, match="count"):
        bv.PressureRehearsal(Swollen(), crystals(), count=0)
    with pytest.raises(ValueError, match="no energy that its forces follow from"):
        bv.PressureRehearsal(bv.CoordinateTransformer.pretrained(), crystals())
