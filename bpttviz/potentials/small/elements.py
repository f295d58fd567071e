"""How a network of ours tells elements apart: by row and column of the periodic table."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bpttviz.potentials.requirements import numbers_of, require_elements, symbols
from bpttviz.structures import Structures

LAST_ELEMENT = 94  # Pu, as in CHGNet
ROW_LENGTHS = (2, 8, 8, 18, 18, 32, 32)  # elements a row
COLUMNS = 18 + 14  # the f block has columns of its own


class ElementEmbedding(nn.Module):
    """F numbers for every element: those of its row plus those of its column, both learned.

    An element that training never met is not noise, then, but what its neighbours in the table make
    of it: a start for training on it, and no ground to relax on. So weights remember which elements
    they were trained on, and refuse others until `extend` says that training comes. Row and column
    are also what ADAPT (arXiv 2509.24115) tells its Transformer, among other properties.

    Args:
        features: F.
        elements: those that the weights were trained on, as symbols or atomic numbers; None: the
            weights are new, and every element up to Pu is taken.

    Raises:
        ValueError: something that is no element up to Pu.
    """

    table: Tensor

    def __init__(self, features: int, elements: Iterable[str | int] | None = None):
        super().__init__()
        self.row = nn.Embedding(len(ROW_LENGTHS), features)
        self.column = nn.Embedding(COLUMNS, features)
        table = torch.tensor([row_and_column(number) for number in range(1, LAST_ELEMENT + 1)])
        self.register_buffer("table", table, persistent=False)  # (94, 2)
        self.known: tuple[int, ...] | None = None
        if elements is not None:
            self.known = _up_to_plutonium(elements)

    def extend(self, elements: Iterable[str | int]) -> None:
        """Take ``elements`` too from now on.

        Raises:
            ValueError: something that is no element up to Pu.
        """
        added = _up_to_plutonium(elements)
        if self.known is not None:
            self.known = tuple(sorted({*self.known, *added}))

    def known_symbols(self) -> list[str] | None:
        """JSON-able; None: any."""
        return None if self.known is None else symbols(self.known)

    def forward(self, structures: Structures) -> Tensor:
        """(N, F) of all atoms.

        Raises:
            StructureError: an element that the weights were not trained on, or beyond Pu.
        """
        if self.known is None:
            require_elements(structures, range(1, LAST_ELEMENT + 1), "this network")
        else:
            advice = (
                "To train it on others, say potential.extend_known_elements([...]) first; to relax "
                "them now, take a potential that was trained on them"
            )
            require_elements(structures, self.known, "this network", advice)
        row, column = self.table[structures.numbers - 1].unbind(1)
        return self.row(row) + self.column(column)


def row_and_column(number: int) -> tuple[int, int]:
    """(row, column) of an element, both from 0; columns 18 and up are the f block's."""
    row = next(r for r in range(len(ROW_LENGTHS)) if number <= sum(ROW_LENGTHS[: r + 1]))
    position, length = number - sum(ROW_LENGTHS[:row]) - 1, ROW_LENGTHS[row]
    if position < 2 and number != 2:
        return row, position
    if length == 32 and position < 16:
        return row, 18 + position - 2
    return row, 18 - (length - position)


def _up_to_plutonium(elements: Iterable[str | int]) -> tuple[int, ...]:
    numbers = numbers_of(elements)
    if not numbers or numbers[-1] > LAST_ELEMENT:
        raise ValueError(
            f"elements must be some of H to Pu (atomic numbers 1 to {LAST_ELEMENT}), got "
            f"{', '.join(symbols(numbers)) or 'none'}"
        )
    return numbers
