"""Training: it learns, and says so where it cannot."""

import numpy as np
import pytest
import torch
from springs import network
from taught import SETTINGS, objective, references, weights

import bpttviz as bv


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
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"patience": 2}, "patience needs validation"),
    ],
)
def test_senseless_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        bv.finetune(network(), references(), objective(), **{**SETTINGS, **change})


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
            if chosen.names == [data.names[6]]:
                seen.append(1)
                return value * torch.nan if len(seen) == 1 else value
            return value

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


def test_a_structure_without_an_implicit_gradient_is_left_out_by_name():
    hasty = bv.ImplicitAdjoint(rest=bv.StoppingCriterion(1, fmax=1e-9))
    goal = bv.EndpointLoss(bv.GradientDescent(0.1), bv.StoppingCriterion(1), hasty)
    with pytest.warns(UserWarning, match=r"left out of an update: .*\(r0\) is not at rest"):
        run = bv.finetune(network(seed=1), references(1), goal, **{**SETTINGS, "epochs": 1})
    assert run.history[0]["structures"] == []
    assert torch.equal(weights(run.potential), weights(network(seed=1)))
