"""A potential and relaxations in files, as a command line names them."""

import ase.io
import pytest
from springs import network
from taught import labelled, references

import bpttviz as bv


@pytest.fixture(scope="module")
def springs(tmp_path_factory):
    """A run on disk: the way to name a potential that has no name."""
    folder = tmp_path_factory.mktemp("run")
    bv.finetune(
        network(), references(1),
        bv.EndpointLoss(bv.GradientDescent(0.1), bv.StoppingCriterion(2)),
        epochs=1, learning_rate=1e-6, out=folder, progress=False,
    )  # fmt: skip
    return folder


@pytest.fixture
def trajectories(tmp_path):
    """Three relaxations with forces, as ASE trajectories."""
    files = []
    for reference in labelled(3, frames=4):
        files.append(tmp_path / f"{reference.name}.traj")
        ase.io.write(files[-1], reference.to_ase())
    return files
