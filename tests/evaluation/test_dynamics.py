"""Short dynamics: warm where it should be, and given up where it explodes."""

from dataclasses import replace

import pytest
import torch
from ase import Atoms
from springs import network, starts

import bpttviz as bv
from bpttviz.evaluation.dynamics import short_dynamics


def quadratic(sign):
    """Every atom in a well (or on a hill) of its own, 5 eV/Å²."""
    return bv.EnergyFunction(
        lambda structures, _: torch.zeros(
            len(structures), dtype=structures.dtype, device=structures.device
        ).index_add(
            0, structures.structure_index, sign * 2.5 * structures.positions.square().sum(1)
        ),
        torch.nn.Linear(1, 1),
    )


def atoms(count=20, structures=1):
    spread = [[3.0 * i, 0.0, 0.0] for i in range(count)]
    return bv.Structures.from_ase([Atoms(f"Si{count}", spread) for _ in range(structures)])


def test_a_well_has_the_temperature_asked_for():
    structure = replace(atoms(), positions=1e-3 * atoms().positions)
    (found,) = short_dynamics(quadratic(+1), structure, temperature=600, steps=600)
    assert found.exploded == ""
    assert found.steps == 600
    assert found.temperature == pytest.approx(600, rel=0.15)
    # <x^2> = kT/k = 0.01 Å^2 a component: the farthest of twenty atoms is a few tenths away
    assert 0.1 < found.farthest < 0.8


def test_the_same_seed_is_the_same_path_and_another_is_not():
    calls = [{"seed": 0}, {"seed": 0}, {"seed": 1}]
    one, same, other = (
        short_dynamics(network(), starts(1), steps=10, **call)[0].farthest for call in calls
    )
    assert one == same != other


def test_a_hill_explodes_and_says_when():
    (found,) = short_dynamics(quadratic(-1), atoms(4), steps=500)
    assert "K after" in found.exploded
    assert found.steps < 500


def test_held_atoms_stay_and_nothing_else_makes_sense():
    one = starts(1)
    some = replace(one, fixed=torch.tensor([True, False, True, True]))
    (found,) = short_dynamics(network(), some, steps=5)
    assert found.farthest > 0
    with pytest.raises(ValueError, match="nothing can move in s0: all of its atoms are held"):
        short_dynamics(network(), replace(one, fixed=torch.ones(4, dtype=torch.bool)), steps=5)
    for wrong in ({"temperature": 0}, {"steps": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            short_dynamics(network(), one, **wrong)
    with pytest.raises(TypeError, match="potential must be"):
        short_dynamics("chgnet", one)


def test_few_atoms_scatter_and_do_not_explode_by_that():
    pair = bv.Structures.from_ase([Atoms("Si2", [[0, 0, 0], [0.6, 0, 0]])])
    found = [short_dynamics(quadratic(+1), pair, steps=200, seed=seed)[0] for seed in range(8)]
    assert [one.exploded for one in found] == [""] * 8
    alone = bv.Structures.from_ase([Atoms("Si", [[0, 0, 0]])])
    with pytest.raises(ValueError, match="it has a single atom"):
        short_dynamics(quadratic(+1), alone)


def test_forces_that_are_none_are_told_at_once():
    broken = bv.ForceFunction(
        lambda structures, _: structures.positions * torch.nan, torch.nn.Linear(1, 1)
    )
    (found,) = short_dynamics(broken, atoms(3))
    assert (found.steps, found.exploded) == (0, "forces are not finite where it starts")
