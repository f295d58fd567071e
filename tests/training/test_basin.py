"""Draws that belong to another minimum are dropped, by name, and counted."""

import pytest
import torch
from springs import network
from taught import references

import bpttviz as bv
from bpttviz.potentials.landscape import places, walkers
from bpttviz.provenance import specification


def double_well():
    """Two wells, 1 Å apart, at the same depth."""
    return bv.Wells([[-0.5, 0.0], [0.5, 0.0]], [1.0, 1.0], [0.3, 0.3], bowl=0.05)


def in_the_right_well(name="right"):
    well = double_well()
    end = bv.relax(well, walkers([[0.5, 0.1]]), bv.FIRE(), bv.StoppingCriterion(500, 1e-4)).final
    return bv.ReferenceRelaxation(name, "g", walkers([[0.4, 0.2]]), end)


def where_draws_lead(starts, reference, draws=24):
    """Draw → the sign of x where the well leads it, or None where it was dropped."""
    well, found = double_well(), {}
    for epoch in range(draws):
        try:
            start = starts.one(well, reference, bv.Draw(0, epoch))
        except bv.StructureError:
            found[epoch] = None
        else:
            rest = bv.relax(well, start, bv.FIRE(), bv.StoppingCriterion(100, 0.02)).final
            found[epoch] = float(places(rest.positions)[0, 0].sign())
    return found


def test_only_draws_from_other_basins_are_dropped():
    reference, wide = in_the_right_well(), bv.AroundEnd(1.0, 1.0)
    before = where_draws_lead(wide, reference)
    after = where_draws_lead(bv.WithinBasin(wide, double_well()), reference)
    assert 1 < sum(side < 0 for side in before.values()) < 15
    for epoch, side in before.items():
        assert after[epoch] == (1.0 if side > 0 else None)


def test_a_dropped_draw_leaves_its_structure_out_and_is_counted_and_resumes(tmp_path):
    data = bv.RelaxationDataset([in_the_right_well(name) for name in "abcd"])
    starts = bv.WithinBasin(bv.AroundEnd(1.0, 1.0), double_well())
    objective = bv.EndpointLoss(bv.GradientDescent(0.1), bv.StoppingCriterion(10), starts=starts)
    settings = {"learning_rate": 1e-3, "progress": False, "seed": 1}
    with pytest.warns(UserWarning, match="goes elsewhere"):
        run = bv.finetune(double_well(), data, objective, epochs=3, **settings)
    dropped = [name for update in run.history for name in update["left_out"]]
    assert dropped == ["a", "a"]
    assert len(run.history) == 12
    with pytest.warns(UserWarning, match="goes elsewhere"):
        bv.finetune(double_well(), data, objective, epochs=1, out=tmp_path, **settings)
    with pytest.warns(UserWarning, match="goes elsewhere"):
        resumed = bv.finetune(double_well(), data, objective, epochs=3, out=tmp_path, **settings)
    assert torch.equal(resumed.potential.centres, run.potential.centres)


def test_another_pretrained_potential_is_another_objective():
    starts = bv.WithinBasin(bv.AroundEnd(), network())
    again, other = (bv.WithinBasin(bv.AroundEnd(), p) for p in (network(), network(seed=9)))
    assert specification(starts) == specification(again)
    assert specification(starts) != specification(other)
    scaled = [bv.WithinBasin(bv.AroundEnd(), bv.ScaledForces(network(), x)) for x in (1.0, 2.0)]
    assert specification(scaled[0]) != specification(scaled[1])


def test_an_end_that_never_rests_is_said():
    (reference,) = references(1)
    starts = bv.WithinBasin(bv.AroundEnd(), network(), max_steps=1, fmax=1e-9)
    with pytest.raises(bv.StructureError, match="does not bring the reference's end to rest"):
        starts.one(network(), reference, bv.Draw(0, 0))
