"""Pack relaxations into the compact form that the package ships: xz-compressed extended XYZ.

``python -m bpttviz.datasets.pack FILE... --out FOLDER``. Positions keep 1e-6 Å and forces
1e-5 eV/Å, well below what the labels are good for; any tool that reads extended XYZ can open the
result after ``unxz``.
"""

from __future__ import annotations

import argparse
import lzma
import os
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms


def to_extxyz(frames: list[Atoms]) -> str:
    """Extended XYZ text with energies and forces, digits limited as said above."""
    lines = []
    for frame in frames:
        info = {key: value for key, value in frame.info.items() if np.isscalar(value)}
        lattice = " ".join(f"{x:.6f}" for x in frame.cell.array.ravel())
        extra = "".join(f' {key}="{value}"' for key, value in info.items())
        periodic = " ".join("T" if p else "F" for p in frame.pbc)
        lines += [
            str(len(frame)),
            f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
            f'energy={frame.get_potential_energy():.6f} pbc="{periodic}"{extra}',
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


def pack(source: Path, folder: Path) -> Path:
    """Write ``folder/NAME.extxyz.xz`` atomically and return its path."""
    frames = ase.io.read(source, ":")
    if any(frame.constraints or frame.has("masses") for frame in frames):
        raise ValueError(f"{source}: constraints and own masses would be lost in packing")
    target = folder / f"{source.name.split('.')[0]}.extxyz.xz"
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_bytes(
        lzma.compress(to_extxyz(frames).encode(), preset=9 | lzma.PRESET_EXTREME)
    )
    os.replace(unfinished, target)
    return target


def main() -> None:
    """Pack the files named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for source in arguments.files:
        print(pack(source, arguments.out))


if __name__ == "__main__":
    main()
