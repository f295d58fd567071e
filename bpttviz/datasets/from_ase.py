"""The door through which ASE's frames come in: what they are, and what labels they bring."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from bpttviz.datasets.consistency import (
    Contents,
    breaks,
    longest_moves,
    require_elements,
    require_same_atoms,
)
from bpttviz.datasets.labels import (
    DataError,
    disagreements,
    labels_of,
    remarks,
    restarts,
    settings_of,
)
from bpttviz.structures import StructureError, Structures, as_atoms


def as_frames(name: str, frames: object) -> list[Atoms]:
    """The frames of one relaxation; structures of pymatgen are converted.

    Raises:
        TypeError: something else, or a structure alone, which is no relaxation.
        DataError: none at all.
        StructureError: a pymatgen structure with partly occupied sites.
    """
    if isinstance(frames, Atoms):
        raise TypeError(
            f"{name}: a relaxation is made of its frames, ase.Atoms from the start to the end; a "
            "single one was given (in a list it would be start and end at once)"
        )
    atoms = as_atoms(f"frames of {name}", frames)
    if not atoms:
        raise DataError(f"{name}: no frame was given")
    return atoms


def labelled_frames(
    name: str, frames: Sequence[Atoms], source: str
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Positions (T, N, 3), energy (T,) and forces (T, N, 3) of the frames that have forces.

    An energy that a frame does not state is NaN. Warns where labels have other names than ASE's,
    come in some frames only, or are not taken, and where the frames seem to be of more than one
    relaxation.

    Args:
        name: of the relaxation, for errors.
        frames: from the start to the end.
        source: what warnings call it.

    Returns:
        None where no frame has forces.

    Raises:
        DataError: frames of different settings.
        StructureError: labels that are NaN or infinite, or frames of other atoms.
    """
    for number, frame in enumerate(frames):
        require_elements(f"{name}, frame {number}", frame)
    first = Contents.of_atoms(frames[0])
    for number, frame in enumerate(frames):
        require_same_atoms(f"{name}, frame {number}", first, Contents.of_atoms(frame))
    found = [labels_of(frame) for frame in frames]
    chosen = [number for number, labels in enumerate(found) if labels.forces is not None]
    settings = {
        settings_of(f)
        for n, f in enumerate(frames)
        if f.info.get("settings") is not None or n in chosen
    }
    if len(settings) > 1:
        raise DataError(
            f"{name}: its frames have different settings ({'; '.join(sorted(settings))}), so that "
            "their energies and forces do not belong together; make one file of each"
        )
    for number in chosen:
        if not found[number].finite:
            raise StructureError(f"energy or forces of frame {number} are not finite", name=name)
    path = np.array([frame.positions for frame in frames])
    moved = longest_moves(first, path)
    for remark in [
        *remarks(found),
        *breaks(moved),
        *restarts(found, moved),
        *disagreements(found, path),
    ]:
        warnings.warn(f"{source}: {remark}", stacklevel=4)
    if not chosen:
        return None
    arrays = (
        [frames[n].positions for n in chosen],
        [np.nan if found[n].energy is None else found[n].energy for n in chosen],
        [found[n].forces for n in chosen],
    )
    positions, energy, forces = (torch.as_tensor(np.array(x, dtype=float)) for x in arrays)
    return positions, energy, forces


def attach_labels(frames: Sequence[Atoms], energy: Tensor, forces: Tensor) -> None:
    """Give T frames their energies (T,) in eV, unless NaN, and forces (T, N, 3) in eV/Å."""
    for frame, e, f in zip(frames, energy, forces, strict=True):
        results = {"forces": f.numpy().copy()} | ({} if e.isnan() else {"energy": float(e)})
        frame.calc = SinglePointCalculator(frame, **results)


def fixed_alike(start: Structures, end: Structures) -> tuple[Structures, Structures]:
    """Both with the same atoms held, where one file says which and the other says nothing."""
    if start.fixed.any() and not end.fixed.any():
        end = replace(end, fixed=start.fixed)
    elif end.fixed.any() and not start.fixed.any():
        start = replace(start, fixed=end.fixed)
    return start, end
