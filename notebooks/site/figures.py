"""The eight figures of the front page, five of them alive. All are computed, none is drawn by hand.

Which potentials the atoms of the first one relax under, and what the error plane measures, is
decided in `silicon` and `plane`: a fine-tuned CHGNet takes its place there as soon as one ships.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from ase import Atoms

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.plotting.figure import AccessibleFigure, despine
from bpttviz.plotting.palette import BLUE, GREY, VERMILION
from bpttviz.potentials.landscape import Landscape, places, walkers
from bpttviz.training.summary import FORCE_ERROR
from bpttviz.widgets.player import Canvas
from bpttviz.widgets.static import SelfContained

FINE_TUNED = "si-defects/chgnet-test"  # the shipped run that the figures wait for
DEFECT = "215_subsub_As"  # two arsenic atoms: of the test part, and its end is to be trusted
DATA = Path(bv.__file__).parent / "datasets" / "data"
SHORT = bv.StoppingCriterion(6)
RULE = bv.GradientDescent(0.3, max_step=None)


def figures() -> dict[str, Callable[[], str]]:
    """Name → what makes its HTML, in the order of the article."""
    return {
        "atoms": atoms,
        "valley": valley,
        "forces": forces,
        "gradient": gradient,
        "bent": bent,
        "training": training,
        "plane": plane,
        "silicon": results,
    }


# --- alive --------------------------------------------------------------------------------------


def alive(widget: SelfContained) -> str:
    """A widget's view that needs no kernel, with its picture for pages without scripts."""
    return widget.static_html(widget.picture())


def atoms() -> str:
    """One defect relaxing under two potentials, beside the reference end."""
    report = silicon()
    return alive(bv.CompareRelaxations(report, DEFECT, viewer=Canvas()))


def silicon() -> Report:
    """Two potentials on one defect: before and after fine-tuning, where such a run ships."""
    if FINE_TUNED in bv.shipped_runs():
        two = {"pretrained": bv.CHGNet(), "fine-tuned": bv.load_run(FINE_TUNED).potential}
    else:
        two = {"PaiNN": bv.PaiNN.pretrained(), "CHGNet": bv.CHGNet()}
    chosen = [r for r in bv.load_dataset("si-defects").all if r.name == DEFECT]
    rule, stop = bv.GradientDescent(0.06), bv.StoppingCriterion(40, fmax=0.02)
    rest = bv.Relaxer(fmax=0.03, max_steps=60)
    return bv.evaluate(two, bv.RelaxationDataset(chosen), rule, stop, rest, progress=False)


def valley() -> str:
    """Walks on the landscapes, with the gradient's way back."""
    return alive(bv.FoggyValley({"two valleys": bv.landscape_examples()["two valleys"]}))


def bent() -> str:
    """A landscape that training bent: a slider goes through the states on the way."""
    shown = bv.FoggyValley({"three valleys": bv.landscape_examples()["three valleys"]})
    shown.train(60)
    return alive(shown)


def training() -> str:
    """The training that the error plane of walkers judges."""
    return alive(bv.TrainingMonitor.of(taught()))


def plane() -> str:
    """Force error against endpoint error, an arrow for each held-out structure."""
    if FINE_TUNED in bv.shipped_runs():
        return alive(bv.ErrorPlane(bv.shipped_report(FINE_TUNED)))
    models = {"pretrained": force_matched(), "taught by ends": taught().potential}
    report = bv.evaluate(
        models, walked()[8:], RULE, SHORT, bv.Relaxer(fmax=1e-3), progress=False, noise_floor=1e-3
    )
    return alive(bv.ErrorPlane(report))


# --- pictures -----------------------------------------------------------------------------------


def still(picture: AccessibleFigure) -> str:
    """A picture that a narrow screen scrolls instead of shrinking it."""
    return f'<div class="still">{picture.to_html()}</div>'


def forces() -> str:
    """Two models of one landscape: wrong everywhere and right at rest, and the reverse."""
    true = truth()
    twice = bv.Wells(true.centres, 2 * true.depths, true.widths, 2 * true.bowl.item())
    models = {"forces matched": force_matched(), "forces twice as strong": twice}
    starts = [r.start for r in walked()[8:]]
    ways = {}
    for title, model in models.items():
        paths = [bv.relax(model, s, *gently()).trajectory.detach() for s in starts]
        ways[title] = [bv.plotting.WalkerPath(places(path)[:, 0]) for path in paths]
    star = places(walked()[0].end.positions)[0].tolist()
    return still(bv.plotting.plot_force_errors(true, models, ways, targets=[star]))


def gradient() -> str:
    """How the gradient fares on its way back through springs, for three step sizes."""
    springs = bv.Springs.frustrated(6, 8)
    draw = torch.Generator().manual_seed(8)
    begin = bv.Structures.from_ase(Atoms("Si6", positions=2 * torch.randn(6, 3, generator=draw)))
    rest = springs.rest_positions(begin.positions).detach()
    end = begin.with_positions(rest + 0.5 * torch.randn(6, 3, generator=draw).double())
    stiffest = float(torch.linalg.eigvalsh(springs.laplacian().detach())[-1])
    found = {}
    for share in (0.05, 0.4, 2.1):
        rule = bv.GradientDescent(share / stiffest, max_step=None)
        found[f"η = {share:g} / λ"] = bv.diagnose_gradient(
            springs, begin, end, rule, bv.StoppingCriterion(40)
        )
    return still(bv.plotting.plot_gradient(found))


def results() -> str:
    """Changes on silicon's test part, with intervals, read from the data card."""
    return still(plot_changes(changes_in((DATA / "si-defects" / "README.md").read_text("utf-8"))))


NUMBER = r"([+−-]?\d+) %\*{0,2} \(([+−-]?\d+) to ([+−-]?\d+)\)"
ROW = re.compile(rf"^\| (?P<name>[\w, ]+?) \|.*?{NUMBER}.*?{NUMBER}", re.MULTILINE)


def changes_in(card: str) -> dict[str, tuple[list[int], list[int]]]:
    """Method → change of ΔQ at rest, and of the force error, each as (%, low, high)."""
    found = {}
    for row in ROW.finditer(card):
        if row["name"] not in found:
            values = [int(text.replace("−", "-")) for text in row.groups()[1:]]
            found[row["name"]] = (values[:3], values[3:])
    if not found:
        raise ValueError("the data card has no table of changes with intervals any more")
    return found


def plot_changes(changes: dict[str, tuple[list[int], list[int]]]) -> AccessibleFigure:
    """A dot with its interval for each method and each of the two errors."""
    picture = AccessibleFigure((9.0, 0.6 + 0.55 * len(changes)))
    titles = ("endpoint error, ΔQ at rest", "force error")
    words = []
    for number, (title, colour) in enumerate(zip(titles, (BLUE, VERMILION), strict=True)):
        axes = picture.add_subplot(1, 2, number + 1)
        axes.axvline(0, color=GREY, linewidth=1)
        for height, (method, both) in enumerate(reversed(changes.items())):
            middle, low, high = both[number]
            axes.plot([low, high], [height, height], color=colour, linewidth=2)
            axes.plot([middle], [height], "o", color=colour)
            words.append(f"{method}, {title}: {middle:+d} % ({low:+d} to {high:+d})")
        axes.set_yticks(range(len(changes)), list(reversed(changes)) if number == 0 else [])
        axes.set_ylim(-0.6, len(changes) - 0.4)
        axes.set_xlabel(f"change of the {title} / %")
        despine(axes)
    picture.alt_text = "Changes against the pretrained potential. " + "; ".join(words) + "."
    return picture


# --- walkers on a plane -------------------------------------------------------------------------


def truth() -> Landscape:
    """A valley with a hill on its flank: one minimum."""
    return bv.Wells([[0.5, -0.3], [0.3, 0.1]], [0.8, -0.5], [0.8, 0.35], bowl=0.4)


def gently() -> tuple[bv.UpdateRule, bv.StoppingCriterion]:
    """Small steps to rest."""
    return bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(300, fmax=1e-6)


@functools.cache
def walked() -> bv.RelaxationDataset:
    """Twenty walkers that relax on the truth, with eight labelled frames each; eight to learn."""
    draw = torch.Generator().manual_seed(0)
    low, high = torch.tensor([[-1.3, -1.0], [1.3, 1.3]], dtype=torch.float64)
    starts = low + (high - low) * torch.rand(20, 2, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        true = bv.relax(truth(), walkers(starts), *gently())
    found = []
    for i in range(20):
        own = slice(2 * i, 2 * i + 2)  # an anchor and a walker
        frames = bv.ReferenceTrajectory(
            true.trajectory[0:16:2, own], true.energy[0:16:2, i], true.forces[0:16:2, own]
        )
        ends = [walkers(places(true.trajectory)[step, i]) for step in (0, -1)]
        found.append(bv.ReferenceRelaxation(f"walker {i}", f"walker {i}", *ends, frames))
    return bv.RelaxationDataset(found)


@functools.cache
def force_matched() -> Landscape:
    """One valley without a hill, fitted to the forces on the training walkers' ways."""
    model = bv.Wells([[0.2, 0.0]], [0.8], [0.7], bowl=0.3)
    objective = bv.ForceLoss(frames=8)
    with tempfile.TemporaryDirectory() as folder:
        return bv.finetune(
            model, walked()[:8], objective, epochs=60, batch_size=8, learning_rate=0.05,
            out=Path(folder) / "run", progress=False,
        ).potential  # fmt: skip


@functools.cache
def taught() -> bv.Run:
    """The same valley, taught through six steps where walkers should be."""
    objective = bv.EndpointLoss(RULE, SHORT, bv.FullBPTT())
    return bv.finetune(
        force_matched(), walked()[:8], objective, epochs=60, batch_size=8, learning_rate=0.03,
        validation=walked()[8:12], progress=False, metrics={FORCE_ERROR: mean_force_error},
    )  # fmt: skip


def mean_force_error(potential: Landscape, data: bv.RelaxationDataset) -> float:
    """Over all labelled frames, eV/Å."""
    return float(bv.ForceLoss(frames=8).loss(potential, data).detach().mean())
