"""Relax structures."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from bpttviz.cli.options import add_potential, write_frames
from bpttviz.datasets.names import unique_names

HELP = "relax structures with a potential, in a fixed cell (exit status 1: not all came to rest)"

EXAMPLES = """\
  python -m bpttviz relax POSCAR --potential chgnet --out relaxed
  python -m bpttviz relax many.extxyz --potential sevennet --fmax 0.005 --out relaxed
  python -m bpttviz relax OUTCAR --index -1 --potential runs/mine --out relaxed"""
COLUMNS = ("name", "atoms", "steps", "converged", "fmax", "energy", "note")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path,
        help="structures in any format that ASE reads (POSCAR, CONTCAR, OUTCAR, cif, extxyz, db)",
    )  # fmt: skip
    add_potential(parser)
    parser.add_argument("--index", default=":", help="which structures of a file, as ASE counts")
    parser.add_argument(
        "--rule", choices=("fire", "gradient-descent", "heavy-ball"), default="fire",
        help="fire: to rest in few steps; gradient-descent: the map that fine-tuning trains",
    )  # fmt: skip
    parser.add_argument(
        "--step-size", type=float, default=0.06, help="Å²/eV, of gradient-descent and heavy-ball"
    )
    parser.add_argument("--fmax", type=float, default=0.01, help="rest is below this force, eV/Å")
    parser.add_argument("--steps", type=int, default=500, help="at most so many steps")


def run(choices: argparse.Namespace) -> int:
    """Writes NAME.extxyz (the path, with energies and forces), ends.extxyz and relax.csv.

    The exit status is 1 where a structure did not come to rest.
    """
    import torch

    from bpttviz._files import lock_settings, write
    from bpttviz.datasets.read import read_frames
    from bpttviz.experiments.registry import load_potential
    from bpttviz.provenance import fingerprint
    from bpttviz.relaxation.relax import relax
    from bpttviz.relaxation.rules import FIRE, GradientDescent, HeavyBall
    from bpttviz.relaxation.stopping import StoppingCriterion
    from bpttviz.structures import Structures

    rule = {
        "fire": FIRE,
        "gradient-descent": lambda: GradientDescent(choices.step_size),
        "heavy-ball": lambda: HeavyBall(choices.step_size),
    }[choices.rule]()
    starts = _starts(choices.files, choices.index, read_frames)
    batch = {name: Structures.from_ase(atoms, [name]) for name, atoms in starts.items()}
    stop = StoppingCriterion(choices.steps, fmax=choices.fmax)
    potential = load_potential(choices.potential, choices.device, choices.trust).potential
    out = Path(choices.out)
    lock_settings(out, {"weights": fingerprint(potential), "rule": repr(rule), "stop": repr(stop)})
    lines, ends = [], []
    for name, start in batch.items():
        path = out / f"{name}.extxyz"
        if path.exists():
            frames = read_frames(path, "extxyz")
            _require_same(path, frames[0], starts[name])
        else:
            with torch.no_grad():
                relaxation = relax(potential, start, rule, stop)
            # A path that was given up has no positions after that step.
            frames = [f for f in relaxation.frames() if f.calc is not None]
            lost = relaxation.diverged.get(0)
            for frame in frames:
                frame.info["name"] = name
            if lost:
                frames[-1].info["note"] = f"given up at step {lost.step}: {lost.cause}"
            write_frames(path, frames)
        lines.append(_line(name, frames, choices.fmax))
        ends.append(frames[-1])
        print("  ".join(f"{key} {lines[-1][key]}" for key in COLUMNS if lines[-1][key] != ""))
    write_frames(out / "ends.extxyz", ends)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write(out / "relax.csv", buffer.getvalue())
    return 0 if all(line["converged"] for line in lines) else 1


def _starts(files: list[Path], index: str, read_frames) -> dict:
    """Name → structure; those of a file with several are numbered."""
    from ase.io.formats import string2index

    from bpttviz.datasets.read import DataError

    wanted = string2index(index)
    starts = {}
    for file, name in zip(files, unique_names(files), strict=True):
        frames = read_frames(file)
        try:
            chosen = frames[wanted]
        except IndexError:
            raise DataError(f"{file} has {len(frames)} structures; there is no {index}") from None
        chosen = chosen if isinstance(wanted, slice) else [chosen]
        for number, atoms in enumerate(chosen):
            starts[name if len(chosen) == 1 else f"{name}-{number:04d}"] = atoms
    if not starts:
        raise DataError(f"--index {index} leaves no structure")
    return starts


def _require_same(path: Path, saved, start) -> None:
    import numpy as np

    if len(saved) != len(start) or not np.allclose(saved.positions, start.positions, atol=1e-5):
        raise ValueError(
            f"{path} is the relaxation of another structure of that name; choose another folder"
        )


def _line(name: str, frames: list, fmax: float) -> dict:
    import numpy as np

    end = frames[-1]
    note = end.info.get("note", "")
    largest = float(np.linalg.norm(end.get_forces(), axis=1).max())
    return {
        "name": name,
        "atoms": len(end),
        "steps": len(frames) - 1,
        "converged": largest < fmax and not note,
        "fmax": round(largest, 6),
        "energy": round(end.get_potential_energy(), 6),
        "note": note,
    }
