"""The gradient on the atoms, back through a relaxation."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpttviz import __version__
from bpttviz.cli.options import (
    add_potential,
    add_relaxations,
    file_stems,
    load_chosen,
    positive,
    read_files,
    require_one_source,
    told,
    whole,
)

if TYPE_CHECKING:
    from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
    from bpttviz.relaxation.gradient_trace import GradientTrace

HELP = "follow the gradient of ΔQ back through relaxations, atom by atom, and show it on a page"

EXAMPLES = """\
  bpttviz gradient mine/OUTCAR --potential chgnet --out gradients
  bpttviz gradient --dataset si-defects --structure 005_tet_Si --potential chgnet --out gradients"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_relaxations(parser, "reference relaxations")
    parser.add_argument(
        "--structure", nargs="+", metavar="NAME",
        help="which relaxations of a data set (all of them where not given)",
    )  # fmt: skip
    add_potential(parser)
    parser.add_argument("--steps", type=whole, default=20, help="K, steps of each relaxation")
    parser.add_argument("--step-size", type=positive, default=0.06, help="eta, Å²/eV")


def run(choices: argparse.Namespace) -> int:
    """Writes NAME.safetensors and NAME.html (it needs no kernel) of each relaxation.

    What a folder holds is not computed again.
    """
    from bpttviz._files import FolderLock, lock_settings, require_unused
    from bpttviz.provenance import fingerprint, specification
    from bpttviz.relaxation.gradient_trace import trace_gradient
    from bpttviz.relaxation.rules import GradientDescent
    from bpttviz.relaxation.stopping import StoppingCriterion
    from bpttviz.widgets.backward_flow import BackwardFlow

    references = _references(choices)
    potential = load_chosen(choices.potential, choices).potential
    rule, stop = GradientDescent(choices.step_size), StoppingCriterion(choices.steps)
    out = Path(choices.out)
    map_of = {"rule": specification(rule), "stop": specification(stop)}
    name, weights = specification(potential), fingerprint(potential)
    made: dict[str, Any] = {
        "version": __version__, "potential": [choices.potential, name, weights], **map_of
    }  # fmt: skip
    settings = {"command": "gradient", "potential": name, "weights": weights, **map_of}
    stems = file_stems(references.names)
    files = [f"{stem}{end}" for stem in stems.values() for end in (".safetensors", ".html")]
    with FolderLock(out):
        lock_settings(out, settings, files)
        for reference in references:
            file = out / f"{stems[reference.name]}.safetensors"
            page = file.with_name(f"{stems[reference.name]}.html")
            trace = _found(file, reference)
            if trace is None:
                require_unused(out, [page.name])
                trace = trace_gradient(potential, reference.start, reference.end, rule, stop)
                about = {"of": _identity(reference), "command": _command(choices, reference.name)}
                trace = replace(trace, made=made | about)
                trace.write(file)
            if not page.exists():
                BackwardFlow(trace).save_html(page)
            print(trace)
    return 0


def _found(file: Path, reference: ReferenceRelaxation) -> GradientTrace | None:
    """The trace of before, if it is there.

    Raises:
        ValueError: the file is damaged, or of another relaxation.
    """
    from bpttviz.relaxation.gradient_trace import GradientTrace

    if not file.exists():
        return None
    trace = GradientTrace.read(file)
    if trace.made.get("of") != _identity(reference):
        raise ValueError(
            f"{file} is of another relaxation of that name (other elements, places, cell, masses "
            "or held atoms); choose another folder"
        )
    return trace


def _identity(reference: ReferenceRelaxation) -> list[str]:
    """Which relaxation it is: its start and its end."""
    from bpttviz.provenance import fingerprint_structures

    return [fingerprint_structures(one) for one in (reference.start, reference.end)]


def _command(choices: argparse.Namespace, name: str) -> str:
    """What makes this one again, without the place of anybody's files."""
    source = f"--dataset {choices.dataset} --structure {name}" if choices.dataset else name
    return (
        f"bpttviz gradient {source} {told(choices.potential, choices)} --steps {choices.steps} "
        f"--step-size {choices.step_size:g}"
    )


def _references(choices: argparse.Namespace) -> RelaxationDataset:
    """The relaxations to go through."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.datasets.relaxations import RelaxationDataset

    require_one_source(choices)
    if choices.files:
        if choices.structure:
            raise ValueError("--structure chooses from a data set; it has no meaning for files")
        return read_files(choices.files, choices, choices.groups)
    known = {r.name: r for r in load_dataset(choices.dataset).all}
    names = choices.structure or list(known)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{choices.dataset} has no {unknown[0]!r}; there are {', '.join(known)}")
    return RelaxationDataset([known[name] for name in names])
