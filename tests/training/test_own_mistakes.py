"""What users' own code and calls get wrong, answered in a sentence; and what they may do."""

import functools
import warnings

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from springs import network, starts
from taught import SETTINGS, objective, references, weights

import bpttviz as bv
from bpttviz.training import checkpoint


class Returning(bv.Objective):
    """An objective with any answer."""

    def __init__(self, answer):
        self.answer = answer

    def loss(self, potential, references):
        return self.answer(potential(references.starts()).energy)

    def config(self):
        return {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda energy: float(energy.detach().sum()), "Returning.loss.. returns must be a Tensor"),
        (lambda energy: energy.sum(), r"must be of shape \(1,\), one number a structure"),
        (lambda energy: energy.repeat(3), r"must be of shape \(1,\).*got \(3,\)"),
        (lambda energy: energy.detach(), "the loss of Returning carries no graph to any weight"),
    ],
)
def test_an_objective_that_answers_something_else(answer, said):
    with pytest.raises((TypeError, ValueError, RuntimeError), match=said):
        bv.finetune(network(), references(2), Returning(answer), **SETTINGS)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_gradients_that_the_caller_has_switched_off_are_there_all_the_same(switched_off):
    plain = bv.finetune(network(), references(2), objective(), **SETTINGS)
    diagnosis = bv.diagnose_gradient(network(), starts(1), starts(1), iterations=2)
    count = bv.count_evaluations(objective(), network(), references(1))
    potential, data, one = network(), references(2), starts(1)
    with switched_off():
        run = bv.finetune(potential, data, objective(), **SETTINGS)
        again = bv.diagnose_gradient(potential, one, one, iterations=2)
        assert bv.count_evaluations(objective(), potential, data[:1]) == count
        assert bv.check_potential(potential, one).ok
    assert torch.equal(weights(run.potential), weights(plain.potential))
    assert torch.equal(again.sensitivity, diagnosis.sensitivity)


def test_a_check_without_gradients_around_it_finds_no_other_faults():
    pot = bv.PaiNN.pretrained()
    with torch.no_grad():
        assert bv.check_potential(pot).ok


def test_a_part_of_a_function_is_trained_too():
    net = torch.nn.Linear(1, 1).double()

    def energy(factor, structures, positions):
        return factor * net(positions.pow(2).reshape(len(structures), -1).sum(1)[:, None])[:, 0]

    potential = bv.EnergyFunction(functools.partial(energy, 0.1), net)
    goal = bv.EndpointLoss(bv.GradientDescent(0.01), bv.StoppingCriterion(3))
    before = weights(potential).clone()
    run = bv.finetune(potential, references(2), goal, **SETTINGS)
    assert torch.equal(weights(potential), before)
    assert not torch.equal(weights(run.potential), before)
    with torch.no_grad():
        energies = [p(starts(1)).energy for p in (potential, run.potential)]
    assert not torch.equal(*energies)


def test_an_energy_that_the_positions_do_not_reach():
    net = torch.nn.Linear(1, 1).double()
    lost = bv.EnergyFunction(lambda s, x: net(x.detach()[:1, :1]).reshape(1), net)
    with pytest.raises(RuntimeError, match="does not depend on the positions by a graph"):
        lost(starts(1))


def test_energies_are_asked_of_structures():
    for potential in (network(), bv.PaiNN.pretrained(), bv.EnergyFunction(lambda s, x: x.sum())):
        with pytest.raises(TypeError, match=r"structures must be a Structures"):
            potential.energy(starts(1).to_ase()[0])


def test_a_rule_that_returns_positions():
    class Positions(bv.GradientDescent):
        def step(self, state, forces):
            return state.positions + forces

    class NoState(bv.GradientDescent):
        def init(self, structures):
            return structures.positions

    for rule in (Positions(), NoState()):
        with pytest.raises(TypeError, match=rf"{type(rule).__name__}\.(step|init)\(\) returns"):
            bv.relax(network(), starts(1), rule)


def test_an_empty_folder_name_is_no_folder():
    with pytest.raises(ValueError, match="out must be the path"):
        bv.finetune(network(), references(1), objective(), **SETTINGS, out="")


def test_fewer_epochs_than_were_made_are_pointed_out(tmp_path):
    bv.finetune(network(), references(2), objective(), **SETTINGS, out=tmp_path)
    with pytest.warns(UserWarning, match="has made 3 epochs already, more than the 1 asked for"):
        run = bv.finetune(
            network(), references(2), objective(), **SETTINGS | {"epochs": 1}, out=tmp_path
        )
    assert len(run.history) == 6


def test_weights_that_are_from_another_potential_or_rule(tmp_path):
    call = {**SETTINGS, "epochs": 1, "out": tmp_path}
    bv.finetune(bv.ScaledForces(network(), 2.0), references(1), objective(), **call)
    bv.load_run(tmp_path, bv.ScaledForces(network(seed=4), 2.0))
    with pytest.warns(UserWarning, match="was made with another potential .*scale"):
        bv.load_run(tmp_path, bv.ScaledForces(network(), 3.0))
    with pytest.warns(UserWarning, match="was made with another rule .*max_step"):
        bv.load_run(tmp_path, bv.ScaledForces(network(), 2.0), bv.GradientDescent(0.1, 0.3))


class Net(torch.nn.Module):
    """Somebody's own module, whose weights begin anew each time."""

    def __init__(self, cutoff=4.0):
        super().__init__()
        self.cutoff = cutoff
        self.layers = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Linear(4, 1)).double()

    def forward(self, structures, positions):
        return self.layers(((positions / self.cutoff) ** 2).sum(1, keepdim=True)).sum()[None]


@pytest.mark.parametrize(
    "made",
    [
        lambda net: bv.EnergyFunction(net),
        lambda net: bv.EnergyFunction(lambda s, x: net(s, x), net),
        lambda net: bv.EnergyFunction(lambda s, x: sum(one(s, x) for one in [net]), net),
    ],
)
def test_own_weights_that_begin_anew_are_no_other_potential(made, tmp_path):
    bv.finetune(made(Net()), references(1), objective(), **SETTINGS | {"epochs": 1}, out=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh = made(Net())
        before = weights(fresh).clone()
        once = bv.load_run(tmp_path, fresh).potential
        assert not torch.equal(weights(once), before)
        again = bv.load_run(tmp_path, once, bv.GradientDescent(0.5, None)).potential
    assert torch.equal(weights(again), weights(bv.load_run(tmp_path, made(Net())).potential))
    with pytest.warns(UserWarning, match="another potential .*cutoff: saved 4.0, now 5.0"):
        bv.load_run(tmp_path, made(Net(5.0)))


def test_a_users_own_file_is_not_taken_for_a_run(tmp_path):
    (tmp_path / "run.json").write_text("mine")
    with pytest.raises(bv.RunError, match="is there already, and not from a run"):
        bv.finetune(network(), references(1), objective(), **SETTINGS, out=tmp_path)
    assert (tmp_path / "run.json").read_text() == "mine"


# --- numbers in a run's file that no training leaves there ---------------------------------------


def spoil(folder, tensors=(), **header):
    """Write the run's file again with other numbers in it."""
    import json

    file = folder / checkpoint.FILE
    with safe_open(file, "pt") as content:
        text = json.loads(content.metadata()["bpttviz"])
        kept = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    for key, value in dict(tensors).items():
        assert key in kept
        kept[key] = torch.full_like(kept[key], value)
    save_file(kept, file, {"bpttviz": json.dumps(text | header)})


@pytest.mark.parametrize(
    "changes",
    [
        {"tensors": {"optimizer/0/step": -1.0}},
        {"tensors": {"optimizer/0/exp_avg_sq": -1.0}},
        {"position": 5},
        {"epoch": 2**52},
    ],
    ids=str,
)
def test_a_state_that_no_training_leaves_is_refused(tmp_path, changes):
    call = {**SETTINGS, "epochs": 2, "out": tmp_path}
    bv.finetune(network(), references(2), objective(), **call)
    spoil(tmp_path, **changes)
    with pytest.raises(bv.RunError, match="does not fit|is damaged"):
        bv.finetune(network(), references(2), objective(), **call | {"epochs": 3})


def test_buffers_that_are_not_finite_are_refused(tmp_path):
    potential = bv.PaiNN(features=4, radial=2)
    goal = bv.EndpointLoss(stop=bv.StoppingCriterion(1))
    call = {**SETTINGS, "epochs": 1, "out": tmp_path}
    bv.finetune(potential, references(1), goal, **call)
    spoil(tmp_path, tensors={"potential/scale": float("nan")})
    with pytest.raises(bv.RunError, match="not finite .scale"):
        bv.load_run(tmp_path)


def test_a_potential_left_in_training_mode_is_trained_in_the_other():
    class Dropping(bv.Potential):
        def __init__(self):
            super().__init__()
            self.springs, self.dropout = network(), torch.nn.Dropout(0.5)

        def energy(self, structures):
            return self.springs.energy(structures) * self.dropout(torch.ones(64)).mean().double()

    potential = Dropping()
    run = bv.finetune(potential, references(2), objective(), **SETTINGS)
    plain = bv.finetune(network(), references(2), objective(), **SETTINGS)
    assert potential.training  # the user's own stays as it was
    assert torch.equal(weights(run.potential), weights(plain.potential))
