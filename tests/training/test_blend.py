"""Potentials between two of one architecture."""

import pytest
import torch
from springs import network, starts
from taught import weights

import bpttviz as bv


def tuned():
    potential = network()
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return potential


def test_the_ends_are_exact_and_the_way_is_straight():
    one, other = network(), tuned()
    before = weights(one).clone()
    assert torch.equal(weights(bv.blend(one, other, 0)), weights(one))
    assert torch.equal(weights(bv.blend(one, other, 1)), weights(other))
    half = bv.blend(one, other, 0.25)
    assert torch.allclose(weights(half), 0.75 * weights(one) + 0.25 * weights(other))
    assert torch.equal(weights(one), before)
    assert half is not one
    assert half(starts()).forces.shape == (8, 3)


def test_a_fine_tuned_copy_can_be_blended_though_its_description_holds_weights():
    scaled = bv.ScaledForces(network(), 1.5), bv.ScaledForces(tuned(), 1.5)
    assert bv.blend(*scaled, 0.5).config()["scale"] == 1.5


def with_another_buffer():
    potential = network()
    potential.pairs = potential.pairs.flip(0)
    return potential


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda: bv.PaiNN(features=4, layers=1), "one is a Springs, the other a PaiNN"),
        (lambda: network(atoms=5), r"stiffness is \(6,\) in one, \(10,\) in other"),
        (with_another_buffer, "the buffer pairs is not the same"),
    ],
)
def test_other_architectures_are_refused(other, reason):
    with pytest.raises(ValueError, match=f"only potentials of one architecture.*{reason}"):
        bv.blend(network(), other(), 0.5)


def test_another_number_that_is_no_weight_is_refused():
    with pytest.raises(ValueError, match="only potentials of one architecture.*scale"):
        bv.blend(bv.ScaledForces(network(), 1.5), bv.ScaledForces(network(), 1.6), 0.5)
    with pytest.raises(ValueError, match="only potentials of one architecture.*cutoff"):
        bv.blend(*(bv.PaiNN(features=4, layers=1, cutoff=x) for x in (4.0, 5.0)), 0.5)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "half", None, True])
def test_a_share_that_makes_no_sense_is_refused(alpha):
    with pytest.raises((TypeError, ValueError), match="alpha must be"):
        bv.blend(network(), tuned(), alpha)
    with pytest.raises(TypeError, match="pretrained must be a Potential"):
        bv.blend("chgnet", tuned(), 0.5)


def test_the_mean_of_several_is_the_mean_of_each_weight():
    members = [network(), tuned(), tuned()]
    mean = bv.average_weights(members)
    assert torch.allclose(weights(mean), torch.stack([weights(one) for one in members]).mean(0))
    assert torch.equal(weights(bv.average_weights(members[:1])), weights(members[0]))
    with pytest.raises(ValueError, match="no potentials to average"):
        bv.average_weights([])
    with pytest.raises(ValueError, match="only potentials of one architecture"):
        bv.average_weights([network(), network(atoms=5)])
