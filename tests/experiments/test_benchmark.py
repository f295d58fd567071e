"""Comparing methods: equal budgets, choices on validation, resuming, and what is said of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.optimize import BFGS
from measured import row
from springs import network
from taught import labelled

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments import benchmark as comparing
from bpttviz.experiments import methods as training
from bpttviz.experiments.benchmark import benchmark, parts_of
from bpttviz.experiments.benchmark_report import (
    Unfinished,
    average,
    format_benchmark,
    read_benchmark,
    read_benchmark_result,
    summarise,
)
from bpttviz.experiments.methods import (
    FORCES,
    METHODS,
    Split,
    allocate_budget,
    stages_of,
)
from bpttviz.experiments.protocol import (
    BPTT,
    PRETRAINED,
    SCALAR,
    PaperRecipe,
    Question,
    question_of,
)

RECIPE = PaperRecipe(step_size=0.1, steps=15, epochs=2, learning_rate=0.02, scales=(0.5, 1, 2))
RELAXER = Relaxer(fmax=0.01, optimizer=BFGS)
CALL = {"recipe": RECIPE, "folds": 2, "relaxer": RELAXER, "progress": False}


@pytest.fixture(scope="module")
def data():
    return bv.DatasetSplits(labelled(4, frames=5))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Two spring networks through everything, one of them as a student."""
    folder = tmp_path_factory.mktemp("compared")
    for seed in (1, 3):
        about = {"name": f"springs {seed}", "external": seed == 1}
        benchmark(network(seed=seed), data, folder / f"s{seed}", **CALL, about=about)
    return folder


@pytest.mark.parametrize(
    ("lengths", "budget", "most"),
    [([17, 16, 21, 29], 4 * 60, 20), ([12, 3, 32], 3 * 60, 20), ([5, 5], 2, 20), ([9], 100, 4)],
)
def test_a_budget_is_spent_and_not_exceeded(lengths, budget, most):
    epochs, frames = allocate_budget(lengths, budget, most)
    spent = epochs * sum(min(frames, n) for n in lengths)
    assert 1 <= frames <= most
    assert 0.8 * budget <= spent <= budget
    more = epochs * sum(min(frames + 1, n) for n in lengths)
    assert more > budget or frames == most or more == spent


def test_nothing_is_measured_on_what_the_potential_was_pretrained_on(data):
    whole, less = parts_of(data, 2), parts_of(data, 2, seen=["r0", "r3"])
    for one, two in zip(whole, less, strict=True):
        assert one.training.names == two.training.names
        assert two.held_out.names == [n for n in one.held_out.names if n not in ("r0", "r3")]
    gone = parts_of(data, 2, seen=whole[0].held_out.names)
    assert [(part.number, part.name) for part in gone] == [(1, "fold-1")]
    with pytest.raises(ValueError, match="pretrained on all"):
        parts_of(data, 2, seen=data.all.names)
    shipped = bv.load_dataset("si-defects")
    less = parts_of(shipped, seen=[*shipped.val.names[1:], *shipped.test.names[:2]])[0]
    assert less.validation.names == shipped.val.names[:1]
    assert less.held_out.names == shipped.test.names[2:]
    with pytest.raises(ValueError, match="pretrained on the whole validation part.*--folds"):
        parts_of(shipped, seen=shipped.val.names)


def test_a_large_set_has_parts_of_its_own():
    crystals = bv.load_dataset("crystals")
    (part,) = parts_of(crystals)
    assert (part.training.names, part.held_out.names) == (crystals.train.names, crystals.test.names)
    assert part.validation.names == crystals.val.names
    assert len(parts_of(crystals, 3)) == 3


@pytest.mark.parametrize("method", METHODS[2:])
def test_all_methods_spend_what_is_said(data, method):
    """Evaluations are counted while the method trains, and compared with those declared."""
    references, count = data.all, 0

    def note(*_):
        nonlocal count
        count += torch.is_grad_enabled()

    potential = network()
    stages = stages_of(method, potential, references, RECIPE)
    handle = potential.register_forward_pre_hook(note)
    for stage in stages:
        bv.finetune(potential, references, stage.objective, epochs=stage.epochs, progress=False)
    handle.remove()
    declared = sum(stage.evaluations for stage in stages)
    assert count == declared
    budget = RECIPE.epochs * RECIPE.steps * len(references)
    assert 0.9 * budget <= declared <= budget


def test_every_method_is_measured_on_every_structure(data, finished):
    springs, student = read_benchmark(finished)
    assert (springs.name, springs.external, student.external) == ("springs 1", True, False)
    assert springs.methods == list(METHODS)
    assert sorted(springs.report.structures) == sorted(data.all.names)
    assert (springs.done, springs.parts) == (2, 2)
    assert springs.evaluations[PRETRAINED] == springs.evaluations[SCALAR] == 0
    assert springs.evaluations[BPTT] == 2 * 2 * 2 * 15
    assert springs.report.compare("dq_rest", PRETRAINED, BPTT).ratio < 1
    assert springs.report.compare("force_mae", PRETRAINED, FORCES).ratio < 1
    # One force scale moves no minimum, and leaves the way there to the same optimiser.
    assert springs.report.compare("dq_rest", PRETRAINED, SCALAR).ratio == pytest.approx(1, abs=0.01)
    assert (springs.report.column("from_start", BPTT) == "at rest").all()
    asked = {r.name: question_of(r, train) for train, out in data.folds(2) for r in out}
    assert springs.questions == asked


def test_the_account_names_what_a_reader_needs(finished):
    text = summarise(finished)
    assert (finished / "table.txt").read_text(encoding="utf-8") == text + "\n"
    for needed in (
        "springs 3 (made here)",
        "not settled here",
        "learned from: pretrained nothing; scalar ends; force-matched frames with forces; BPTT",
        "differentiated force evaluations spent: force-matched",
        f"{FORCES} → {BPTT}",
        "95 % interval",
        "ΔQ at rest, relaxed from the start",
    ):
        assert needed in text
    header, *lines = (finished / "table.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 * len(METHODS)
    assert {"potential", "labels", "dq_rest ratio", "force_mae_weak"} <= set(header.split(","))


def test_a_repeated_call_does_nothing_and_a_shared_folder_is_filled(data, tmp_path, monkeypatch):
    for only, methods in ((1, METHODS), (0, [PRETRAINED, BPTT])):
        benchmark(network(), data, tmp_path, **CALL, only=[only], methods=methods)
    outcome = read_benchmark_result(tmp_path)
    assert outcome.done == 1
    assert "1 of 2 parts" in str(outcome)
    benchmark(network(), data, tmp_path, **CALL)
    assert read_benchmark_result(tmp_path).done == 2
    monkeypatch.setattr(training, "evaluate", None)  # a call would fail
    benchmark(network(), data, tmp_path, **CALL)
    with pytest.raises(ValueError, match="other settings"):
        benchmark(network(seed=8), data, tmp_path, **CALL)


def test_interrupted_and_resumed_gives_the_same_tables(data, finished, tmp_path, monkeypatch):
    calls, measure = [], training.evaluate

    def stop_at_third(*arguments, **named):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(*arguments, **named)

    monkeypatch.setattr(training, "evaluate", stop_at_third)
    about = {"name": "springs 1", "external": True}
    with pytest.raises(KeyboardInterrupt):
        benchmark(network(), data, tmp_path, **CALL, about=about)
    benchmark(network(), data, tmp_path, **CALL, about=about)
    for table in (finished / "s1").glob("*.csv"):
        assert (tmp_path / table.name).read_text() == table.read_text()


def test_choices_are_made_on_validation_alone(data, tmp_path, monkeypatch):
    """Learning rate and epoch are those with the best validation, and nothing else is looked at."""
    everything = data.all
    part = Split(0, "test", everything[:2], everything[3:], everything[2:3])
    monkeypatch.setattr(comparing, "parts_of", lambda *_: [part])
    rates = (1e-5, 0.02)
    call = {k: v for k, v in CALL.items() if k != "folds"}
    benchmark(network(), data, tmp_path, **call, learning_rates=rates, methods=[BPTT])
    record = json.loads((tmp_path / "test-BPTT.json").read_text())
    scores = {
        (rate, epoch): json.loads(
            (
                tmp_path / "runs" / f"test-BPTT-{rate}-0" / f"epoch-{epoch}" / "score.json"
            ).read_text()
        )
        for rate in rates
        for epoch in (1, 2)
    }
    chosen = record["chosen"]
    best_rate, best_epoch = min(scores, key=scores.get)
    assert (chosen["learning_rate"], chosen["epochs"]) == (best_rate, [best_epoch])
    assert chosen["runs"] == [f"runs/test-BPTT-{best_rate}-0/epoch-{best_epoch}"]
    assert chosen["validation"] == min(scores.values()) < max(scores.values())
    best = tmp_path / "runs" / f"test-BPTT-{best_rate}-0" / f"epoch-{best_epoch}"
    report = bv.evaluate(
        {"x": bv.load_run(best).potential}, part.validation, RECIPE.rule, RECIPE.stop,
        CALL["relaxer"], progress=False,
    )  # fmt: skip
    assert report.mean("dq_rest", "x") == pytest.approx(chosen["validation"])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"only": [2]}, "no part 2"),
        ({"methods": ["magic"]}, "no method 'magic'"),
        ({"learning_rates": [1e-3, 1e-4]}, "division of the data has none"),
        ({"recipe": PaperRecipe(epochs=1)}, "2 epochs at least"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    data, tmp_path, change, complaint
):
    with pytest.raises(ValueError, match=complaint):
        benchmark(network(), data, tmp_path / "x", **{**CALL, **change})
    assert not (tmp_path / "x").exists()


def made_up(folder, name, external, endpoint, force, **about):
    """A finished comparison with known ratios, in the files that a real one writes."""
    folder.mkdir(parents=True)
    names = [f"s{n}" for n in range(8)]
    settings = {
        "about": {"name": name, "external": external, **about},
        "potential": {"class": "Springs"}, "parts": {"test": names}, "noise_floor": None,
        "development_groups": [], "seen": [],
        "questions": {n: Question.NEW_FAMILY.value if n in ("s1", "s7") else
                      Question.KNOWN_END.value for n in names},
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    for method, (a, b) in {PRETRAINED: (1, 1), BPTT: (endpoint, force)}.items():
        rows = [row(s, method, a * (1 + n), 0.1 * b) for n, s in enumerate(names)]
        table = training.table_of(folder, "test", method)
        Report(rows).to_csv(table)
        table.with_suffix(".json").write_text(json.dumps({"evaluations": 5}))


def test_the_average_counts_pretrained_ones_only(tmp_path):
    made_up(tmp_path / "a", "A", True, 0.5, 1.2, caveat="r2SCAN weights, PBE labels")
    made_up(tmp_path / "b", "B", True, 0.8, 0.9)
    made_up(tmp_path / "c", "C", False, 0.1, 3.0)
    results = read_benchmark(tmp_path)
    assert [o.name for o in results] == ["A", "B", "C"]
    mean = average(results[:2], "dq_rest", BPTT)
    assert mean.ratio == pytest.approx(np.sqrt(0.4))
    assert mean.interval == pytest.approx((np.sqrt(0.4), np.sqrt(0.4)))
    text = format_benchmark(results)
    assert "mean of 2 pretrained elsewhere" in text
    assert "endpoint improves in 2, force error rises in 1" in text
    assert "A: mind that r2SCAN weights, PBE labels." in text
    assert "both halves hold" in str(results[0])
    assert "is not borne out" in str(results[1])
    assert results[0].verdict().startswith("BPTT: both halves hold")
    assert "known end, new start" in text
    table = results[0].question_table()
    assert table["question"].tolist() == [Question.KNOWN_END.value, Question.NEW_FAMILY.value]
    assert table["structures"].tolist() == ["6", "2"]
    assert table["ΔQ at rest"][0].startswith("-50.0 %")
    assert table["worse"].tolist() == ["0/6", "0/2"]
    few = Report([r for r in results[0].report.rows if r.structure < "s5"])
    assert "5 structures are too few" in replace(results[0], report=few).verdict()


def test_the_average_draws_structures_once_for_all_potentials(tmp_path):
    """Two copies of one potential are no more evidence than one."""
    rng = np.random.default_rng(0)
    logs = {f"s{n}": x for n, x in enumerate(rng.normal(size=12))}

    class Copy:
        groups = {name: name for name in logs}  # noqa: RUF012

        def log_ratios(self, column, method):
            return logs

    one, two = average([Copy()], "x", BPTT), average([Copy(), Copy()], "x", BPTT)
    assert two.interval == pytest.approx(one.interval)
    with pytest.raises(ValueError, match="no potential has x"):
        average([], "x", BPTT)


def test_nothing_finished_yet(tmp_path):
    assert summarise(tmp_path) == "No potential has been compared yet."


def test_a_damaged_file_does_not_make_a_potential_vanish(tmp_path):
    for name, endpoint in (("a", 0.5), ("b", 0.8), ("c", 0.7)):
        made_up(tmp_path / name, name, True, endpoint, 1.2)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "settings.json").write_text('{"parts": ["test"]}')  # just begun
    table = training.table_of(tmp_path / "b", "test", BPTT)
    table.write_text(table.read_text()[:-40])
    training.table_of(tmp_path / "c", "test", BPTT).with_suffix(".json").write_text("{")
    with pytest.warns(UserWarning, match="is damaged") as found:
        results = read_benchmark(tmp_path)
    assert [result.name for result in results] == ["a"]
    named = [str(warning.message).partition(":")[0] for warning in found]
    assert named == [f"{name} is left out of the comparison" for name in "bc"]
    text = summarise(tmp_path)
    assert "b is missing here: " in text
    assert "test-BPTT.csv is damaged: line 9 has" in text
    assert "test-BPTT.json is damaged" in text
    assert "d is missing" not in text
    with pytest.raises(Unfinished):
        read_benchmark_result(tmp_path / "d")


def test_the_three_questions():
    def reference(name, group, family=""):
        return replace(labelled(1)[0], name=name, group=group, family=family)

    trained = bv.RelaxationDataset([reference("x", "sub:P"), reference("y", "vac:Si")])
    asked = [question_of(reference("z", group), trained) for group in ("sub:P", "sub:As", "tet:P")]
    assert asked == [Question.KNOWN_END, Question.NEW_SPECIES, Question.NEW_FAMILY]
    named = reference("z", "something", family="vac")
    assert question_of(named, trained) is Question.NEW_SPECIES


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": replace(RECIPE, step_size=0.1 + 1e-9)},
        {"recipe": replace(RECIPE, adjoint=bv.TruncatedBPTT(3))},
        {"relaxer": Relaxer(fmax=0.0100001, optimizer=BFGS)},
        {"learning_rates": [0.02 + 1e-9]},
        {"seen": ["r0"]},
        {"potential": bv.ScaledForces(network(), 1.0)},
        {"regroup": True},
    ],
)
def test_tables_are_filed_under_all_that_they_depend_on(data, tmp_path, change):
    first = {"potential": network(), "data": data, "out": tmp_path, **CALL, "methods": [PRETRAINED]}
    benchmark(**first)
    if change == {"regroup": True}:
        regrouped = [replace(r, group=f"{r.group}-" * (n == 3) or r.group)
                     for n, r in enumerate(data.all)]  # fmt: skip
        change = {"data": bv.DatasetSplits(bv.RelaxationDataset(regrouped))}
    with pytest.raises(ValueError, match="other settings"):
        benchmark(**first | change)
