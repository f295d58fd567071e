"""On a GPU: the numbers of the CPU, from forces to an update by every variant of the recipe.

Skipped where there is none, as in CI.
"""

import copy
import json
from dataclasses import replace

import pytest
import torch

import bpttviz as bv
from bpttviz.experiments.cost import gradient
from bpttviz.experiments.variants import VARIANTS

GPU = "cuda"
STEPS = 3
CALL = {"objective": bv.EndpointLoss(stop=bv.StoppingCriterion(STEPS)), "progress": False}

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]


@pytest.fixture(scope="module")
def data():
    return bv.load_dataset("si-defects")


@pytest.fixture(scope="module")
def defects(data):
    """Two relaxations of unlike kinds."""
    return bv.RelaxationDataset([data.train[0], data.train[3]])


@pytest.fixture(scope="module", params=[bv.CHGNet, bv.PaiNN, bv.CoordinateTransformer])
def pair(request):
    """One potential on the CPU and on the GPU, in float64."""
    return twins(request.param)


def twins(kind=bv.CHGNet):
    torch.manual_seed(0)
    here, there = (kind(dtype=torch.float64, device=device) for device in ("cpu", GPU))
    there.load_state_dict(here.state_dict())
    return here, there


def disturb(potential):
    """Move all weights a little, alike on either device."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in potential.parameters():
            noise = torch.randn(weight.shape, generator=draw, dtype=weight.dtype)
            weight += 1e-3 * weight.abs().mean() * noise.to(weight.device)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1).cpu() for t in tensors if t is not None])


def test_energies_and_forces_are_those_of_the_cpu(pair, defects):
    here, there = pair
    ours, theirs = here(defects.starts()), there(defects.starts().to(GPU))
    torch.testing.assert_close(theirs.energy.cpu(), ours.energy, rtol=1e-9, atol=1e-8)
    torch.testing.assert_close(theirs.forces.cpu(), ours.forces, rtol=1e-7, atol=1e-7)


def test_gradients_through_time_are_those_of_the_cpu(pair, defects):
    found = []
    for potential in pair:
        starts, ends = defects.starts().to(potential.device), defects.ends().to(potential.device)
        for mode in (bv.FullBPTT(), bv.CheckpointedBPTT()):
            found.append(flat(gradient(potential, starts, ends, mode, STEPS)[1]))
    for other in found[1:]:
        assert float((other - found[0]).norm() / found[0].norm()) < 1e-7


def test_a_gradient_is_the_central_difference(defects):
    """Along a random direction of all weights."""
    _, potential = twins()
    starts, ends = defects.starts().to(GPU), defects.ends().to(GPU)
    _, parts = gradient(potential, starts, ends, bv.CheckpointedBPTT(), STEPS)
    torch.manual_seed(0)
    way = [torch.randn_like(w) for w in potential.parameters() if w.requires_grad]
    along = sum(float((g * v).sum()) for g, v in zip(parts, way, strict=True) if g is not None)
    size, losses = 1e-6, []
    for sign in (1, -1):
        moved = copy.deepcopy(potential)
        trained = [w for w in moved.parameters() if w.requires_grad]
        with torch.no_grad():
            for weight, v in zip(trained, way, strict=True):
                weight += sign * size * v
        relaxed, _ = gradient(moved, starts, ends, bv.CheckpointedBPTT(), STEPS)
        losses.append(float(bv.delta_q(relaxed.final, ends).detach().sum()))
    assert abs((losses[0] - losses[1]) / (2 * size) - along) < 1e-5 * abs(along)


def test_relaxations_end_at_the_same_places(defects):
    ends = []
    for potential in twins():
        with torch.no_grad():
            starts = defects.starts().to(potential.device)
            rest = bv.relax(potential, starts, bv.FIRE(), bv.StoppingCriterion(300, fmax=0.01))
        assert bool(rest.converged.all())
        ends.append(rest.final.positions.cpu())
    assert float((ends[0] - ends[1]).abs().max()) < 1e-5


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_an_update_by_every_variant_is_that_of_the_cpu(variant, data, defects, tmp_path):
    recipe = bv.Recipe(data.unlabelled, epochs=1, steps=STEPS, batch_size=2)
    if variant.replay:
        recipe = replace(recipe, minima=bv.RelaxationDataset([data.train[1]]))
    recipe = variant.applied(recipe)
    losses, lengths, changes = [], [], []
    for potential in twins():
        objective = recipe.objective(potential)
        # Away from what is kept: there the gradient of what keeps it is that of rounding.
        disturb(potential)
        before = flat(potential.parameters())
        out = tmp_path / str(potential.device)
        run = bv.finetune(potential, defects, objective, recipe.config(2), out=out, progress=False)
        assert json.loads((out / "run.json").read_text())["status"] == "finished"
        losses.append(run.history[0]["loss"])
        lengths.append(run.history[0]["gradient_norm"])
        changes.append(flat(run.potential.parameters()) - before)
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-5)
    assert float(changes[0].norm()) > 0
    assert float(changes[1].norm() / changes[0].norm()) == pytest.approx(1, abs=0.01)
    # Adam's first step is the gradient's sign, which rounding turns where there is no gradient.
    alike = (changes[0] * changes[1]).sum() / (changes[0].norm() * changes[1].norm())
    assert float(alike) > 0.99


def test_a_run_of_the_gpu_goes_on_and_is_measured_on_the_cpu(defects, tmp_path):
    bv.finetune(bv.CHGNet(device=GPU), defects, epochs=1, out=tmp_path, **CALL)
    run = bv.finetune(bv.CHGNet(), defects, epochs=2, out=tmp_path, **CALL)
    assert {update["epoch"] for update in run.history} == {1, 2}
    assert run.potential.device.type == "cpu"
    report = bv.evaluate({"tuned": bv.load_run(tmp_path).potential}, defects, progress=False)
    assert len(report.rows) == len(defects)


def test_a_training_by_the_recipe_goes_on_where_it_began(data, defects, tmp_path):
    recipe = bv.Recipe(data.unlabelled, steps=STEPS, pressure=0.5)
    potential = bv.CHGNet(device=GPU)
    for epochs in (1, 2):
        objective = recipe.objective(potential)  # its forces end in other digits each time
        config = replace(recipe.config(2), epochs=epochs)
        run = bv.finetune(potential, defects, objective, config, out=tmp_path, progress=False)
    assert {update["epoch"] for update in run.history} == {1, 2}
