"""Pack relaxations into the compact form that the package ships: xz-compressed extended XYZ.

``python -m bpttviz.datasets.pack FILE... --out FOLDER``. Positions keep 1e-6 Å and forces
1e-5 eV/Å, well below what the labels are good for; any tool that reads extended XYZ can open the
result after ``unxz``. A relaxation that is not one unbroken path to rest is refused (see
`bpttviz.datasets.validate`). One that ends where one in the folder does, up to symmetry, joins its
group, wherever it started: no split may divide them.
"""

from __future__ import annotations

import argparse
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from bpttviz._files import write_atomic
from bpttviz.datasets.consistency import SAME_MASS
from bpttviz.datasets.extxyz import to_extxyz
from bpttviz.datasets.groups import default_group
from bpttviz.datasets.labels import same_structure, settings_of
from bpttviz.datasets.matching import same_minimum
from bpttviz.datasets.read import read_frames
from bpttviz.datasets.validate import AT_REST, find_problems


def pack(source: Path, folder: Path, at_rest: float = AT_REST, replace: bool = False) -> Path:
    """Write ``folder/NAME.extxyz.xz`` atomically and return its path.

    Where a file in the folder has the same end, the new one gets its ``info["group"]``.

    Args:
        source: frames with energies and forces, from the start to the end.
        folder: of the set.
        at_rest: largest force (eV/Å) that an atom of the end may feel.
        replace: let it take the place of a file that has other frames from the same start.

    Raises:
        DataError: the file cannot be read.
        ValueError: the file holds constraints or own masses, an ``info`` that cannot be written,
            no relaxation that may enter the set, or labels of other settings than the folder's; or
            the folder has another relaxation of this name, or this one with other frames (unless
            `replace`).
    """
    frames = read_frames(source)
    found = find_problems(frames, at_rest)
    if found:
        raise ValueError(f"{source} cannot enter the set: {'; '.join(found)}")
    if any(frame.constraints or _has_own_masses(frame) for frame in frames):
        raise ValueError(f"{source}: constraints and own masses would be lost in packing")
    target = folder / f"{source.name.split('.')[0]}.extxyz.xz"
    for other in sorted(folder.glob("*.extxyz.xz")):
        theirs = read_frames(other, "extxyz")
        _require_same_settings(source, frames, other, theirs)
        if other == target:
            _require_replaceable(source, frames, other, theirs, replace)
        elif same_minimum(theirs[-1], frames[-1]):
            for frame in frames:
                frame.info["group"] = default_group(theirs[0])
    try:
        text = to_extxyz(frames)
    except ValueError as error:
        raise ValueError(f"{source} cannot be packed: {error}") from error
    write_atomic(target, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    return target


def _has_own_masses(frame: Atoms) -> bool:
    """Whether they are other ones than those that are read for the elements."""
    standard = Atoms(frame.numbers).get_masses()
    return not np.allclose(frame.get_masses(), standard, rtol=SAME_MASS, atol=0)


def _require_same_settings(
    source: Path, frames: Sequence[Atoms], other: Path, theirs: Sequence[Atoms]
) -> None:
    here, there = (settings_of(members[0]) for members in (frames, theirs))
    if here != there:
        raise ValueError(
            f"{source} has settings {here!r}, {other} {there!r}: one folder holds one kind of "
            "label, choose another"
        )


def _require_replaceable(
    source: Path, frames: Sequence[Atoms], other: Path, theirs: Sequence[Atoms], replace: bool
) -> None:
    """A file of the same name may be written again with the same content, or where that is told."""
    if not same_structure(theirs[0], frames[0]):
        raise ValueError(
            f"{other} is another relaxation than {source}, from another start: rename one"
        )
    if not replace and not _same_frames(theirs, frames):
        raise ValueError(
            f"{other} was made before from the same start, with other frames, and is a label "
            "that others may have used: keep it, or say that it is to be replaced (--replace)"
        )


def _same_frames(some: Sequence[Atoms], others: Sequence[Atoms]) -> bool:
    return len(some) == len(others) and all(
        same_structure(one, other)
        and abs(one.get_potential_energy() - other.get_potential_energy()) < 1e-5
        and np.allclose(one.get_forces(), other.get_forces(), rtol=0, atol=2e-5)
        for one, other in zip(some, others, strict=True)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack the files named on the command line; returns how many were refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--at-rest", type=float, default=AT_REST, help="largest force at the end, eV/Å"
    )
    parser.add_argument(
        "--replace", action="store_true", help="also files of the folder that have other frames"
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    refused = 0
    for source in options.files:
        try:
            packed = pack(source, options.out, options.at_rest, options.replace)
        except ValueError as error:  # the other files are none the worse for it
            refused += 1
            print(f"REFUSED: {error}")
        else:
            print(packed, default_group(read_frames(packed, "extxyz")[0]))
    return refused


if __name__ == "__main__":
    raise SystemExit(min(main(), 125))
