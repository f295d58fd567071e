"""What our own potentials share: shipped weights, and which elements they were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import torch

from bpttviz.potentials.base import Potential
from bpttviz.potentials.small.elements import ElementEmbedding
from bpttviz.potentials.small.weights import load_weights

# Small potentials: beyond this a number is a slip, and would fill the memory.
MOST_FEATURES, MOST_LAYERS = 4096, 64


class PretrainablePotential(Potential):
    """Base of the small potentials; a subclass has an ``embedding`` of the elements."""

    embedding: ElementEmbedding

    @classmethod
    def pretrained(
        cls, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> Self:
        """The weights that come with the package: distilled from CHGNet, fitted to PBE forces.

        They know the elements that they were trained on (`known_elements`) and refuse others.

        Raises:
            ValueError: no such device or floating-point type.
        """
        return load_weights(cls, device=device, dtype=dtype)

    @property
    def known_elements(self) -> tuple[int, ...] | None:
        """Atomic numbers of the elements that the weights were trained on; None: new weights."""
        return self.embedding.known

    def extend_known_elements(self, elements: Iterable[str | int]) -> None:
        """Take these elements too: to be said before training on them, and kept with the run.

        Until such training an unseen element is what its row and column of the periodic table make
        of it, which is no ground to relax on.

        Args:
            elements: symbols or atomic numbers.

        Raises:
            ValueError: something that is no element up to Pu.
        """
        self.embedding.extend(elements)
