"""Relax structures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpttviz._files import write_atomic
from bpttviz.cli.options import (
    add_format,
    add_potential,
    file_stems,
    load_chosen,
    positive,
    whole,
    write_frames,
)
from bpttviz.datasets.names import unique_names

if TYPE_CHECKING:
    from ase import Atoms

    from bpttviz.potentials.base import Potential
    from bpttviz.relaxation.rules import UpdateRule
    from bpttviz.relaxation.stopping import StoppingCriterion

HELP = "relax structures with a potential, in a fixed cell (exit status 1: not all came to rest)"

EXAMPLES = """\
  bpttviz relax POSCAR --potential chgnet --out relaxed
  bpttviz relax many.extxyz --potential sevennet --fmax 0.005 --out relaxed
  bpttviz relax OUTCAR --index -1 --potential runs/mine --out relaxed"""
COLUMNS = ("name", "atoms", "steps", "converged", "fmax", "energy", "note")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path,
        help="structures in any format that ASE reads (POSCAR, CONTCAR, OUTCAR, cif, extxyz, db)",
    )  # fmt: skip
    add_potential(parser)
    add_format(parser)
    parser.add_argument("--index", default=":", help="which structures of a file, as ASE counts")
    parser.add_argument(
        "--rule", choices=("fire", "gradient-descent", "heavy-ball"), default="fire",
        help="fire: to rest in few steps; gradient-descent: the map that fine-tuning trains",
    )  # fmt: skip
    parser.add_argument(
        "--step-size", type=positive, default=0.06, help="Å²/eV, of gradient-descent and heavy-ball"
    )
    parser.add_argument(
        "--fmax", type=positive, default=0.01, help="rest is below this force, eV/Å"
    )
    parser.add_argument("--steps", type=whole, default=500, help="at most so many steps")


def run(choices: argparse.Namespace) -> int:
    """Writes NAME.extxyz (the path, with energies and forces), ends.extxyz and relax.csv.

    The exit status is 1 where a structure did not come to rest. One that cannot be described is
    named, and the others are relaxed.
    """
    from bpttviz._files import FolderLock, lock_settings
    from bpttviz.evaluation.tables import to_csv
    from bpttviz.provenance import fingerprint, specification
    from bpttviz.relaxation.stopping import StoppingCriterion

    rule = _rule(choices)
    stop = StoppingCriterion(choices.steps, fmax=choices.fmax)
    starts, unread = _starts(choices)
    potential = load_chosen(choices.potential, choices).potential
    out = Path(choices.out)
    settings = {
        "command": "relax",
        "potential": specification(potential),
        "weights": fingerprint(potential),
        "rule": specification(rule),
        "stop": specification(stop),
    }
    with FolderLock(out):
        lock_settings(out, settings, ("ends.extxyz", "relax.csv"))
        files = file_names(list(starts))
        lines, ends = [_line(name, 0, [], why, choices.fmax) for name, why in unread.items()], []
        for line in lines:
            _say(line)
        for name, atoms in starts.items():
            path = out / files[name]
            frames, note = _path_of(name, atoms, path, potential, rule, stop)
            lines.append(_line(name, len(atoms), frames, note, choices.fmax))
            ends += frames[-1:]
            _say(lines[-1])
        if ends:
            write_frames(out / "ends.extxyz", ends)
        else:  # those of an earlier call are not the ends of this one
            (out / "ends.extxyz").unlink(missing_ok=True)
        write_atomic(out / "relax.csv", to_csv(lines, COLUMNS))
    return 0 if all(line["converged"] for line in lines) else 1


def _say(line: dict[str, Any]) -> None:
    print("  ".join(f"{key} {line[key]}" for key in COLUMNS if line[key] != ""))


def _rule(choices: argparse.Namespace) -> UpdateRule:
    """What --rule and --step-size stand for."""
    from bpttviz.relaxation.rules import FIRE, GradientDescent, HeavyBall

    if choices.rule == "fire":
        return FIRE()
    kind = GradientDescent if choices.rule == "gradient-descent" else HeavyBall
    return kind(choices.step_size)


def file_names(names: Sequence[str]) -> dict[str, str]:
    """Name → its file; no two are the same, and none is that of all ends."""
    return {name: f"{stem}.extxyz" for name, stem in file_stems(names, ["ends"]).items()}


def _path_of(
    name: str,
    atoms: Atoms,
    path: Path,
    potential: Potential,
    rule: UpdateRule,
    stop: StoppingCriterion,
) -> tuple[list[Atoms], str]:
    """The relaxation of one structure, from its file if it was done before, and what to note.

    Raises:
        ValueError: the file is the relaxation of another structure.
    """
    import torch

    from bpttviz.datasets.formats import read_frames
    from bpttviz.provenance import fingerprint_structures
    from bpttviz.relaxation.relax import relax
    from bpttviz.structures import StructureError, Structures

    try:
        start = Structures.from_ase(atoms, [name])
    except StructureError as error:
        return [], f"cannot be used: {error}"
    identity = f"sha256:{fingerprint_structures(start)}"
    if path.exists():
        frames = read_frames(path, "extxyz")
        if frames[0].info.get("frames") != len(frames):
            raise ValueError(f"{path} is damaged, or no result of ours; delete it: it is made anew")
        if frames[0].info.get("start") != identity:
            raise ValueError(
                f"{path} is the relaxation of another structure of that name (other elements, "
                "places, cell, masses or held atoms); choose another folder"
            )
        return frames, str(frames[-1].info.get("note", ""))
    try:
        with torch.no_grad():
            relaxation = relax(potential, start, rule, stop)
    except StructureError as error:
        return [], f"cannot be described: {error}"
    # A path that was given up has no positions after that step.
    frames = [frame for frame in relaxation.frames() if frame.calc is not None]
    lost = relaxation.diverged.get(0)
    note = f"given up at step {lost.step}: {lost.cause}" if lost else ""
    for frame in frames:
        frame.info |= {"name": name, "start": identity}
    frames[0].info["frames"] = len(frames)
    if note:
        frames[-1].info["note"] = note
    write_frames(path, frames)
    return frames, note


def _starts(choices: argparse.Namespace) -> tuple[dict[str, Atoms], dict[str, str]]:
    """Name → structure (those of a file with several are numbered), and name → why it is not read.

    Raises:
        DataError: an index that is none, or there is nothing to relax.
    """
    from ase.io.formats import string2index

    from bpttviz.datasets.formats import read_frames
    from bpttviz.datasets.labels import DataError

    index = choices.index
    try:
        wanted = string2index(index)
    except (ValueError, TypeError):
        wanted = index
    if isinstance(wanted, str):
        raise DataError(f"--index {index} is no index such as 0, -1 or 10:20:2")
    starts: dict[str, Atoms] = {}
    unread: dict[str, str] = {}
    for file, name in zip(choices.files, unique_names(choices.files), strict=True):
        try:
            frames = read_frames(file, choices.format)
            chosen = frames[wanted] if isinstance(wanted, slice) else [frames[wanted]]
        except IndexError:
            unread[name] = f"{file} has {len(frames)} structures; there is no {index}"
            continue
        except DataError as error:
            unread[name] = str(error)
            continue
        for number, atoms in enumerate(chosen):
            own = name if len(chosen) == 1 else f"{name}-{number:04d}"
            while own in starts:  # a file that is called like a frame of another
                own += "_"
            starts[own] = atoms
    if not starts:
        raise DataError("; ".join(unread.values()) or f"--index {index} leaves no structure")
    return starts, unread


def _line(name: str, atoms: int, frames: list[Atoms], note: str, fmax: float) -> dict[str, Any]:
    """One line of relax.csv."""
    import numpy as np

    line = {"name": name, "atoms": atoms, "steps": max(len(frames) - 1, 0), "note": note}
    if not frames:
        return line | {"converged": False, "fmax": "", "energy": ""}
    largest = float(np.linalg.norm(frames[-1].get_forces(), axis=1).max())
    return line | {
        "converged": largest < fmax and not note,
        "fmax": round(largest, 6),
        "energy": round(frames[-1].get_potential_energy(), 6),
    }
