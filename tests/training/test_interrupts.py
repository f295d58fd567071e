"""Training is stopped between any two steps, and resumes to the same result."""

import signal
import threading
import time

import numpy as np
import pytest
import torch
from springs import network
from taught import SETTINGS, interrupt_after, objective, references, weights

import bpttviz as bv
from bpttviz.training.interrupts import Stopped, stoppable
from bpttviz.training.trainer import Trainer


@pytest.fixture(autouse=True)
def ctrl_c_works():
    """A shell that starts the tests in the background has told them to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("stopped_at", [2, 6, 7])
def test_ctrl_c_and_resume_end_where_an_uninterrupted_run_does(tmp_path, stopped_at, validated):
    data = references(8)
    train, validation = data[:6], (data[6:] if validated else None)
    call = {**SETTINGS, "validation": validation}
    whole = bv.finetune(network(), train, objective(True), **call)
    out = tmp_path / "run"
    part = bv.finetune(
        network(), train, objective(True), **call, out=out, on_update=interrupt_after(stopped_at)
    )
    assert part.status == "interrupted"
    assert len(part.history) == stopped_at
    assert bv.load_run(out).status == "interrupted"
    rest = bv.finetune(network(), train, objective(True), **call, out=out)
    assert rest.status == "finished"
    assert [h["loss"] for h in rest.history] == [h["loss"] for h in whole.history]
    assert torch.equal(weights(rest.potential), weights(whole.potential))
    assert torch.equal(rest.rule.step_size, whole.rule.step_size)
    assert [v["value"] for v in rest.validations] == [v["value"] for v in whole.validations]


class StopAt:
    """A ``stop_when`` that says so when it is asked for the ``number``-th time; it counts."""

    def __init__(self, number=None):
        self.number, self.asked = number, 0

    def __call__(self):
        self.asked += 1
        return self.number is not None and self.asked >= self.number


ADJOINTS = [
    bv.CheckpointedBPTT(),
    bv.CheckpointedBPTT(segment_length=4),
    bv.FullBPTT(),
    bv.TruncatedBPTT(5),
    bv.ImplicitAdjoint(),
    bv.GuidedAdjoint(5, 0.5),
]


def through(adjoint):
    return bv.EndpointLoss(
        bv.GradientDescent(0.1, max_step=None, learnable=True), bv.StoppingCriterion(8), adjoint
    )


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=repr)
def test_a_stop_at_any_step_of_either_pass_resumes_to_the_same_result(tmp_path, adjoint):
    data = references(3)
    call = {**SETTINGS, "epochs": 2, "validation": data[2:]}
    counter = StopAt()
    whole = bv.finetune(network(), data[:2], through(adjoint), **call, stop_when=counter)
    plain = bv.finetune(network(), data[:2], through(adjoint), **call)
    assert torch.equal(weights(plain.potential), weights(whole.potential))  # asking changes nothing
    assert counter.asked >= 3 * 9 + 4 * (9 + 8)  # validations; updates, there and back
    made = set()
    for number in np.linspace(1, counter.asked, 7).astype(int):
        out = tmp_path / str(number)
        stop = StopAt(number)
        part = bv.finetune(network(), data[:2], through(adjoint), **call, out=out, stop_when=stop)
        assert stop.asked == number  # not one step more
        assert part.status == bv.load_run(out).status == "interrupted"
        made.add(len(part.history))
        rest = bv.finetune(network(), data[:2], through(adjoint), **call, out=out)
        assert rest.status == "finished"
        assert [h["loss"] for h in rest.history] == [h["loss"] for h in whole.history]
        assert torch.equal(weights(rest.potential), weights(whole.potential))
        assert torch.equal(rest.rule.step_size, whole.rule.step_size)
        assert [v["value"] for v in rest.validations] == [v["value"] for v in whole.validations]
    assert len(made) >= 4


@pytest.mark.parametrize("adjoint", [a for a in ADJOINTS if not hasattr(a, "rest")], ids=str)
def test_the_backward_pass_is_stopped_on_its_way(adjoint):
    """The gradient has come back through some steps, not through all, and is discarded."""
    train = references(1)
    before = weights(network())
    counter = StopAt()
    all_steps = Trainer(network(), train, through(adjoint), epochs=1)
    all_steps.fit(progress=False, stop_when=counter)
    whole = all_steps.objective.backward.sensitivity
    partial = 0
    for number in range(counter.asked - 15, counter.asked + 1):
        trainer = Trainer(network(), train, through(adjoint), epochs=1)
        run = trainer.fit(progress=False, stop_when=StopAt(number))
        assert run.history == []
        assert torch.equal(weights(run.potential), before)
        backward = trainer.objective.backward  # None: stopped on the way there
        partial += backward is not None and 0 < len(backward.sensitivity) < len(whole)
    assert partial >= 3


def test_the_products_of_an_implicit_solver_are_stopped_too():
    train = references(1)
    counter = StopAt()
    bv.finetune(
        network(), train, through(bv.ImplicitAdjoint()), epochs=1, progress=False, stop_when=counter
    )
    number = counter.asked - 3  # the last ask is the gradient's own, those before are products
    trainer = Trainer(network(), train, through(bv.ImplicitAdjoint()), epochs=1)
    stop = StopAt(number)
    run = trainer.fit(progress=False, stop_when=stop)
    assert (run.status, run.history, stop.asked) == ("interrupted", [], number)
    assert list(trainer.objective.backward.sensitivity) != []  # the backward pass had begun
    assert trainer.objective.backward.solutions == []  # and its solver had not ended


def test_training_in_a_thread_is_stopped_from_another_and_resumed(tmp_path):
    train = references(3)
    call = {**SETTINGS, "epochs": 4}
    whole = bv.finetune(network(), train, objective(True), **call)
    stop, begun, runs_seen = threading.Event(), threading.Event(), []

    def train_in_thread():
        runs_seen.append(
            bv.finetune(
                network(), train, objective(True), **call, out=tmp_path,
                on_update=lambda _: begun.set(), stop_when=stop.is_set,
            )
        )  # fmt: skip

    thread = threading.Thread(target=train_in_thread)
    thread.start()
    assert begun.wait(60)
    stop.set()
    thread.join(60)
    (part,) = runs_seen
    assert part.status == "interrupted"
    assert 0 < len(part.history) < len(whole.history)
    rest = bv.finetune(network(), train, objective(True), **call, out=tmp_path)
    assert torch.equal(weights(rest.potential), weights(whole.potential))
    assert torch.equal(rest.rule.step_size, whole.rule.step_size)


def test_a_backward_pass_in_another_thread_is_stopped_too():
    """PyTorch runs it in one of its own on CUDA."""
    stop, raised = threading.Event(), []
    potential = network()
    with stoppable(potential, stop.is_set):
        loss = through(bv.FullBPTT()).loss(potential, references(1)).sum()

        def backward():
            try:
                torch.autograd.grad(loss, list(potential.parameters()))
            except BaseException as error:
                raised.append(type(error))

        stop.set()
        thread = threading.Thread(target=backward)
        thread.start()
        thread.join(60)
    assert raised == [Stopped]


def test_nothing_is_left_on_the_potential():
    run = bv.finetune(network(), references(1), objective(), **SETTINGS, stop_when=lambda: False)
    assert not run.potential._forward_hooks
    assert not run.potential._forward_pre_hooks


@pytest.mark.slow
@pytest.mark.parametrize("adjoint", [bv.CheckpointedBPTT(), bv.FullBPTT()], ids=repr)
def test_chgnet_stops_within_two_seconds_in_either_pass(adjoint):
    """64 atoms, one thread. Asked for at a random moment, not at the end of a step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = bv.load_dataset("si-defects").all
    train = bv.RelaxationDataset([r for r in data if len(r.start.numbers) == 64][:1])
    goal = bv.EndpointLoss(bv.GradientDescent(0.06), bv.StoppingCriterion(4), adjoint)
    times = []
    try:
        for passed in (0.5, 0.95):  # parts of an update: the forward pass, the backward pass
            trainer = Trainer(bv.CHGNet(), train, goal, epochs=3)
            stop, first = threading.Event(), threading.Event()
            thread = threading.Thread(
                target=trainer.fit, args=(False, lambda _, e=first: e.set(), stop.is_set)
            )
            thread.start()
            assert first.wait(120)
            made = len(trainer.run.history)
            backward = trainer.objective.backward
            deadline = time.monotonic() + 120
            if passed == 0.5:  # a new relaxation has not begun its way back
                time.sleep(0.3)
            else:
                while time.monotonic() < deadline and (
                    trainer.objective.backward is backward
                    or not trainer.objective.backward.sensitivity
                ):
                    time.sleep(0.005)
            began = time.monotonic()
            stop.set()
            thread.join(60)
            times.append(time.monotonic() - began)
            assert trainer.run.status == "interrupted"
            assert len(trainer.run.history) == made
    finally:
        torch.set_num_threads(threads)
    print(f"stopped after {times[0]:.2f} s forward, {times[1]:.2f} s backward")
    assert max(times) < 2
