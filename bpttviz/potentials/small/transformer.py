"""A small Transformer over atoms that predicts forces directly, in the spirit of ADAPT.

As in ADAPT (Dramko et al., arXiv 2509.24115): no graph, no cutoff, no symmetry built in, no energy.

Every atom is a token, and every token attends to every other of its structure. Coordinates enter as
plain numbers; that turning a crystal turns its forces has to be learned from examples. ADAPT feeds
in the Cartesian coordinates of each atom. Here each *pair* of atoms brings coordinates, those of
one as seen from the other, made periodic by putting each lattice direction on a circle: a
displacement by s times a lattice vector of length L becomes

    across = L sin(2πs) / 2π,   behind = L (1 - cos 2πs) / 2π.

For near neighbours "across" is the displacement itself. Squares of both, added up, give the squared
length of a chord, L sin(πs) / π in each direction, which plays the part of the distance. Everything
is smooth, and the same for all periodic images: there is no nearest one to jump from.

The price: a cell and its supercell are two different things to it, as their circles differ, and so
are two choices of vectors of one and the same lattice. It is made for one cell (the pretrained
weights: 64 sites of silicon, a cube of 10.94 Å).

Shapes below: n atoms of one structure, F features, H heads, P pair features, R radial functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bpttviz._checks import whole
from bpttviz._tensor_checks import require_device, require_dtype
from bpttviz.geometry import safe_sqrt
from bpttviz.potentials.base import Prediction
from bpttviz.potentials.requirements import require_finite, require_periodic
from bpttviz.potentials.small.elements import ElementEmbedding
from bpttviz.potentials.small.pretrainable import (
    MOST_FEATURES,
    MOST_LAYERS,
    PretrainablePotential,
)
from bpttviz.structures import Structures

FARTHEST = 6.0  # Å, the last Gaussian; chords in the cell it is made for are shorter


class CoordinateTransformer(PretrainablePotential):
    """Forces from attention over coordinates: neither conservative nor equivariant, and quick.

    There is no energy: it is reported as zero, as by `ForceFunction`. The mean force is subtracted,
    so forces on a structure add up to zero. ``CoordinateTransformer()`` has random weights (those
    that ``torch.manual_seed`` decides); ``CoordinateTransformer.pretrained()`` has the ones that
    come with the package, see ``potentials/small/shipped/README.md``.

    Args:
        features: F, numbers that describe a token; a multiple of ``heads``.
        layers: of attention.
        heads: H, a layer.
        pair: P, numbers that describe a pair of atoms.
        radial: R, functions of the distance.
        device: "cpu" or "cuda".
        dtype: what the network computes in, torch.float32 or torch.float64.
        elements: those that the weights were trained on; others are refused. None: new weights,
            which take every element up to Pu.

    Raises:
        TypeError, ValueError: a number out of range, no such device or element.
        StructureError: (when called) an element that the weights were not trained on, a cell not
            periodic in all directions, or positions that are not finite.
    """

    conservative = False
    equivariant = False
    partial_pbc = False

    def __init__(
        self,
        features: int = 64,
        layers: int = 3,
        heads: int = 4,
        pair: int = 32,
        radial: int = 16,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        elements: Iterable[str | int] | None = None,
    ):
        super().__init__()
        features = self.features = whole("features", features, most=MOST_FEATURES)
        heads = self.heads = whole("heads", heads, most=MOST_FEATURES)
        if features % heads:
            raise ValueError(f"features must be a multiple of heads ({heads}), got {features}")
        pair, radial = self.pair, self.radial = (
            whole("pair", pair, most=MOST_FEATURES),
            whole("radial", radial, most=MOST_FEATURES),
        )
        self.embedding = ElementEmbedding(features, elements)
        self.pairs = nn.Sequential(
            nn.Linear(4 * radial, 2 * pair), nn.SiLU(), nn.Linear(2 * pair, pair)
        )
        self.layers = nn.ModuleList(
            Attention(features, heads, pair)
            for _ in range(whole("layers", layers, most=MOST_LAYERS))
        )
        self.readout = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, features), nn.SiLU(), nn.Linear(features, 3)
        )
        self.register_buffer("scale", torch.ones(()))  # eV/Å, the unit of forces
        self.to(require_device(device), require_dtype(dtype))

    def config(self) -> dict[str, Any]:
        return {
            "features": self.features,
            "layers": len(self.layers),
            "heads": self.heads,
            "pair": self.pair,
            "radial": self.radial,
            "dtype": str(self.dtype).removeprefix("torch."),
            "elements": self.embedding.known_symbols(),
        }

    def forward(self, structures: Structures) -> Prediction:
        """No energy: zeros (B,) eV; forces (N, 3) eV/Å."""
        require_periodic(structures, "this Transformer")
        require_finite(structures)
        tokens = structures.split(self.embedding(structures))
        positions = structures.split(structures.positions)
        forces = torch.cat(
            [
                self._forces(*member)
                for member in zip(tokens, positions, structures.cell, strict=True)
            ]
        )
        return Prediction(structures.positions.new_zeros(len(structures)), forces)

    def _forces(self, tokens: Tensor, positions: Tensor, cell: Tensor) -> Tensor:
        """Forces (n, 3) eV/Å of one structure: tokens (n, F), positions (n, 3), cell (3, 3) Å."""
        pairs = self.pairs(pair_coordinates(positions, cell, self.radial).to(tokens.dtype))
        for layer in self.layers:
            tokens = layer(tokens, pairs)
        forces = (self.scale * self.readout(tokens)).to(positions.dtype)
        return forces - forces.mean(0)


class Attention(nn.Module):
    """A layer of a Transformer whose attention also looks at the pair.

    Args:
        features: F.
        heads: H, of which F is a multiple.
        pair: P.
    """

    def __init__(self, features: int, heads: int, pair: int):
        super().__init__()
        self.heads = heads
        self.first_norm, self.second_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.pair_bias = nn.Linear(pair, heads)
        self.output_projection = nn.Linear(features + heads * pair, features)
        self.feed_forward = nn.Sequential(
            nn.Linear(features, 2 * features), nn.SiLU(), nn.Linear(2 * features, features)
        )

    def forward(self, tokens: Tensor, pairs: Tensor) -> Tensor:
        """Tokens (n, F) and features of all pairs (n, n, P) → tokens (n, F)."""
        n, features = tokens.shape
        qkv = self.qkv(self.first_norm(tokens)).view(n, 3, self.heads, -1)
        query, key, value = qkv.permute(1, 2, 0, 3)  # (H, n, F/H) each
        logits = query @ key.transpose(1, 2) / math.sqrt(features / self.heads)  # (H, n, n)
        weight = (logits + self.pair_bias(pairs).permute(2, 0, 1)).softmax(2)  # (H, n, n)
        attended = (weight @ value).transpose(0, 1).reshape(n, features)
        attended_pairs = torch.einsum("hij,ijp->ihp", weight, pairs).reshape(n, -1)  # (n, H P)
        tokens = tokens + self.output_projection(torch.cat([attended, attended_pairs], 1))
        return tokens + self.feed_forward(self.second_norm(tokens))


def pair_coordinates(positions: Tensor, cell: Tensor, radial: int) -> Tensor:
    """Features of all pairs, (n, n, 4 radial), from positions (n, 3) and cell (3, 3) in Å.

    Gaussians of the chord's length, and the same times its three Cartesian coordinates.
    """
    fractional = positions @ torch.linalg.inv(cell)  # (n, 3)
    angle = 2 * math.pi * (fractional[None] - fractional[:, None])  # (n, n, 3), first → second
    lengths = cell.norm(dim=1)  # (3,)
    across = angle.sin() @ cell / (2 * math.pi)  # (n, n, 3) Å, Cartesian
    behind = (1 - angle.cos()) * lengths / (2 * math.pi)  # (n, n, 3) Å
    chord = safe_sqrt((across**2).sum(2) + (behind**2).sum(2))[..., None]  # (n, n, 1) Å
    centres = torch.linspace(0, FARTHEST, radial, dtype=cell.dtype, device=cell.device)
    gaussians = torch.exp(-(((chord - centres) * radial / FARTHEST) ** 2))  # (n, n, R)
    directed = gaussians[..., None] * across[:, :, None] / 2  # (n, n, R, 3) Å
    return torch.cat([gaussians, directed.flatten(2)], 2)
