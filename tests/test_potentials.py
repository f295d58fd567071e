"""The contract that every potential keeps, and the ones that break it."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from springs import network, starts

import bpttviz as bv
from bpttviz.geometry import sum_by_owner
from bpttviz.potentials.base import Potential, require_device


def rattled(atoms, seed, size=0.1):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(scale=size, size=atoms.positions.shape)
    return atoms


def crystals():
    return bv.Structures.from_ase(
        [rattled(bulk("GaAs", "zincblende", a=5.6), 0), rattled(bulk("NaCl", "rocksalt", a=5.6), 1)]
    )


CASES = {
    "springs": (lambda: network(), lambda: starts(2)),
    "chgnet": (lambda: bv.CHGNet(dtype=torch.float64), crystals),
    "scaled chgnet": (lambda: bv.ScaledForces(bv.CHGNet(dtype=torch.float64), 1.5), crystals),
}


@pytest.fixture(params=CASES, scope="module")
def case(request):
    make_potential, make_structures = CASES[request.param]
    return make_potential(), make_structures()


def test_shapes_types_and_untouched_input(case):
    potential, structures = case
    before = structures.positions.clone()
    energy, forces = potential(structures)
    assert energy.shape == (len(structures),)
    assert forces.shape == structures.positions.shape
    assert energy.dtype == forces.dtype == structures.dtype
    assert torch.equal(structures.positions, before)
    assert not structures.positions.requires_grad


def test_forces_are_minus_the_slope_of_the_energy(case):
    potential, structures = case
    draw = torch.Generator().manual_seed(0)
    direction = torch.randn(structures.positions.shape, generator=draw, dtype=torch.float64)
    step = 1e-4
    with torch.no_grad():
        forces = potential(structures).forces
        above, below = (
            potential(structures.with_positions(structures.positions + s * direction)).energy
            for s in (step, -step)
        )
    expected = (below - above) / (2 * step)
    found = sum_by_owner((forces * direction).sum(1), structures.owner, len(structures))
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_translation_changes_nothing_and_forces_add_up_to_zero(case):
    potential, structures = case
    with torch.no_grad():
        energy, forces = potential(structures)
        moved = potential(structures.with_positions(structures.positions + 0.37))
    assert torch.allclose(moved.energy, energy, atol=1e-8)
    assert torch.allclose(moved.forces, forces, atol=1e-7)
    assert sum_by_owner(forces, structures.owner, len(structures)).abs().max() < 1e-7


def test_rotation_turns_the_forces(case):
    potential, structures = case
    if not potential.equivariant:
        with torch.no_grad():
            turned = potential(structures.with_positions(structures.positions.flip(1)))
        assert not torch.allclose(turned.energy, potential(structures).energy)
        return
    rotation, _ = torch.linalg.qr(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    )
    from dataclasses import replace

    turned = replace(
        structures, positions=structures.positions @ rotation, cell=structures.cell @ rotation
    )
    with torch.no_grad():
        energy, forces = potential(structures)
        other = potential(turned)
    assert torch.allclose(other.energy, energy, atol=1e-8)
    assert torch.allclose(other.forces, forces @ rotation, atol=1e-6)


def test_a_batch_equals_its_members(case):
    potential, structures = case
    with torch.no_grad():
        together = potential(structures)
        for index in range(len(structures)):
            alone = potential(structures[index])
            assert torch.allclose(together.energy[index], alone.energy[0], atol=1e-8)
            assert torch.allclose(
                together.forces[structures.owner == index], alone.forces, atol=1e-7
            )


def test_parameters_are_felt_through_two_steps_in_eval_mode(case):
    potential, structures = case
    potential.eval()
    result = bv.relax(potential, structures, stop=bv.Stop(2))
    target = structures.positions.flip(0)
    loss = ((result.final.positions - target) ** 2).sum()
    gradients = torch.autograd.grad(
        loss, [p for p in potential.parameters() if p.requires_grad], allow_unused=True
    )
    assert any(g is not None and g.abs().max() > 1e-6 for g in gradients)


class Detached(Potential):
    """Breaks the contract as an engine does that detaches."""

    def energy(self, structures):
        return sum_by_owner(
            (structures.positions.detach() ** 2).sum(1), structures.owner, len(structures)
        )


def test_lost_graphs_are_errors_not_silence():
    with pytest.raises(RuntimeError, match="Detached.*without a graph.*detaches"):
        Detached()(starts(1))
    with pytest.raises(TypeError, match=r"defines neither energy\(\) nor forward\(\)"):
        Potential()(starts(1))


def test_springs_know_their_rest():
    potential, start = network(), starts(1)
    rest = potential.rest_positions(start.positions)
    with torch.no_grad():
        assert potential(start.with_positions(rest.detach())).forces.abs().max() < 1e-12
    assert torch.allclose(rest.mean(0), start.positions.mean(0))
    slope = torch.autograd.grad(rest[0, 0], potential.stiffness)[0]
    assert slope.abs().max() > 1e-3  # frustrated: the rest depends on the stiffnesses
    with pytest.raises(bv.StructureError, match="has 3 atoms; this spring network joins 4"):
        potential(bv.Structures.from_ase(Atoms("Si3", positions=np.eye(3) * 3)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_missing_cuda_is_said_in_a_sentence():
    with pytest.raises(RuntimeError, match="device='cuda' was asked for.*use device='cpu'"):
        require_device("cuda")
    with pytest.raises(RuntimeError, match="device='cuda' was asked for"):
        bv.CHGNet(device="cuda")


def test_calculator_serves_ase():
    potential, structures = CASES["chgnet"][0](), crystals()
    atoms = structures.to_ase()[1]
    atoms.calc = potential.calculator()
    with torch.no_grad():
        energy, forces = potential(structures)
    assert atoms.get_potential_energy() == pytest.approx(float(energy[1]), abs=1e-9)
    assert atoms.get_forces() == pytest.approx(forces[structures.owner == 1].numpy(), abs=1e-9)
