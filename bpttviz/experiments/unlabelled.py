"""Structures without labels, on which a potential is to stay as it was: its forces, its minima."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from bpttviz._checks import instance_of, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.evaluation.rest import Relaxer, RestResult
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures, concatenate, to_structures
from bpttviz.training.draws import Draw

START = "-start"
DISPLACED_BY = (0.05, 0.12)  # Å, each coordinate: near its minimum, and well away from it


def unlabelled_frames(
    potential: Potential, starts: Structures, relaxer: Relaxer | None = None, seed: int = 0
) -> Structures:
    """What a potential makes of structures that nobody has labelled, for `RehearsalLoss`.

    Where fine-tuning loses a minimum, the forces around it have changed. So each structure gives
    four: as it is, at rest, and twice displaced at random from there.

    Args:
        potential: before fine-tuning.
        starts: M structures, of kinds that are not to be forgotten.
        relaxer: how they come to rest; to 0.02 eV/Å within 200 steps by default. One that does not
            is taken where it got to: its forces are worth keeping as well.
        seed: of the displacements.

    Returns:
        4 M structures, those of one start side by side.

    Raises:
        TypeError: a potential, structures or relaxer that is none.
        StructureError: a structure that the potential cannot evaluate, or that ran away.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    batch = to_structures("starts", starts).to("cpu")
    rest = _at_rest(potential, batch, relaxer)
    draw, frames = Draw(whole("seed", seed, least=0), 0), []
    for index, name in enumerate(batch.names):
        end = rest.structures[index]
        frames += [_renamed(batch[index], f"{name}{START}"), _renamed(end, f"{name}-rest")]
        for sigma in DISPLACED_BY:
            noise = draw.normal(name, f"unlabelled, {sigma}", end.positions)
            moves = torch.where(end.fixed[:, None], 0.0, sigma * noise)
            moved = end.with_positions(end.positions + moves)
            frames.append(_renamed(moved, f"{name}-moved-{sigma:g}"))
    return concatenate(frames)


def starts_among(frames: Structures) -> Structures:
    """Of what `unlabelled_frames` gave, the structures that it was given.

    Raises:
        ValueError: none is named as one.
    """
    places = [place for place, name in enumerate(frames.names) if name.endswith(START)]
    if not places:
        raise ValueError(f"no structure is called ...{START}: these are not from unlabelled_frames")
    return concatenate([frames[place] for place in places])


def own_relaxations(
    potential: Potential, starts: Structures, relaxer: Relaxer | None = None
) -> RelaxationDataset:
    """A potential's own relaxations of structures that nobody has labelled, for `Replay`.

    Args:
        potential: before fine-tuning.
        starts: M structures, of kinds whose minima are not to be lost.
        relaxer: how they come to rest; to 0.02 eV/Å within 200 steps by default.

    Returns:
        Start → where the potential lets it rest, without frames, a group each. What does not come
        to rest, or goes farther than a relaxation may, is left out, with a warning that says so.

    Raises:
        TypeError: a potential, structures or relaxer that is none.
        StructureError: a structure that the potential cannot evaluate, or that ran away.
        ValueError: all were left out.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    batch = to_structures("starts", starts).to("cpu")
    rest = _at_rest(potential, batch, relaxer)
    found, left_out = [], []
    for index, name in enumerate(batch.names):
        if not bool(rest.converged[index]):
            left_out.append(f"{name} (not at rest within the relaxer's steps)")
            continue
        try:
            found.append(ReferenceRelaxation(name, name, batch[index], rest.structures[index]))
        except StructureError:
            left_out.append(f"{name} (an atom of it went too far to be followed)")
    if not found:
        raise ValueError(f"no structure came to rest: {', '.join(left_out)}")
    if left_out:
        warnings.warn(f"left out: {', '.join(left_out)}", stacklevel=2)
    return RelaxationDataset(found)


def _at_rest(potential: Potential, batch: Structures, relaxer: Relaxer | None) -> RestResult:
    """All of a batch at rest, or as far as it got.

    Raises:
        StructureError: one that was given up.
    """
    relaxer = Relaxer(fmax=0.02, max_steps=200) if relaxer is None else relaxer
    rest = instance_of("relaxer", relaxer, Relaxer, "bv.Relaxer(fmax=0.02)").run(potential, batch)
    if rest.failures:
        place, reason = min(rest.failures.items())
        raise StructureError(reason, place, batch.names[place])
    return rest


def _renamed(structure: Structures, name: str) -> Structures:
    return replace(structure, names=(name,))
