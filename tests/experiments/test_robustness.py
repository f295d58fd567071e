"""Trainings made again and again: each is kept, filed under what it depends on, and read right."""

import json
from dataclasses import replace

import numpy as np
import pytest

import bpttviz as bv
from bpttviz.experiments import robustness as module
from bpttviz.experiments.robustness import DefectProblem, LandscapeProblem, procedures
from bpttviz.experiments.robustness_problems import _along
from bpttviz.experiments.robustness_result import (
    ARRIVES,
    TOO_SHORT,
    UNSTABLE,
    Robustness,
    format_change,
)

GD = {"gradient descent": procedures(0.5)["gradient descent"]}


@pytest.fixture(scope="module")
def problem():
    return LandscapeProblem(training=2, held_out=2, updates=3)


@pytest.fixture(scope="module")
def tiny(problem):
    return bv.robustness(problem, [0.2, 0.4], [2], GD)


def test_every_cell_says_what_was_made(tiny):
    assert [cell.key for cell in tiny.cells] == [
        ("gradient descent", 0.2, 2), ("gradient descent", 0.4, 2),
    ]  # fmt: skip
    cell = tiny.cell("gradient descent", 0.4, 2)
    assert cell.stages[0] == 0
    assert cell.stages[-1] == len(cell.losses) == 3
    assert np.array(cell.paths).shape == (len(cell.stages), 2, 3, 2)
    assert cell.losses[-1] < cell.losses[0]
    # a longer step leaves less of the way
    assert cell.left < tiny.cells[0].left
    with pytest.raises(KeyError, match="no training with FIRE.*there are gradient descent"):
        tiny.cell("FIRE", 0.4, 2)


def test_the_curvature_is_that_of_the_plane(problem, tiny):
    """Not that of what holds walkers in it, in which nothing moves."""
    import torch

    from bpttviz.potentials.landscape import places

    ends = problem.relaxer.run(problem.potential, problem.held_out.ends()).structures
    (place, *_) = places(ends.positions)
    surface = problem.potential.surface
    hessian = torch.autograd.functional.hessian(lambda x: surface(x[None]).sum(), place)
    largest = float(torch.linalg.eigvalsh(hessian)[-1])
    assert tiny.stiffest == pytest.approx(largest, rel=0.05)
    assert tiny.limits["gradient descent"] == pytest.approx(2 / tiny.stiffest, rel=1e-3)


def test_trainings_are_kept_and_not_made_twice(problem, tiny, tmp_path, monkeypatch):
    first = bv.robustness(problem, [0.2], [2], GD, tmp_path)
    file = tmp_path / "cells.jsonl"
    with file.open("a") as handle:
        handle.write('{"procedure": "gradient')  # a process that was killed here
    monkeypatch.setattr(module, "_train", lambda *_: pytest.fail("it was trained again"))
    assert bv.robustness(problem, [0.2], [2], GD, tmp_path).cells == first.cells
    assert first.cells == tiny.cells[:1]
    monkeypatch.undo()
    both = bv.robustness(problem, [0.2, 0.4], [2], GD, tmp_path)
    assert [json.loads(line)["step_size"] for line in file.read_text().splitlines()] == [0.2, 0.4]
    assert both.cells == tiny.cells
    with pytest.raises(ValueError, match="results with other settings.*updates"):
        bv.robustness(LandscapeProblem(2, 2, updates=4), [0.2], [2], GD, tmp_path)
    other = {title: lambda eta: bv.HeavyBall(eta, 0.5) for title in GD}
    with pytest.raises(ValueError, match="made with another rule .class: saved 'Gradient"):
        bv.robustness(problem, [0.2], [2], other, tmp_path)


def test_it_is_written_and_read(tiny, tmp_path):
    path = tiny.write(tmp_path / "tiny.json.xz")
    again = Robustness.read(path)
    assert again.cells == tiny.cells
    assert again.verdict() == tiny.verdict()
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="holds no Robustness"):
        Robustness.read(path)


def made_up(changes, left, eta=0.1, limits=None):
    """A result with these changes of the end at rest."""
    cell = bv.stored_robustness("landscape").cells[0]
    cells = [
        replace(cell, step_size=eta, steps=n, left=part, change={**cell.change, "dq_rest": ratio})
        for n, (ratio, part) in enumerate(zip(changes, left, strict=True), 1)
    ]
    limits = limits or {cell.procedure: None}
    return Robustness(
        "made up", ["x", "y"], [[0, 1], [0, 1]], [], [], 0.0, 1.0, limits, cells=cells
    )


def test_whether_it_depends_is_decided_by_gains():
    assert made_up([0.1, 0.2, 0.5], [0, 0, 0]).hardly_depends()  # gains 0.9 to 0.5
    assert not made_up([0.1, 0.6], [0, 0]).hardly_depends()  # 0.9 and 0.4
    assert not made_up([0.9, 1.1], [0, 0]).hardly_depends()  # one lost
    lost = made_up([0.1, 0.2], [0, 0])
    lost.cells[0] = replace(lost.cells[0], lost=["walker 9"])
    assert not lost.hardly_depends()


def test_conditions_are_known_before_training():
    result = made_up([0.5, 0.5, 0.5], [0.01, 0.4, None])
    assert [result.condition(c) for c in result.cells] == [ARRIVES, TOO_SHORT, TOO_SHORT]
    beyond = made_up([0.5], [0.01], eta=0.3, limits={"gradient descent": 0.2})
    assert beyond.condition(beyond.cells[0]) == UNSTABLE


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.5, "−50 %"),
        (0.004, "−99.6 %"),
        (1.25, "+25 %"),
        (5.5, "×5.5"),
        (None, "nothing to compare"),
    ],
)
def test_changes_in_words(ratio, words):
    assert format_change(ratio) == words


def test_the_stored_landscape_says_what_the_lesson_says():
    stored = bv.stored_robustness("landscape")
    assert len(stored.cells) == 72
    assert stored.procedures == ["gradient descent", "heavy ball", "FIRE"]
    assert "robustness landscape" in stored.made["command"]
    assert stored.hardly_depends(stored.those(ARRIVES))
    assert not stored.hardly_depends(stored.those(TOO_SHORT))
    with pytest.raises(ValueError, match="no stored result 'magic'; there are landscape"):
        bv.stored_robustness("magic")


def test_a_path_in_two_coordinates():
    data = bv.load_dataset("si-defects").all[["002_split_Si", "205_sub_B"]]
    starts, ends = data.starts(), data.ends()
    half = starts.positions + 0.5 * (ends.positions - starts.positions)
    np.testing.assert_allclose(_along(starts, ends, starts.positions), 0, atol=1e-9)
    np.testing.assert_allclose(_along(starts, ends, ends.positions), [[1, 0]] * 2, atol=1e-6)
    np.testing.assert_allclose(_along(starts, ends, half), [[0.5, 0]] * 2, atol=1e-6)


def test_what_is_no_rule_is_refused(problem):
    with pytest.raises(TypeError, match="must be a function of a step size"):
        bv.robustness(problem, [0.1], [2], {"mine": 0.3})
    with pytest.raises(TypeError, match="what rules\\['mine'\\] makes"):
        bv.robustness(problem, [0.1], [2], {"mine": lambda eta: eta})


@pytest.mark.slow
def test_defects_are_trained_and_drawn_too():
    names = ("205_sub_B",)
    problem = DefectProblem(training=names, held_out=names, epochs=2)
    (cell,) = bv.robustness(problem, [0.06], [2], {"descent": bv.GradientDescent}).cells
    assert cell.stages == [0, 1, 2]
    assert np.array(cell.paths).shape == (3, 1, 3, 2)
    assert cell.paths[0][0][0] == [0, 0]
    assert cell.ground == ""
    assert cell.lost == []
