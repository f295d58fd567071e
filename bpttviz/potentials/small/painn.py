"""A small equivariant message-passing potential, after PaiNN (Schütt et al., ICML 2021).

Every atom carries F scalars and F vectors. In each layer it takes in messages from its neighbours,
and then lets its own scalars and vectors act on each other. Scalars see of vectors only lengths and
inner products, and vectors are sums of vectors, weighted by scalars. So, whatever the weights are,
the energy does not change when the structure is turned, and the forces, its gradient, turn along.

Shapes below: N atoms of B structures, E directed edges, F features, R radial functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bpttviz._checks import number, whole
from bpttviz._tensor_checks import require_device, require_dtype
from bpttviz.geometry import safe_norm, segment_sum
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.small.elements import LAST_ELEMENT, ElementEmbedding
from bpttviz.potentials.small.pretrainable import (
    MOST_FEATURES,
    MOST_LAYERS,
    PretrainablePotential,
)
from bpttviz.structures import Structures

LONGEST_CUTOFF = 20.0  # Å; within it are thousands of neighbours already
MOST_EDGES = 16_384  # that are passed along at once
CLOSEST = 0.1  # Å; nothing is this near, and directions stay finite for what is


class PaiNN(PretrainablePotential):
    """An equivariant, conservative potential small enough to be trained on a laptop.

    ``PaiNN()`` has random weights (``torch.manual_seed`` decides which); ``PaiNN.pretrained()`` has
    those that come with the package, see ``potentials/small/shipped/README.md``.

    Args:
        features: F, scalars and vectors an atom.
        layers: how many times messages are passed; an atom feels others up to layers × cutoff away.
        cutoff: Å, how far neighbours reach. Their influence vanishes smoothly there.
        radial: R, functions of the distance.
        device: "cpu" or "cuda".
        dtype: what the network computes in, torch.float32 or torch.float64.
        elements: those that the weights were trained on; others are refused. None: new weights,
            which take every element up to Pu.

    Raises:
        TypeError, ValueError: a number out of range, no such device or element.
        StructureError: (when called) an element that the weights were not trained on, or positions
            that are not finite.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        features: int = 48,
        layers: int = 2,
        cutoff: float = 4.6,
        radial: int = 12,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        elements: Iterable[str | int] | None = None,
    ):
        super().__init__()
        features = self.features = whole("features", features, most=MOST_FEATURES)
        self.cutoff = number("cutoff", cutoff, above=0, most=LONGEST_CUTOFF)
        self.radial = whole("radial", radial, most=MOST_FEATURES)
        self.embedding = ElementEmbedding(features, elements)
        self.layers = nn.ModuleList(
            Interaction(features, self.radial)
            for _ in range(whole("layers", layers, most=MOST_LAYERS))
        )
        self.readout = nn.Sequential(
            nn.Linear(features, features), nn.SiLU(), nn.Linear(features, 1)
        )
        # Of an atom of each element: the energy that no bond explains (eV), and the unit of the
        # rest. Double, as hundreds of electronvolts add up here while millielectronvolts matter.
        self.register_buffer("shift", torch.zeros(LAST_ELEMENT + 1, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(LAST_ELEMENT + 1, dtype=torch.float64))
        self.to(require_device(device))
        for part in (self.embedding, self.layers, self.readout):
            part.to(require_dtype(dtype))

    def config(self) -> dict[str, Any]:
        return {
            "features": self.features,
            "layers": len(self.layers),
            "cutoff": self.cutoff,
            "radial": self.radial,
            "dtype": str(self.dtype).removeprefix("torch."),
            "elements": self.embedding.known_symbols(),
        }

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        scalars = self.embedding(structures)  # (N, F)
        vectors = None  # (N, 3, F), once there are any
        graph = neighbours(structures, self.cutoff)
        edges = graph.vectors(structures.positions).to(self.dtype)  # (E, 3) Å, first → second
        distance = safe_norm(edges).clamp(min=CLOSEST)[:, None]  # (E, 1) Å
        direction = edges / distance  # (E, 3)
        rbf, envelope = radial_basis(distance, self.cutoff, self.radial)  # (E, R), (E, 1)
        for layer in self.layers:
            scalars, vectors = layer(
                scalars, vectors, graph.first, graph.second, direction, rbf, envelope
            )
        own = self.readout(scalars)[:, 0].double()  # (N,)
        atoms = self.scale[structures.numbers] * own + self.shift[structures.numbers]  # (N,) eV
        return segment_sum(atoms, structures.structure_index, len(structures)).to(structures.dtype)


class Interaction(nn.Module):
    """One round: messages from the neighbours, then an update of each atom by itself.

    Args:
        features: F.
        radial: R.
    """

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
        sent = self.message(scalars)  # (N, 3F)
        along_edges = (first, second, direction, rbf, envelope)
        if len(first) <= MOST_EDGES:
            ds, dv = self.gather(sent, vectors, *along_edges)  # (N, F), (N, 3, F)
        else:
            # Made again when the gradient comes by: kept, the edges of 5,000 atoms take a gigabyte.
            ds, dv = scalars.new_zeros(()), scalars.new_zeros(())
            for piece in zip(*(x.split(MOST_EDGES) for x in along_edges), strict=True):
                more = checkpoint(self.gather, sent, vectors, *piece, use_reentrant=False)
                ds, dv = ds + more[0], dv + more[1]
        scalars = scalars + ds
        vectors = dv if vectors is None else vectors + dv

        # Scalars from vectors by lengths and inner products, vectors from vectors by factors: the
        # only ways that turn with the structure. The length is smooth at zero, where symmetry puts
        # vectors: the root itself has an infinite second derivative there.
        left, right = self.mix(vectors).chunk(2, 2)  # (N, 3, F) each
        length = ((right * right).sum(1) + 1).sqrt() - 1  # (N, F)
        ds, gate_products, gate_left = self.update(torch.cat([scalars, length], 1)).chunk(3, 1)
        scalars = scalars + ds + gate_products * (left * right).sum(1)
        return scalars, vectors + left * gate_left[:, None]

    def gather(
        self,
        sent: Tensor,  # (N, 3F)
        vectors: Tensor | None,  # (N, 3, F)
        first: Tensor,  # (E,)
        second: Tensor,  # (E,)
        direction: Tensor,  # (E, 3)
        rbf: Tensor,  # (E, R)
        envelope: Tensor,  # (E, 1)
    ) -> tuple[Tensor, Tensor]:
        """What each atom hears from its neighbours: scalars (N, F) and vectors (N, 3, F)."""
        # The message of the second atom of each edge, filtered by how far away it is.
        # (index_select instead of brackets: its gradient is added up in one order, whatever the
        # threads.) ds changes scalars; the gates weigh the neighbour's vectors and the direction.
        messages = sent.index_select(0, second) * (self.filter(rbf) * envelope)  # (E, 3F)
        ds, gate_vectors, gate_directions = messages.chunk(3, 1)  # (E, F) each
        vector_messages = direction[:, :, None] * gate_directions[:, None]  # (E, 3, F)
        if vectors is not None:
            neighbour_vectors = vectors.index_select(0, second)  # (E, 3, F)
            vector_messages = vector_messages + neighbour_vectors * gate_vectors[:, None]
        count = len(sent)
        return segment_sum(ds, first, count), segment_sum(vector_messages, first, count)


def radial_basis(distance: Tensor, cutoff: float, count: int) -> tuple[Tensor, Tensor]:
    """Radial basis functions sin(nπr/c)/r, and the envelope that takes them to zero at the cutoff.

    Of distances (E, 1) Å: (E, count) 1/Å, and (E, 1). The envelope is 1 - 28x⁶ + 48x⁷ - 21x⁸ with
    x = r/c (both are from Gasteiger et al., ICLR 2020): slope and curvature vanish at the cutoff
    too, so that not even the gradient *of forces* jumps when a neighbour comes or goes.
    """
    n = torch.arange(1, count + 1, dtype=distance.dtype, device=distance.device)
    x = distance / cutoff
    envelope = 1 - x**6 * (28 - 48 * x + 21 * x**2)
    return torch.sin(math.pi * n * x) / distance, envelope
