"""Training: it learns, and says so where it cannot."""

import numpy as np
import pytest
import torch
from ase.constraints import FixAtoms
from springs import network
from taught import SETTINGS, labelled, objective, references, weights

import bpttviz as bv
from bpttviz.training.summary import left_out
from bpttviz.training.updates import TrainingError


def test_endpoints_alone_teach_and_the_original_is_left_alone():
    student = network(seed=1)
    before = weights(student)
    train = references()
    assert not train.has_forces
    run = bv.finetune(student, train, objective(learnable=True), **{**SETTINGS, "epochs": 12})
    first = np.mean([h["loss"] for h in run.history[: len(train)]])
    last = np.mean([h["loss"] for h in run.history[-len(train) :]])
    assert last < 0.6 * first
    assert torch.equal(weights(student), before)
    assert float(run.rule.step_size.detach()) != pytest.approx(0.1, rel=1e-3)
    assert run.status == "finished"


def test_same_seed_same_result_and_batches_add_up():
    train = references()
    one, two, other = (
        bv.finetune(network(), train, objective(), **SETTINGS, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(weights(one.potential), weights(two.potential))
    assert not torch.equal(weights(one.potential), weights(other.potential))
    batch = bv.finetune(
        network(), train, objective(), **{**SETTINGS, "epochs": 1}, batch_size=len(train), clip=None
    )
    assert len(batch.history) == 1
    potential = network()
    loss = objective().loss(potential, train).mean()
    gradient = torch.autograd.grad(loss, list(potential.parameters()))
    norm = float(torch.sqrt(sum((g**2).sum() for g in gradient)))
    assert batch.history[0]["gradient_norm"] == pytest.approx(norm, rel=1e-9)


def test_an_update_records_the_gradient_by_step_the_memory_and_the_time():
    train, goal = references(3), objective()
    run = bv.finetune(
        network(), train, goal, epochs=1, batch_size=3, progress=False, validation=train,
        metrics={"first weight": lambda potential, _: float(weights(potential)[0])},
    )  # fmt: skip
    (update,) = run.history
    potential = network()
    relaxation = bv.relax(potential, train.starts(), goal.rule, goal.stop)
    bv.delta_q(relaxation.final, train.ends()).sum().backward()
    whole = relaxation.backward.sensitivity  # of the three together
    assert [t for t, _ in update["sensitivity"]] == sorted(whole) == list(range(1, 16))
    for t, norm in update["sensitivity"]:
        assert norm == pytest.approx(whole[t], rel=1e-3)
    assert 1e7 < update["peak_bytes"] < 1e12
    assert (update["left_out"], update["structures"]) == ([], run.history[0]["structures"])
    weight = [float(weights(p)[0]) for p in (potential, run.potential)]
    found = [v["first weight"] for v in run.validations]
    assert found == pytest.approx(weight, rel=1e-3)
    assert found[0] != found[1]


def test_early_stopping_keeps_the_best(tmp_path):
    data = references(8)
    wild = {"epochs": 30, "learning_rate": 0.5, "progress": False}
    run = bv.finetune(
        network(), data[:6], objective(), **wild, validation=data[6:], patience=2, out=tmp_path
    )
    assert run.status == "stopped early"
    values = [v["value"] for v in run.validations]
    assert len(values) < 31
    with torch.no_grad():
        best = float(objective().loss(run.potential, data[6:]).mean())
    assert best == pytest.approx(min(values), rel=1e-9)
    loaded = bv.load_run(tmp_path)
    assert torch.equal(weights(loaded.potential), weights(run.potential))


def test_a_structure_without_usable_gradient_is_left_out_and_named():
    train = references()
    broken = network()
    real = bv.EndpointLoss.loss

    class Sometimes(bv.EndpointLoss):
        def loss(self, potential, chosen):
            value = real(self, potential, chosen)
            return value * torch.nan if chosen.names == [train.names[2]] else value

    usual = objective()
    with pytest.warns(UserWarning, match=f"{train.names[2]} was left out of an update"):
        run = bv.finetune(
            broken, train, Sometimes(usual.rule, usual.stop), **{**SETTINGS, "epochs": 1}
        )
    used = [name for h in run.history for name in h["structures"]]
    assert sorted(used) == sorted(set(train.names) - {train.names[2]})
    assert torch.isfinite(weights(run.potential)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", float("nan")), ("epochs", 2.5), ("epochs", "3"),
        ("learning_rate", 0), ("learning_rate", -1), ("learning_rate", 1e30),
        ("learning_rate", float("nan")), ("learning_rate", None), ("clip", 0), ("clip", -1),
        ("clip", float("inf")), ("batch_size", 0), ("batch_size", 1.5), ("batch_size", True),
        ("patience", 0), ("patience", -3), ("seed", -1), ("seed", 10**30), ("seed", "x"),
    ],
)  # fmt: skip
def test_senseless_settings_are_refused(name, value):
    with pytest.raises((ValueError, TypeError), match=rf"^{name}.* must be .*, got "):
        bv.finetune(network(), references(1), objective(), **{**SETTINGS, name: value})


def test_patience_needs_something_to_be_patient_with():
    with pytest.raises(ValueError, match="patience needs validation"):
        bv.finetune(network(), references(1), objective(), **SETTINGS, patience=2)


def test_settings_come_in_an_object_or_one_by_one():
    config = bv.TrainingConfig(epochs=2, learning_rate=0.02, seed=np.int64(5))
    assert type(config.seed) is int
    train = references(2)
    one = bv.finetune(network(), train, objective(), config, progress=False)
    other = bv.finetune(
        network(), train, objective(), epochs=2, learning_rate=0.02, seed=5, progress=False
    )
    assert torch.equal(weights(one.potential), weights(other.potential))
    changed = bv.finetune(network(), train, objective(), config, epochs=1, progress=False)
    assert len(changed.history) == 2
    with pytest.raises(TypeError, match="no training setting 'learningrate' .do you mean learning"):
        bv.finetune(network(), train, objective(), learningrate=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"potential": "chgnet"}, "potential must be a Potential, such as bv.CHGNet()"),
        ({"potential": bv.Springs}, "potential must be an object.*Springs"),
        ({"data": [1, 2]}, "data must be a RelaxationDataset, got list of int. read_relaxations"),
        ({"data": []}, "there are no relaxations to train on"),
        ({"validation": []}, "there are no relaxations to validate on"),
        ({"validation": [1]}, "validation must be a RelaxationDataset"),
        ({"objective": bv.EndpointLoss}, r"objective must be an object.*EndpointLoss\(...\)"),
        ({"objective": "endpoint"}, "objective must be an Objective, such as bv.EndpointLoss()"),
        ({"config": 3}, r"config must be a TrainingConfig, such as bv.TrainingConfig\(epochs=3\)"),
        ({"out": 3}, "out must be the path of a file or folder, got 3"),
        ({"metrics": ["loss"]}, "metrics must be a mapping"),
        ({"metrics": {"mine": 3}}, "metrics must map names to functions"),
        ({"metrics": {"lost": len}}, "cannot be called 'lost': that is a column"),
        ({"metrics": {"value": len}}, "cannot be called 'value'"),
        ({"stop": 20}, "no training setting 'stop'"),
    ],
)
def test_what_is_no_argument_is_answered_in_a_sentence(change, message):
    usual = {"potential": network(), "data": references(1), "objective": objective()}
    with pytest.raises((TypeError, ValueError), match=message):
        bv.finetune(**usual | change)


# --- what does not work out ----------------------------------------------------------------------


class Spoiling(bv.EndpointLoss):
    """Its gradient is beyond all bounds in the updates chosen, counted from 1."""

    def __init__(self, spoilt, factor):
        super().__init__(bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(3))
        self.spoilt, self.factor, self.count = spoilt, factor, 0

    def loss(self, potential, chosen):
        self.count += 1
        value = super().loss(potential, chosen)
        return value * self.factor if self.count in self.spoilt else value


@pytest.mark.parametrize("clip", [None, 1.0])
def test_an_update_that_is_not_finite_is_undone(tmp_path, clip):
    """The norm overflows with clip; without, Adam's memory does. Training goes on as if without."""
    call = {**SETTINGS, "clip": clip}
    with pytest.warns(UserWarning, match="update 2 was undone.*not finite"):
        run = bv.finetune(network(), references(1), Spoiling({2}, 1e300), **call, out=tmp_path)
    assert [h["undone"] for h in run.history] == [False, True, False]
    assert torch.isfinite(weights(run.potential)).all()
    straight = bv.finetune(network(), references(1), Spoiling((), 1.0), **{**call, "epochs": 2})
    assert torch.equal(weights(run.potential), weights(straight.potential))
    assert bv.load_run(tmp_path).history == run.history


@pytest.mark.filterwarnings("ignore:.*was undone")
def test_training_that_is_undone_again_and_again_ends(tmp_path):
    call = {**SETTINGS, "epochs": 20, "out": tmp_path}
    with pytest.raises(TrainingError, match="5 updates in a row were undone.*learning_rate=0.02"):
        bv.finetune(network(), references(1), Spoiling(range(3, 99), 1e300), **call)
    run = bv.load_run(tmp_path)
    assert (len(run.history), run.status) == (7, "interrupted")
    assert not torch.equal(weights(run.potential), weights(network()))


def test_weights_that_are_not_finite_are_not_trained():
    broken = network()
    with torch.no_grad():
        broken.stiffness[1] = torch.nan
    with pytest.raises(ValueError, match="its weight stiffness is not finite"):
        bv.finetune(broken, references(1), objective(), **SETTINGS)


class Choosy(bv.Springs):
    """Cannot describe one of the structures, and says so as a potential does."""

    refused = ("r1",)

    def energy(self, structures):
        for index, name in enumerate(structures.names):
            if name in self.refused:
                raise bv.StructureError("has an atom without neighbours", index, name)
        return super().energy(structures)


def test_a_structure_that_is_held_as_a_whole_has_nothing_to_learn_and_is_told_so():
    free, still = labelled(2)
    frame = still.to_ase()[0]
    frame.set_constraint(FixAtoms(range(len(frame))))
    held = bv.ReferenceRelaxation.from_ase("held", [frame, frame], "held")
    with pytest.warns(UserWarning, match="held was left out .* no loss .* all its atoms are held"):
        run = bv.finetune(
            network(), bv.RelaxationDataset([free, held]), bv.ForceLoss(2),
            **SETTINGS | {"epochs": 1},
        )  # fmt: skip
    assert left_out(run) == {"held": 1}


def test_a_structure_that_cannot_be_described_is_left_out_and_counted(tmp_path):
    data = references(3)
    potential = Choosy.frustrated()
    with pytest.warns(UserWarning, match="r1.*without neighbours|left out of an update"):
        run = bv.finetune(potential, data, objective(), **{**SETTINGS, "batch_size": 3})
    assert left_out(run) == {"r1": 3}
    assert run.history[0]["structures"] != []
    assert run.status == "finished"
    without = bv.RelaxationDataset([data[0], data[2]])
    same = bv.finetune(potential, without, objective(), **{**SETTINGS, "batch_size": 3})
    assert torch.equal(weights(run.potential), weights(same.potential))
    with pytest.warns(UserWarning, match="r1"):
        run = bv.finetune(
            potential, without, objective(), **{**SETTINGS, "epochs": 1}, validation=data
        )
    assert [v["lost"] for v in run.validations] == [["r1"], ["r1"]]


@pytest.mark.filterwarnings("ignore:.*left out")
def test_all_left_out_is_an_error(tmp_path):
    class Never(Choosy):
        refused = ("r0", "r1", "r2")

    with pytest.raises(TrainingError, match=r"no structure gave .* whole epoch \(r0, r1, r2\)"):
        bv.finetune(Never.frustrated(), references(3), objective(), **SETTINGS, out=tmp_path)
    assert len(bv.load_run(tmp_path, potential=network()).history) == 3


class Forgetful(bv.Springs):
    """Moves atoms like springs, but its forces carry no graph to its parameters."""

    def energy(self, structures):
        stretch = structures.positions.reshape(-1, 4, 3).diff(dim=1)
        return ((stretch - 1) ** 2).sum((1, 2))


def test_forces_without_a_graph_to_the_weights_are_an_error_not_a_zero_gradient():
    forgetful = Forgetful.frustrated()
    with pytest.raises(RuntimeError, match="does not depend on any weight of Forgetful"):
        bv.finetune(forgetful, references(), objective(), **SETTINGS)


def test_a_validation_with_a_lost_member_is_no_best(tmp_path):
    data = references(8)
    real = bv.EndpointLoss.loss
    seen = []

    class FirstValidationFails(bv.EndpointLoss):
        def loss(self, potential, chosen):
            value = real(self, potential, chosen)
            lost = torch.tensor([name == data.names[6] for name in chosen.names])
            if lost.any():
                seen.append(1)
            return torch.where(lost, torch.nan, value) if len(seen) == 1 else value

    usual = objective()
    run = bv.finetune(
        network(),
        data[:6],
        FirstValidationFails(usual.rule, usual.stop),
        **SETTINGS,
        validation=data[6:],
        out=tmp_path,
    )
    assert run.validations[0]["value"] is None
    assert run.validations[0]["lost"] == [data.names[6]]
    assert not torch.equal(weights(run.potential), weights(network()))
    best = min(v["value"] for v in run.validations[1:])
    with torch.no_grad():
        assert float(usual.loss(run.potential, data[6:]).mean()) == pytest.approx(best)


def test_the_best_step_size_comes_with_the_best_weights(tmp_path):
    data = references(8)
    run = bv.finetune(
        network(),
        data[:6],
        objective(True),
        epochs=4,
        learning_rate=3.0,
        progress=False,
        validation=data[6:],
        out=tmp_path,
    )
    best = min(v["value"] for v in run.validations)
    assert best < run.validations[-1]["value"], "the last epoch is the best: nothing is tested"
    for found in (run, bv.load_run(tmp_path)):
        with torch.no_grad():
            value = (
                bv.EndpointLoss(found.rule, bv.StoppingCriterion(15))
                .loss(found.potential, data[6:])
                .mean()
            )
        assert float(value) == pytest.approx(best)


def test_nothing_to_train():
    frozen = network()
    frozen.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train.*requires_grad"):
        bv.finetune(frozen, references(), objective())


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="no relaxations to train on"):
        bv.finetune(network(), bv.RelaxationDataset([]), objective())


@pytest.mark.parametrize("adjoint", [bv.ImplicitAdjoint(), bv.GuidedAdjoint(5, 0.5)], ids=repr)
def test_gradients_at_rest_teach_too(adjoint):
    train = references(4)
    goal = bv.EndpointLoss(
        bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(15), adjoint
    )
    run = bv.finetune(network(seed=1), train, goal, **{**SETTINGS, "epochs": 12})
    losses = [h["loss"] for h in run.history]
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:4])


def test_a_structure_without_an_implicit_gradient_is_left_out_by_name(tmp_path):
    hasty = bv.ImplicitAdjoint(rest=bv.StoppingCriterion(1, fmax=1e-9))
    goal = bv.EndpointLoss(bv.GradientDescent(0.1), bv.StoppingCriterion(1), hasty)
    with (
        pytest.warns(UserWarning, match=r"left out of an update: .*\(r0\) is not at rest"),
        pytest.raises(TrainingError, match=r"no structure gave .* \(r0\)"),
    ):
        bv.finetune(network(seed=1), references(1), goal, **{**SETTINGS, "epochs": 1}, out=tmp_path)
    run = bv.load_run(tmp_path)
    assert run.history[0]["structures"] == []
    assert torch.equal(weights(run.potential), weights(network(seed=1)))
