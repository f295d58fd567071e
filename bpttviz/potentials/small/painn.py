"""A small equivariant message-passing potential, after PaiNN (Schütt et al., ICML 2021).

Every atom carries F scalars and F vectors. In each layer it takes in messages from its neighbours,
and then lets its own scalars and vectors act on each other. Scalars see of vectors only lengths and
inner products, and vectors are sums of vectors, weighted by scalars. So, whatever the weights are,
the energy does not change when the structure is turned, and the forces, its gradient, turn along.

Shapes below: N atoms of B structures, E directed edges, F features, R radial functions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bpttviz.geometry import safe_norm, segment_sum
from bpttviz.potentials.base import Potential, require_device
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.small.elements import LAST_ELEMENT, ElementEmbedding
from bpttviz.potentials.small.weights import load_weights
from bpttviz.structures import Structures

CLOSEST = 0.1  # Å; nothing is this near, and directions stay finite for what is


class PaiNN(Potential):
    """An equivariant, conservative potential small enough to be trained on a laptop.

    ``PaiNN()`` has random weights (``torch.manual_seed`` decides which); ``PaiNN.pretrained()`` has
    those that come with the package, see ``potentials/weights/README.md``.

    Args:
        features: F, scalars and vectors an atom.
        layers: how many times messages are passed; an atom feels others up to layers × cutoff away.
        cutoff: Å, how far neighbours reach. Their influence fades out smoothly.
        radial: R, functions of the distance.
        device: "cpu" or "cuda".
        dtype: what the network computes in.

    Raises:
        RuntimeError: no CUDA where it was asked for.
        StructureError: (when called) an element beyond Pu, or positions that are not finite.
    """

    def __init__(
        self,
        features: int = 48,
        layers: int = 2,
        cutoff: float = 4.6,
        radial: int = 12,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.features, self.cutoff, self.radial = features, cutoff, radial
        self.embedding = ElementEmbedding(features)
        self.layers = nn.ModuleList(Interaction(features, radial) for _ in range(layers))
        self.readout = nn.Sequential(
            nn.Linear(features, features), nn.SiLU(), nn.Linear(features, 1)
        )
        # Of an atom of each element: the energy that no bond explains (eV), and the unit of the
        # rest. Double, as hundreds of electronvolts add up here while millielectronvolts matter.
        self.register_buffer("shift", torch.zeros(LAST_ELEMENT + 1, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(LAST_ELEMENT + 1, dtype=torch.float64))
        self.to(require_device(device))
        for part in (self.embedding, self.layers, self.readout):
            part.to(dtype)

    @classmethod
    def pretrained(cls, device="cpu", dtype: torch.dtype = torch.float32) -> PaiNN:
        """The weights that come with the package: distilled from CHGNet, fitted to PBE forces."""
        return load_weights(cls, device=device, dtype=dtype)

    def config(self) -> dict:
        return {
            "features": self.features,
            "layers": len(self.layers),
            "cutoff": self.cutoff,
            "radial": self.radial,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @classmethod
    def from_config(cls, config: dict, device="cpu") -> PaiNN:
        return cls(**config | {"dtype": getattr(torch, config["dtype"])}, device=device)

    @property
    def dtype(self) -> torch.dtype:
        return self.readout[0].weight.dtype

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        scalars = self.embedding(structures)  # (N, F)
        vectors = None  # (N, 3, F), once there are any
        graph = neighbours(structures, self.cutoff)
        vectors = graph.vectors(structures.positions).to(self.dtype)  # (E, 3) Å, first → second
        distance = safe_norm(vectors).clamp(min=CLOSEST)[:, None]  # (E, 1) Å
        direction = vectors / distance  # (E, 3)
        rbf, envelope = radial_basis(distance, self.cutoff, self.radial)  # (E, R), (E, 1)
        for layer in self.layers:
            scalars, vectors = layer(
                scalars, vectors, graph.first, graph.second, direction, rbf, envelope
            )
        own = self.readout(scalars)[:, 0].double()  # (N,)
        atoms = self.scale[structures.numbers] * own + self.shift[structures.numbers]  # (N,) eV
        return segment_sum(atoms, structures.structure_index, len(structures)).to(structures.dtype)


class Interaction(nn.Module):
    """One round: messages from the neighbours, then an update of each atom by itself."""

    def __init__(self, features: int, radial: int):
        super().__init__()
        self.message = nn.Sequential(
            nn.Linear(features, features), nn.SiLU(), nn.Linear(features, 3 * features)
        )
        self.filter = nn.Linear(radial, 3 * features)
        self.mix = nn.Linear(features, 2 * features, bias=False)
        self.update = nn.Sequential(
            nn.Linear(2 * features, features), nn.SiLU(), nn.Linear(features, 3 * features)
        )

    def forward(
        self,
        scalars: Tensor,  # (N, F)
        vectors: Tensor | None,  # (N, 3, F); None: all are zero
        first: Tensor,  # (E,)
        second: Tensor,  # (E,)
        direction: Tensor,  # (E, 3)
        rbf: Tensor,  # (E, R)
        envelope: Tensor,  # (E, 1)
    ) -> tuple[Tensor, Tensor]:
        # What the second atom of each edge says, filtered by how far away it is. (index_select
        # instead of brackets: its gradient is added up in one order, whatever the threads.)
        messages = self.message(scalars).index_select(0, second)  # (E, 3F)
        messages = messages * (self.filter(rbf) * envelope)
        ds, pass_on, gate_directions = messages.chunk(3, 1)  # (E, F) each
        vector_messages = direction[:, :, None] * gate_directions[:, None]  # (E, 3, F)
        if vectors is not None:
            vector_messages = vector_messages + vectors.index_select(0, second) * pass_on[:, None]
        scalars = scalars + segment_sum(ds, first, len(scalars))  # (N, F)
        new = segment_sum(vector_messages, first, len(scalars))  # (N, 3, F)
        vectors = new if vectors is None else vectors + new

        # Scalars from vectors by lengths and inner products, vectors from vectors by factors: the
        # only ways that turn with the structure. The length is smooth at zero, where symmetry puts
        # vectors: the root itself has an infinite second derivative there.
        left, right = self.mix(vectors).chunk(2, 2)  # (N, 3, F) each
        length = ((right * right).sum(1) + 1).sqrt() - 1  # (N, F)
        add, multiply, stretch = self.update(torch.cat([scalars, length], 1)).chunk(3, 1)
        scalars = scalars + add + multiply * (left * right).sum(1)
        return scalars, vectors + left * stretch[:, None]


def radial_basis(distance: Tensor, cutoff: float, count: int) -> tuple[Tensor, Tensor]:
    """Standing waves sin(nπr/c)/r, and a fade-out, of distances (E, 1) Å: (E, count) and (E, 1).

    The fade-out is 1 - 28x⁶ + 48x⁷ - 21x⁸ with x = r/c (Gasteiger et al., ICLR 2020): slope and
    curvature vanish at the cutoff too, so that not even the gradient *of forces* jumps when a
    neighbour comes or goes.
    """
    n = torch.arange(1, count + 1, dtype=distance.dtype, device=distance.device)
    x = distance / cutoff
    envelope = 1 - x**6 * (28 - 48 * x + 21 * x**2)
    return torch.sin(math.pi * n * x) / distance, envelope
