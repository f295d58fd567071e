"""The contract that every potential keeps, and the ones that break it."""

import ast
import copy
import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import CUTOFF, Pairs, diep, m3gnet, nequix, pairs, sevennet, small_mace, tensornet
from springs import network, starts
from taught import labelled

import bpttviz as bv
from bpttviz._files import refusal
from bpttviz._tensor_checks import require_device
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.potentials.landscape import walkers
from bpttviz.potentials.neighbors import neighbours
from bpttviz.provenance import specification


def rattled(atoms, seed, size=0.1):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(scale=size, size=atoms.positions.shape)
    return atoms


def crystals():
    return bv.Structures.from_ase(
        [rattled(bulk("GaAs", "zincblende", a=5.6), 0), rattled(bulk("NaCl", "rocksalt", a=5.6), 1)]
    )


def alloys():
    """Of elements that the shipped small weights know."""
    return bv.Structures.from_ase(
        [rattled(bulk("GaAs", "zincblende", a=5.6), 0), rattled(bulk("SiC", "rocksalt", a=4.4), 1)]
    )


def salt_and_silicon():
    return bv.Structures.from_ase(
        [rattled(bulk("Si"), 0), rattled(bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1), 1)]
    )


CASES = {
    "springs": (lambda: network(), lambda: starts(2)),
    "landscape": (bv.MullerBrown, lambda: walkers([[-0.3, 0.4], [0.6, 0.2]])),
    "own energy": (pairs, crystals),
    "chgnet": (lambda: bv.CHGNet(dtype=torch.float64), crystals),
    "chgnet 0.2.0": (lambda: bv.CHGNet("0.2.0", dtype=torch.float64), crystals),
    "chgnet r2scan": (lambda: bv.CHGNet("r2scan", dtype=torch.float64), crystals),
    "chgnet float32": (bv.CHGNet, crystals),
    "scaled chgnet": (lambda: bv.ScaledForces(bv.CHGNet(dtype=torch.float64), 1.5), crystals),
    "mace": (lambda: bv.MACE(small_mace()), salt_and_silicon),
    "mace float32": (lambda: bv.MACE(small_mace(torch.float32)), salt_and_silicon),
    "sevennet": (lambda: sevennet(dtype=torch.float64), crystals),
    "sevennet float32": (sevennet, crystals),
    "diep": (lambda: diep(dtype=torch.float64), crystals),
    "diep float32": (diep, crystals),
    "m3gnet": (lambda: m3gnet(torch.float64), salt_and_silicon),
    "m3gnet float32": (m3gnet, salt_and_silicon),
    "tensornet": (lambda: tensornet(torch.float64), salt_and_silicon),
    "tensornet float32": (tensornet, salt_and_silicon),
    "nequix": (lambda: nequix(torch.float64), salt_and_silicon),
    "nequix float32": (nequix, salt_and_silicon),
    "painn": (lambda: bv.PaiNN.pretrained(dtype=torch.float64), alloys),
    "painn float32": (bv.PaiNN.pretrained, alloys),
    "transformer": (lambda: bv.CoordinateTransformer.pretrained(dtype=torch.float64), alloys),
    "transformer float32": (bv.CoordinateTransformer.pretrained, alloys),
}


@pytest.mark.parametrize("name", CASES)
def test_the_contract(name):
    make_potential, make_structures = CASES[name]
    structures = make_structures()
    report = bv.check_potential(make_potential(), structures)
    assert report.ok, report
    single = "float32" in name
    assert report.precision == ("float32" if single else "float64")
    # Nothing is passed over but what these structures cannot show.
    skipped = {r.check for r in report.results if r.status == "does not apply"}
    cannot_be_shown = set() if structures.pbc.any() else {"periodic images are the same"}
    cannot_be_shown |= set() if structures.pbc.all() else {"open directions are open"}
    assert skipped == cannot_be_shown
    given_up = {r.check for r in report.results if r.status == "not claimed"}
    if name.startswith(("mace", "sevennet", "diep", "m3gnet", "tensornet", "nequix", "painn")):
        assert given_up == set()
    if name.startswith(("chgnet", "scaled chgnet")):
        assert given_up == {"open directions are open"}
    if name.startswith("transformer"):
        assert given_up == {
            "forces are -dE/dx",
            "forces have no curl",
            "rotation turns the forces",
            "open directions are open",
        }


class Detached(Potential):
    """Breaks the contract as an engine does that detaches."""

    def energy(self, structures):
        return segment_sum(
            (structures.positions.detach() ** 2).sum(1), structures.structure_index, len(structures)
        )


def test_lost_graphs_are_errors_not_silence():
    with pytest.raises(RuntimeError, match="Detached.*without a graph.*detaches"):
        Detached()(starts(1))


def per_atom(structures):
    return (structures.positions**2).sum(1)


class Said(Potential):
    """Says what it was given to say."""

    def __init__(self, energy):
        super().__init__()
        self.said = energy

    def energy(self, structures):
        return self.said(structures)


class SaidForces(Said):
    energy = Potential.energy

    def forward(self, structures):
        return Prediction(*self.said(structures))


@pytest.mark.parametrize(
    ("potential", "error", "message"),
    [
        (
            Said(per_atom),
            ValueError,
            r"Said.energy\(\) returned energies of shape \(4,\); .*\(1,\)",
        ),
        (Said(lambda s: per_atom(s).sum()), ValueError, r"energies of shape \(\); expected \(1,\)"),
        (Said(lambda s: per_atom(s).sum()[None, None]), ValueError, r"of shape \(1, 1\); expected"),
        (
            Said(lambda s: 1.0),
            TypeError,
            r"Said.energy\(\) returned a float where a tensor of ener",
        ),
        (
            SaidForces(lambda s: (per_atom(s), s.positions)),
            ValueError,
            r"SaidForces.forward\(\) returned energies of shape \(4,\)",
        ),
        (
            SaidForces(lambda s: (per_atom(s)[:1], s.positions.flatten())),
            ValueError,
            r"returned forces of shape \(12,\); expected \(4, 3\)",
        ),
    ],
)
def test_energies_and_forces_of_another_shape_are_refused(potential, error, message):
    with pytest.raises(error, match=message):
        potential(starts(1))
    atoms = starts(1).to_ase()[0]
    atoms.calc = potential.calculator()
    with pytest.raises(error, match=message):
        atoms.get_potential_energy()


def test_energies_come_in_the_number_type_of_the_positions():
    potential = Said(lambda s: per_atom(s).float().sum()[None])
    energy, forces = potential(starts(1))
    assert energy.dtype == forces.dtype == torch.float64


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
    with pytest.raises(ValueError, match="device='cuda' was asked for.*use device='cpu'"):
        require_device("cuda")
    with pytest.raises(ValueError, match="device='cuda' was asked for"):
        bv.CHGNet(device="cuda")


def test_scaled_forces_are_those_of_a_scaled_energy():
    inner = bv.PaiNN.pretrained(dtype=torch.float64)
    scaled, structures = bv.ScaledForces(inner, 1.5), alloys()
    assert torch.equal(scaled.energy(structures), 1.5 * inner.energy(structures))
    assert torch.equal(scaled(structures).energy, scaled.energy(structures))
    assert bv.PressureRehearsal(scaled, structures[0])
    chgnet = bv.CHGNet(dtype=torch.float64)  # has parameters of two number types
    assert bv.ScaledForces(chgnet, 1.5).dtype == chgnet.dtype == torch.float64
    field = bv.ScaledForces(bv.ForceFunction(lambda s, x: -x, conservative=True), 2.0)
    assert field.places_matter
    direct = bv.ScaledForces(bv.ForceFunction(lambda s, x: -x), 2.0)
    with pytest.raises(TypeError, match="predicts forces without an energy"):
        direct.energy(structures)


@pytest.mark.parametrize("change", ["in place", "another tensor", "another parameter"])
def test_a_calculator_sees_that_weights_have_changed(change):
    net = torch.nn.Linear(1, 1).double()
    calls = []

    def energy(structures, positions, net=net):
        calls.append(1)
        return net.weight[0, 0] * segment_sum(
            (positions**2).sum(1), structures.structure_index, len(structures)
        )

    potential = bv.EnergyFunction(energy, net)
    atoms = starts(1).to_ase()[0]
    atoms.calc = potential.calculator()
    before = atoms.get_potential_energy()
    atoms.get_forces()
    assert len(calls) == 1  # nothing has changed
    with torch.no_grad():
        if change == "in place":
            net.weight.mul_(2)
        elif change == "another tensor":
            net.weight.data = 2 * net.weight.data
        else:
            net.weight = torch.nn.Parameter(2 * net.weight)
    assert atoms.get_potential_energy() == pytest.approx(2 * before)
    assert atoms.calc.results["energy"] == pytest.approx(2 * before)


def test_calculator_serves_ase():
    potential, structures = CASES["chgnet"][0](), crystals()
    atoms = structures.to_ase()[1]
    atoms.calc = potential.calculator()
    with torch.no_grad():
        energy, forces = potential(structures)
    assert atoms.get_potential_energy() == pytest.approx(float(energy[1]), abs=1e-9)
    assert atoms.get_forces() == pytest.approx(
        forces[structures.structure_index == 1].numpy(), abs=1e-9
    )


def test_an_own_potential_is_fine_tuned_saved_and_used(tmp_path):
    potential, structures = pairs(), salt_and_silicon()
    assert torch.equal(potential(structures).energy, Pairs()(structures, structures.positions))
    goal = structures.positions + 0.05
    optimizer = torch.optim.Adam(potential.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        end = bv.relax(
            potential, structures, bv.GradientDescent(0.005), bv.StoppingCriterion(3)
        ).final
        loss = ((end.positions - goal) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    atoms = structures.to_ase()[1]
    atoms.calc = potential.calculator()
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(TypeError, match="EnergyFunction defines no config"):
        potential.config()


def test_an_own_function_gets_the_number_type_of_its_weights():
    seen = []

    class Single(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, structures, positions):
            seen.append((structures.cell.dtype, positions.dtype))
            return segment_sum(
                (positions**2) @ self.weight, structures.structure_index, len(structures)
            )

    energy, forces = bv.EnergyFunction(Single())(crystals())
    assert seen == [(torch.float32, torch.float32)]
    assert energy.dtype == forces.dtype == torch.float64


NET = Pairs()


def bond_energies(distance):
    return NET.of(distance)


def through_globals(structures, positions):
    graph = neighbours(structures, CUTOFF)
    pair = bond_energies(graph.vectors(positions).norm(dim=1))
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def through_closure(net):
    return lambda structures, positions: net(structures, positions)


def through_default(net):
    def energy(structures, positions, net=net):
        return net(structures, positions)

    return energy


def through_a_list(structures, positions):
    graph = neighbours(structures, CUTOFF)
    pair = sum(net.of(graph.vectors(positions).norm(dim=1)) for net in [NET])
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def through_keyword(net):
    def energy(structures, positions, *, net=net):
        return net(structures, positions)

    return energy


class Calling:
    """An object that is called, with a net inside."""

    def __init__(self, net):
        self.net = net

    def __call__(self, structures, positions):
        return self.net(structures, positions)

    def scaled(self, scale, structures, positions):
        return scale * self.net(structures, positions)


class Around(torch.nn.Module):
    """A module around the one whose weights are trained."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, structures, positions):
        return self.net(structures, positions)


WAYS = {
    "globals": lambda _: through_globals,
    "globals within a comprehension": lambda _: through_a_list,
    "closure": through_closure,
    "its method": lambda net: through_closure(net.forward),
    "a dictionary": lambda net: lambda s, x, nets={"net": net}: nets["net"](s, x),
    "a default": through_default,
    "a keyword": through_keyword,
    "method": lambda net: net.forward,
    "module": Around,
    "object": Calling,
    "part of a function": lambda net: functools.partial(lambda net, s, x: net(s, x), net),
    "part of a closure": lambda net: functools.partial(through_closure(net)),
    "part of one with a dictionary": lambda net: functools.partial(
        lambda ways, s, x: ways["net"][0](s, x), {"net": [through_closure(net)]}
    ),
    "part of a method": lambda net: functools.partial(Calling(net).scaled, 2.0),
    "part of an object": lambda net: functools.partial(Calling(net)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_calls_a_module_is_trained_in_a_copy(way):
    potential = bv.EnergyFunction(WAYS[way](NET), NET)
    before = [p.detach().clone() for p in NET.parameters()]
    run = bv.finetune(
        potential, labelled(2, frames=2, teacher=bv.EnergyFunction(Pairs(seed=1))),
        bv.ForceLoss(), epochs=1, learning_rate=0.01, progress=False,
    )  # fmt: skip
    assert all(torch.equal(p, q) for p, q in zip(NET.parameters(), before, strict=True))
    start = labelled(1)[0].start
    with torch.no_grad():
        assert not torch.equal(run.potential(start).energy, potential(start).energy)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_a_function_is_described_like_it(way):
    potential = bv.EnergyFunction(WAYS[way](NET), NET)
    said, again = (specification(p) for p in (potential, copy.deepcopy(potential)))
    assert "undescribed" not in str(said)
    assert refusal(said, again) == ""


def test_a_function_whose_module_cannot_be_found_is_not_copied():
    class Shelf:
        net = NET

    potential = bv.EnergyFunction(lambda s, x: Shelf.net(s, x), NET)
    with pytest.raises(TypeError, match="EnergyFunction cannot be copied.*let it know the module"):
        copy.deepcopy(potential)


def test_own_forces_are_relaxed_with_and_learned():
    weight = torch.nn.Linear(1, 1, dtype=torch.float64)

    def forces(structures, positions):
        return -weight.weight * positions

    potential = bv.ForceFunction(forces, weight)
    assert not potential.conservative
    structures = starts(1)
    end = bv.relax(
        potential, structures, bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(2)
    ).final
    k = float(weight.weight)
    assert torch.allclose(end.positions, structures.positions * (1 - 0.1 * k) ** 2)
    (slope,) = torch.autograd.grad(end.positions.sum(), weight.weight)
    assert float(slope) == pytest.approx(
        -0.2 * (1 - 0.1 * k) * float(structures.positions.sum()), rel=1e-9
    )
    moved = structures.with_positions(structures.positions.clone().requires_grad_())
    with pytest.raises(RuntimeError, match="forces without a graph to the positions"):
        bv.ForceFunction(lambda s, x: x.detach())(moved)


@pytest.mark.parametrize(
    ("wrapper", "value", "error", "message"),
    [
        (bv.EnergyFunction, lambda s, x: x.sum(), ValueError, r"energies of shape \(\); expected"),
        (bv.EnergyFunction, lambda s, x: 1.0, TypeError, "returned a float where a tensor"),
        (bv.ForceFunction, lambda s, x: x[:, 0], ValueError, r"forces of shape \(4,\); expected"),
    ],
)
def test_own_functions_that_give_something_else_are_named(wrapper, value, error, message):
    with pytest.raises(error, match=message):
        wrapper(value)(crystals())


def test_every_file_is_opened_with_a_decision_about_code():
    """Some packages turn torch.load's default off for the whole process when imported."""
    package = Path(bv.__file__).parent
    calls = [
        (path.name, {keyword.arg for keyword in node.keywords})
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert calls
    assert [name for name, keywords in calls if "weights_only" not in keywords] == []
