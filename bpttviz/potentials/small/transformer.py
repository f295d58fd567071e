"""A small Transformer over atoms that says forces directly, in the spirit of ADAPT (Dramko et al.,
arXiv 2509.24115): no graph, no cutoff, no symmetry built in, and no energy.

Every atom is a token, and every token attends to every other of its structure. Coordinates enter as
plain numbers; that turning a crystal turns its forces has to be learned from examples. ADAPT feeds
in the Cartesian coordinates of each atom. Here each *pair* of atoms brings coordinates, those of
one as seen from the other, made periodic by putting each lattice direction on a circle: a
displacement by s times a lattice vector of length L becomes

    across = L sin(2πs) / 2π,   behind = L (1 - cos 2πs) / 2π.

For near neighbours "across" is the displacement itself. Squares of both, added up, give the squared
length of a chord, L sin(πs) / π in each direction, which plays the part of the distance. Everything
is smooth, and the same for all periodic images: there is no nearest one to jump from.

The price: a cell and its supercell are two different things to it, as their circles differ. It is
made for one size of cell (the pretrained weights: 64 sites of silicon, 10.94 Å).

Shapes below: n atoms of one structure, F features, H heads, P pair features, R radial functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bpttviz.geometry import safe_sqrt
from bpttviz.potentials.base import Potential, Prediction, require_device
from bpttviz.potentials.small.elements import ElementEmbedding
from bpttviz.potentials.small.weights import load_weights
from bpttviz.structures import StructureError, Structures

FARTHEST = 6.0  # Å, the last radial function; chords in the cell it is made for are shorter


class CoordinateTransformer(Potential):
    """Forces from attention over coordinates: neither conservative nor equivariant, and quick.

    There is no energy: it is reported as zero, as by `ForceFunction`. The mean force is subtracted,
    so forces on a structure add up to zero. ``CoordinateTransformer()`` has random weights (those
    that ``torch.manual_seed`` decides); ``CoordinateTransformer.pretrained()`` has the ones that
    come with the package, see ``potentials/weights/README.md``.

    Args:
        features: F, numbers that describe a token. layers: of attention. heads: H, a layer.
        pair: P, numbers that describe a pair of atoms. radial: R, functions of the distance.
        device: "cpu" or "cuda".
        dtype: what the network computes in.

    Raises:
        RuntimeError: no CUDA where it was asked for.
        StructureError: (when called) an element beyond Pu, a cell not periodic in all directions,
            or positions that are not finite.
    """

    conservative = False
    equivariant = False

    def __init__(
        self,
        features: int = 64,
        layers: int = 3,
        heads: int = 4,
        pair: int = 32,
        radial: int = 16,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.features, self.heads, self.pair, self.radial = features, heads, pair, radial
        self.embedding = ElementEmbedding(features)
        self.pairs = nn.Sequential(
            nn.Linear(4 * radial, 2 * pair), nn.SiLU(), nn.Linear(2 * pair, pair)
        )
        self.layers = nn.ModuleList(Attention(features, heads, pair) for _ in range(layers))
        self.readout = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, features), nn.SiLU(), nn.Linear(features, 3)
        )
        self.register_buffer("scale", torch.ones(()))  # eV/Å, the unit of forces
        self.to(require_device(device), dtype)

    @classmethod
    def pretrained(cls, device="cpu", dtype: torch.dtype = torch.float32) -> CoordinateTransformer:
        """The weights that come with the package: distilled from CHGNet, fitted to PBE forces."""
        return load_weights(cls, device=device, dtype=dtype)

    def config(self) -> dict:
        return {
            "features": self.features,
            "layers": len(self.layers),
            "heads": self.heads,
            "pair": self.pair,
            "radial": self.radial,
            "dtype": str(self.scale.dtype).removeprefix("torch."),
        }

    @classmethod
    def from_config(cls, config: dict, device="cpu") -> CoordinateTransformer:
        return cls(**config | {"dtype": getattr(torch, config["dtype"])}, device=device)

    def forward(self, structures: Structures) -> Prediction:
        """No energy: zeros (B,) eV; forces (N, 3) eV/Å."""
        if not bool(structures.pbc.all()):
            index = int((~structures.pbc.all(1)).nonzero()[0])
            raise StructureError(
                "is not periodic in all three directions, which this Transformer's coordinates "
                "are; give it a cell with vacuum and pbc=True",
                index,
                structures.names[index],
            )
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
        seen = self.pairs(pair_coordinates(positions, cell, self.radial).to(tokens.dtype))
        for layer in self.layers:
            tokens = layer(tokens, seen)
        forces = (self.scale * self.readout(tokens)).to(positions.dtype)
        return forces - forces.mean(0)


class Attention(nn.Module):
    """A layer of a Transformer whose attention also looks at the pair."""

    def __init__(self, features: int, heads: int, pair: int):
        super().__init__()
        self.heads = heads
        self.first_norm, self.second_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.ask_answer_say = nn.Linear(features, 3 * features)
        self.bias = nn.Linear(pair, heads)
        self.gather = nn.Linear(features + heads * pair, features)
        self.think = nn.Sequential(
            nn.Linear(features, 2 * features), nn.SiLU(), nn.Linear(2 * features, features)
        )

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Tokens (n, F) and what each sees of each, (n, n, P) → tokens (n, F)."""
        n, features = tokens.shape
        split = self.ask_answer_say(self.first_norm(tokens)).view(n, 3, self.heads, -1)
        query, key, value = split.permute(1, 2, 0, 3)  # (H, n, F/H) each
        logits = query @ key.transpose(1, 2) / math.sqrt(features / self.heads)  # (H, n, n)
        weight = (logits + self.bias(seen).permute(2, 0, 1)).softmax(2)  # (H, n, n)
        said = (weight @ value).transpose(0, 1).reshape(n, features)
        looked = torch.einsum("hij,ijp->ihp", weight, seen).reshape(n, -1)  # (n, H P)
        tokens = tokens + self.gather(torch.cat([said, looked], 1))
        return tokens + self.think(self.second_norm(tokens))


def pair_coordinates(positions: Tensor, cell: Tensor, radial: int) -> Tensor:
    """What each atom sees of each, (n, n, 4 radial): positions (n, 3) and cell (3, 3) in Å.

    Gaussians of the chord's length, and the same times its three Cartesian coordinates.
    """
    fractional = positions @ torch.linalg.inv(cell)  # (n, 3)
    angle = 2 * math.pi * (fractional[None] - fractional[:, None])  # (n, n, 3), first → second
    lengths = cell.norm(dim=1)  # (3,)
    across = angle.sin() @ cell / (2 * math.pi)  # (n, n, 3) Å, Cartesian
    behind = (1 - angle.cos()) * lengths / (2 * math.pi)  # (n, n, 3) Å
    chord = safe_sqrt((across**2).sum(2) + (behind**2).sum(2))[..., None]  # (n, n, 1) Å
    centres = torch.linspace(0, FARTHEST, radial, dtype=cell.dtype, device=cell.device)
    waves = torch.exp(-(((chord - centres) * radial / FARTHEST) ** 2))  # (n, n, R)
    directed = waves[..., None] * across[:, :, None] / 2  # (n, n, R, 3)
    return torch.cat([waves, directed.flatten(2)], 2)
