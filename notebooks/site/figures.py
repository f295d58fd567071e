"""The eight figures of the front page, five of them alive. All are computed, none is drawn by hand.

A figure brings the numbers that its caption says (`Drawn.facts`), so that a caption is true of what
is shown: article.md writes them as {{figure.fact}}.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import changes
import torch
from ase import Atoms

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import PairedComparison
from bpttviz.evaluation.tables import percent_with_interval, signed
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.potentials.landscape import Landscape, places, walkers
from bpttviz.training.summary import FORCE_ERROR
from bpttviz.widgets.player import Canvas
from bpttviz.widgets.static import SelfContained

FINE_TUNED = "si-defects/chgnet-test"  # the shipped run; judged on the twelve of the test part
DEFECT = "208_sub_Al"  # the one of the twelve whose end at rest gained most
FAMILIES = {"hex": "hexagonal sites", "tet": "tetrahedral sites"}
SHORT = bv.StoppingCriterion(6)
RULE = bv.GradientDescent(0.3, max_step=None)


@dataclass(frozen=True)
class Drawn:
    """A figure's HTML, and the numbers that its caption says: name → text."""

    html: str
    facts: dict[str, str] = field(default_factory=dict)


def figures() -> dict[str, Callable[[], Drawn]]:
    """Name → what makes it, in the order of the article."""
    return {
        "atoms": atoms,
        "valley": valley,
        "forces": forces,
        "gradient": gradient,
        "bent": bent,
        "training": training,
        "plane": plane,
        "silicon": silicon,
    }


# --- alive --------------------------------------------------------------------------------------


def alive(widget: SelfContained, **facts: str) -> Drawn:
    """A widget's view that needs no kernel, with its picture for pages without scripts."""
    return Drawn(widget.static_html(widget.picture()), facts)


def atoms() -> Drawn:
    """One defect relaxing under CHGNet before and after fine-tuning, beside the reference end."""
    report = before_and_after()
    before, after = (report.row(name, DEFECT).dq_k for name in report.potentials)
    return alive(
        bv.CompareRelaxations(report, DEFECT, viewer=Canvas()),
        all=str(len(bv.shipped_report(FINE_TUNED).structures)),
        before=f"{before:.2f}",
        after=f"{after:.2f}",
    )


def before_and_after() -> Report:
    """CHGNet as it comes and as it ships, fine-tuned, on that defect."""
    two = {"pretrained": bv.CHGNet(), "fine-tuned": bv.load_run(FINE_TUNED).potential}
    chosen = [r for r in bv.load_dataset("si-defects").all if r.name == DEFECT]
    rule, stop = bv.GradientDescent(0.06), bv.StoppingCriterion(40, fmax=0.02)
    rest = bv.Relaxer(fmax=0.03, max_steps=60)
    return bv.evaluate(two, bv.RelaxationDataset(chosen), rule, stop, rest, progress=False)


def valley() -> Drawn:
    """Walks on the landscapes, with the gradient's way back."""
    return alive(bv.FoggyValley({"two valleys": bv.landscape_examples()["two valleys"]}))


def bent() -> Drawn:
    """A landscape that training bent: a slider goes through the states on the way."""
    shown = bv.FoggyValley({"three valleys": bv.landscape_examples()["three valleys"]})
    shown.train(60)
    return alive(shown)


def training() -> Drawn:
    """The training that the error plane of walkers judges."""
    return alive(bv.TrainingMonitor.of(taught()))


def silicon() -> Drawn:
    """The shipped CHGNet on silicon's test part, and what fine-tuning in the paper's way gave."""
    report = bv.shipped_report(FINE_TUNED)
    ends, forces = report.compare("dq_rest"), report.compare("force_mae")
    pairs = zip(ends.names, ends.before, ends.after, strict=True)
    lost = {*ends.lost, *(name for name, before, after in pairs if after > before)}
    others = report.subset([name for name in report.structures if name not in lost])
    papers = changes.changes_in(changes.CARD.read_text("utf-8"))[changes.PAPERS_WAY]
    return alive(
        bv.ErrorPlane(report),
        all=str(len(report.structures)),
        lost=str(len(lost)),
        sites=" and ".join(sorted({FAMILIES[name.split("_")[1]] for name in lost})),
        others=str(len(others.structures)),
        ends=change(ends),
        forces=change(forces),
        others_ends=f"{100 * (others.compare('dq_rest').ratio - 1):+.0f} %".replace("-", "−"),
        papers_forces=said(*papers[1]),
    )


def change(found: PairedComparison) -> str:
    """A change with its interval, as "+22 % (−60 to +277)"."""
    return percent_with_interval(found.ratio, found.interval)


def said(middle: float, low: float, high: float) -> str:
    """Percent, and the ends of an interval."""
    return f"{signed(middle)} % ({signed(low)} to {signed(high)})"


# --- pictures -----------------------------------------------------------------------------------


def still(picture: AccessibleFigure, **facts: str) -> Drawn:
    """A picture that a narrow screen scrolls instead of shrinking it."""
    return Drawn(f'<div class="still">{picture.to_html()}</div>', facts)


def forces() -> Drawn:
    """Two models of one landscape: wrong everywhere and right at rest, and the reverse."""
    true = truth()
    twice = bv.Wells(true.centres, 2 * true.depths, true.widths, 2 * true.bowl.item())
    models = {"forces matched": force_matched(), "forces twice as strong": twice}
    starts = [r.start for r in walked()[8:]]
    ways = {}
    for title, model in models.items():
        paths = [bv.relax(model, s, *gently()).trajectory.detach() for s in starts]
        ways[title] = [bv.plotting.WalkerPath(places(path)[:, 0]) for path in paths]
    star = places(walked()[0].end.positions)[0]
    off = {
        title: max(float((torch.as_tensor(way.points[-1]) - star).norm()) for way in found)
        for title, found in ways.items()
    }
    return still(
        bv.plotting.plot_force_errors(true, models, ways, targets=[star.tolist()]),
        walkers=str(len(starts)),
        matched=f"{off['forces matched']:.2f}",
        twice=f"{off['forces twice as strong']:.2f}",
    )


def gradient() -> Drawn:
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


def plane() -> Drawn:
    """Force error against endpoint error, an arrow for each held-out walker: the paradox."""
    models = {"forces matched": force_matched(), "ends taught": taught().potential}
    rest = bv.Relaxer(fmax=1e-3)
    report = bv.evaluate(models, walked()[8:], RULE, SHORT, rest, progress=False, noise_floor=1e-3)
    ends, forces = report.compare("dq_rest"), report.compare("force_mae")
    return still(
        bv.plotting.plot_error_plane(report),
        all=str(len(report.structures)),
        better=str(ends.judged - ends.worse),
        worse=str(forces.worse),
        ends_before=f"{ends.mean_before:.2f}",
        ends_after=f"{ends.mean_after:.3f}",
        times=f"{forces.ratio:.1f}",
    )


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
