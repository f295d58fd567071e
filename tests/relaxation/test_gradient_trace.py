"""The gradient on the atoms: the same as the diagnosis', as central differences', as on disk."""

from dataclasses import replace

import pytest
import torch
from springs import central_difference, network, starts, targets

import bpttviz as bv

RULES = [bv.GradientDescent(0.02, max_step=None), bv.HeavyBall(0.02, 0.5), bv.FIRE()]
STOP = bv.StoppingCriterion(6)


def held(structures):
    fixed = torch.zeros_like(structures.fixed)
    fixed[1] = True
    return replace(structures, fixed=fixed)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("change", [lambda s: s, held], ids=["free", "an atom held"])
def test_norms_are_those_of_the_diagnosis(rule, change):
    start = change(starts(1))
    end = targets(start)
    trace = bv.trace_gradient(network(), start, end, rule, STOP)
    found = bv.diagnose_gradient(network(), start, end, rule, STOP, iterations=2)
    torch.testing.assert_close(trace.sensitivity, found.sensitivity, rtol=1e-12, atol=0)
    torch.testing.assert_close(trace.contribution, found.contribution, rtol=1e-12, atol=0)
    assert float(trace.delta_q[-1]) == pytest.approx(found.loss)
    torch.testing.assert_close(trace.shares.sum(1), torch.ones(7, dtype=torch.float64))
    assert (trace.gradients[:, start.fixed] == 0).all()
    assert (trace.forces[:, start.fixed] == 0).all()


def test_the_first_gradient_is_that_of_central_differences():
    springs, start = network(), starts(1)
    end = targets(start)
    rule = bv.GradientDescent(0.02, max_step=None)
    trace = bv.trace_gradient(springs, start, end, rule, STOP)
    places = start.positions.clone()

    def loss():
        with torch.no_grad():
            final = bv.relax(springs, start.with_positions(places), rule, STOP).final
        return float(bv.delta_q(final, end))

    slopes = central_difference(loss, places)
    torch.testing.assert_close(trace.gradients[0], slopes, rtol=1e-6, atol=1e-8)


def test_the_way_forward_is_that_of_relax():
    springs, start = network(), starts(1)
    rule = bv.GradientDescent(0.02, max_step=None)
    trace = bv.trace_gradient(springs, start, targets(start), rule, STOP)
    with torch.no_grad():
        path = bv.relax(springs, start, rule, STOP)
    torch.testing.assert_close(trace.positions, path.trajectory)
    torch.testing.assert_close(trace.energy, path.energy[:, 0])
    torch.testing.assert_close(trace.forces.norm(dim=2).max(1).values, path.fmax[:, 0])


def test_it_is_kept_in_a_file(tmp_path):
    start = held(starts(1))
    trace = bv.trace_gradient(network(), start, targets(start), stop=STOP)
    trace = replace(trace, made={"by": "a test"})
    path = trace.write(tmp_path / "trace.safetensors")
    again = bv.GradientTrace.read(path)
    assert (again.name, again.steps, again.made) == (trace.name, 6, {"by": "a test"})
    torch.testing.assert_close(again.positions, trace.positions, rtol=0, atol=0)
    torch.testing.assert_close(again.gradients, trace.gradients, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(again.delta_q, trace.delta_q)
    assert again.start.fixed.tolist() == start.fixed.tolist()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"trace\.safetensors holds no GradientTrace"):
        bv.GradientTrace.read(path)


def test_what_cannot_be_followed_is_refused():
    start = starts(2)
    with pytest.raises(ValueError, match="one structure at a time, got 2"):
        bv.trace_gradient(network(), start, targets(start))
    one = starts(1)
    rule = bv.GradientDescent(1e200, max_step=None)
    with pytest.raises(RuntimeError, match="diverged at step"):
        bv.trace_gradient(network(), one, targets(one), rule, bv.StoppingCriterion(30))
