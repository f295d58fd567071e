"""Relaxations of a hidden spring network, and what tests of training have in common."""

import signal

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from springs import network

import bpttviz as bv

SETTINGS = {"epochs": 3, "learning_rate": 0.02, "progress": False}


def references(count=6, seed=0):
    """Relaxations of a hidden spring network: a learner with other springs can be taught them."""
    truth = network(seed=2)
    rng = np.random.default_rng(seed)
    made = []
    while len(made) < count:
        start = Atoms(["Si", "Ge", "C", "O"], positions=2 * rng.normal(size=(4, 3)))
        positions = torch.tensor(start.positions)
        end = start.copy()
        end.positions = truth.rest_positions(positions).detach().numpy()
        if np.linalg.norm(end.positions - start.positions, axis=1).max() > 3.9:
            continue  # too far to be taken for a relaxation
        number = len(made)
        made.append(bv.ReferenceRelaxation.from_ase(f"r{number}", [start, end], f"g{number}"))
    return bv.RelaxationDataset(made)


def labelled(count=4, frames=9, teacher=None):
    """The relaxations of test_finetune with the teacher's forces along a straight way."""
    teacher = network(seed=2) if teacher is None else teacher
    made = []
    for reference in references(count):
        path = []
        for share in np.linspace(0, 1, frames):
            between = torch.lerp(reference.start.positions, reference.end.positions, float(share))
            structures = reference.start.with_positions(between)
            with torch.no_grad():
                energy, forces = teacher(structures)
            (atoms,) = structures.to_ase()
            atoms.calc = SinglePointCalculator(atoms, energy=float(energy), forces=forces.numpy())
            path.append(atoms)
        made.append(bv.ReferenceRelaxation.from_ase(reference.name, path, reference.group))
    return bv.RelaxationDataset(made)


def objective(learnable=False):
    return bv.EndpointLoss(
        bv.GradientDescent(0.1, max_step=None, learnable=learnable), bv.StoppingCriterion(15)
    )


def weights(potential):
    return torch.cat([p.detach().reshape(-1) for p in potential.parameters()])


def interrupt_after(updates):
    def hook(run):
        if len(run.history) == updates:
            signal.raise_signal(signal.SIGINT)

    return hook
