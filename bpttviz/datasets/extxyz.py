"""The compact extended XYZ that the package ships: written, and read fast.

Positions keep 1e-6 Å and forces 1e-5 eV/Å, well below what the labels are good for; any tool that
reads extended XYZ can open a file after ``unxz``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms

from bpttviz.datasets.compression import DAMAGED, decompressed, pieces
from bpttviz.datasets.groups import default_group
from bpttviz.datasets.labels import DataError
from bpttviz.datasets.relaxations import ReferenceRelaxation, ReferenceTrajectory
from bpttviz.structures import Structures

COLUMNS = "species:S:1:pos:R:3:forces:R:3"
OWN_KEYS = ("Lattice", "Properties", "pbc", "energy", "free_energy")
_SETTING = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')


def to_extxyz(frames: list[Atoms]) -> str:
    """Extended XYZ text with energies and forces, digits limited as said above.

    Of ``info`` only single values are kept.

    Raises:
        ValueError: one of them cannot be written so that it is read again as it was.
    """
    lines = []
    for frame in frames:
        info = _as_text(frame.info)
        lattice = " ".join(f"{x:.6f}" for x in frame.cell.array.ravel())
        extra = "".join(f' {key}="{value}"' for key, value in info.items())
        results = frame.calc.results  # GPAW's forces derive from the free energy
        free = f" free_energy={results['free_energy']:.6f}" if "free_energy" in results else ""
        periodic = " ".join("T" if p else "F" for p in frame.pbc)
        lines += [
            str(len(frame)),
            f'Lattice="{lattice}" Properties={COLUMNS} '
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


def _as_text(info: Mapping[str, object]) -> dict[str, str]:
    said = {str(key): str(value) for key, value in info.items() if np.isscalar(value)}
    for key, value in said.items():
        if not re.fullmatch(r"\w+", key):
            raise ValueError(f"info has the key {key!r}; keys are letters, digits and _ only")
        if key in OWN_KEYS:
            raise ValueError(f"info has the key {key!r}, which says something else in the file")
        if not value.isprintable() or '"' in value or "\\" in value:
            raise ValueError(
                f"info[{key!r}] is {value!r}; write it in one line, without quotes and backslashes"
            )
    return said


def read_packed(path: Path) -> ReferenceRelaxation:
    """A relaxation from a file that `bpttviz.datasets.pack` wrote.

    Only what `to_extxyz` writes is understood, which is much faster than reading any extended XYZ.
    What packing has made sure of (one list of atoms, one cell, one kind of label, an end at rest)
    is not looked at again.

    Raises:
        DataError: the file is not of this form.
    """
    try:
        lines = b"".join(pieces(path)).decode().splitlines()
        count = int(lines[0])
        per_frame = np.array(lines, dtype=object).reshape(-1, count + 2)
        headers = [_settings(line) for line in per_frame[:, 1]]
        if any(header["Properties"] != COLUMNS for header in headers):
            raise ValueError("other columns")
        symbols, numbers = zip(*(line.split(" ", 1) for line in per_frame[:, 2:].flat), strict=True)
        values = np.array(" ".join(numbers).split(), dtype=float).reshape(-1, count, 6)
        energy = np.array([float(header["energy"]) for header in headers])
        first = headers[0]
        atoms = Atoms(
            symbols[:count],
            values[0, :, :3],
            cell=np.array(first["Lattice"].split(), float).reshape(3, 3),
            pbc=[letter == "T" for letter in first["pbc"].split()],
            info=first,
        )
    except DataError:
        raise
    except (ValueError, KeyError, IndexError, *DAMAGED) as error:
        raise DataError(
            f"{path} is no packed relaxation ({error}); use read_relaxations"
        ) from error
    positions = torch.as_tensor(values[..., :3].copy())
    name = path.name.split(".")[0]
    start = Structures.from_ase(atoms, [name], check=False)
    return ReferenceRelaxation(
        name=name,
        group=default_group(atoms),
        start=start,
        end=start.with_positions(positions[-1]),
        trajectory=ReferenceTrajectory(
            positions, torch.as_tensor(energy), torch.as_tensor(values[..., 3:].copy())
        ),
        family=first.get("family", ""),
    )


def read_unlabelled(path: Path) -> Structures:
    """Structures without labels from a compressed extended XYZ file, each frame's ``name`` its own.

    Raises:
        DataError: the file is not of this form.
    """
    try:
        frames = ase.io.read(decompressed(path), ":", format="extxyz")
        return Structures.from_ase(frames, [frame.info["name"] for frame in frames])
    except (ValueError, KeyError, IndexError, *DAMAGED) as error:
        raise DataError(f"{path} holds no unlabelled structures ({error})") from error


def _settings(line: str) -> dict[str, str]:
    """Keys and values of a frame's second line, as text."""
    return {key: quoted or bare for key, quoted, bare in _SETTING.findall(line)}
