"""Bringing structures to rest: together as alone, as ASE does it, and whoever fails is named."""

from dataclasses import replace

import ase.optimize
import numpy as np
import pytest
import torch
from ase import Atoms
from springs import network, starts

import bpttviz as bv
from bpttviz.evaluation import rest
from bpttviz.evaluation.rest_path import MOST_FRAMES, PathRecorder
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import StructureError


class Counts(Potential):
    """Springs in which calls, and structures in each, are counted."""

    def __init__(self):
        super().__init__()
        self.springs, self.calls = network(), []
        self.equivariant = self.springs.equivariant
        self.net_force_free = self.springs.net_force_free

    def forward(self, structures):
        self.calls.append(len(structures))
        return self.springs(structures)


def one_held():
    """Three starts for springs, with an atom held in the last."""
    structures = starts(3)
    fixed = structures.fixed.clone()
    fixed[-2] = True
    return replace(structures, fixed=fixed)


def test_the_default_goes_where_ases_fire_goes():
    structures, potential = one_held(), network()
    ours = bv.Relaxer(fmax=0.01, max_steps=300).run(potential, structures)
    theirs = bv.Relaxer(0.01, 300, ase.optimize.FIRE).run(potential, structures)
    assert ours.steps.tolist() == theirs.steps.tolist()
    assert len(set(ours.steps.tolist())) > 1
    assert ours.converged.tolist() == theirs.converged.tolist() == [True] * 3
    np.testing.assert_allclose(
        ours.structures.positions, theirs.structures.positions, atol=1e-4, rtol=0
    )
    assert ours.energy.tolist() == pytest.approx(theirs.energy.tolist(), abs=1e-6)
    assert ours.fmax.tolist() == pytest.approx(theirs.fmax.tolist(), abs=1e-5)
    held = structures.fixed
    assert torch.equal(ours.structures.positions[held], structures.positions[held])


def test_together_is_as_alone_and_who_is_done_leaves():
    structures, potential = starts(7), Counts()
    relaxer = bv.Relaxer(fmax=1e-3)
    alone = [relaxer.run(potential, structures[i]) for i in range(7)]
    calls = len(potential.calls)
    potential.calls.clear()
    together = relaxer.run(potential, structures, batch_size=3)
    assert together.structures.names == structures.names
    for index, one in enumerate(alone):
        assert bool(together.converged[index])
        assert int(together.steps[index]) == int(one.steps)
        mine = together.structures[index]
        np.testing.assert_allclose(mine.positions, one.structures.positions, atol=1e-9)
    assert max(potential.calls) == 3
    assert sum(potential.calls) == calls  # nobody is evaluated once it is done
    full = [size for size in potential.calls if size == 3]
    assert len(full) > 0.6 * len(potential.calls)  # and who waits takes its place


class Picky(Potential):
    """Springs that refuse structures by name, from a number of calls on."""

    def __init__(self, names, after=0, index=True):
        super().__init__()
        self.springs, self.names, self.after, self.index = network(), names, after, index
        self.calls = 0

    def forward(self, structures):
        self.calls += 1
        for index, name in enumerate(structures.names):
            if name in self.names and self.calls > self.after:
                raise StructureError("is not to its taste", index if self.index else None, name)
        return self.springs(structures)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("after", [0, 3])
def test_one_that_cannot_be_described_does_not_hold_up_the_others(index, after):
    structures = starts(4)
    found = bv.Relaxer(fmax=1e-3).run(Picky({"s1"}, after, index), structures)
    expected = bv.Relaxer(fmax=1e-3).run(network(), structures[[0, 2, 3]])
    assert found.failures == {1: "is not to its taste"}
    assert found.converged.tolist() == [True, False, True, True]
    assert found.energy[1].isnan()
    assert found.fmax[1].isnan()
    np.testing.assert_allclose(
        found.structures[[0, 2, 3]].positions, expected.structures.positions, atol=1e-9
    )
    assert int(found.steps[1]) == after


def test_forces_that_are_no_numbers_are_named():
    class Bad(Potential):
        def forward(self, structures):
            forces = -structures.positions.clone()
            forces[structures.positions.norm(dim=1) > 5] = torch.nan
            return Prediction(torch.zeros(len(structures)), forces)

    atoms = [Atoms("Si", positions=[[x, 0, 0]]) for x in (1.0, 9.0)]
    found = bv.Relaxer(fmax=0.01).run(Bad(), bv.Structures.from_ase(atoms))
    assert found.failures == {1: "energy or forces are not finite"}
    assert found.converged.tolist() == [True, False]


def test_so_many_steps_and_no_more():
    found = bv.Relaxer(fmax=1e-9, max_steps=4).run(network(), starts(2))
    assert found.steps.tolist() == [4, 4]
    assert not found.converged.any()
    assert found.energy.isfinite().all()
    assert not found.failures


def test_batches_are_made_by_atoms():
    device = torch.device("cpu")
    assert list(rest.batches([100, 100, 100, 300, 10], device, None)) == [[0, 1], [2], [3], [4]]
    assert list(rest.batches([1] * 5, device, 2)) == [[0, 1], [2, 3], [4]]
    assert list(rest.batches([], device, None)) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fmax": -0.1}, "fmax must be a positive, finite number, got -0.1"),
        ({"fmax": float("nan")}, "fmax must be a positive"),
        ({"max_steps": 0}, "max_steps must be a whole number of at least 1"),
        ({"max_steps": 2.5}, "max_steps must be a whole number"),
        ({"optimizer": "fire"}, "optimizer must be a"),
        ({"optimizer": bv.FIRE}, r"write FIRE\(...\), with parentheses"),
    ],
)
def test_numbers_and_parts_without_a_meaning_are_refused(change, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        bv.Relaxer(**change)


def test_wrong_kinds_are_refused_with_a_sentence():
    with pytest.raises(TypeError, match="structures must be a Structures"):
        bv.Relaxer().run(network(), [Atoms("Si")])
    with pytest.raises(TypeError, match="potential must be a Potential"):
        bv.Relaxer().run("chgnet", starts())


@pytest.mark.parametrize("optimizer", [bv.FIRE(), ase.optimize.BFGS])
def test_the_way_is_kept_as_frames_that_were_visited(optimizer):
    structures, potential = starts(2), network()
    found = bv.Relaxer(fmax=1e-4, optimizer=optimizer).run(potential, structures)
    for index, path in enumerate(found.paths):
        assert path.steps[0] == 0
        assert path.steps[-1] == found.steps[index]
        np.testing.assert_allclose(path.positions[0], structures[index].positions, atol=1e-12)
        np.testing.assert_allclose(path.positions[-1], found.structures[index].positions, atol=1e-9)
        middle = len(path) // 2
        there = structures[index].with_positions(torch.as_tensor(path.positions[middle]))
        assert path.energy[middle] == pytest.approx(float(potential(there).energy), abs=1e-6)


def test_a_long_way_is_thinned_evenly():
    recorder = PathRecorder()
    for step in range(300):
        recorder.add(step, torch.full((1, 3), float(step)), 0.0, 1.0)
    path = recorder.path()
    assert len(path) <= MOST_FRAMES + 1
    assert path.steps[-1] == 299
    assert set(np.diff(path.steps[:-1])) == {recorder.stride}
    np.testing.assert_array_equal(path.positions[:, 0, 0], path.steps)
