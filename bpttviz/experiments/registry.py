"""Potentials by name, as a command line gives them.

A name is a family (``painn``), or a family and which of it (``chgnet:0.2.0``, ``mace:FILE``); it
never becomes something else because a folder of that name lies about. A run of `finetune` is
given by its path: one with a dot in front (``./painn``) is always taken as it is. A fine-tuned
potential that comes with bpttviz has a name with a separator (``si-defects/chgnet``).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bpttviz.potentials.base import Potential
from bpttviz.training.runs import FILE, load_run
from bpttviz.training.shipped import shipped_folder

R2SCAN = "its weights were fitted to r2SCAN, and the references are PBE"


@dataclass(frozen=True, eq=False)
class PotentialEntry:
    """A potential, and what a comparison must know of where it comes from.

    Attributes:
        potential: itself.
        external: pretrained elsewhere, not by us.
        caveat: what is to be remembered when its numbers are read.
        seen: names of the relaxations that it was trained or validated on: in its own run, and for
            our students also before it.
    """

    potential: Potential
    external: bool = True
    caveat: str = ""
    seen: tuple[str, ...] = ()


def load_potential(
    name: str, device: str = "cpu", trusted: bool = False, head: str | None = None
) -> PotentialEntry:
    """Build the potential that a name stands for; ``python -m bpttviz relax --help`` lists names.

    Args:
        name: a family, ``FAMILY:WHICH``, the name of a shipped run, or the folder of a run.
        device: "cpu" or "cuda".
        trusted: whether a MACE file, which is a program, may be opened.
        head: which head of a MACE with several, or which functional of such a SevenNet.

    Raises:
        TypeError: a name that is no string.
        ValueError: no potential of that name, no such checkpoint or file, a file without
            ``trusted``, a ``head`` where there is no choice.
        ImportError: the package of the potential is not installed.
        RunError: the folder's run cannot be loaded.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"a potential is named by a string, got {type(name).__name__}")
    name = os.fspath(name)
    family, colon, which = name.partition(":")
    if colon and not which and family in FAMILIES:
        raise ValueError(f"{name!r} does not say which {family}; --help lists the names")
    if family not in FAMILIES or _is_path(family):
        return _load_run(name, device, head)
    if head is not None and family not in ("mace", "sevennet"):
        raise ValueError(f"head={head!r} was given, but a {family} has no heads to choose from")
    if not which and _has_run(name):
        warnings.warn(
            f"{name!r} is the potential of that name. There is also a run in a folder called so: "
            f"for that one write {os.path.join('.', name)}",
            stacklevel=2,
        )
    return FAMILIES[family](which, device, trusted, head)


def _is_path(name: str) -> bool:
    """Whether a name can only be meant as a path."""
    separators = [s for s in (os.sep, os.altsep) if s]
    return name.startswith((".", "~")) or any(s in name for s in separators)


def _has_run(name: str) -> bool:
    return (Path(name).expanduser() / FILE).exists()


def _load_run(name: str, device: str, head: str | None) -> PotentialEntry:
    """The potential of a run of `finetune`, in the folder ``name``."""
    folder = shipped_folder(name) or Path(name).expanduser()
    if not name or not (folder / FILE).exists():
        if name and folder.exists():
            raise ValueError(
                f"{name!r} is no run of finetune: there is no {FILE} in it. A model file is given "
                "as FAMILY:FILE (mace:FILE, sevennet:FILE, painn:FILE)"
            )
        raise ValueError(
            f"there is no potential {name!r}, nor a folder of that name with a run in it; --help "
            "lists the names"
        )
    if head is not None:
        raise ValueError(f"head={head!r} was given, but the run in {name} has its head already")
    run = load_run(folder, device=device)
    # Those it was validated on chose its weights too.
    trained_on = (*run.settings.get("train", ()), *run.settings.get("validation", ()))
    return PotentialEntry(
        run.potential, external=False, seen=(*trained_on, *_seen_before(type(run.potential)))
    )


def _chgnet(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """A checkpoint that comes with the package ``chgnet``; it has no files of one's own."""
    from bpttviz.potentials.pretrained.chgnet import CHECKPOINTS, CHGNet

    if which and which not in CHECKPOINTS:
        raise ValueError(
            f"chgnet:{which} is no checkpoint that can be loaded; choose one of "
            f"{', '.join(CHECKPOINTS)}. A CHGNet that was fine-tuned here is given by the folder "
            "of its run"
        )
    potential = CHGNet(which, device) if which else CHGNet(device=device)
    return PotentialEntry(potential, caveat=R2SCAN if which == "r2scan" else "")


def _sevennet(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """A SevenNet by name, or a checkpoint file."""
    from bpttviz.potentials.pretrained.sevennet import CHECKPOINTS, SevenNet

    _say_which(which, which in CHECKPOINTS, "sevennet")
    if which:
        return PotentialEntry(SevenNet(which, device, modality=head))
    return PotentialEntry(SevenNet(device=device, modality=head))


def _diep(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """The DIEP that comes with its package, or a folder of one's own."""
    from bpttviz.potentials.pretrained.diep import DIEP

    return PotentialEntry(DIEP(which or None, device), caveat="" if which else R2SCAN)


def _matgl(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """A folder that matgl wrote, or a name from its hub."""
    from bpttviz.potentials.pretrained.matgl import MatGL

    if not which:
        raise ValueError(
            "matgl is many potentials: write matgl:FOLDER, or matgl:NAME with a name from its hub"
        )
    return PotentialEntry(MatGL(which, device), caveat=R2SCAN if "r2scan" in which.lower() else "")


def _nequix(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """A file of the package nequix."""
    from bpttviz.potentials.pretrained.nequix import Nequix

    if not which:
        raise ValueError("a nequix is given as nequix:FILE, with a file that ends with .nqx")
    return PotentialEntry(Nequix(which, device))


def _mace(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
    """A MACE file, or a foundation model by name."""
    from bpttviz.potentials.pretrained.mace import MACE

    file = Path(which).expanduser()
    looks_like_a_file = bool(which) and (_is_path(which) or file.suffix != "" or file.is_file())
    if looks_like_a_file and which not in _foundations():
        if not file.is_file():
            raise ValueError(f"mace:{which} is meant as a model file, and there is none there")
        return PotentialEntry(MACE(file, device, trusted=trusted, head=head))
    _say_which(which, True, "mace")
    return PotentialEntry(MACE.foundation(which or "small", device, head=head))


def _foundations() -> tuple[str, ...]:
    """Names of MACE's foundation models; none where its package is not installed."""
    try:
        from mace.calculators.foundations_models import mace_mp_urls
    except ImportError:
        return ()
    return tuple(str(name) for name in mace_mp_urls if name)


def _say_which(which: str, known: bool, family: str) -> None:
    """A file that is called like a model: the model is meant, and that is said."""
    if which and known and not _is_path(which) and Path(which).exists():
        warnings.warn(
            f"{family}:{which} is the model of that name; for the file called so write "
            f"{family}:{os.path.join('.', which)}",
            stacklevel=4,
        )


def _student(kind_name: str) -> Callable[[str, str, bool, str | None], PotentialEntry]:
    """A loader of one of our small potentials: the shipped weights, or those in a file."""

    def load(which: str, device: str, trusted: bool, head: str | None) -> PotentialEntry:
        """See `load_potential`."""
        from bpttviz.potentials.small.painn import PaiNN
        from bpttviz.potentials.small.transformer import CoordinateTransformer
        from bpttviz.potentials.small.weights import load_weights, weights_file

        kinds: dict[str, type[Potential]] = {
            "painn": PaiNN, "transformer": CoordinateTransformer,
        }  # fmt: skip
        kind = kinds[kind_name]
        file = Path(which).expanduser() if which else weights_file(kind)
        if which and not file.is_file():
            raise ValueError(
                f"{kind_name}:{which}: there is no file {which!r} with weights. A run of finetune "
                "is given by its folder alone"
            )
        potential = load_weights(kind, file, device)
        return PotentialEntry(potential, external=False, seen=_seen_in(file))

    return load


def _seen_before(kind: type[Potential]) -> tuple[str, ...]:
    """What the shipped weights of a class were trained on, from which its runs usually start."""
    from bpttviz.potentials.small.weights import weights_file

    file = weights_file(kind)
    return _seen_in(file) if file.is_file() else ()


def _seen_in(file: Path) -> tuple[str, ...]:
    """The relaxations that weights were trained on, as their own header says."""
    from bpttviz.potentials.small.weights import read_header

    return tuple(read_header(file)["card"].get("relaxations", ()))


FAMILIES: dict[str, Callable[[str, str, bool, str | None], PotentialEntry]] = {
    "chgnet": _chgnet,
    "sevennet": _sevennet,
    "mace": _mace,
    "diep": _diep,
    "matgl": _matgl,
    "nequix": _nequix,
    "painn": _student("painn"),
    "transformer": _student("transformer"),
}
