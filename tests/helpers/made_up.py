"""Reports made up without any potential: relaxations of any size, ending in any way."""

from dataclasses import replace

import numpy as np
import torch
from ase.build import bulk

from bpttviz.evaluation.metrics import StructureResult
from bpttviz.evaluation.report import Report
from bpttviz.relaxation.loop import Divergence
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import Structures

POTENTIALS = ("pretrained", "fine-tuned")

# Errors before, after force matching, and after one and two epochs of BPTT: (eV/Å, amu^½ Å).
WAYS = [
    ((0.05, 1.0), (0.03, 0.9), (0.06, 0.7), (0.08, 0.4)),
    ((0.06, 0.8), (0.04, 0.9), (0.07, 0.6), (0.07, 0.3)),
    ((0.04, 2.0), (0.03, 1.9), (0.05, 1.2), (0.06, 0.9)),
]
NAMES = {2: ("before", "after"), 4: ("before", "forces", "epoch 1", "epoch 2")}


def errors(points, noise_floor=None):
    """A report of errors without paths: for each structure (force, endpoint) before and after.

    Four pairs in place of two are those of `WAYS`.
    """
    rows = []
    for number, pair in enumerate(points):
        for potential, (force, endpoint) in zip(NAMES[len(pair)], pair, strict=True):
            values = dict.fromkeys(StructureResult.__dataclass_fields__, float("nan"))
            values |= {
                "structure": f"s{number}", "group": f"g{number}", "potential": potential,
                "basin": "same",
                "dq_k": endpoint + 0.1, "dq_rest": endpoint, "force_mae": force,
                "rest_converged": bool(np.isfinite(endpoint)), "diverged": "",
            }  # fmt: skip
            rows.append(StructureResult(**values))
    return Report(rows, {}, {}, noise_floor=noise_floor)


def report(cells=2, steps=60, lost=None, strain=0.0, seed=0, names=("made-up",)):
    """A silicon crystal with one phosphorus atom that goes back to its place, nearly.

    Args:
        cells: cubic cells along each edge: 2 make 64 atoms, 4 make 512.
        steps: of both relaxations.
        lost: the step at which the second one is given up.
        strain: of the reference's cell against the start's.
        names: of the structures.
    """
    draw = np.random.default_rng(seed)
    rows, relaxations, references = [], {}, {}
    for name in names:
        end = bulk("Si", cubic=True) * (cells, cells, cells)
        end.symbols[len(end) // 2] = "P"
        kick = draw.normal(0, 0.12, end.positions.shape)
        for quality, potential in zip((0.25, 0.1), POTENTIALS, strict=True):
            left = quality + (1 - quality) * np.exp(-np.arange(steps + 1) / max(steps / 6, 1))
            trajectory = torch.as_tensor(end.positions + left[:, None, None] * kick)
            made = _relaxation(end, trajectory, torch.as_tensor(left), name)
            if lost is not None and potential == POTENTIALS[1]:
                made = _given_up(made, lost)
            relaxations[potential, name] = made
            rows.append(_row(name, potential, quality, made))
        strained = end.copy()
        strained.set_cell(end.cell.array * (1 + strain), scale_atoms=True)
        references[name] = Structures.from_ase(strained, [name], check=False)
    return Report(rows, relaxations, references, noise_floor=0.1)


def _relaxation(end, trajectory, left, name) -> Relaxation:
    start = Structures.from_ase(end, [name], check=False).with_positions(trajectory[0])
    return Relaxation(
        start=start,
        final=start.with_positions(trajectory[-1]),
        trajectory=trajectory,
        energy=3 * left[:, None] ** 2 - 300,
        forces=torch.zeros_like(trajectory),
        fmax=2 * left[:, None],
        steps=torch.tensor([len(left) - 1]),
        converged=torch.tensor([False]),
        diverged={},
    )


def _given_up(made: Relaxation, step: int) -> Relaxation:
    records = {key: getattr(made, key).clone() for key in ("trajectory", "energy", "fmax")}
    records["trajectory"][step + 1 :] = torch.nan
    for key in ("energy", "fmax"):
        records[key][step:] = torch.nan
    return replace(made, diverged={0: Divergence(step, "the step is not finite")}, **records)


def _row(name, potential, quality, made) -> StructureResult:
    at_rest = float("nan") if made.diverged else 8 * quality
    return StructureResult(
        structure=name, group=name, potential=potential, dq_start=8.0, dq_k=at_rest,
        dq_rest=at_rest, dq_k_rest=0.1, rmsd_k=0.1, rmsd_rest=0.1, fmax_k=0.1, rest_steps=5,
        rest_converged=not made.diverged, basin="same", force_mae=0.1, force_slope=1.0,
        force_cosine=1.0, diverged=str(made.diverged.get(0, "")),
    )  # fmt: skip
