"""The network of Nequix, in PyTorch: equivariant messages with one weight per path and channel.

The architecture is that of Koker et al., "Training a foundation model for materials on a budget"
(arXiv 2508.16067); the package ``nequix``, which is not needed here, has it in JAX. Weights are
laid out as there, so that its files can be read and written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, cast

import torch
from e3nn import o3
from torch import Tensor, nn

from bpttviz.geometry import segment_sum

EPS = 1e-12  # beside the square of features, so that a vector of zeros can be normalised


class NequixNetwork(nn.Module):
    """Energies of atoms from their elements and the vectors to their neighbours.

    Args:
        architecture: what the head of a ``.nqx`` file says, by the names it uses there.
    """

    reference: Tensor

    def __init__(self, architecture: Mapping[str, Any]):
        super().__init__()
        self.cutoff = float(architecture["cutoff"])  # Å
        self.power = float(architecture["radial_polynomial_p"])
        self.scale, self.shift = float(architecture["scale"]), float(architecture["shift"])  # eV
        self.species = len(architecture["atomic_numbers"])
        self.harmonics = o3.Irreps.spherical_harmonics(architecture["lmax"])
        waves = torch.arange(1, architecture["radial_basis_size"] + 1) * math.pi
        self.register_buffer("waves", waves / self.cutoff, persistent=False)
        self.register_buffer("reference", torch.zeros(self.species))  # eV, of atoms alone
        hidden = o3.Irreps(architecture["hidden_irreps"])
        scalars = _only(hidden, "0e")
        count = architecture["n_layers"]
        radial = [architecture["radial_basis_size"]]
        radial += [architecture["radial_mlp_size"]] * architecture["radial_mlp_layers"]
        self.layers = nn.ModuleList(
            NequixLayer(
                o3.Irreps(f"{self.species}x0e") if place == 0 else hidden,
                hidden if place < count - 1 else scalars,
                self.harmonics,
                radial,
                float(architecture["avg_n_neighbors"]),
                bool(architecture["layer_norm"]),
            )
            for place in range(count)
        )
        self.readout = o3.Linear(scalars, "1x0e")

    def forward(self, species: Tensor, first: Tensor, second: Tensor, vectors: Tensor) -> Tensor:
        """Energies (N,) eV of atoms.

        Args:
            species: (N,) places in the list of elements.
            first, second: (E,) atoms that are neighbours.
            vectors: (E, 3) Å from the first to the second.
        """
        features = nn.functional.one_hot(species, self.species).to(vectors.dtype)  # (N, species)
        lengths = vectors.norm(dim=1, keepdim=True)  # (E, 1) Å
        radial = 2 / self.cutoff * torch.sin(self.waves * lengths) / lengths  # (E, basis)
        radial = radial * _fading(lengths / self.cutoff, self.power)
        angular = o3.spherical_harmonics(
            self.harmonics, vectors, normalize=True, normalization="component"
        )  # (E, (lmax + 1)²)
        for layer in self.layers:
            features = layer(features, first, second, angular, radial)
        energies = self.scale * self.readout(features)[:, 0] + self.shift
        return energies + self.reference[species]

    def arrays(self) -> list[Tensor]:
        """All weights, as views in the order and the shapes that a ``.nqx`` file has them in."""
        found = [self.reference]
        for layer in cast("Iterable[NequixLayer]", self.layers):
            found += layer.arrays()
        return [*found, *_views(self.readout)]


class NequixLayer(nn.Module):
    """Messages of neighbours, added up and mixed with what an atom knows already.

    Args:
        before, after: features of atoms that come in and go out.
        harmonics: spherical harmonics of edges.
        radial: sizes of the network that weighs messages by distance, without its last.
        neighbours: how many an atom has on average.
        normed: features are divided by their size.
    """

    def __init__(
        self,
        before: o3.Irreps,
        after: o3.Irreps,
        harmonics: o3.Irreps,
        radial: list[int],
        neighbours: float,
        normed: bool,
    ):
        super().__init__()
        self.damping = 1 / math.sqrt(neighbours)
        paths = [
            (out, i, j, channels)
            for i, (channels, one) in enumerate(before)
            for j, (_, other) in enumerate(harmonics)
            for out in one * other
            if out in after or out == o3.Irrep("0e")
        ]
        paths.sort(key=lambda path: path[0])  # stable: those of one kind stand as they were found
        messages = o3.Irreps([(channels, out) for out, _, _, channels in paths])
        self.product = o3.TensorProduct(
            before, harmonics, messages,
            [(i, j, k, "uvu", True) for k, (_, i, j, _) in enumerate(paths)],
            shared_weights=False, internal_weights=False,
        )  # fmt: skip
        sizes = [*radial, messages.num_irreps]
        self.radial = nn.ParameterList(
            torch.randn(one, two) / math.sqrt(one) for one, two in pairwise(sizes)
        )
        # One scalar more for everything that is none: it decides how much of that passes.
        gates = after.num_irreps - after.count("0e")
        mixed = o3.Irreps(f"{after.count('0e') + gates}x0e") + _without(after, "0e")
        self.inward = o3.Linear(before, before)
        self.outward = o3.Linear(messages.simplify(), mixed)
        self.skip = o3.Linear(before, mixed)
        self.norm = (
            nn.ParameterList(torch.ones(channels) for channels, _ in mixed) if normed else None
        )
        self.kept, self.mixed = after.count("0e"), mixed

    def arrays(self) -> list[Tensor]:
        """See `NequixNetwork.arrays`."""
        mixing = [view for one in (self.inward, self.outward, self.skip) for view in _views(one)]
        return [*self.radial, *mixing, *([] if self.norm is None else self.norm)]

    def forward(
        self, features: Tensor, first: Tensor, second: Tensor, angular: Tensor, radial: Tensor
    ) -> Tensor:
        """Features (N, after) of atoms from those (N, before) and edges (E, …)."""
        *inner, last = self.radial
        for weights in inner:
            radial = nn.functional.silu(radial @ weights)
        messages = self.product(self.inward(features)[second], angular, radial @ last)
        heard = segment_sum(messages, first, len(features)) * self.damping  # (N, messages)
        mixed = self.outward(heard) + self.skip(features)
        chunks = [
            mixed[:, part].reshape(len(mixed), channels, -1)  # (N, channels, 2l + 1)
            for part, (channels, _) in zip(self.mixed.slices(), self.mixed, strict=True)
        ]
        if self.norm is not None:
            # Summed over channels and divided twice by the components, as the weights expect it.
            squares = [chunk.square().sum((1, 2)) / chunk.shape[2] ** 2 for chunk in chunks]
            square = torch.stack(squares).mean(0)  # (N,)
            size = (square + EPS).rsqrt()[:, None, None]
            chunks = [
                chunk * weights[:, None] * size
                for chunk, weights in zip(chunks, self.norm, strict=True)
            ]
        scalars = nn.functional.silu(chunks[0][:, :, 0]) / _spread_of_silu()
        passing = [scalars[:, : self.kept]]
        place = self.kept
        for chunk in chunks[1:]:
            gates = scalars[:, place : place + chunk.shape[1], None]
            passing.append((gates * chunk).flatten(1))
            place += chunk.shape[1]
        return torch.cat(passing, dim=1)


def _fading(share: Tensor, power: float) -> Tensor:
    """1 at distance 0 and 0 from the cutoff on, with two derivatives that vanish there."""
    p = power
    inside = (
        1
        - (p + 1) * (p + 2) / 2 * share**p
        + p * (p + 2) * share ** (p + 1)
        - p * (p + 1) / 2 * share ** (p + 2)
    )
    return torch.where(share < 1, inside, 0.0)


@cache
def _spread_of_silu() -> float:
    """Root mean square of SiLU over a normal distribution, taken as a million quantiles.

    In JAX the package adds them up in float32, and has 1.6e-6 less.
    """
    quantiles = math.sqrt(2) * torch.erfinv(
        torch.linspace(-1, 1, 1_000_003, dtype=torch.float64)[1:-1]
    )
    return float(nn.functional.silu(quantiles).square().mean().sqrt())


def _only(irreps: o3.Irreps, kind: str) -> o3.Irreps:
    return o3.Irreps([part for part in irreps if part.ir == o3.Irrep(kind)])


def _without(irreps: o3.Irreps, kind: str) -> o3.Irreps:
    return o3.Irreps([part for part in irreps if part.ir != o3.Irrep(kind)])


def _views(linear: o3.Linear) -> list[Tensor]:
    return list(linear.weight_views())
