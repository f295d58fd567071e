"""`check_potential`: a sound potential passes, and each way of being unsound is found and named."""

import re

import pytest
import torch
import unsound
from ase import Atoms
from ase.build import bulk
from models import Pairs, pairs
from springs import network, starts
from torch import nn

import bpttviz as bv
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.potentials.conformance.contract import CHECKS

FINITE, INPUT, TWICE = (check.name for check in CHECKS[:3])

BROKEN = {
    "energy of shape (B, 1)": (
        lambda: unsound.Spoiled(lambda p, e, f: Prediction(e[:, None], f)),
        FINITE,
        r"returned energies of shape \(2, 1\); expected \(2,\).*sum atoms by",
    ),
    "float32 results": (
        lambda: unsound.Spoiled(lambda p, e, f: Prediction(e, f.float())),
        FINITE,
        r"forces is torch.float32 while positions are torch.float64.*value.to\(structures.dtype\)",
    ),
    "NaN": (
        lambda: unsound.Spoiled(unsound.not_a_number),
        FINITE,
        "3 values of energy or forces are NaN.*division by a distance.*StructureError",
    ),
    "no tensors": (
        lambda: unsound.Spoiled(lambda p, e, f: Prediction(None, f)),
        FINITE,
        "returned a NoneType where a tensor of energies was expected",
    ),
    "forces alone": (
        lambda: unsound.Spoiled(lambda p, e, f: f),
        FINITE,
        r"returned a Tensor; return a Prediction\(energy, forces\), or define energy\(\) alone",
    ),
    "writes into positions": (
        lambda: unsound.Spoiled(unsound.untouched, unsound.wraps),
        INPUT,
        "it changed positions of the structures.*writes into the tensors.*hand the model a copy",
    ),
    "asks for gradients": (
        lambda: unsound.Spoiled(unsound.untouched, unsound.wants_a_gradient),
        INPUT,
        r"it changed positions.requires_grad.*requires_grad_",
    ),
    "noise": (
        lambda: unsound.energies(unsound.random),
        TWICE,
        r"two calls differ by .*dropout, noise.*call \.eval\(\).*take the noise out",
    ),
    "geometry detached": (
        lambda: unsound.energies(unsound.half_detached),
        "forces are -dE/dx",
        "differ from the slope of the energy by .*outside the graph.*rebuild distances in torch",
    ),
    "forces of their own": (
        lambda: unsound.forces(unsound.scaled),
        "forces are -dE/dx",
        "differ from the slope of the energy.*head of their own.*conservative = False",
    ),
    "forces that go round": (
        lambda: unsound.forces(unsound.swirl),
        "forces have no curl",
        "Jacobian is not symmetric.*no energy of which they are the slope.*makes Implicit",
    ),
    "a constant pull": (
        lambda: unsound.Spoiled(lambda p, e, f: Prediction(e, f + 0.1)),
        "forces add up to zero",
        "add up to .* eV/Å; something knows absolute positions.*subtract the mean force",
    ),
    "absolute coordinates": (
        lambda: unsound.energies(unsound.absolute),
        "translation changes nothing",
        "moving a whole structure changes.*absolute coordinates.*use differences of positions",
    ),
    "north is special": (
        lambda: unsound.energies(unsound.lopsided),
        "rotation turns the forces",
        "turning a whole structure.*used as plain numbers.*equivariant = False",
    ),
    "places in the list": (
        lambda: unsound.energies(unsound.ordered),
        "the order of atoms does not matter",
        "in another order changes.*place in the list.*exchangeable = False",
    ),
    "no periodic images": (
        lambda: unsound.energies(unsound.unshifted),
        "periodic images are the same",
        "by a lattice vector changes.*images are missed.*neighbors.neighbours",
    ),
    "pbc is not looked at": (
        lambda: unsound.energies(unsound.closed),
        "open directions are open",
        "a layer of atoms changes by .*pbc is not looked at.*partial_pbc = False",
    ),
    "layers are refused": (
        lambda: unsound.energies(unsound.refuses_layers),
        "open directions are open",
        r"it refuses a layer .*\(needs a crystal\).*partial_pbc = False",
    ),
    "the batch is seen": (
        lambda: unsound.energies(unsound.sees_others),
        "a batch equals its members",
        "alone differs from the same one in a batch.*work by structures.structure_index",
    ),
    "positions detached": (
        lambda: unsound.forces(unsound.detached_positions),
        "forces know their positions",
        "no graph to the positions.*something detaches.*call the bare model",
    ),
    "a graph in training mode only": (
        lambda: unsound.Spoiled(unsound.only_in_training).eval(),
        "forces know the parameters",
        r"no parameter is felt.*train\(\) mode only.*in eval\(\) too",
    ),
    "half the graph": (
        lambda: unsound.energies(unsound.half_detached),
        "forces know their positions",
        "by positions is off by .*part of the graph is lost.*recompute geometry",
    ),
    "weights detached": (
        lambda: unsound.energies(unsound.detached_weights),
        "forces know the parameters",
        r"no parameter is felt in the positions after two steps.*\.detach\(\)",
    ),
    "a wrong gradient by the weights": (
        lambda: unsound.energies(unsound.doubled_weights),
        "forces know the parameters",
        "through two steps is off by .*central differences.*create_graph=True",
    ),
    "a norm at zero": (
        lambda: unsound.energies(unsound.norm_at_zero),
        "finite at symmetric places",
        "second derivatives are NaN, infinite or beyond.*norm at zero.*safe_norm",
    ),
    "an exception": (
        lambda: unsound.energies(lambda net, s, x: 1 / 0),
        FINITE,
        "evaluating it raised ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found_and_explained(name):
    make, check, sentence = BROKEN[name]
    report = bv.check_potential(make())
    assert not report.ok
    result = report[check]
    assert result.status == "fails", report
    assert re.search(sentence, result.sentence), result.sentence
    assert result.sentence in repr(report)


def test_every_check_is_failed_by_some_potential():
    assert {check for _, check, _ in BROKEN.values()} == {check.name for check in CHECKS}


def test_a_sound_potential_passes_and_nothing_is_left_out():
    report = bv.check_potential(pairs())
    assert report.ok, report
    assert [r.check for r in report.results] == [check.name for check in CHECKS]
    assert {r.status for r in report.results} == {"holds"}
    assert repr(report).startswith(
        "EnergyFunction keeps the contract (limits for float64; measured on Si2, Cl2Na2)\n"
    )


def test_what_is_not_claimed_is_measured_and_told():
    claims = dict.fromkeys(("equivariant", "net_force_free", "exchangeable"), False)
    report = bv.check_potential(unsound.energies(unsound.lopsided, **claims))
    assert report.ok
    turned = report["rotation turns the forces"]
    assert turned.status == "not claimed"
    assert turned.figure > 0.01
    assert turned.sentence.startswith("not claimed, and indeed turning a whole structure changes")
    assert report["forces add up to zero"].sentence == "not claimed, though it holds here"
    assert "not claimed" in repr(report)


def test_what_does_not_apply_says_why():
    molecule = Atoms("Si3", positions=[[0, 0, 0], [2.3, 0.1, 0], [1.0, 2.0, 0.3]])
    report = bv.check_potential(pairs(), molecule)
    assert report.ok
    told = {r.check: r.sentence for r in report.results if r.status == "does not apply"}
    assert told == {
        "periodic images are the same": "no structure is periodic",
        "open directions are open": "no structure is periodic in all directions",
        "a batch equals its members": "one structure only; pass two or more to compare",
    }


def test_where_nothing_can_be_evaluated_the_rest_is_not_reached():
    first, *rest = bv.check_potential(unsound.Spoiled(unsound.not_a_number)).results
    assert first.status == "fails"
    assert {r.status for r in rest} == {"not reached"}


def test_weights_that_were_not_handed_over_are_asked_for():
    net = Pairs()
    report = bv.check_potential(bv.EnergyFunction(lambda s, x: net(s, x)))
    result = report["forces know the parameters"]
    assert result.status == "does not apply"
    assert "no trainable parameters" in result.sentence
    assert "pass the module too" in result.sentence


def test_mode_and_weights_are_left_as_they_were():
    potential = pairs().train()
    potential.function.net[1].eval()
    before = [p.detach().clone() for p in potential.parameters()]
    bv.check_potential(potential)
    assert potential.training
    assert not potential.function.net[1].training
    assert all(torch.equal(a, b) for a, b in zip(potential.parameters(), before, strict=True))
    assert all(p.grad is None for p in potential.parameters())


class Dropping(Potential):
    """A potential of somebody's own, with dropout inside."""

    def __init__(self):
        super().__init__()
        self.pairs, self.dropout = Pairs(), nn.Dropout(0.5)

    def energy(self, structures):
        return self.pairs(structures, structures.positions) * self.dropout(torch.ones(99)).sum()


class Normalised(Pairs):
    """Pairs whose distances go through batch normalisation and dropout."""

    def __init__(self):
        super().__init__()
        self.normal, self.dropout = nn.BatchNorm1d(1).double(), nn.Dropout(0.5)

    def of(self, distance):
        return super().of(self.dropout(self.normal(distance[:, None]))[:, 0])


def test_a_potential_is_measured_in_the_mode_in_which_it_is_found():
    potential = Dropping()
    assert potential.training
    result = bv.check_potential(potential)["the same twice"]
    assert result.status == "fails"
    assert ".eval()" in result.sentence
    assert potential.training
    assert bv.check_potential(potential.eval())["the same twice"].status == "holds"


def test_buffers_are_left_as_they_were():
    potential = bv.EnergyFunction(Normalised()).train()
    before = {name: buffer.clone() for name, buffer in potential.named_buffers()}
    assert not bv.check_potential(potential).ok
    after = dict(potential.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("held", [True, False])
def test_a_module_that_was_left_in_training_mode_is_used_in_the_other(held):
    net = Normalised()
    assert net.training
    potential = bv.EnergyFunction(net if held else lambda s, x: net(s, x), None if held else net)
    assert not any(module.training for module in potential.modules())
    assert bv.check_potential(potential)["the same twice"].status == "holds"


def test_float32_has_limits_of_its_own():
    net = Pairs().float()
    report = bv.check_potential(bv.EnergyFunction(net))
    assert report.ok, report
    assert report.precision == "float32"
    worse = bv.check_potential(unsound.energies(unsound.half_detached, Pairs().float()))
    assert worse["forces are -dE/dx"].status == "fails"


def test_html_says_the_same_and_escapes():
    name = "<b>Si</b>"
    structures = bv.Structures.from_ase([bulk("Si"), bulk("Ge")], [name, "Ge"])
    structures = structures.with_positions(structures.positions + 0.1 * torch.rand(4, 3))
    report = bv.check_potential(unsound.energies(unsound.absolute), structures)
    page = report._repr_html_()
    assert "<b>Si</b>" not in page
    assert page.count("<tr>") == len(CHECKS) + 1
    assert "absolute coordinates enter somewhere" in page


def test_what_cannot_be_checked_is_refused():
    for wrong, name in ((Pairs(), "a Pairs"), ("chgnet", "a str"), (None, "a NoneType")):
        sentence = rf"{name} was given where a Potential, .*; wrap .* in EnergyFunction\(...\)"
        with pytest.raises(TypeError, match=sentence):
            bv.check_potential(wrong)
    with pytest.raises(TypeError, match=r"the class CHGNet itself was given.*CHGNet\(...\)"):
        bv.check_potential(bv.CHGNet)
    with pytest.raises(
        TypeError, match="structures must be an ase.Atoms|atoms must be an ase.Atoms"
    ):
        bv.check_potential(pairs(), "POSCAR")
    with pytest.raises(bv.StructureError, match=r"cannot describe the examples.*pass some"):
        bv.check_potential(network())
    with pytest.raises(bv.StructureError, match="has 3 atoms"):
        bv.check_potential(network(4), starts(1, atoms=3))
    with pytest.raises(KeyError, match="no check 'beauty'; there are: energies and forces"):
        bv.check_potential(pairs())["beauty"]
