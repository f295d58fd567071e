"""Reading relaxations from whatever files ASE understands."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from bpttviz.datasets.labels import DataError, decompressed, has_labels, unfinished
from bpttviz.datasets.names import unique_names
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset, default_group
from bpttviz.structures import StructureError

# eV/Å; relaxations are stopped well below.
FAR_FROM_REST = 0.1


def read_relaxations(
    paths: str | Path | Sequence[str | Path],
    group: Callable[[Atoms], str] | Sequence[str] = default_group,
    format: str | None = None,
    names: Sequence[str] | None = None,
) -> RelaxationDataset:
    """Read one relaxation a file: first frame the start, last frame the end.

    To keep several out of training, let `group` say which belong together, then divide::

        files = sorted(glob.glob("runs/*/OUTCAR"))
        mine = read_relaxations(files, group=[kind_of(file) for file in files])
        training, held_out = mine.folds(4)[0]

    Args:
        paths: files, a pattern such as "runs/*/OUTCAR", or a folder whose files (except hidden
            ones, README* and *.log) are all read. Any format that ASE reads, compressed or not,
            in ASE's units (Å, eV, eV/Å). Where every frame has ASE's "energy" and "forces",
            they are kept.
        group: a name for each file, or what makes one from a start; see `ReferenceRelaxation`.
        format: ASE's format name where the file name does not tell.
        names: one for each file; by default those that `unique_names` makes of the files' own.

    Warns where an atom still feels more than `FAR_FROM_REST` in the last frame: a relaxation that
    was cut short has no end to learn from.

    Raises:
        DataError: a missing, empty, truncated or unreadable file, one with a single frame, one
            whose frames name different ``info["settings"]``, one that says ``converged=False``; or
            not as many groups as files.
        ValueError: a file listed twice, or not as many names as files.
        StructureError: frames that do not fit together (see `ReferenceRelaxation`).
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if len(files) == 1 and glob.has_magic(str(files[0])):
        files = sorted(glob.glob(str(files[0])))
        if not files:
            raise DataError(f"no file matches {paths}")
    if len(files) == 1 and Path(files[0]).is_dir():
        folder = Path(files[0])
        files = sorted(
            p
            for p in folder.iterdir()
            if p.is_file() and not p.name.startswith((".", "README")) and p.suffix != ".log"
        )
        if not files:
            raise DataError(f"{folder} holds no data files")
    if names is None:
        names = unique_names([Path(file) for file in files])
    groups = _one_each(group, len(files))
    references = []
    for name, file, grouped in zip(names, map(Path, files), groups, strict=True):
        frames = read_frames(file, format)
        if len(frames) < 2:
            raise DataError(
                f"{file} holds a single structure; a relaxation needs a start and an end (two "
                "frames or more). For separate files use read_pairs"
            )
        _require_finished(file, frames)
        _warn_if_far_from_rest(file, frames[-1])
        try:
            references.append(ReferenceRelaxation.from_ase(name, frames, grouped))
        except StructureError as error:
            raise StructureError(f"{error.reason} ({file})", name=error.name) from error
    return RelaxationDataset(references)


def read_pairs(
    pairs: Sequence[tuple[str | Path, str | Path]],
    group: Callable[[Atoms], str] | Sequence[str] = default_group,
    names: Sequence[str] | None = None,
) -> RelaxationDataset:
    """Read (start file, end file) pairs such as POSCAR and CONTCAR, CIF, extxyz.

    No energies or forces are needed: `EndpointLoss` fine-tunes from the two ends alone. Without them
    nothing shows whether an end is at rest: give those of finished relaxations. The last structure
    of each file is used; `group` as in `read_relaxations`.

    Raises:
        DataError: a missing, empty or unreadable file, an end that says ``converged=False``, or
            not as many groups as pairs.
        StructureError: start and end are not the same atoms in the same order and cell.
    """
    groups = _one_each(group, len(pairs))
    references = []
    for number, ((start, end), grouped) in enumerate(zip(pairs, groups, strict=True)):
        name = names[number] if names is not None else f"pair-{number:03d}"
        ends = [read_frames(Path(path))[-1] for path in (start, end)]
        _require_finished(end, ends)
        try:
            references.append(ReferenceRelaxation.from_ase(name, ends, grouped, trajectory=False))
        except StructureError as error:
            raise StructureError(f"{error.reason} ({start} and {end})", name=error.name) from error
    return RelaxationDataset(references)


def _one_each(
    group: Callable[[Atoms], str] | Sequence[str], count: int
) -> list[Callable[[Atoms], str]]:
    """For each relaxation, what names its group."""
    if callable(group):
        return [group] * count
    if isinstance(group, str) or len(group) != count:
        raise DataError(f"group= takes a function, or one name for each of the {count} relaxations")
    return [lambda start, name=name: name for name in group]


def _require_finished(file: str | Path, frames: Sequence[Atoms]) -> None:
    if unfinished(frames):
        raise DataError(
            f"{file} says that its relaxation is not finished (converged=F), so its last frame is "
            "no end; finish it, or leave it out"
        )


def _warn_if_far_from_rest(file: Path, end: Atoms) -> None:
    if not has_labels(end):
        return
    force = np.linalg.norm(end.get_forces(), axis=1).max()  # none on atoms held fixed
    if force > FAR_FROM_REST:
        warnings.warn(
            f"{file}: an atom of the last frame still feels {force:.2f} eV/Å; if the relaxation "
            "was cut short, this is no end to learn from: finish it, or leave it out",
            stacklevel=3,
        )


def read_frames(path: Path, format: str | None = None) -> list[Atoms]:
    """All structures in a file.

    Raises:
        DataError: the file is missing, empty, truncated or in no format that ASE reads.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        source = path
        if path.name.endswith((".extxyz.xz", ".xyz.xz")):
            source = decompressed(path)
            format = format or "extxyz"
        frames = ase.io.read(source, ":", format=format)
    except Exception as error:  # ASE's readers raise whatever the parser tripped over
        raise DataError(
            f"{path} could not be read ({type(error).__name__}: {error}); it may be truncated or "
            "in a format that ASE does not recognise by the file's name"
        ) from error
    if not frames:
        raise DataError(
            f"{path} holds no structure; a program's output holds none until its first ionic step "
            "is finished"
        )
    return frames
