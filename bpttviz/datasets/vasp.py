"""What VASP's output says of its ionic steps that ASE's reader does not pass on."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
from ase import Atoms

from bpttviz.datasets.labels import DataError

OUTCAR = "vasp-out"  # ASE's names of the formats
VASPRUN = "vasp-xml"
END_OF_STEP = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM"
AT_REST = "reached required accuracy"  # by EDIFFG
RELAXES = (1, 2, 3)  # IBRION
NO_END = "so that its last frame may be no end: go on from it until it is at rest, or leave it out"


# Tags may be said twice: as they were given, and then as they are used.
_HEADER = re.compile(r"\b(NELM|NSW|IBRION)\s*=\s*(-?\d+)")


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


@dataclass
class OutcarSurvey:
    """What an OUTCAR says of itself.

    Attributes:
        steps: the finished ionic steps.
        most: NELM; 0 where it does not say.
        header: NSW and IBRION by their names, as far as it says them.
        begun: an ionic step was begun after the last finished one.
        at_rest: forces or energy reached EDIFFG.
    """

    steps: list[IonicStep] = field(default_factory=list)
    most: int = 0
    header: dict[str, int] = field(default_factory=dict)
    begun: bool = False
    at_rest: bool = False

    @property
    def relaxes(self) -> bool:
        """Whether it is of a relaxation, not of a single point or of dynamics."""
        return self.header.get("NSW", 0) > 0 and self.header.get("IBRION") in RELAXES


def read_outcar(path: Path, source: Path) -> list[Atoms]:
    """The finished ionic steps of an OUTCAR; labels that are none are left out, and said.

    Warns too where it was cut off, or its relaxation did not reach the accuracy asked for.

    Args:
        path: of the plain file. ASE looks for held atoms in CONTCAR or POSCAR beside it.
        source: what messages call it.

    Raises:
        DataError: no finished step, or steps of a machine-learned force field.
    """
    with path.open(encoding="utf-8", errors="replace") as lines:
        survey = survey_outcar(lines)
    steps, most = survey.steps, survey.most
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
    _say_if_cut(survey, source)
    return frames


def _say_if_cut(survey: OutcarSurvey, source: Path) -> None:
    if survey.begun:
        why = f"ionic step {len(survey.steps) + 1} was begun and not finished"
    elif survey.relaxes and not survey.at_rest:
        why = f"the relaxation ended without saying {AT_REST!r} (stopped by NSW, or cut off)"
    else:
        return
    warnings.warn(f"{source}: {why}, {NO_END}", stacklevel=3)


class _Named(io.StringIO):
    """Text in memory with a file's name, by which ASE finds the POSCAR beside it."""

    name: str


def read_vasprun(path: Path, source: Path) -> list[Atoms]:
    """The ionic steps of a vasprun.xml; labels of unconverged ones are left out, and said.

    Warns too where the file was cut off.
    """
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
    if not _closes(path):
        what = "does not close (</modeling> is missing): VASP was stopped, or the file was cut off"
        warnings.warn(f"{source} {what}, {NO_END}", stacklevel=2)
    return frames


def _closes(path: Path) -> bool:
    """Whether the last element of a vasprun.xml is complete."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        return b"</modeling>" in file.read()


def survey_outcar(lines: Iterable[str]) -> OutcarSurvey:
    """What an OUTCAR says of itself and of each finished ionic step."""
    found, step, forces = OutcarSurvey(), IonicStep(), False
    steps = found.steps
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
        elif AT_REST in line:
            found.at_rest = True
        elif "***" in line:
            if forces:
                step.overflowed = True
            elif "TOTEN" in line or "without entropy" in line:  # after the end of its step
                (steps[-1] if steps else step).overflowed = True
        elif not steps and "=" in line:
            found.header |= {name: int(n) for name, n in _HEADER.findall(line)}
    found.most, found.begun = found.header.get("NELM", 0), step.iterations > 0
    return found


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
