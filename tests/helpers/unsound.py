"""Potentials with one thing wrong each, for the contract to find."""

from dataclasses import replace

import torch
from models import CUTOFF, Pairs, pairs
from torch import nn

import bpttviz as bv
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.potentials.neighbors import neighbours


def energies(function, net=None, **claims):
    """A potential over `Pairs` with something wrong: function(net, structures, positions)."""
    net = net or Pairs()
    return bv.EnergyFunction(lambda s, x: function(net, s, x), net, **claims)


def forces(function, **claims):
    """One with forces of its own that claims to be everything."""
    net = Pairs()
    sound = bv.EnergyFunction(net)
    promises = dict.fromkeys(("conservative", "equivariant", "net_force_free"), True)
    return bv.ForceFunction(lambda s, x: function(sound, s, x), net, **{**promises, **claims})


class Spoiled(Potential):
    """A sound potential with something done to its prediction (or its input)."""

    def __init__(self, spoil, before=None):
        super().__init__()
        self.sound, self.spoil, self.before = pairs(), spoil, before

    def forward(self, structures):
        if self.before:
            self.before(structures)
        return self.spoil(self, *self.sound(structures))


def absolute(net, structures, positions):
    return net(structures, positions) + segment_sum(
        torch.sin(positions[:, 0]), structures.structure_index, len(structures)
    )


def ordered(net, structures, positions):
    """Each atom weighs by its place in its structure."""
    places = torch.cat([torch.arange(n) for n in structures.counts]).to(positions)
    graph = neighbours(structures, CUTOFF)
    pair = net.of(graph.vectors(positions).norm(dim=1)) * (1 + places[graph.first])
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def lopsided(net, structures, positions):
    graph = neighbours(structures, CUTOFF)
    vectors = graph.vectors(positions) * positions.new_tensor([1.0, 1.0, 0.9])
    pair = net.of(vectors.norm(dim=1))
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def unshifted(net, structures, positions):
    """Smooth, but blind to periodic images: each pair of the list once, inside the cell."""
    first, second = torch.where(
        structures.structure_index[:, None] == structures.structure_index[None]
    )
    apart = first != second
    vectors = (positions[second] - positions[first])[apart]
    pair = torch.exp(-(vectors**2).sum(1) / 8)
    return net(structures, positions) + segment_sum(
        pair, structures.structure_index[first[apart]], len(structures)
    )


def closed(net, structures, positions):
    """Takes every cell vector for a period."""
    return net(replace(structures, pbc=torch.ones_like(structures.pbc)), positions)


def refuses_layers(net, structures, positions):
    for index, pbc in enumerate(structures.pbc):
        if not pbc.all():
            raise bv.StructureError("needs a crystal", index)
    return net(structures, positions)


def sees_others(net, structures, positions):
    energy = net(structures, positions)
    return energy - 0.1 * energy.mean()


def half_detached(net, structures, positions):
    graph = neighbours(structures, CUTOFF)
    vectors = graph.vectors(positions)
    weight = (1 - vectors.detach().norm(dim=1) / CUTOFF) ** 2
    pair = net.of(vectors.norm(dim=1)) * weight
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def norm_at_zero(net, structures, positions):
    """How lopsided an atom's surroundings are: zero at a centre of inversion."""
    graph = neighbours(structures, CUTOFF)
    vectors = graph.vectors(positions)
    fade = (1 - (vectors**2).sum(1) / CUTOFF**2) ** 2
    pull = segment_sum(vectors * fade[:, None], graph.first, len(positions))
    lopsided = pull.norm(dim=1)
    return net(structures, positions) + segment_sum(
        lopsided, structures.structure_index, len(structures)
    )


def not_a_number(potential, energy, forces):
    return Prediction(energy, forces.index_fill(0, torch.tensor([1]), torch.nan))


def random(net, structures, positions):
    return net(structures, positions) * (1 + 0.1 * torch.rand(1, dtype=torch.float64))


def swirl(sound, structures, positions):
    """Forces that go round: no net force, but curl."""
    graph = neighbours(structures, CUTOFF)
    vectors = graph.vectors(positions)
    fade = (1 - vectors.norm(dim=1, keepdim=True) / CUTOFF) ** 3
    axis = torch.linalg.cross(vectors, vectors.new_tensor([[0.0, 0.0, 1.0]]).expand_as(vectors))
    turning = segment_sum(axis * fade, graph.first, len(positions))
    return sound(structures.with_positions(positions)).forces + turning


def detached_positions(sound, structures, positions):
    """As through a calculator: the weights are felt, the positions are not."""
    graph = neighbours(structures, CUTOFF)
    vectors = graph.vectors(positions.detach())
    pull = vectors * sound.function.of(vectors.norm(dim=1))[:, None]
    return segment_sum(pull, graph.first, len(positions))


def only_in_training(potential, energy, forces):
    return Prediction(energy, forces if potential.training else forces.detach())


def detached_weights(net, structures, positions):
    graph = neighbours(structures, CUTOFF)
    distance = graph.vectors(positions).norm(dim=1)
    frozen = [p.detach() for p in net.net.parameters()]
    hidden = nn.functional.silu(distance[:, None] @ frozen[0].T + frozen[1])
    pair = (hidden @ frozen[2].T + frozen[3])[:, 0] * (1 - distance / CUTOFF) ** 3
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


class Doubled(torch.autograd.Function):
    """The identity, with twice its derivative."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, slope):
        return 2 * slope


def doubled_weights(net, structures, positions):
    """The gradient by the weights (all of them at once, through a factor) comes out too large."""
    graph = neighbours(structures, CUTOFF)
    distance = graph.vectors(positions).norm(dim=1)
    pair = Doubled.apply(net.net[2].bias) * (1 - distance / CUTOFF) ** 3
    return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def wraps(structures):
    structures.positions.data.remainder_(1.0)


def wants_a_gradient(structures):
    structures.positions.requires_grad_()


def untouched(potential, energy, forces):
    return Prediction(energy, forces)


def scaled(sound, structures, positions):
    return 1.1 * sound(structures.with_positions(positions)).forces
