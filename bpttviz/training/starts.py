"""Where the relaxations of an `EndpointLoss` start: the reference's start, or what is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bpttviz._checks import instance_of, not_negative, number, positive, shown
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import displacements
from bpttviz.geometry import minimum_image
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.zero_modes import ZeroModes
from bpttviz.structures import Structures, concatenate
from bpttviz.training.draws import Draw

LARGEST_SIGMA = 1.0  # Å; whoever displaces atoms by more draws another structure
LEAST_SHARE = 0.2  # of its width, that a displacement around the end is drawn with
MOVED = 0.5  # of the longest way: an atom that went as far is where the relaxation happened


class Starts(ABC):
    """Base of all starts: define `one`.

    Held atoms stay where they are, and no rigid motion is drawn. A drawn start is not relaxed to
    see whether it lies in another basin than the reference's end, where its target would be wrong:
    that would cost a relaxation a draw. Keep widths small against the way to the next minimum.
    """

    @abstractmethod
    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        """The start of one structure, as a batch of one.

        Args:
            potential: to be relaxed with (not evaluated here): says which motions are rigid.
            reference: the structure.
            draw: where random numbers come from; the same one gives the same start.
        """

    def batch(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None
    ) -> Structures:
        """The starts of B structures; without a draw the references' own (as in validation)."""
        if draw is None:
            return references.starts()
        return concatenate([self.one(potential, reference, draw) for reference in references])


@dataclass(frozen=True)
class ReferenceStarts(Starts):
    """The references' own starts, always the same."""

    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        return reference.start


@dataclass(frozen=True)
class JitteredStarts(Starts):
    """The references' own starts, every atom displaced at random.

    Args:
        sigma: standard deviation of each coordinate, Å.

    Raises:
        TypeError, ValueError: no positive number, or one above 1 Å.
    """

    sigma: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", number("sigma", self.sigma, above=0, most=LARGEST_SIGMA))

    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        noise = draw.normal(reference.name, "jitter", reference.start.positions)
        return _displaced(potential, reference.start, self.sigma * noise)


@dataclass(frozen=True)
class AroundEnd(Starts):
    """The reference's end, displaced at random: the relaxation must come back.

    The width is drawn anew for each structure, from a fifth of the one given up to all of it, so
    that close and far starts both occur.

    Args:
        sigma_near: largest standard deviation of a coordinate, Å, where the relaxation happened:
            within ``near`` of an atom that went at least half as far, from the reference's start
            to its end, as the one that went furthest.
        sigma_far: the same for all other atoms.
        near: Å.

    Raises:
        TypeError, ValueError: a number out of range.
    """

    sigma_near: float = 0.08
    sigma_far: float = 0.02
    near: float = 5.0

    def __post_init__(self) -> None:
        near = number("sigma_near", self.sigma_near, above=0, most=LARGEST_SIGMA)
        far = number("sigma_far", self.sigma_far, least=0, most=LARGEST_SIGMA)
        object.__setattr__(self, "sigma_near", near)
        object.__setattr__(self, "sigma_far", far)
        object.__setattr__(self, "near", not_negative("near", self.near))

    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        name, end = reference.name, reference.end
        share = LEAST_SHARE + (1 - LEAST_SHARE) * draw.uniform(name, "width around the end")
        near = distance_from_moved(reference) <= self.near
        sigma = share * torch.where(near, self.sigma_near, self.sigma_far)
        noise = draw.normal(name, "around the end", end.positions)
        return _displaced(potential, end, sigma.to(noise)[:, None] * noise)


class MixedStarts(Starts):
    """Several kinds of starts, each structure's drawn anew in every epoch, in stated shares.

    ``MixedStarts({JitteredStarts(0.05): 0.5, AroundEnd(): 0.5})``

    Args:
        shares: kind of starts → how often; divided by their sum.

    Raises:
        TypeError: no mapping of starts to numbers.
        ValueError: nothing in it, or a share that is not positive and finite.
    """

    shares: tuple[tuple[Starts, float], ...]

    def __init__(self, shares: Mapping[Starts, float]):
        if not isinstance(shares, Mapping):
            hint = "{AroundEnd(): 0.5, ReferenceStarts(): 0.5}"
            raise TypeError(f"shares must be a mapping, as {hint}; got {shown(shares)}")
        found: list[tuple[Starts, float]] = []
        for starts, share in shares.items():
            instance_of("a kind of starts", starts, Starts, "bv.AroundEnd()")
            share = positive(f"the share of {starts!r}", share)
            inside = starts.shares if isinstance(starts, MixedStarts) else ((starts, 1.0),)
            found.extend((kind, share * part) for kind, part in inside)
        if not found:
            raise ValueError("shares must name one kind of starts at least")
        total = sum(share for _, share in found)
        self.shares = tuple((kind, share / total) for kind, share in found)

    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        left = draw.uniform(reference.name, "kind of start")
        for starts, share in self.shares[:-1]:
            if left < share:
                return starts.one(potential, reference, draw)
            left -= share
        return self.shares[-1][0].one(potential, reference, draw)

    def config(self) -> dict[str, Any]:
        """Kinds and shares, in their order."""
        return {"shares": self.shares}

    def __repr__(self) -> str:
        inside = ", ".join(f"{starts!r}: {share:g}" for starts, share in self.shares)
        return f"MixedStarts({{{inside}}})"


def distance_from_moved(reference: ReferenceRelaxation) -> Tensor:
    """Distance (n,) Å at the end of each atom from where the relaxation happened.

    That is the nearest atom whose way from start to end is at least half of the longest one's. It
    is told from the two ends alone, in any material; for a relaxation that a defect drives it is
    the defect's surroundings.
    """
    end = reference.end
    way = displacements(reference.start, end).norm(dim=1)
    centres = ((way >= MOVED * way.max()) & ~end.fixed).nonzero().flatten().tolist()
    if not centres:
        return torch.zeros_like(way)
    nearest = torch.full_like(way, torch.inf)
    for centre in centres:  # one at a time: of a large cell all pairs would fill the memory
        away = end.positions - end.positions[centre]  # (n, 3)
        vectors = minimum_image(away, end.cell, end.pbc, end.structure_index)
        nearest = torch.minimum(nearest, vectors.norm(dim=1))
    return nearest


def _displaced(potential: Potential, structure: Structures, moves: Tensor) -> Structures:
    """One structure with its free atoms displaced by ``moves`` (n, 3) Å, but for rigid motions."""
    moves = ZeroModes(structure, potential).remove(moves)
    moves = torch.where(structure.fixed[:, None], 0.0, moves)
    return structure.with_positions(structure.positions + moves)
