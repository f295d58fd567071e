"""Forces that are to stay as they were before."""

import json
import time
from dataclasses import replace

import pytest
import torch
from springs import check_gradient, network, starts
from taught import references

import bpttviz as bv
from bpttviz.provenance import specification

RULE, STOP = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(6)
DRAW = bv.Draw(7, 2)


def other():
    return network(seed=3)


def test_rehearsal_by_hand():
    unlabelled, data = starts(5), references(3)
    objective = bv.RehearsalLoss(other(), unlabelled, count=2)
    found = objective.loss(network(), data, DRAW)
    for name, value in zip(data.names, found, strict=True):
        places = objective.places(name, DRAW)
        assert len(set(places)) == 2
        chosen = unlabelled[places]
        by_hand = (network()(chosen).forces - other()(chosen).forces).abs().mean()
        assert float(value.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-12)
    assert float(objective.loss(other(), data, DRAW).detach().sum()) == 0


def test_rehearsals_gradient_is_that_of_central_differences():
    check_gradient(bv.RehearsalLoss(other(), starts(5), count=2), network(), references(2), DRAW)


def test_in_time_every_structure_is_drawn_and_without_a_draw_always_the_same_ones():
    objective = bv.RehearsalLoss(other(), starts(5), count=2)
    drawn = {p for epoch in range(30) for p in objective.places("a", bv.Draw(0, epoch))}
    assert drawn == set(range(5))
    data = references(2)
    assert torch.equal(objective.loss(network(), data), objective.loss(network(), data))
    assert len(bv.RehearsalLoss(other(), starts(5), count=9).places("a", DRAW)) == 5
    assert bv.count_evaluations(objective, network(), data) == 4


def test_rehearsal_keeps_what_a_training_would_change():
    unlabelled, data = starts(5), references(4)
    call = {"epochs": 6, "learning_rate": 0.02, "progress": False}
    goal, keep = bv.EndpointLoss(RULE, STOP), bv.RehearsalLoss(network(), unlabelled, count=5)
    changes = []
    for objective in (goal, goal + 30 * keep):
        run = bv.finetune(network(), data, objective, **call)
        with torch.no_grad():
            changes.append(float(keep.loss(run.potential, data).mean()))
    assert changes[1] < 0.5 * changes[0]


class Stronger(bv.Springs):
    """The same weights, and other forces, by a constant of its own."""

    def __init__(self, *springs, factor=1.0):
        super().__init__(*springs)
        self.factor = factor

    def config(self):
        return {**super().config(), "factor": self.factor}

    def energy(self, structures):
        return self.factor * super().energy(structures)


def test_two_potentials_of_the_same_weights_are_two():
    springs = network().config().values()
    one, other, again = (
        bv.RehearsalLoss(Stronger(*springs, factor=factor), starts(3)) for factor in (1, 5, 1)
    )
    assert specification(one) != specification(other)
    assert specification(one) == specification(again)


def test_rehearsal_is_filed_under_potential_structures_and_count():
    made = [
        bv.RehearsalLoss(other(), starts(3)),
        bv.RehearsalLoss(network(), starts(3)),
        bv.RehearsalLoss(other(), starts(2)),
        bv.RehearsalLoss(other(), starts(3, seed=9)),
        bv.RehearsalLoss(other(), starts(3), count=2),
    ]
    said = [json.dumps(specification(one)) for one in made]
    assert len(set(said)) == len(said)
    assert json.dumps(specification(bv.RehearsalLoss(other(), starts(3)))) == said[0]
    assert repr(made[0]) == "RehearsalLoss(3 structures, count=1)"


class Trembling(bv.Springs):
    """Says another last digit each time, as a GPU does."""

    def energy(self, structures):
        return super().energy(structures) * (1 + 1e-14 * (time.perf_counter_ns() % 97))


@pytest.mark.parametrize("kind", [bv.RehearsalLoss, bv.PressureRehearsal])
def test_a_run_goes_on_where_forces_have_another_last_digit_each_time(tmp_path, kind):
    potential, cells = Trembling.frustrated(), starts(3)
    box = 20 * torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    cells = replace(cells, cell=box, pbc=torch.ones_like(cells.pbc))
    call = {"out": tmp_path, "progress": False}
    for epochs in (1, 2):
        goal = bv.EndpointLoss(RULE, STOP) + kind(potential, cells)
        run = bv.finetune(potential, references(2), goal, epochs=epochs, **call)
    assert {update["epoch"] for update in run.history} == {1, 2}


def test_what_cannot_be_rehearsed_is_refused():
    with pytest.raises(TypeError, match="potential must be a Potential"):
        bv.RehearsalLoss("chgnet", starts())
    with pytest.raises(ValueError, match="count must be a whole number"):
        bv.RehearsalLoss(network(), starts(), 0)
    held = replace(starts(1), fixed=torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="all atoms of s0 are held"):
        bv.RehearsalLoss(network(), held)
    broken = network()
    with torch.no_grad():
        broken.rest[0, 0] = torch.nan
    with pytest.raises(bv.StructureError, match="forces on it are not finite"):
        bv.RehearsalLoss(broken, starts())
