"""A run is resumed only where nothing that it depends on has changed, and by one process."""

import json
import os
import signal
import stat
import time
from dataclasses import replace

import killed
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from springs import network
from taught import SETTINGS, objective, references, weights

import bpttviz as bv
from bpttviz.provenance import specification
from bpttviz.training import checkpoint

SHORT = {**SETTINGS, "epochs": 1}


def altered(**changes):
    """The training relaxations, the first one with other held atoms or masses.

    Its first atom stays in place, so that it can be held.
    """
    first, *others = references(2)
    places = first.end.positions.clone()
    places[0] = first.start.positions[0]
    first = replace(first, end=first.end.with_positions(places))
    for name, value in changes.items():
        if name == "group":
            first = replace(first, group=value)
            continue
        ends = {end: replace(getattr(first, end), **{name: value}) for end in ("start", "end")}
        first = replace(first, **ends)
    return bv.RelaxationDataset([first, *others])


class Pulled(bv.GradientDescent):
    """An own rule with a number that its base class knows nothing of."""

    def __init__(self, pull):
        super().__init__(0.1)
        self.pull = pull

    def step(self, state, forces):
        return super().step(state, self.pull * forces)


class Pairs(torch.nn.Module):
    """Energies of neighbours in the list, with a number that is no weight."""

    def __init__(self, stiffness):
        super().__init__()
        self.stiffness, self.depth = stiffness, torch.nn.Parameter(torch.tensor(0.1).double())

    def forward(self, structures, positions):
        stretch = positions.reshape(-1, 4, 3).diff(dim=1)
        return self.stiffness * self.depth * (stretch**2).sum((1, 2))


def calling(stiffness):
    """The same from a function that has captured the number."""
    inner = Pairs(1.0)
    return bv.EnergyFunction(lambda structures, x: stiffness * inner(structures, x))


def frozen():
    potential = network()
    potential.rest.requires_grad_(False)
    return potential


def endpoint(rule=None, steps=3, adjoint=None):
    rule = bv.GradientDescent(0.1) if rule is None else rule
    return bv.EndpointLoss(rule, bv.StoppingCriterion(steps), adjoint)


HELD = torch.tensor([True, False, False, False])
LEARNED = endpoint(bv.GradientDescent(0.01, learnable=True))  # where the potential has no weights
CHANGES = {  # (what the first call has, what the second has), and what is to be named
    "held atoms": ({}, {"data": altered(fixed=HELD)}, "data"),
    "masses": ({}, {"data": altered(masses=torch.full((4,), 7.0).double())}, "data"),
    "groups": ({}, {"data": altered(group="another")}, "data"),
    "a factor": (
        {"potential": bv.ScaledForces(network(), 2.0)},
        {"potential": bv.ScaledForces(network(), 3.0)},
        "potential.*scale",
    ),
    "a formula's number": (
        {"potential": bv.EnergyFunction(Pairs(1.0))},
        {"potential": bv.EnergyFunction(Pairs(2.0))},
        "potential.*stiffness",
    ),
    "a captured number": (
        {"potential": calling(1.0), "objective": LEARNED},
        {"potential": calling(2.0), "objective": LEARNED},
        "potential.*stiffness",
    ),
    "frozen weights": ({}, {"potential": frozen()}, "frozen"),
    "the fifth digit": (
        {"objective": endpoint(bv.GradientDescent(0.04))},
        {"objective": endpoint(bv.GradientDescent(0.0400004))},
        "objective.*step_size",
    ),
    "an own rule's number": (
        {"objective": endpoint(Pulled(1.0))},
        {"objective": endpoint(Pulled(1.0001))},
        "objective.*pull",
    ),
    "a weight": (
        {"objective": 0.1 * endpoint()},
        {"objective": 0.10000001 * endpoint()},
        "objective",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.filterwarnings("ignore:.*left out of an update")
def test_whatever_changed_a_run_is_not_taken_for_another(tmp_path, what):
    usual = {"potential": network(), "data": altered(), "objective": endpoint()}
    first, second, named = CHANGES[what]
    bv.finetune(**usual | first, **SHORT, out=tmp_path)
    again = bv.finetune(**usual | first, **SHORT, out=tmp_path)  # the same is resumed
    assert again.status == "finished"
    with pytest.raises(bv.RunError, match=f"run with other settings .*{named}"):
        bv.finetune(**usual | second, **SHORT, out=tmp_path)


def test_a_part_that_cannot_say_what_it_is_has_to_be_named(tmp_path):
    class Uncopied(bv.EndpointLoss):
        def __deepcopy__(self, _):
            return self

    def call(out, name=None):
        rule = Pulled(1.0)
        rule.source = iter_of_lines()
        if name:
            rule.provenance_name = name
        goal = Uncopied(rule, bv.StoppingCriterion(3))
        return bv.finetune(network(), references(2), goal, **SHORT, out=out)

    assert call(tmp_path / "a").status == "finished"
    with pytest.raises(bv.RunError, match="a generator cannot say what it is.*provenance_name"):
        call(tmp_path / "a")
    call(tmp_path / "b", "lines of the first log")
    assert call(tmp_path / "b", "lines of the first log").status == "finished"
    with pytest.raises(bv.RunError, match="saved 'lines of the first log', now 'another'"):
        call(tmp_path / "b", "another")


def iter_of_lines():
    return (line for line in ("a", "b"))


def test_numpy_numbers_are_numbers(tmp_path):
    def call(kind, whole):
        goal = bv.EndpointLoss(
            bv.GradientDescent(kind(0.5)), bv.StoppingCriterion(whole(3), fmax=kind(0.25))
        )
        return bv.finetune(
            network(), references(2), goal, epochs=whole(1), learning_rate=kind(0.25),
            seed=whole(3), clip=kind(1.0), batch_size=whole(1), out=tmp_path, progress=False,
        )  # fmt: skip

    first = call(np.float32, np.int64)
    again = call(float, int)
    assert torch.equal(weights(first.potential), weights(again.potential))


def test_a_finished_run_can_be_had_from_a_folder_that_is_read_only(tmp_path):
    run = bv.finetune(network(), references(2), objective(), **SHORT, out=tmp_path)
    before = {f.name: (f.stat().st_mtime_ns, f.stat().st_ino) for f in tmp_path.iterdir()}
    again = bv.finetune(network(), references(2), objective(), **SHORT, out=tmp_path)
    assert {f.name: (f.stat().st_mtime_ns, f.stat().st_ino) for f in tmp_path.iterdir()} == before
    assert torch.equal(weights(again.potential), weights(run.potential))
    assert sorted(before) == ["run.json", "run.safetensors"]


def test_files_have_the_permissions_that_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        bv.finetune(network(), references(1), objective(), **SHORT, out=tmp_path)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(f.stat().st_mode) for f in tmp_path.iterdir()} == {0o644}


# --- files that are not as they should be --------------------------------------------------------


def rewrite(folder, change):
    """Let ``change(header, tensors)`` spoil the file of a run."""
    file = folder / checkpoint.FILE
    with safe_open(file, "pt") as content:
        header = json.loads(content.metadata()["bpttviz"])
        tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, file, {"bpttviz": json.dumps(header)})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = references(3)
    bv.finetune(
        network(), data[:2], objective(True), **SHORT, validation=data[2:], out=folder,
        metrics={"own": lambda *_: 1.0},
    )  # fmt: skip
    return folder


def places(value, at=()):
    """The paths to everything inside a header; of lists the first member only."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


ODD = [None, -1, 2.5, float("nan"), "x", [], {}, [None], {"class": "PaiNN", "config": {"a": []}}]


def spoiled_headers(header):
    """Many headers, each with one thing removed, added or replaced."""
    for path in places(header):
        for odd in [*ODD, "REMOVE", "ADD"] if path else ODD:
            copy = json.loads(json.dumps(header))
            if not path:
                yield odd
                continue
            holder = copy
            for key in path[:-1]:
                holder = holder[key]
            if odd == "REMOVE":
                del holder[path[-1]]
            elif odd == "ADD" and isinstance(holder[path[-1]], dict):
                holder[path[-1]]["surplus"] = [1]
            else:
                holder[path[-1]] = odd
            yield copy


def spoiled_tensors(tensors):
    for key, value in tensors.items():
        for odd in (
            None,
            value.to(torch.complex64),
            value.to(torch.float32) * torch.nan,
            value.to(torch.int32),
            torch.zeros(7, 7),
        ):
            copy = {k: v.clone() for k, v in tensors.items()}
            if odd is None:
                del copy[key]
            else:
                copy[key] = odd
            yield copy
    for key in ("potential/new", "optimizer/99/step", "optimizer/x", "rule/new", "best/new"):
        yield tensors | {key: torch.zeros(1)}


def load_and_resume(folder):
    """What becomes of a file: "loaded", "resumed", or the refusals' words."""
    data, found = references(3), []
    call = {**SHORT, "epochs": 2, "validation": data[2:], "stop_when": lambda: True}
    for attempt in (
        lambda: bv.load_run(folder),
        lambda: bv.load_run(folder, potential=network(), rule=bv.GradientDescent()),
        lambda: bv.finetune(network(), data[:2], objective(True), **call, out=folder),
    ):
        try:
            run = attempt()
            assert torch.isfinite(weights(run.potential)).all()
            repr(run)
            found.append("")
        except bv.RunError as error:
            found.append(str(error))
    return found


@pytest.mark.filterwarnings("ignore:.*was made with another")
@pytest.mark.filterwarnings("error")
def test_a_spoiled_file_is_refused_in_words_or_does_no_harm(saved, tmp_path):
    file = saved / checkpoint.FILE
    with safe_open(file, "pt") as content:
        header = json.loads(content.metadata()["bpttviz"])
        tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    draw = np.random.default_rng(0)
    headers = list(spoiled_headers(header))
    chosen = draw.choice(len(headers), 110, replace=False)
    attempts = [(headers[i], tensors) for i in chosen]
    attempts += [(header, odd) for odd in spoiled_tensors(tensors)]
    assert len(attempts) > 180
    refused = 0
    for number, (head, content) in enumerate(attempts):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file(content, folder / checkpoint.FILE, {"bpttviz": json.dumps(head)})
        refused += any(load_and_resume(folder))
    assert refused > 0.8 * len(attempts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.pop("epoch"), "epoch is missing"),
        (lambda h, t: h["history"][0].update(loss="much"), r"history\[0\].loss is 'much'"),
        (lambda h, t: h["settings"].update(surplus=1), "settings.surplus is unknown"),
        (lambda h, t: h.update(status="asleep"), "status is 'asleep'"),
        (lambda h, t: t.update({"potential/rest": t["potential/rest"].int()}), "int32 .* in the"),
        (lambda h, t: t["potential/rest"].fill_(torch.inf), r"not finite \(rest\)"),
        (lambda h, t: t.pop("rule/log_step_size"), "log_step_size is missing"),
        (lambda h, t: h["rule"].update({"config": {"speed": 1}}), "GradientDescent cannot be made"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(saved, tmp_path, change, message):
    for name in ("run.safetensors", "run.json"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    rewrite(tmp_path, lambda h, t: [t.pop(k) for k in list(t) if k.startswith("best")])
    rewrite(tmp_path, change)
    with pytest.raises(bv.RunError, match=message):
        bv.load_run(tmp_path)


# --- kills, and several processes ----------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted():
    return bv.finetune(network(), references(), objective(True), **killed.CALL)


def same(folder, whole):
    run = bv.load_run(folder)
    assert [h["loss"] for h in run.history] == [h["loss"] for h in whole.history]
    assert torch.equal(weights(run.potential), weights(whole.potential))
    assert torch.equal(run.rule.step_size, whole.rule.step_size)
    assert sorted(f.name for f in folder.iterdir()) == ["run.json", "run.safetensors"]


def test_kills_lose_nothing(tmp_path, uninterrupted):
    """At any moment, mostly in the middle of a save; whenever a run is complete, a new one."""
    draw = np.random.default_rng(0)
    runs, folder, done = 0, tmp_path / "0", 0
    for _ in range(int(os.environ.get("BPTTVIZ_KILLS", "6"))):
        process, receiver = killed.start(folder)
        if receiver.poll(60) and receiver.recv() != "finished":  # it has begun
            time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.join()
        kept = bv.load_run(folder)
        assert len(kept.history) >= done
        done = len(kept.history)
        if kept.status == "finished":
            same(folder, uninterrupted)
            runs, done = runs + 1, 0
            folder = tmp_path / str(runs)
    print(f"{runs} runs complete")
    bv.finetune(network(), references(), objective(True), **killed.CALL, out=folder)
    same(folder, uninterrupted)


def test_a_process_that_is_told_to_end_saves_what_it_has_and_goes_on_later(tmp_path, uninterrupted):
    process, receiver = killed.start(tmp_path, killed.train_until_told)
    assert [receiver.recv() for _ in range(3)] == [1, 2, 3]
    os.kill(process.pid, signal.SIGTERM)
    assert killed.last_words(receiver) == "interrupted"
    process.join()
    assert process.exitcode == 0
    kept = bv.load_run(tmp_path)
    assert 3 <= len(kept.history) < len(uninterrupted.history)
    bv.finetune(network(), references(), objective(True), **killed.CALL, out=tmp_path)
    same(tmp_path, uninterrupted)


def test_of_two_processes_in_one_folder_one_trains(tmp_path, uninterrupted):
    started = [killed.start(tmp_path) for _ in range(2)]
    said = [killed.last_words(receiver) for _, receiver in started]
    for process, _ in started:
        process.join()
    assert "finished" in said
    pids = [str(process.pid) for process, _ in started]
    for words in said:  # one that came late enough finds the other's run finished
        assert words == "finished" or any(f"in use by process {pid} on" in words for pid in pids)
    same(tmp_path, uninterrupted)


def test_what_another_process_did_meanwhile_is_gone_on_from(tmp_path):
    """Both have read the folder; the second begins when the first has ended."""
    from bpttviz.training.trainer import Trainer

    call = {"epochs": 2, "learning_rate": 0.02, "out": tmp_path}
    first, second = (Trainer(network(), references(3), objective(), **call) for _ in range(2))
    done = first.fit(progress=False)
    calls = []
    late = second.fit(progress=False, on_update=calls.append)
    assert calls == []
    assert torch.equal(weights(late.potential), weights(done.potential))


def test_a_training_that_goes_on_is_left_alone(tmp_path):
    seen = []

    def meanwhile(_):
        with pytest.raises(bv.RunError, match="in use by this process itself"):
            bv.finetune(network(), references(2), objective(), **SETTINGS, out=tmp_path)
        seen.append(1)

    bv.finetune(network(), references(2), objective(), **SHORT, out=tmp_path, on_update=meanwhile)
    assert len(seen) == 2


def test_ctrl_c_leaves_the_folder_free(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        part = bv.finetune(
            network(), references(2), objective(), **SETTINGS, out=tmp_path,
            on_update=lambda _: signal.raise_signal(signal.SIGINT),
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert part.status == "interrupted"
    assert not (tmp_path / ".lock").exists()


def test_a_scaled_potential_comes_back_whole(tmp_path):
    potential = bv.ScaledForces(network(), 1.5)
    run = bv.finetune(potential, references(2), objective(), **SHORT, out=tmp_path)
    loaded = bv.load_run(tmp_path)
    assert torch.equal(weights(loaded.potential), weights(run.potential))
    assert specification(loaded.potential)["config"]["scale"] == 1.5
