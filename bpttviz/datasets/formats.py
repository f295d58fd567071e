"""Structures from files of any format that ASE reads, with what ASE's readers keep quiet about."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.io.formats import UnknownFileTypeError, filetype

from bpttviz.datasets.compression import is_compressed, pieces
from bpttviz.datasets.labels import DataError
from bpttviz.datasets.vasp import OUTCAR, VASPRUN, read_outcar, read_vasprun

# How other programs say that the electrons did not converge, by ASE's name of the format.
NOT_CONVERGED = {
    "espresso-out": "convergence NOT achieved",
    "gpaw-out": "Did not converge",
    "aims-output": "SCF cycle not converged",
    "cp2k-output": "SCF run NOT converged",
    "orca-output": "SCF NOT CONVERGED",
    "castep-castep": "max. SCF cycles performed",
}


def read_frames(path: str | Path, format: str | None = None) -> list[Atoms]:
    """All structures in a file, compressed (xz, gz, bz2) or not.

    The path is taken as it is, whatever characters it holds. Atoms held in all three directions
    come with a ``FixAtoms``. Warns where an output says that a step's electrons did not converge.

    Args:
        path: of the file.
        format: ASE's name, where the file's does not tell.

    Raises:
        DataError: the file is missing, empty, truncated, unpacks to too much, or is in no format
            that ASE reads; it holds no structure, partly occupied sites, or atoms held in some
            directions only.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        with _plain(path) as plain:
            frames = _parsed(plain, format, path)
    except DataError:
        raise
    except Exception as error:  # ASE's readers raise whatever the parser tripped over
        what = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} could not be read ({type(error).__name__}: {what}); it may be truncated or "
            "in a format that ASE does not recognise by the file's name"
        ) from error
    if not frames:
        raise DataError(
            f"{path} holds no structure; a program's output holds none until its first ionic step "
            "is finished"
        )
    for frame in frames:
        _require_whole_atoms(path, frame)
        _settle_constraints(path, frame)
    return frames


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The file itself, or while the context lasts its unpacked copy.

    An OUTCAR's copy has the POSCAR or CONTCAR beside it that says which atoms are held.
    """
    if not is_compressed(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, Path(folder))
        if "OUTCAR" in path.name:
            for name in ("CONTCAR", "POSCAR"):
                for beside in (path.with_name(name + suffix) for suffix in ("", path.suffix)):
                    if beside.is_file() and not (Path(folder) / name).exists():
                        _unpack(beside, Path(folder))
        yield Path(folder) / path.stem


def _unpack(path: Path, folder: Path) -> None:
    if not is_compressed(path):
        shutil.copy(path, folder)
        return
    with (folder / path.stem).open("wb") as target:
        target.writelines(pieces(path))


def _parsed(path: Path, format: str | None, source: Path) -> list[Atoms]:
    # The whole path: ASE takes some words at the beginning of a name for addresses of databases.
    whole = str(path.absolute())
    if format is None:
        try:
            format = filetype(whole)
        except UnknownFileTypeError:
            raise DataError(
                f"{source} is in no format that ASE recognises; say which with format="
            ) from None
    if format == OUTCAR:
        return read_outcar(path, source)
    if format == VASPRUN:
        return read_vasprun(path, source)
    if format in NOT_CONVERGED:
        _warn_if_it_says(NOT_CONVERGED[format], path, source)
    return list(ase.io.iread(whole, format=format, do_not_split_by_at_sign=True))


def _warn_if_it_says(sentence: str, path: Path, source: Path) -> None:
    with path.open(encoding="utf-8", errors="replace") as lines:
        count = sum(sentence in line for line in lines)
    if count:
        warnings.warn(
            f"{source} says {sentence!r} {count} times: forces of such steps are no labels, and an "
            "end reached with them is doubtful; converge the electrons, or leave it out",
            stacklevel=2,
        )


def _require_whole_atoms(path: Path, frame: Atoms) -> None:
    """CIF readers put the most frequent element on a site that several share."""
    occupancy = frame.info.get("occupancy")
    for site, occupants in occupancy.items() if isinstance(occupancy, Mapping) else ():
        if not isinstance(occupants, Mapping) or not _are_shares(occupants.values()):
            continue  # somebody's own, under the name that CIF readers use
        if len(occupants) > 1 or abs(sum(occupants.values()) - 1) > 1e-6:
            shown = ", ".join(f"{element} {share:g}" for element, share in occupants.items())
            raise DataError(
                f"{path} has partly occupied sites (site {site}: {shown}); a relaxation is of "
                "whole atoms: give an ordered structure, a supercell for instance"
            )


def _are_shares(values: Iterable[object]) -> bool:
    return all(isinstance(value, Real) for value in values)


def _settle_constraints(path: Path, frame: Atoms) -> None:
    """Atoms held in all directions one by one become one `FixAtoms`."""
    settled, held = [], []
    for constraint in frame.constraints:
        if not isinstance(constraint, (FixScaled, FixCartesian)):
            settled.append(constraint)
        elif np.all(constraint.mask):
            held.extend(np.atleast_1d(constraint.index).tolist())
        elif np.any(constraint.mask):
            atom = int(np.atleast_1d(constraint.index)[0])
            raise DataError(
                f"{path} holds atom {atom} in some directions only (selective dynamics); here an "
                "atom is free or held altogether: set all three flags alike, or remove them"
            )
    if held:
        settled.append(FixAtoms(held))
    frame.set_constraint(settled)
