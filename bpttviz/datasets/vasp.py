"""What VASP's output says of its ionic steps that ASE's reader does not pass on."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms

from bpttviz.datasets.labels import DataError

OUTCAR = "vasp-out"  # ASE's names of the formats
VASPRUN = "vasp-xml"
END_OF_STEP = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM"


@dataclass
class IonicStep:
    """What an output says of one ionic step.

    Attributes:
        iterations: electronic steps.
        converged: the electronic steps say that they reached EDIFF.
        gave_up: they say that they did not.
        learned: energy and forces are those of VASP's machine-learned force field.
        overflowed: a number was too long for its columns.
    """

    iterations: int = 0
    converged: bool = False
    gave_up: bool = False
    learned: bool = False
    overflowed: bool = False


def read_outcar(path: Path, source: Path) -> list[Atoms]:
    """The finished ionic steps of an OUTCAR; labels that are none are left out, and said.

    Args:
        path: of the plain file. ASE looks for held atoms in CONTCAR or POSCAR beside it.
        source: what messages call it.

    Raises:
        DataError: no finished step, or steps of a machine-learned force field.
    """
    with path.open(encoding="utf-8", errors="replace") as lines:
        steps, most = survey_outcar(lines)
    if not steps:
        raise DataError(
            f"{source} holds no finished ionic step (no energy is written before one is done): "
            "it was stopped too early, or cut; run it again, or leave it out"
        )
    learned = sum(step.learned for step in steps)
    if learned:
        raise DataError(
            f"{source}: {learned} of {len(steps)} ionic steps have energies and forces of VASP's "
            "machine-learned force field, marked (ML), and not of DFT; give a relaxation without "
            "it (ML_LMLFF = .FALSE.)"
        )
    text: str | io.StringIO = str(path.absolute())
    if any(step.overflowed for step in steps):
        text = _Named(re.sub(r"\*{3,}", " nan ", path.read_text(errors="replace")))
        text.name = str(path)
    frames = list(ase.io.iread(text, format=OUTCAR, do_not_split_by_at_sign=True))
    lost = [n for n, step in enumerate(steps[: len(frames)], 1) if step.overflowed]
    bad = [n for n, step in enumerate(steps[: len(frames)], 1) if _unconverged(step, steps, most)]
    _leave_out(frames, lost, source, "had numbers too long for their columns (****)")
    _leave_out(frames, bad, source, "ended without converged electrons (EDIFF not reached)")
    return frames


class _Named(io.StringIO):
    """Text in memory with a file's name, by which ASE finds the POSCAR beside it."""

    name: str


def read_vasprun(path: Path, source: Path) -> list[Atoms]:
    """The ionic steps of a vasprun.xml; labels of unconverged ones are left out, and said."""
    whole = str(path.absolute())
    frames = list(ase.io.iread(whole, format=VASPRUN, do_not_split_by_at_sign=True))
    with path.open(encoding="utf-8", errors="replace") as lines:
        steps, most = survey_vasprun(lines)
    bad = [n for n, s in enumerate(steps[: len(frames)], 1) if most and s.iterations >= most]
    _leave_out(
        frames,
        bad,
        source,
        "used up all electronic steps (NELM), so that electrons may not have converged",
    )
    return frames


def survey_outcar(lines: Iterable[str]) -> tuple[list[IonicStep], int]:
    """What an OUTCAR says of each finished ionic step, and NELM (0 where it does not say)."""
    steps, step, most, forces = [], IonicStep(), 0, False
    for line in lines:
        if "Iteration" in line:
            step.iterations += 1
        elif "EDIFF is reached" in line:
            step.converged = True
        elif "EDIFF was not reached" in line:
            step.gave_up = True
        elif "TOTAL-FORCE" in line:
            forces = True
            step.learned |= "(ML)" in line
        elif END_OF_STEP in line:
            step.learned |= "ML FREE" in line
            forces = False
            steps.append(step)
            step = IonicStep()
        elif "***" in line:
            if forces:
                step.overflowed = True
            elif "TOTEN" in line or "without entropy" in line:  # after the end of its step
                (steps[-1] if steps else step).overflowed = True
        elif not most and (found := re.search(r"\bNELM\s*=\s*(\d+)", line)):
            most = int(found[1])
    return steps, most


def survey_vasprun(lines: Iterable[str]) -> tuple[list[IonicStep], int]:
    """Electronic steps of each ionic step of a vasprun.xml, and NELM (0 where it does not say)."""
    steps, most = [], 0
    for line in lines:
        if "<calculation>" in line:
            steps.append(IonicStep())
        elif "<scstep>" in line and steps:
            steps[-1].iterations += 1
        elif not most and (found := re.search(r'name="NELM">\s*(\d+)', line)):
            most = int(found[1])
    return steps, most


def _unconverged(step: IonicStep, steps: list[IonicStep], most: int) -> bool:
    """VASP 6 says so; older versions are silent where the last electronic step was used up."""
    if step.gave_up:
        return True
    if step.converged or not step.iterations:
        return False
    return any(s.converged for s in steps) or 0 < most <= step.iterations


def _leave_out(frames: list[Atoms], steps: list[int], source: Path, why: str) -> None:
    """Take the labels of ``steps`` (counted from 1) away, and say so."""
    if not steps:
        return
    for number in steps:
        frames[number - 1].calc = None
    which = ", ".join(map(str, steps[:8])) + (", ..." if len(steps) > 8 else "")
    last = steps[-1] == len(frames)
    among = "" if not last else " (the last)" if len(steps) == 1 else " (the last is among them)"
    warnings.warn(
        f"{source}: ionic step{'s' if len(steps) > 1 else ''} {which}{among} {why}; their energies "
        "and forces are left out"
        + ("; the end is doubtful: go on from it until it converges" if last else ""),
        stacklevel=2,
    )
