"""Schedules, averages and the pull to the initial weights: in closed form, refused, and resumed."""

import json
import math
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from springs import network
from taught import interrupt_after, labelled, references, weights

import bpttviz as bv
from bpttviz.training import checkpoint
from bpttviz.training.trainer import Trainer

RULE, STOP = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(5)
CALL = {"epochs": 3, "learning_rate": 0.02, "progress": False}


@pytest.fixture(autouse=True)
def ctrl_c_works():
    """A shell that starts the tests in the background has told them to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def goal(**more):
    return bv.EndpointLoss(RULE, STOP, **more)


def learned(potential=None, data=None, objective=None, **settings):
    data = references(4) if data is None else data
    potential = network() if potential is None else potential
    objective = goal() if objective is None else objective
    return bv.finetune(potential, data, objective, **{**CALL, **settings})


def path(count, **settings):
    """The weights before the first and after each update."""
    kept = [weights(network())]
    learned(on_update=lambda run: kept.append(weights(run.potential).clone()), **settings)
    return kept[: count + 1]


# --- schedules -----------------------------------------------------------------------------------


def test_a_cosine_goes_up_and_then_down_to_zero():
    schedule = bv.CosineSchedule(warm_up=4)
    factors = [schedule.factor(n, 24) for n in range(25)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[14] == pytest.approx(0.5)
    assert factors[24] == pytest.approx(0)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    own = bv.CosineSchedule(warm_up=4, updates=24)
    assert [own.factor(n, 7) for n in range(25)] == factors
    assert own.factor(99, 7) == pytest.approx(0)
    assert bv.CosineSchedule(warm_up=0).factor(0, 5) == 1
    assert bv.ConstantSchedule().factor(3, 5) == 1


def test_the_learning_rate_follows():
    """Adam's first step moves every weight by the learning rate, whatever the gradient."""
    plain, warm = path(1), path(1, schedule=bv.CosineSchedule(warm_up=3))
    assert torch.allclose(warm[1] - warm[0], (plain[1] - plain[0]) / 4, rtol=1e-9)


def test_a_constant_schedule_changes_no_bit_and_no_setting():
    assert torch.equal(path(5)[-1], path(5, schedule=bv.ConstantSchedule())[-1])
    config = bv.TrainingConfig()
    assert set(config.settings()) == {"learning_rate", "clip", "batch_size", "seed"}
    assert config == bv.TrainingConfig(average=None, l2_sp=0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"schedule": "cosine"}, "schedule must be a Schedule, such as"),
        ({"schedule": bv.CosineSchedule}, r"write CosineSchedule\(\.\.\.\)"),
        ({"schedule": bv.CosineSchedule(12)}, "warm-up of 12 updates leaves nothing of 12"),
        ({"average": 1.0}, "average.* must be a number at least 0 and below 1, got 1"),
        ({"average": "ema"}, "average"),
        ({"l2_sp": -1}, "l2_sp must be a finite number that is not negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        learned(**settings)


@pytest.mark.parametrize("wrong", [{"warm_up": -1}, {"updates": 0}, {"warm_up": 5, "updates": 5}])
def test_cosines_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"warm.*up|updates .* whole number"):
        bv.CosineSchedule(**{"warm_up": 8, "updates": 5} | wrong)


def test_an_own_schedule_is_asked_and_checked():
    class Halved(bv.Schedule):
        def __init__(self, first):
            self.first = first

        def factor(self, update, updates):
            return self.first / 2**update

    plain, own = path(1), path(1, schedule=Halved(0.5))
    assert torch.allclose(own[1] - own[0], (plain[1] - plain[0]) / 2)
    with pytest.raises(ValueError, match="first factor must be"):
        learned(schedule=Halved(3.0))


# --- averages and the pull -----------------------------------------------------------------------


def test_the_average_is_what_it_says_and_what_is_given():
    after, expected = path(12), weights(network()).clone()
    for value in after[1:]:
        expected = 0.8 * expected + 0.2 * value
    run = learned(average=0.8)
    assert torch.allclose(weights(run.potential), expected, atol=1e-14)
    assert not torch.allclose(weights(run.potential), after[-1], atol=1e-4)
    assert torch.equal(weights(learned(average=0).potential), after[-1])


def test_the_average_is_what_is_validated_and_kept_and_training_goes_on_without_it(tmp_path):
    data, seen = references(6), []

    def measure(potential, _):
        seen.append(weights(potential).clone())
        return 0.0

    run = learned(
        data=data[:4], validation=data[4:], average=0.8, metrics={"m": measure}, out=tmp_path
    )
    averages, after = [weights(network()).clone()], path(12, data=data[:4])
    for value in after[1:]:
        averages.append(0.8 * averages[-1] + 0.2 * value)
    for found, expected in zip(seen, averages[::4], strict=True):
        assert torch.allclose(found, expected, atol=1e-14)
    values = [v["value"] for v in run.validations]
    best = averages[::4][values.index(min(values))]
    assert torch.allclose(weights(run.potential), best, atol=1e-14)
    assert torch.equal(weights(bv.load_run(tmp_path).potential), weights(run.potential))


def test_a_learned_step_size_is_averaged_too(tmp_path):
    objective = bv.EndpointLoss(bv.GradientDescent(0.1, max_step=None, learnable=True), STOP)
    plain = learned(objective=objective)
    run = learned(objective=objective, average=0.9, out=tmp_path)
    sizes = [0.1, run.rule.step_size.item(), plain.rule.step_size.item()]
    assert sizes == sorted(sizes) or sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    loaded = bv.load_run(tmp_path)
    assert torch.equal(loaded.rule.step_size, run.rule.step_size)
    assert torch.equal(weights(loaded.potential), weights(run.potential))


def test_the_pull_is_the_gradient_of_half_the_squared_distance():
    """With an objective that pulls at nothing, Adam follows the pull alone: back to the start."""

    class Nothing(bv.Objective):
        def loss(self, potential, references, draw=None):
            return 0 * potential(references.starts()).energy

    trainer = Trainer(
        network(), references(1), Nothing(), epochs=3, learning_rate=0.02, l2_sp=0.3, clip=None
    )
    initial = weights(network())
    with torch.no_grad():
        for parameter in trainer.parameters:
            parameter.add_(0.5)
    run = trainer.fit(progress=False)
    norm = 0.3 * 0.5 * len(initial) ** 0.5
    assert run.history[0]["gradient_norm"] == pytest.approx(norm)
    assert torch.allclose(weights(run.potential), initial + 0.5 - 3 * 0.02, atol=1e-3)


def test_a_stronger_pull_stays_closer():
    far = [
        float((weights(learned(l2_sp=strength).potential) - weights(network())).norm())
        for strength in (0.0, 1.0, 100.0)
    ]
    assert far[0] > far[1] > far[2]


# --- interrupted and resumed ---------------------------------------------------------------------

AROUND = bv.MixedStarts({bv.JitteredStarts(0.05): 1, bv.AroundEnd(0.2, 0.05): 1})
BACK = bv.EndpointLoss(bv.HeavyBall(0.05, 0.8), bv.StoppingCriterion(3), starts=bv.AroundEnd(0.1))
OPTIONS = {
    "cosine": {"schedule": bv.CosineSchedule(warm_up=2)},
    "a cosine of its own length": {"schedule": bv.CosineSchedule(2, updates=20)},
    "average": {"average": 0.9},
    "pull": {"l2_sp": 0.5},
    "starts": {"objective": goal(starts=AROUND, resolution=0.1)},
    "two rules": {"objective": goal() + 0.5 * BACK},
    "iterates": {"objective": bv.IterateLoss(RULE, STOP, starts=AROUND)},
    "equilibrium": {"objective": bv.EquilibriumLoss(1.0, least_curvature=3.0)},
    "rehearsal": {
        "objective": goal() + 3 * bv.RehearsalLoss(network(), references(9, seed=4).starts())
    },
    "all of it": {
        "schedule": bv.CosineSchedule(warm_up=2),
        "average": 0.9,
        "l2_sp": 0.5,
        "objective": goal(starts=AROUND, resolution=0.1)
        + BACK
        + 3 * bv.RehearsalLoss(network(), references(9, seed=4).starts(), count=2),
    },
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("updates", [3, 6])
def test_with_every_option_a_resumed_run_is_the_same_bit_by_bit(tmp_path, option, updates):
    data = references(6)
    call = {"data": data[:4], "validation": data[4:], **OPTIONS[option]}
    whole = learned(**call)
    part = learned(**call, out=tmp_path, on_update=interrupt_after(updates))
    assert part.status == "interrupted"
    rest = learned(**call, out=tmp_path)
    assert rest.status == "finished"
    assert [h["loss"] for h in rest.history] == [h["loss"] for h in whole.history]
    values = ([v["value"] for v in run.validations] for run in (rest, whole))
    assert next(values) == next(values)
    assert torch.equal(weights(rest.potential), weights(whole.potential))
    # and without validation, where the last weights count
    folder = tmp_path / "last"
    last = learned(**{**call, "validation": None})
    learned(**{**call, "validation": None}, out=folder, on_update=interrupt_after(updates))
    again = learned(**{**call, "validation": None}, out=folder)
    assert torch.equal(weights(again.potential), weights(last.potential))
    assert not torch.equal(weights(last.potential), weights(network()))
    assert torch.equal(weights(bv.load_run(folder).potential), weights(last.potential))


def test_interrupted_while_the_average_is_validated_the_weights_are_the_present_ones(tmp_path):
    data, calls = references(6), []

    def measure(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 0.0

    call = {"data": data[:4], "validation": data[4:], "average": 0.8}
    whole = learned(**call, metrics={"m": lambda *_: 0.0})
    assert learned(**call, metrics={"m": measure}, out=tmp_path).status == "interrupted"
    rest = learned(**call, metrics={"m": measure}, out=tmp_path)
    assert rest.status == "finished"
    assert torch.equal(weights(rest.potential), weights(whole.potential))
    assert [h["loss"] for h in rest.history] == [h["loss"] for h in whole.history]


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({}, {"average": 0.9}, "average"),
        ({"average": 0.9}, {"average": 0.900001}, "average"),
        ({"l2_sp": 0.5}, {}, "l2_sp"),
        ({}, {"schedule": bv.CosineSchedule(1)}, "schedule"),
        ({"schedule": bv.CosineSchedule(1)}, {"schedule": bv.CosineSchedule(2)}, "schedule"),
        ({"schedule": bv.CosineSchedule(1)}, {"schedule": bv.CosineSchedule(1), "epochs": 4},
         "epochs"),
        ({"objective": goal()}, {"objective": goal(starts=bv.AroundEnd())}, "starts"),
        ({"objective": goal()}, {"objective": goal(resolution=0.1)}, "resolution"),
    ],
)  # fmt: skip
def test_a_run_is_filed_under_every_option(tmp_path, first, second, named):
    learned(**{"epochs": 2, **first}, out=tmp_path)
    with pytest.raises(bv.RunError, match=f"run with other settings .*{named}"):
        learned(**{"epochs": 2, **second}, out=tmp_path)


def test_a_cosine_of_its_own_length_can_be_prolonged(tmp_path):
    call = {"schedule": bv.CosineSchedule(2, updates=20)}
    learned(**call, epochs=2, out=tmp_path)
    assert torch.equal(
        weights(learned(**call, epochs=4, out=tmp_path).potential),
        weights(learned(**call, epochs=4).potential),
    )


@pytest.mark.parametrize("spoil", ["missing", "surplus", "nan", "shape"])
def test_a_spoiled_average_is_refused(tmp_path, spoil):
    learned(epochs=1, average=0.9, out=tmp_path)
    file, key = tmp_path / checkpoint.FILE, "average/potential/rest"
    with safe_open(file, "pt") as content:
        header = json.loads(content.metadata()["bpttviz"])
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    if spoil == "missing":
        del tensors[key]
    elif spoil == "surplus":
        tensors["average/potential/more"] = torch.zeros(2)
    else:
        tensors[key] = tensors[key] * math.nan if spoil == "nan" else torch.zeros(2)
    save_file(tensors, file, {"bpttviz": json.dumps(header)})
    with pytest.raises(bv.RunError, match="an average of weights that does not fit"):
        learned(epochs=2, average=0.9, out=tmp_path)
    if spoil != "missing":
        with pytest.raises(bv.RunError, match="an average of weights that does not fit"):
            bv.load_run(tmp_path)


def test_labels_and_all_keep_working_together(tmp_path):
    """Force matching beside starts at the end, with everything that keeps."""
    run = learned(
        data=labelled(3), objective=goal(starts=AROUND) + bv.ForceLoss(3), average=0.9,
        schedule=bv.CosineSchedule(2), l2_sp=0.1, out=tmp_path,
    )  # fmt: skip
    assert run.status == "finished"
    assert torch.equal(bv.load_run(tmp_path).potential.rest, run.potential.rest)
