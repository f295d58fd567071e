"""Structures that go through a relaxation together: the same gradient, by fewer calls."""

import pytest
import torch
from taught import objective, references

import bpttviz as bv
from bpttviz.training.batch_gradients import GradientTaker, most_atoms_on, share_of
from bpttviz.training.draws import Draw
from bpttviz.training.ranks import Ranks


class Counting(bv.Springs):
    """Says how often it is asked."""

    calls = 0

    def forward(self, structures):
        self.calls += 1
        return super().forward(structures)


def taken(most_atoms, chosen=None, batch=None):
    potential = Counting.frustrated()
    parameters = list(potential.parameters())
    taker = GradientTaker(
        objective() if chosen is None else chosen,
        potential, parameters, len(parameters), Ranks(), most_atoms,
    )  # fmt: skip
    batch = references(6) if batch is None else batch
    found = taker.of(batch, Draw(0, 0))
    flat = torch.cat([g.reshape(-1) for g in found.total])
    return found, flat, potential.calls, taker.losses(batch)


@pytest.mark.parametrize(
    "adjoint", [bv.CheckpointedBPTT(), bv.FullBPTT(), bv.ImplicitAdjoint(), bv.GuidedAdjoint(4)]
)
def test_together_gives_the_gradient_of_one_at_a_time(adjoint):
    goal = bv.EndpointLoss(
        objective().rule, objective().stop, adjoint, starts=bv.AroundEnd(), resolution=0.1
    )
    alone, by_one, many, validated = taken(0, goal)
    together, by_group, few, also = taken(24, goal)
    assert float((by_group - by_one).norm() / by_one.norm()) < 1e-9
    assert together.losses == pytest.approx(alone.losses, rel=1e-9)
    assert together.sensitivity == alone.sensitivity
    assert torch.allclose(also, validated, rtol=1e-9)
    assert few < many / 2


class WithoutMiddle(bv.EndpointLoss):
    """Has no loss for one of the structures."""

    def loss(self, potential, references, draw=None):
        found = super().loss(potential, references, draw)
        lost = torch.tensor([name == "r2" for name in references.names])
        return torch.where(lost, torch.nan, found)


def test_one_without_a_gradient_leaves_alone():
    lame = WithoutMiddle(objective().rule, objective().stop)
    with pytest.warns(UserWarning, match="r2 was left out"):
        found, gradient, _, losses = taken(24, lame)
    assert found.used == ["r0", "r1", "r3", "r4", "r5"]
    assert losses.isnan().tolist() == [False, False, True, False, False, False]
    others = references(6)
    _, expected, _, _ = taken(0, batch=bv.RelaxationDataset([others[i] for i in (0, 1, 3, 4, 5)]))
    assert float((gradient - expected).norm() / expected.norm()) < 1e-9


def test_processes_get_whole_groups_while_there_are_enough():
    batch, goal = references(6), objective()  # of four atoms each
    shares = [share_of(batch, goal, 8, Ranks(rank, 2)) for rank in range(2)]
    assert sorted(places for share in shares for places in share) == [[0, 1], [2, 3], [4, 5]]
    shares = [share_of(batch, goal, 24, Ranks(rank, 2)) for rank in range(2)]
    assert sorted(places for share in shares for places in share) == [[i] for i in range(6)]


def test_a_planned_memory_holds_for_the_largest_structure():
    assert most_atoms_on(torch.device("cpu"), None) > 4
    assert most_atoms_on(torch.device("cpu"), references(2)) == 4
    assert most_atoms_on(torch.device("cuda"), None) > most_atoms_on(torch.device("cpu"), None)
