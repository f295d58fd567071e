"""A training in words."""

import pytest
from springs import network

import bpttviz as bv
from bpttviz.provenance import specification
from bpttviz.training.summary import loss_label

RULE, STOP = bv.GradientDescent(0.1), bv.StoppingCriterion(2)


@pytest.mark.parametrize(
    ("objective", "label"),
    [
        (bv.EndpointLoss(RULE, STOP), "endpoint error ΔQ / amu^½ Å"),
        (bv.EndpointLoss(RULE, STOP, resolution=0.1), "endpoint loss / amu^½ Å"),
        (bv.EndpointLoss(RULE, STOP, bv.GuidedAdjoint(1)), "loss"),
        (bv.EndpointLoss(RULE, STOP) + bv.ForceLoss(), "loss"),
    ],
)
def test_a_loss_is_called_an_error_only_where_it_is_one(objective, label):
    run = bv.Run(network(), None, settings={"objective": specification(objective)})
    assert loss_label(run) == label
