"""Memory to a budget: what is chosen fits, is exact, and stays as it was chosen."""

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from ase.build import bulk
from taught import SETTINGS, objective, references

import bpttviz as bv
from bpttviz._checks import memory_size
from bpttviz.profiling import memory_now
from bpttviz.structures import concatenate
from bpttviz.training import memory
from bpttviz.training.memory import MemoryPlan, largest_of, plan_memory

STEPS = 4
WIDE = 360_000  # numbers for each of twelve coordinates: 35 MB


class Wide(bv.Springs):
    """Springs whose graph holds tensors so large that glibc gives them back as soon as freed.

    What the process holds then is what is in use, and budgets can be told apart by it.
    """

    def energy(self, structures):
        spread = structures.positions.reshape(-1, 1) + 0.01 * torch.ones(1, WIDE)
        return super().energy(structures) + 1e-3 * self.stiffness.sum() * (spread**2).mean()


@pytest.fixture(scope="module")
def problem():
    """(double-precision PaiNN, its weights, silicon cells of 8 and 64 atoms)."""
    made = []
    for name, copies in (("small", 1), ("large", 2)):
        end = bulk("Si", cubic=True) * ((copies,) * 3)
        start = end.copy()
        start.rattle(0.1, seed=copies)
        made.append(bv.ReferenceRelaxation.from_ase(name, [start, end], name))
    potential = bv.PaiNN(layers=2, cutoff=4.5).double()
    return potential, list(potential.parameters()), bv.RelaxationDataset(made)


def goal(adjoint=None):
    return bv.EndpointLoss(bv.GradientDescent(0.02), bv.StoppingCriterion(STEPS), adjoint)


def trained_within_budgets():
    """[kept steps, bytes held before, most held, budget] of more and more memory; the last's words.

    For a process of its own: what a test process has done before decides what it holds already,
    and what of that it can use again.
    """
    found = []
    for more in (0.6e9, 0.95e9, 10e9):
        held, potential, data = memory_now(), Wide.frustrated(), references(1)
        budget = held + round(more)
        run = bv.finetune(potential, data, goal(), epochs=1, memory=budget, progress=False)
        kept = run.settings["memory"]["kept_steps"]
        found.append((kept, held, run.history[-1]["peak_bytes"], budget))
    plan = plan_memory(budget, goal(), potential, data, list(potential.parameters()))
    return found, repr(plan.adjoint), plan.reason


def test_more_memory_keeps_more_steps_and_the_peak_stays_below():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found, adjoint, reason = pool.submit(trained_within_budgets).result()
    kept = [one[0] for one in found]
    assert kept[0] < kept[1] < kept[2] == STEPS, found
    for _, held, peak, budget in found:
        assert held < peak <= budget, found
    assert adjoint == "FullBPTT()"
    assert "full BPTT" in reason
    assert "r0, 4 atoms" in reason


def test_a_budget_that_is_too_small_names_one_that_is_enough(problem):
    potential, parameters, data = problem
    with pytest.raises(ValueError, match=r"large, 64 atoms.*one step at a time.*Give") as refusal:
        plan_memory(10**6, goal(), potential, data, parameters)
    least = memory_size("least", re.search(r"Give ([\d.]+ [MG]B) or more", str(refusal.value))[1])
    plan_memory(round(1.1 * least), goal(), potential, data, parameters)


@pytest.mark.parametrize("kept", [0, 2])
def test_the_gradient_is_that_of_full_bptt(problem, kept):
    potential, parameters, data = problem
    full, planned = goal(bv.FullBPTT()), goal()
    MemoryPlan(10**9, STEPS, kept, "").apply(planned)
    assert planned.adjoint == bv.CheckpointedBPTT(kept_steps=kept)
    one, two = (
        torch.autograd.grad(o.loss(potential, data[:1]).sum(), parameters, allow_unused=True)
        for o in (full, planned)
    )
    assert sum(g is not None for g in one) > 10
    for a, b in zip(one, two, strict=True):
        assert (a is None and b is None) or (a - b).norm() <= 1e-10 * a.norm()


def test_the_largest_structure_has_most_atoms_then_least_room(problem):
    assert largest_of(problem[2]).name == "large"
    wide = references(1)[0]
    assert largest_of([problem[2][0], wide]).name == "small"


def test_what_an_objective_draws_itself_is_planned_by_its_largest(problem):
    potential, _, data = problem
    cells = concatenate([one.start for one in data for _ in range(3)])  # small ones, then large
    kept = 2.0 * bv.RehearsalLoss(potential, cells, count=2) + bv.Replay(goal(), data)
    _, (rehearsal, replay) = zip(*kept.heaviest().terms, strict=True)
    for epoch in range(5):
        drawn = rehearsal.places("any", bv.Draw(0, epoch))
        assert all(len(rehearsal.structures[place].numbers) == 64 for place in drawn)
        assert len(drawn) == 2
    assert replay.references.names == ["large"]
    (_, usual), _ = kept.terms
    chosen = {place for n in range(9) for place in usual.places("any", bv.Draw(0, n))}
    assert chosen & {0, 1, 2}, "the objective itself must go on drawing all of them"
    assert kept.heaviest().terms[0][0] == 2.0
    alone = goal()
    assert alone.heaviest() is alone


def test_a_resumed_run_keeps_what_was_chosen(tmp_path, monkeypatch):
    train = references()
    stopped = bv.finetune(
        bv.Springs.frustrated(4, 1), train, objective(), **{**SETTINGS, "epochs": 1},
        memory="100GB", out=tmp_path,
    )  # fmt: skip
    assert stopped.settings["memory"] == {"budget": 100 * 10**9, "kept_steps": 15}
    assert stopped.settings["objective"]["config"]["adjoint"]["class"] == "FullBPTT"
    monkeypatch.setattr(memory, "plan_memory", lambda *_: pytest.fail("measured again"))
    again = bv.finetune(
        bv.Springs.frustrated(4, 1), train, objective(), **SETTINGS, memory=1e11, out=tmp_path
    )
    assert len(again.history) == 3 * len(train)
    assert again.settings["memory"] == stopped.settings["memory"]
    monkeypatch.undo()
    with pytest.raises(bv.RunError, match="memory"):
        bv.finetune(
            bv.Springs.frustrated(4, 1), train, objective(), **SETTINGS, memory="99GB", out=tmp_path
        )


def test_an_objective_without_unrolled_steps_has_nothing_to_choose():
    loss = bv.EndpointLoss(adjoint=bv.TruncatedBPTT(3))
    with pytest.raises(ValueError, match="memory chooses between FullBPTT and CheckpointedBPTT"):
        bv.finetune(bv.Springs.frustrated(4, 1), references(), loss, **SETTINGS, memory="1GB")
    both = objective() + bv.ForceLoss()
    MemoryPlan(10**9, 15, 4, "").apply(both)
    assert both.terms[0][1].adjoint == bv.CheckpointedBPTT(kept_steps=4)
