"""Training: it learns, stops, resumes to the same result, and loses nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from springs import network
from taught import SETTINGS, interrupt_after, objective, references, weights

import bpttviz as bv
from bpttviz.training import checkpoint
from bpttviz.training.interrupts import Stopped, stoppable
from bpttviz.training.trainer import Trainer

HELPERS = str(Path(__file__).parents[1] / "helpers")


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
    train = bv.RelaxationDataset([r for r in data if len(r.start) == 64][:1])
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


def test_a_finished_run_is_loaded_not_repeated_and_can_be_prolonged(tmp_path):
    train = references()
    run = bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    calls = []
    again = bv.finetune(
        network(), train, objective(), **SETTINGS, out=tmp_path, on_update=calls.append
    )
    assert not calls
    assert torch.equal(weights(again.potential), weights(run.potential))
    longer = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 4}, out=tmp_path)
    straight = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 4})
    assert torch.equal(weights(longer.potential), weights(straight.potential))


def test_other_settings_do_not_resume(tmp_path):
    train = references()
    bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    with pytest.raises(bv.RunError, match="other settings.*learning_rate: saved 0.02, now 0.01"):
        bv.finetune(
            network(),
            train,
            objective(),
            epochs=3,
            learning_rate=0.01,
            progress=False,
            out=tmp_path,
        )
    with pytest.raises(bv.RunError, match="initial_weights"):
        bv.finetune(network(seed=9), train, objective(), **SETTINGS, out=tmp_path)


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


def test_a_run_comes_back_from_disk(tmp_path):
    run = bv.finetune(network(), references(), objective(True), **SETTINGS, out=tmp_path)
    loaded = bv.load_run(tmp_path)
    assert torch.equal(weights(loaded.potential), weights(run.potential))
    assert torch.equal(loaded.rule.step_size, run.rule.step_size)
    assert loaded.history == run.history
    assert loaded.settings == run.settings
    into = network(seed=7)
    assert bv.load_run(tmp_path, potential=into).potential is into
    assert torch.equal(weights(into), weights(run.potential))
    with pytest.raises(bv.RunError, match="do not fit"):
        bv.load_run(tmp_path, potential=network(atoms=5))


def test_files_that_are_not_ours_are_refused_unopened(tmp_path):
    with pytest.raises(bv.RunError, match="there is no run in"):
        bv.load_run(tmp_path)
    file = tmp_path / checkpoint.FILE

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"weights": Bomb()}, file)
    with pytest.raises(bv.RunError, match="not a safetensors file.*pickled checkpoints"):
        bv.load_run(tmp_path)
    assert not (tmp_path / "exploded").exists()
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(bv.RunError, match="not a bpttviz run"):
        bv.load_run(tmp_path)
    save_file({"x": torch.zeros(1)}, file, {"bpttviz": '{"format": "bpttviz-run", "version": 99}'})
    with pytest.raises(bv.RunError, match="newer bpttviz"):
        bv.load_run(tmp_path)


def test_a_truncated_run_file_is_named(tmp_path):
    bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path)
    file = tmp_path / checkpoint.FILE
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(bv.RunError, match=r"run.safetensors.*damaged"):
        bv.load_run(tmp_path)


def test_a_full_disk_leaves_the_previous_state_readable(tmp_path, monkeypatch):
    train = references()
    first = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 1}, out=tmp_path)

    def full(tensors, path, metadata):
        path.write_bytes(b"half a fi")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(bv.RunError, match=r"No space left.*saved before is intact"):
        bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    monkeypatch.undo()
    assert torch.equal(weights(bv.load_run(tmp_path).potential), weights(first.potential))
    assert not list(tmp_path.glob("*.unfinished"))


def test_killed_while_saving_leaves_the_previous_state_readable(tmp_path):
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {HELPERS!r})
        import bpttviz as bv
        from bpttviz.training import checkpoint
        from test_finetune import SETTINGS, network, objective, references
        out = {str(tmp_path)!r}
        bv.finetune(network(), references(), objective(), **{{**SETTINGS, "epochs": 1}}, out=out)
        whole = checkpoint.save_file
        def killed(tensors, path, metadata):
            whole(tensors, path, metadata)
            path.write_bytes(path.read_bytes()[:500])
            os.kill(os.getpid(), signal.SIGKILL)
        checkpoint.save_file = killed
        bv.finetune(network(), references(), objective(), **SETTINGS, out=out)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    run = bv.load_run(tmp_path)
    assert len(run.history) == len(references())
    resumed = bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path)
    whole = bv.finetune(network(), references(), objective(), **SETTINGS)
    assert torch.equal(weights(resumed.potential), weights(whole.potential))


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


def test_an_error_in_training_loses_no_update(tmp_path):
    def fails(run):
        if len(run.history) == 4:
            raise OSError("the monitor is gone")

    with pytest.raises(OSError, match="monitor"):
        bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path, on_update=fails)
    assert len(bv.load_run(tmp_path).history) == 4


def test_a_folder_that_cannot_be_written_is_found_out_at_once(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    calls = []
    with pytest.raises(bv.RunError, match="nothing was saved yet"):
        bv.finetune(
            network(),
            references(),
            objective(),
            **SETTINGS,
            out=tmp_path / "taken",
            on_update=calls.append,
        )
    assert not calls


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
