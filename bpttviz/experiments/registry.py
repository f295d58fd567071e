"""Potentials by name, as a command line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bpttviz.potentials.base import Potential
from bpttviz.training.runs import FILE, load_run

R2SCAN = "its weights were fitted to r2SCAN, and the references are PBE"


@dataclass(frozen=True, eq=False)
class PotentialEntry:
    """A potential, and what a comparison must know of where it comes from.

    Attributes:
        external: pretrained elsewhere, not by us.
        caveat: what is to be remembered when its numbers are read.
        seen: names of the relaxations that it was trained on: in its own run, and for our students
            also before it.
    """

    potential: Potential
    external: bool = True
    caveat: str = ""
    seen: tuple[str, ...] = ()


def load_potential(name: str, device: str = "cpu", trusted: bool = False) -> PotentialEntry:
    """Build the potential that a name stands for; ``python -m bpttviz relax --help`` lists names.

    Args:
        device: "cpu" or "cuda".
        trusted: whether a MACE file, which is a program, may be opened.

    Raises:
        ValueError: no potential of that name, no such checkpoint, a file without ``trusted``.
        ImportError: the package of the potential is not installed.
        RunError: the folder's run cannot be loaded.
    """
    if (Path(name) / FILE).exists():
        run = load_run(name, device=device)
        seen = (*run.settings.get("train", ()), *_seen_by_students(run.potential))
        return PotentialEntry(run.potential, external=False, seen=seen)
    family, _, which = name.partition(":")
    match family:
        case "chgnet":
            from bpttviz.potentials.pretrained.chgnet import CHGNet

            potential = CHGNet(*filter(None, [which]), device=device)
            return PotentialEntry(potential, caveat=R2SCAN if which == "r2scan" else "")
        case "sevennet":
            from bpttviz.potentials.pretrained.sevennet import SevenNet

            return PotentialEntry(SevenNet(*filter(None, [which]), device=device))
        case "mace":
            from bpttviz.potentials.pretrained.mace import MACE

            if which and Path(which).exists():
                return PotentialEntry(MACE(which, device, trusted=trusted))
            return PotentialEntry(MACE.foundation(which or "small", device))
        case "painn" | "transformer":
            from bpttviz.potentials.small.painn import PaiNN
            from bpttviz.potentials.small.transformer import CoordinateTransformer

            student = PaiNN if family == "painn" else CoordinateTransformer
            potential = student.pretrained(device)
            return PotentialEntry(potential, external=False, seen=_seen_by_students(potential))
    raise ValueError(
        f"there is no potential {name!r}, nor a folder of that name with a run in it; --help lists "
        "the names"
    )


def _seen_by_students(potential: Potential) -> tuple[str, ...]:
    from bpttviz.experiments.pretrain import RELAXATIONS
    from bpttviz.potentials.small.painn import PaiNN
    from bpttviz.potentials.small.transformer import CoordinateTransformer

    return tuple(RELAXATIONS) if isinstance(potential, (PaiNN, CoordinateTransformer)) else ()
