"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpttviz._files import require_unused, write_atomic
from bpttviz.datasets.names import unique_names

if TYPE_CHECKING:
    from ase import Atoms

    from bpttviz.datasets.relaxations import RelaxationDataset
    from bpttviz.experiments.registry import PotentialEntry
    from bpttviz.relaxation.adjoints.base import Adjoint

MOST_THREADS = 4096
LONGEST_NAME = 200  # bytes: file systems allow 255, ends of names included
ADJOINTS = ("full", "implicit", "guided")

NAMES = """\
  chgnet, chgnet:0.2.0, chgnet:r2scan   CHGNet; its weights come with the package
  sevennet, sevennet:7net-l3i5          SevenNet; likewise (extra "sevennet")
  sevennet:FILE                         a SevenNet checkpoint of your own
  mace:FILE                             a MACE model file; needs --trust, as opening one runs code
  mace:small, mace:medium, ...          a MACE foundation model, downloaded (extra "mace")
  diep, diep:FOLDER                     DIEP; its weights come with the package (extra "diep")
  matgl:FOLDER, matgl:NAME              a folder of matgl's, or a name from its hub (extra "matgl")
  nequix:FILE                           a .nqx file of the package nequix (extra "nequix")
  painn, transformer                    the small potentials that come with bpttviz
  FOLDER                                a run of `finetune`"""


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def threads(text: str) -> int:
    """A number of threads that a machine may have, for argparse."""
    count = whole(text)
    if count > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text} threads are more than any machine has")
    return count


def positive(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def folder(text: str) -> str:
    """A folder's name, for argparse: not an empty one, which would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a folder needs a name")
    return text


def require_ours(out: Path, writes: Iterable[str], shown_by: str) -> None:
    """Refuse a folder in which results would be written over somebody's files.

    Args:
        out: the folder.
        writes: names of files that will be written there.
        shown_by: pattern of what is in a folder that an earlier call has filled.

    Raises:
        ValueError: names the first such file.
    """
    if not any(out.glob(shown_by)):
        require_unused(out, writes)


def changed(
    configure: Callable[[argparse.ArgumentParser], None], choices: argparse.Namespace
) -> list[str]:
    """Options of a command, none of which is required, that are not as they are by default."""
    parser = argparse.ArgumentParser(add_help=False)
    configure(parser)
    usual = vars(parser.parse_args([]))
    found = [
        f"--{name.replace('_', '-')}" for name in usual if usual[name] != getattr(choices, name)
    ]
    return found + ["--device"] * (choices.device != "cpu")


def file_stems(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name → what its file is called, without the ending: no two are the same, none is ``taken``.

    What no file can be called is replaced, and what is too long is cut.
    """
    found: dict[str, str] = {}
    used = {name.lower() for name in taken}  # some systems tell no capitals
    for name in names:
        stem = re.sub(r"[/\\\0]", "_", name).encode()[:LONGEST_NAME].decode(errors="ignore")
        while stem.lower() in used:
            stem += "_"
        used.add(stem.lower())
        found[name] = stem
    return found


def add_potential(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """--potential, and --trust."""
    parser.add_argument(
        "--potential",
        required=not several,
        nargs="+" if several else None,
        metavar="NAME",
        help="which potential; the names are listed below",
    )
    parser.add_argument(
        "--trust", action="store_true", help="open a MACE file, which can run any program"
    )
    parser.add_argument(
        "--head", metavar="NAME", help="which head of a MACE that has several, or of a SevenNet"
    )


def load_chosen(name: str, choices: argparse.Namespace) -> PotentialEntry:
    """The potential of that name, with --device, --trust and --head."""
    from bpttviz.experiments.registry import load_potential

    return load_potential(name, choices.device, choices.trust, head=choices.head)


def told(name: str, choices: argparse.Namespace) -> str:
    """The options that name a potential again, for a command that a result is kept with."""
    head = _head_for(name, choices)
    told = f"--potential {name}{' --trust' * choices.trust}"
    return told if head is None else f"{told} --head {head}"


def label(name: str, choices: argparse.Namespace) -> str:
    """What a potential is called in rows: two heads of one file are two potentials."""
    head = _head_for(name, choices)
    return name if head is None else f"{name} head {head}"


def _head_for(name: str, choices: argparse.Namespace) -> str | None:
    """--head, for a potential that has heads to choose from."""
    return choices.head if name.partition(":")[0] in ("mace", "sevennet") else None


def load_several(choices: argparse.Namespace) -> dict[str, PotentialEntry]:
    """Name → potential; --head is for those that have heads to choose from.

    Raises:
        ValueError: one is listed twice, or --head is for none of them.
    """
    from bpttviz.experiments.registry import load_potential

    names = choices.potential or []
    if len(set(names)) < len(names):
        raise ValueError("a potential is listed twice")
    heads = {name: _head_for(name, choices) for name in names}
    if choices.head is not None and not any(heads.values()):
        raise ValueError(f"--head {choices.head}: none of the potentials has heads to choose from")
    return {
        name: load_potential(name, choices.device, choices.trust, head=head)
        for name, head in heads.items()
    }


def add_recipe(parser: argparse.ArgumentParser, learning_rates: bool = False) -> None:
    """The options of `bpttviz.experiments.protocol.PaperRecipe`."""
    recipe = parser.add_argument_group("how it is fine-tuned")
    recipe.add_argument("--steps", type=whole, default=20, help="K, steps of each relaxation")
    recipe.add_argument("--step-size", type=positive, default=0.06, help="eta, Å²/eV")
    recipe.add_argument("--epochs", type=whole, default=3, help="passes over the training data")
    if learning_rates:
        recipe.add_argument(
            "--learning-rate", type=positive, nargs="+", default=[5e-4],
            help="of Adam; of several, each method takes the best on the validation part",
        )  # fmt: skip
    else:
        recipe.add_argument("--learning-rate", type=positive, default=5e-4, help="of Adam")
    recipe.add_argument("--seed", type=int, default=0, help="of the order of structures")


def add_memory(parser: argparse.ArgumentParser) -> None:
    """--memory, of `TrainingConfig`."""
    parser.add_argument(
        "--memory", metavar="SIZE",
        help="what the process may hold, as 1.5GB: as much of each gradient is kept as fits, the "
        "rest is recomputed (the same gradient, faster with more memory)",
    )  # fmt: skip


def add_adjoint(parser: argparse.ArgumentParser) -> None:
    """How the gradient goes back; see `adjoint_of`."""
    parser.add_argument(
        "--adjoint", choices=ADJOINTS, default="full",
        help="gradient through all steps; at the resting place; or through a window of steps and "
        "at the resting place",
    )  # fmt: skip
    parser.add_argument("--window", type=whole, help="steps of a guided window (default: 10)")
    parser.add_argument("--weight", type=float, help="of the guided window's loss (default: 1)")


def adjoint_of(choices: argparse.Namespace) -> Adjoint:
    """The adjoint object that --adjoint, --window and --weight stand for.

    Raises:
        ValueError: a window, or a weight, for an adjoint that has none.
    """
    from bpttviz.relaxation.adjoints.guided import GuidedAdjoint
    from bpttviz.relaxation.adjoints.implicit import ImplicitAdjoint
    from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT

    window, weight = choices.window, choices.weight
    if choices.adjoint != "guided" and (window, weight) != (None, None):
        raise ValueError("--window and --weight are of --adjoint guided")
    implicit = ImplicitAdjoint(strict=False)  # one bad member must not end hours of work
    return {
        "full": CheckpointedBPTT(),
        "implicit": implicit,
        "guided": GuidedAdjoint(
            10 if window is None else window, 1.0 if weight is None else weight, implicit
        ),
    }[choices.adjoint]


def add_relaxations(parser: argparse.ArgumentParser, what: str) -> None:
    """Files of relaxations or a shipped data set; see `read_files`."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", type=Path,
        help=f"{what}: one relaxation a file, first frame the start, last frame the end, in any "
        "format that ASE reads (OUTCAR, vasprun.xml, extxyz, traj, db, ...)",
    )  # fmt: skip
    parser.add_argument(
        "--pairs", action="store_true",
        help="the files come in pairs: start, end, start, end, ... (POSCAR CONTCAR); whether an "
        "end is at rest they do not say, so take those of finished relaxations only",
    )  # fmt: skip
    add_format(parser)
    parser.add_argument(
        "--groups", nargs="+", metavar="NAME",
        help="a group for each file or pair, in their order: relaxations that could end alike "
        "share one (by default those of one composition)",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", action="store_true",
        help="leave out files that cannot be used, with a warning that names each",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", help="a data set that comes with bpttviz: si-defects, crystals"
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """--format, of files whose names do not tell it."""
    parser.add_argument(
        "--format", metavar="NAME",
        help="ASE's name of the files' format, where theirs do not tell (vasp-out, extxyz, ...)",
    )  # fmt: skip


def require_one_source(choices: argparse.Namespace) -> None:
    """See that `add_relaxations` was given files or a data set, and only what goes with it.

    Raises:
        ValueError: both or neither, or beside --dataset an option that says how to read files.
    """
    if bool(choices.files) == bool(choices.dataset):
        raise ValueError("give files of relaxations, or --dataset; one of the two")
    for option in ("pairs", "format", "groups", "skip_bad") if choices.dataset else ():
        if getattr(choices, option):
            name = option.replace("_", "-")
            raise ValueError(f"--{name} says how to read files; it has no meaning for --dataset")


def read_files(
    files: list[Path], choices: argparse.Namespace, groups: list[str] | None = None
) -> RelaxationDataset:
    """The relaxations in files, each named so that no two have the same name."""
    from bpttviz.datasets.read import DataError, read_pairs, read_relaxations

    how: dict[str, Any] = {"format": choices.format, "skip_bad": choices.skip_bad}
    if groups is not None:
        how["group"] = groups
    if not choices.pairs:
        return read_relaxations(files, **how)
    if len(files) % 2:
        raise DataError(
            f"--pairs needs an even number of files, a start and an end; got {len(files)}"
        )
    couples = list(zip(files[::2], files[1::2], strict=True))
    return read_pairs(couples, names=unique_names([start for start, _ in couples]), **how)


def write_frames(path: Path, frames: list[Atoms]) -> None:
    """Write extended XYZ in one move, so that no reader ever finds half a file."""
    import ase.io

    write_atomic(path, lambda place: ase.io.write(place, frames, format="extxyz"))
