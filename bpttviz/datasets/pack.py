"""Pack relaxations into the compact form that the package ships: xz-compressed extended XYZ.

``python -m bpttviz.datasets.pack FILE... --out FOLDER``. Positions keep 1e-6 Å and forces
1e-5 eV/Å, well below what the labels are good for; any tool that reads extended XYZ can open the
result after ``unxz``. A relaxation that is not one unbroken path to rest is refused (see
`bpttviz.datasets.admission`). One that ends where one in the folder does, up to symmetry, joins its
group, wherever it started: no split may divide them.
"""

from __future__ import annotations

import argparse
import lzma
import os
from pathlib import Path

import numpy as np
from ase import Atoms

from bpttviz.datasets.admission import AT_REST, faults
from bpttviz.datasets.generate.measures import settings_of
from bpttviz.datasets.identity import end_alike
from bpttviz.datasets.read import default_group, read_frames


def to_extxyz(frames: list[Atoms]) -> str:
    """Extended XYZ text with energies and forces, digits limited as said above.

    Of ``info`` only single values are kept.
    """
    lines = []
    for frame in frames:
        info = {key: value for key, value in frame.info.items() if np.isscalar(value)}
        lattice = " ".join(f"{x:.6f}" for x in frame.cell.array.ravel())
        extra = "".join(f' {key}="{value}"' for key, value in info.items())
        results = frame.calc.results  # GPAW's forces derive from the free energy
        free = f" free_energy={results['free_energy']:.6f}" if "free_energy" in results else ""
        periodic = " ".join("T" if p else "F" for p in frame.pbc)
        lines += [
            str(len(frame)),
            f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
            f'energy={frame.get_potential_energy():.6f}{free} pbc="{periodic}"{extra}',
        ]
        for symbol, position, force in zip(
            frame.get_chemical_symbols(),
            frame.positions,
            frame.get_forces(apply_constraint=False),
            strict=True,
        ):
            columns = [f"{x:.6f}" for x in position] + [f"{f:.5f}" for f in force]
            lines.append(" ".join([symbol, *columns]))
    return "\n".join(lines) + "\n"


def pack(source: Path, folder: Path, at_rest: float = AT_REST) -> Path:
    """Write ``folder/NAME.extxyz.xz`` atomically and return its path.

    Where a file in the folder has the same end, the new one gets its ``info["group"]``.

    Raises:
        DataError: the file cannot be read.
        ValueError: the file holds constraints or masses, no relaxation that can be admitted, or
            labels of other settings than the folder's; or the folder has another relaxation of
            this name.
    """
    frames = read_frames(source)
    found = faults(frames, at_rest)
    if found:
        raise ValueError(f"{source} cannot enter the set: {'; '.join(found)}")
    if any(frame.constraints or frame.has("masses") for frame in frames):
        raise ValueError(f"{source}: constraints and own masses would be lost in packing")
    target = folder / f"{source.name.split('.')[0]}.extxyz.xz"
    for other in sorted(folder.glob("*.extxyz.xz")):
        theirs = read_frames(other, "extxyz")
        here, there = (settings_of(members[0]) for members in (frames, theirs))
        if here != there:
            raise ValueError(
                f"{source} has settings {here!r}, {other} {there!r}: one folder holds one kind of "
                "label, choose another"
            )
        if other == target and not _same_start(theirs[0], frames[0]):
            raise ValueError(
                f"{other} is another relaxation than {source}, from another start: rename one"
            )
        group = default_group(theirs[0])
        if other != target and end_alike(theirs[-1], frames[-1]):
            for frame in frames:
                frame.info["group"] = group
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_bytes(
        lzma.compress(to_extxyz(frames).encode(), preset=9 | lzma.PRESET_EXTREME)
    )
    os.replace(unfinished, target)
    return target


def _same_start(one: Atoms, other: Atoms) -> bool:
    """Whether two frames are one, but for the digits lost in packing."""
    return np.array_equal(one.numbers, other.numbers) and np.allclose(
        one.positions, other.positions, rtol=0, atol=1e-5
    )


def main() -> None:
    """Pack the files named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--at-rest", type=float, default=AT_REST, help="largest force at the end, eV/Å"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for source in arguments.files:
        packed = pack(source, arguments.out, arguments.at_rest)
        print(packed, default_group(read_frames(packed, "extxyz")[0]))


if __name__ == "__main__":
    main()
