"""Updates of low rank: nothing changes at first, only they are trained, and they can be merged."""

import pytest
import torch
from ase.build import bulk
from springs import central_difference, network

import bpttviz as bv


def painn():
    torch.manual_seed(0)
    return bv.PaiNN(features=8, layers=1, radial=4).double()


def silicon(count=2):
    """Relaxations of a shaken cell back to the crystal."""
    made = []
    for number in range(count):
        end = bulk("Si", cubic=True)
        start = end.copy()
        start.rattle(0.08, seed=number)
        made.append(bv.ReferenceRelaxation.from_ase(f"r{number}", [start, end], f"g{number}"))
    return bv.RelaxationDataset(made)


def objective():
    return bv.EndpointLoss(bv.GradientDescent(0.02), bv.StoppingCriterion(3))


def test_nothing_has_changed_before_training_and_little_is_trained():
    potential = painn()
    small = bv.low_rank(potential, rank=2)
    structures = silicon().starts()
    assert torch.equal(small(structures).forces, potential(structures).forces)
    trained = [name for name, p in small.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.endswith((".a", ".b")) for name in trained)
    assert all(p.requires_grad for p in potential.parameters())
    count = sum(p.numel() for p in small.parameters() if p.requires_grad)
    assert count < 0.7 * sum(p.numel() for p in potential.parameters())


def test_its_gradient_is_right():
    small = bv.low_rank(painn(), rank=1)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            if name.endswith(".b"):
                parameter.add_(0.1)
    data, loss = silicon(1), objective()
    trained = [p for p in small.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss.loss(small, data).sum(), trained)
    for gradient, parameter in zip(found[:4], trained, strict=False):
        expected = central_difference(
            lambda: float(loss.loss(small, data).detach().sum()), parameter
        )
        assert float((gradient - expected).abs().max()) < 1e-7


def test_what_was_trained_is_of_low_rank_and_merges_into_the_old_architecture():
    potential = painn()
    run = bv.finetune(
        bv.low_rank(potential, rank=2), silicon(), objective(), epochs=2, learning_rate=0.01,
        progress=False,
    )  # fmt: skip
    merged = bv.merge_low_rank(run.potential)
    structures = silicon().starts()
    assert torch.allclose(merged(structures).forces, run.potential(structures).forces, atol=1e-12)
    before = dict(potential.named_parameters())
    changed = {n: p - before[n] for n, p in merged.named_parameters() if not p.equal(before[n])}
    assert changed
    for change in changed.values():
        assert int(torch.linalg.matrix_rank(change.detach(), atol=1e-10)) <= 2
    assert bv.blend(potential, merged, 0.5) is not None


def test_it_resumes_bit_for_bit(tmp_path):
    settings = {"learning_rate": 0.01, "progress": False}
    straight = bv.finetune(bv.low_rank(painn(), 2), silicon(), objective(), epochs=3, **settings)
    bv.finetune(bv.low_rank(painn(), 2), silicon(), objective(), epochs=1, out=tmp_path, **settings)
    resumed = bv.finetune(
        bv.low_rank(painn(), 2), silicon(), objective(), epochs=3, out=tmp_path, **settings
    )
    for one, two in zip(
        straight.potential.parameters(), resumed.potential.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    loaded = bv.load_run(tmp_path, potential=bv.low_rank(painn(), 2))
    assert torch.equal(
        loaded.potential(silicon().starts()).forces, straight.potential(silicon().starts()).forces
    )


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="no linear layer"):
        bv.low_rank(network())
    with pytest.raises(ValueError, match="no linear layer with more than 500"):
        bv.low_rank(painn(), rank=500)
    with pytest.raises(ValueError, match="low rank already"):
        bv.low_rank(bv.low_rank(painn(), 2))
    with pytest.raises(ValueError, match="no updates of low rank to merge"):
        bv.merge_low_rank(painn())


def test_chgnet_of_low_rank_is_chgnet():
    potential, structures = bv.CHGNet(), silicon().starts()
    small = bv.low_rank(potential)
    with torch.no_grad():
        assert torch.equal(small(structures).forces, potential(structures).forces)
