"""How a network of ours tells elements apart: by row and column of the periodic table."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bpttviz.structures import StructureError, Structures

LAST_ELEMENT = 94  # Pu, as in CHGNet
LENGTHS = (2, 8, 8, 18, 18, 32, 32)  # elements a row
COLUMNS = 18 + 14  # the f block has columns of its own


class ElementEmbedding(nn.Module):
    """F numbers for every element: those of its row plus those of its column, both learned.

    An element that training never met is not noise, then, but what its neighbours in the table make
    of it. Row and column are also what ADAPT (arXiv 2509.24115) tells its Transformer, among other
    properties.
    """

    def __init__(self, features: int):
        super().__init__()
        self.row = nn.Embedding(len(LENGTHS), features)
        self.column = nn.Embedding(COLUMNS, features)
        places = torch.tensor([place(number) for number in range(1, LAST_ELEMENT + 1)])
        self.register_buffer("places", places, persistent=False)  # (94, 2)

    def forward(self, structures: Structures) -> Tensor:
        """(N, F). Raises `StructureError` for an element beyond Pu."""
        beyond = structures.numbers > LAST_ELEMENT
        if bool(beyond.any()):
            atom = int(beyond.nonzero()[0])
            index = int(structures.structure_index[atom])
            raise StructureError(
                f"has element {int(structures.numbers[atom])}; only elements 1 to {LAST_ELEMENT} "
                "(H to Pu) are known",
                index,
                structures.names[index],
            )
        row, column = self.places[structures.numbers - 1].unbind(1)
        return self.row(row) + self.column(column)


def place(number: int) -> tuple[int, int]:
    """(row, column) of an element, both from 0; columns 18 and up are the f block's."""
    row = next(r for r in range(len(LENGTHS)) if number <= sum(LENGTHS[: r + 1]))
    position, length = number - sum(LENGTHS[:row]) - 1, LENGTHS[row]
    if position < 2 and number != 2:
        return row, position
    if length == 32 and position < 16:
        return row, 18 + position - 2
    return row, 18 - (length - position)
