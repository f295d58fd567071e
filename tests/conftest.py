"""Results to draw, made once by the real code."""

import os
import warnings
from dataclasses import replace

import browser
import pytest
import torch
from ase import Atoms

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.relaxation.loop import Divergence
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import Structures


def pytest_collection_modifyitems(items):
    """Notebooks, a minute each, come early: half of them first and half in the middle.

    Processes begin at the beginnings of equal parts of the list. Left to the end, where a single
    process had them all, they kept the others waiting.
    """
    notebooks = [item for item in items if item.path.parent.name == "notebooks"]
    others = [item for item in items if item.path.parent.name != "notebooks"]
    half = len(others) // 2
    items[:] = notebooks[::2] + others[:half] + notebooks[1::2] + others[half:]


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; the test is skipped loudly where there is none, and fails in CI."""
    if browser.find_chromium() is None:
        message = "no Chromium on this machine: NOTHING IS TESTED IN A BROWSER"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message + " (CI must have one; or set CHROMIUM to its path)")
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    with browser.chromium() as running:
        yield running


def with_two_frames(reference):
    labels = reference.trajectory
    parts = {name: getattr(labels, name)[[0, 15]] for name in ("positions", "energy", "forces")}
    return replace(reference, trajectory=replace(labels, **parts))


@pytest.fixture(scope="session")
def tiny_report():
    """CHGNet against CHGNet with disturbed weights: two silicon defects, three steps."""
    references = bv.load_dataset("si-defects").all[:2]
    # Two labelled frames are enough for a force error, and save time.
    references = bv.RelaxationDataset([with_two_frames(r) for r in references])
    disturbed = bv.CHGNet()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in disturbed.parameters():
            weight += 0.002 * weight.abs().mean() * torch.randn(weight.shape, generator=draw)
    return bv.evaluate(
        {"pretrained": bv.CHGNet(), "disturbed": disturbed},
        references,
        bv.GradientDescent(0.04),  # short steps, so that a way to rest is left
        bv.StoppingCriterion(max_steps=3),
        bv.Relaxer(fmax=0.25, max_steps=30),  # near enough to rest for a picture
        progress=False,
    )


@pytest.fixture
def diverged_report(tiny_report):
    """The tiny report with the second potential's path given up at step 1."""
    key = ("disturbed", tiny_report.structures[0])
    lost = tiny_report.relaxations[key]
    records = {
        name: getattr(lost, name).clone() for name in ("trajectory", "forces", "energy", "fmax")
    }
    records["trajectory"][2:] = torch.nan
    for name in ("forces", "energy", "fmax"):
        records[name][1:] = torch.nan
    lost = replace(lost, diverged={0: Divergence(1, "the step is not finite")}, **records)
    unmeasured = dict.fromkeys(("dq_k", "dq_rest", "dq_k_rest"), float("nan"))
    rows = [
        replace(row, **unmeasured, rest_converged=False, diverged="step 1: the step is not finite")
        if (row.potential, row.structure) == key
        else row
        for row in tiny_report.rows
    ]
    return Report(rows, {**tiny_report.relaxations, key: lost}, tiny_report.references)


@pytest.fixture
def single_atom_report(tiny_report):
    """One atom, and paths of a single frame: the least that can be shown."""
    atoms = Atoms("Si", positions=[[1.0, 2.0, 3.0]], cell=[4, 4, 4], pbc=True)
    start = Structures.from_ase(atoms, ["atom"])
    still = Relaxation(
        start=start,
        final=start,
        trajectory=start.positions[None],
        energy=torch.zeros(1, 1),
        forces=torch.zeros(1, 1, 3),
        fmax=torch.zeros(1, 1),
        steps=torch.zeros(1, dtype=torch.int64),
        converged=torch.ones(1, dtype=torch.bool),
        diverged={},
    )
    row = replace(tiny_report.rows[0], structure="atom", dq_k=0.0, dq_rest=0.0)
    names = ("before", "after")
    return Report(
        [replace(row, potential=name) for name in names],
        {(name, "atom"): still for name in names},
        {"atom": start},
    )
