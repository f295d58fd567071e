"""Results as an evaluation gives them, without one; and a potential that runs away."""

import torch

from bpttviz.evaluation.metrics import StructureResult
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential, Prediction


def row(structure, potential, rest, force, basin="same"):
    return StructureResult(
        structure=structure,
        group=structure,
        potential=potential,
        dq_start=4,
        dq_k=rest + 0.1,
        dq_rest=rest,
        dq_k_rest=0.2,
        rmsd_k=0.1,
        rmsd_rest=0.1,
        fmax_k=0.01,
        rest_steps=9,
        rest_converged=True,
        basin=basin,
        force_mae=force,
        force_slope=0.9,
        force_cosine=0.99,
    )


class Explodes(Potential):
    def forward(self, structures):
        x = structures.positions
        forces = torch.where(x.norm(dim=1, keepdim=True) > 8, torch.nan, 3 * x)
        return Prediction(
            segment_sum(x.sum(1), structures.structure_index, len(structures)), forces
        )
