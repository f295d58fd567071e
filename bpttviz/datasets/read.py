"""Reading relaxations from whatever files ASE understands."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from bpttviz._checks import file_path
from bpttviz.datasets.duplicates import require_no_copies
from bpttviz.datasets.formats import read_frames
from bpttviz.datasets.groups import default_group
from bpttviz.datasets.labels import DataError, labels_of, unfinished
from bpttviz.datasets.names import unique_names
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.structures import StructureError

Job = Callable[[], ReferenceRelaxation]

# eV/Å; relaxations are stopped well below.
FAR_FROM_REST = 0.1


def read_relaxations(
    paths: str | Path | Iterable[str | Path],
    group: Callable[[Atoms], str] | Sequence[str] = default_group,
    format: str | None = None,
    names: str | Sequence[str] | None = None,
    skip_bad: bool = False,
) -> RelaxationDataset:
    """Read one relaxation a file: first frame the start, last frame the end.

    To keep several out of training, let `group` say which belong together, then divide::

        files = sorted(glob.glob("runs/*/OUTCAR"))
        mine = read_relaxations(files, group=[kind_of(file) for file in files])
        training, held_out = mine.folds(4)[0]

    Args:
        paths: files, patterns such as "runs/*/OUTCAR", or a folder whose files (except hidden
            ones, README* and *.log) are all read; what exists is taken as it is, whatever
            characters its name holds. Any format that ASE reads, compressed or not, in ASE's units
            (Å, eV, eV/Å). Frames with forces become the trajectory, by ASE's names or known other
            ones (`bpttviz.datasets.labels.labels_of`).
        group: a name for each file, or what makes one from a start; see `ReferenceRelaxation`.
        format: ASE's format name where the file name does not tell.
        names: one for each file; by default those that `unique_names` makes of the files' own.
        skip_bad: leave out files that cannot be used, with a warning that names each.

    Warns where a free atom still feels more than `FAR_FROM_REST` in the last frame (a relaxation
    that was cut short has no end to learn from), where two files hold one and the same relaxation
    (start and end within 1e-4 Å), and about labels as `ReferenceRelaxation.from_ase` does.

    Raises:
        TypeError: something else than files.
        DataError: a missing, empty, truncated or unreadable file, one with a single frame, one
            whose frames name different ``info["settings"]``, one that says ``converged=False``; one
            relaxation in two groups; or not as many groups as files. Where several files cannot be
            used, all are named.
        ValueError: a file listed twice, or not as many names as files.
        StructureError: frames that do not fit together (see `ReferenceRelaxation`).
    """
    files = _files(paths)
    names = unique_names(files) if names is None else _names(names, len(files))
    groups = _one_each(group, len(files))

    def reader(file: Path, name: str, grouped: Callable[[Atoms], str]) -> Job:
        return lambda: _read_one(file, format, name, grouped)

    jobs = [
        reader(file, name, grouped)
        for file, name, grouped in zip(files, names, groups, strict=True)
    ]
    read = _all_or_say(jobs, skip_bad)
    require_no_copies(read)
    return RelaxationDataset(read)


def _read_one(
    file: Path, format: str | None, name: str, group: Callable[[Atoms], str]
) -> ReferenceRelaxation:
    frames = read_frames(file, format)
    if len(frames) < 2:
        raise DataError(
            f"{file} holds a single structure; a relaxation needs a start and an end (two "
            "frames or more). For separate files use read_pairs"
        )
    _require_finished(file, frames)
    try:
        reference = ReferenceRelaxation.from_ase(name, frames, group, source=str(file))
    except StructureError as error:
        raise StructureError(f"{error.reason} ({file})", name=error.name) from error
    _warn_if_far_from_rest(file, frames[-1], reference)
    return reference


def read_pairs(
    pairs: Sequence[tuple[str | Path, str | Path]],
    group: Callable[[Atoms], str] | Sequence[str] = default_group,
    names: str | Sequence[str] | None = None,
    skip_bad: bool = False,
    format: str | None = None,
) -> RelaxationDataset:
    """Read (start file, end file) pairs such as POSCAR and CONTCAR, CIF, extxyz.

    No energies or forces are needed: `EndpointLoss` fine-tunes from the two ends alone. Without
    them nothing shows whether an end is at rest: give those of finished relaxations. The last
    structure of each file is used; the other arguments as in `read_relaxations`.

    Raises:
        TypeError: something else than pairs of files.
        DataError: a missing, empty or unreadable file, an end that says ``converged=False``, or
            not as many groups as pairs. Where several pairs cannot be used, all are named.
        ValueError: not as many names as pairs.
        StructureError: start and end are not the same atoms in the same order and cell.
    """
    both = _pairs(pairs)
    groups = _one_each(group, len(both))
    if names is None:
        names = [f"pair-{number:03d}" for number in range(len(both))]
    names = _names(names, len(both))

    def reader(pair: tuple[Path, Path], name: str, grouped: Callable[[Atoms], str]) -> Job:
        return lambda: _read_pair(pair, format, name, grouped)

    jobs = [
        reader(pair, name, grouped) for pair, name, grouped in zip(both, names, groups, strict=True)
    ]
    read = _all_or_say(jobs, skip_bad)
    require_no_copies(read)
    return RelaxationDataset(read)


def _read_pair(
    pair: tuple[Path, Path], format: str | None, name: str, group: Callable[[Atoms], str]
) -> ReferenceRelaxation:
    ends = [read_frames(path, format)[-1] for path in pair]
    _require_finished(pair[1], ends)
    try:
        return ReferenceRelaxation.from_ase(name, ends, group, trajectory=False)
    except StructureError as error:
        raise StructureError(
            f"{error.reason} ({pair[0]} and {pair[1]})", name=error.name
        ) from error


def as_relaxations(data: object, name: str = "data") -> RelaxationDataset:
    """Data as a set of relaxations, where it is clear what is meant.

    Args:
        data: a set; one relaxation, or several; or what `read_relaxations` takes.
        name: of the argument, for messages.

    Raises:
        TypeError: anything else, with how to make a set of it.
        DataError, StructureError, ValueError: as `read_relaxations`.
    """
    if isinstance(data, RelaxationDataset):
        return data
    if isinstance(data, ReferenceRelaxation):
        return RelaxationDataset([data])
    if isinstance(data, DatasetSplits):
        raise TypeError(
            "this is a whole data set with its test part; say which part is meant: data.train, "
            "data.val, data.test, or data.all"
        )
    if isinstance(data, (str, os.PathLike)):
        return read_relaxations(Path(data) if os.path.lexists(data) else os.fspath(data))
    members = list(data) if isinstance(data, Iterable) and not isinstance(data, Atoms) else None
    if members and all(isinstance(member, (str, os.PathLike)) for member in members):
        return read_relaxations(members)
    if members is not None and all(isinstance(m, ReferenceRelaxation) for m in members):
        return RelaxationDataset(members)
    what = type(members[0]).__name__ if members else type(data).__name__
    raise TypeError(
        f"{name} must be a RelaxationDataset, got {type(data).__name__}"
        + (f" of {what}" if members else "")
        + ". read_relaxations(files) reads one; of ase.Atoms in memory, "
        "RelaxationDataset([ReferenceRelaxation.from_ase(name, frames), ...]) makes one, with "
        "the frames of one relaxation each, from its start to its end"
    )


def _all_or_say(jobs: Sequence[Job], skip_bad: bool) -> list[ReferenceRelaxation]:
    """What all jobs give; those that fail are named together, or left out."""
    read: list[ReferenceRelaxation] = []
    failed: list[ValueError] = []
    for job in jobs:
        try:
            read.append(job())
        except (DataError, StructureError) as error:
            failed.append(error)
    if not failed:
        return read
    if skip_bad and read:
        for reason in failed:
            warnings.warn(f"left out: {reason}", stacklevel=3)
        return read
    if len(failed) == 1:
        raise failed[0]
    listed = "\n".join(f"- {reason}" for reason in failed)
    raise DataError(
        f"{len(failed)} of {len(jobs)} cannot be used (skip_bad=True leaves them out):\n{listed}"
    )


def _files(paths: object) -> list[Path]:
    """All files that are meant: patterns and a folder are spelt out, what exists is not looked at.

    Raises:
        TypeError: something else than names of files.
        DataError: a pattern that no file matches, or a folder without data.
    """
    several = isinstance(paths, Iterable) and not isinstance(paths, (str, os.PathLike, Atoms))
    given: list[Any] = list(paths) if several else [paths]  # type: ignore[call-overload]  # as asked
    for one in given:
        if not isinstance(one, (str, os.PathLike)):
            raise TypeError(
                f"files are named by strings or paths, got {type(one).__name__}; structures in "
                "memory become a relaxation with ReferenceRelaxation.from_ase(name, frames)"
            )
        file_path("paths", one)
    if not given:
        raise DataError("no file was given")
    if len(given) == 1 and Path(given[0]).is_dir():
        return _of_folder(Path(given[0]))
    files = []
    for one in map(os.fspath, given):
        if os.path.lexists(one) or not glob.has_magic(one):
            files.append(Path(one))
            continue
        matching = sorted(glob.glob(_pattern(one)))
        if not matching:
            raise DataError(f"no file matches {one}")
        files.extend(map(Path, matching))
    return files


def _pattern(path: str) -> str:
    """A pattern whose folders are taken as they are where they exist, brackets in them and all."""
    for folder in Path(path).parents:
        if folder.is_dir():
            rest = Path(path).relative_to(folder)
            return os.path.join(glob.escape(str(folder)), rest)
    return path


def _of_folder(folder: Path) -> list[Path]:
    files = sorted(
        p
        for p in folder.iterdir()
        if p.is_file() and not p.name.startswith((".", "README")) and p.suffix != ".log"
    )
    if not files:
        raise DataError(f"{folder} holds no data files")
    return files


def _pairs(pairs: object) -> list[tuple[Path, Path]]:
    """Pairs of paths; two files alone are one pair."""
    hint = 'pairs are (start file, end file), such as [("POSCAR", "CONTCAR")]'
    if isinstance(pairs, (str, os.PathLike, Atoms)) or not isinstance(pairs, Iterable):
        raise TypeError(f"{hint}; got {type(pairs).__name__}")
    given = list(pairs)
    if len(given) == 2 and all(isinstance(one, (str, os.PathLike)) for one in given):
        given = [tuple(given)]
    result = []
    for pair in given:
        one_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not one_pair or not all(isinstance(end, (str, os.PathLike)) for end in pair):
            raise TypeError(f"{hint}; among those given is {pair!r:.80}")
        result.append((file_path("pairs", pair[0]), file_path("pairs", pair[1])))
    if not result:
        raise DataError("no pair was given")
    return result


def _names(names: object, count: int) -> list[str]:
    """As many names as relaxations; a single string names a single one."""
    if isinstance(names, str):
        names = [names] if count == 1 else names
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"names= takes a list with one name for each of the {count} relaxations")
    listed = list(names)
    if len(listed) != count:
        raise ValueError(f"{len(listed)} names were given for {count} relaxations")
    return listed


def _one_each(group: object, count: int) -> list[Callable[[Atoms], str]]:
    """For each relaxation, what names its group."""
    if callable(group):
        return [group] * count
    listed = list(group) if isinstance(group, Iterable) and not isinstance(group, str) else []
    if len(listed) != count:
        raise DataError(
            f"group= takes one name for each of the {count} relaxations (or a function)"
        )
    return [_always(str(name)) for name in listed]


def _always(name: str) -> Callable[[Atoms], str]:
    return lambda start: name


def _require_finished(file: Path, frames: Sequence[Atoms]) -> None:
    if unfinished(frames):
        raise DataError(
            f"{file} says that its relaxation is not finished (converged=F), so its last frame is "
            "no end; finish it, or leave it out"
        )


def _warn_if_far_from_rest(file: Path, end: Atoms, reference: ReferenceRelaxation) -> None:
    forces = labels_of(end).forces
    free = ~reference.end.fixed.numpy()
    if forces is None or not free.any():
        return
    force = np.linalg.norm(forces[free], axis=1).max()
    if force > FAR_FROM_REST:
        warnings.warn(
            f"{file}: an atom of the last frame still feels {force:.2f} eV/Å; if the relaxation "
            "was cut short, this is no end to learn from: finish it, or leave it out",
            stacklevel=4,
        )
