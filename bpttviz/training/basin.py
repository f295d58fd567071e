"""`WithinBasin`: drawn starts from which the pretrained potential finds the reference end."""

from __future__ import annotations

import copy
from typing import Any

import torch

from bpttviz._checks import instance_of, positive, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, fingerprint_structures, specification
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import FIRE
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures
from bpttviz.training.draws import Draw
from bpttviz.training.starts import Starts


class WithinBasin(Starts):
    """Other starts, but for those that belong to another minimum, where the target would be wrong.

    A drawn start is brought to rest by the potential as it was before fine-tuning, and so is the
    reference's end; where the two rest apart the start is dropped: the structure is left out of
    that update, by name, and counted in the run's history (``left_out``). Each draw costs a
    relaxation, without gradient; small displacements rarely need it.

    Args:
        starts: where the draws come from.
        potential: before fine-tuning; a copy is kept.
        tolerance: ΔQ, amu^½ Å, up to which two places of rest are one.
        fmax: eV/Å; both are relaxed to it.
        max_steps: of FIRE; a draw that is not at rest by then is dropped too.

    Raises:
        TypeError, ValueError: an argument of another kind, or a number out of range.
    """

    def __init__(
        self,
        starts: Starts,
        potential: Potential,
        tolerance: float = 0.3,
        fmax: float = 0.02,
        max_steps: int = 300,
    ):
        self.starts = instance_of("starts", starts, Starts, "bv.AroundEnd()")
        self.potential = copy.deepcopy(
            instance_of("potential", potential, Potential, "bv.CHGNet()")
        ).requires_grad_(False)
        # What it computes from its weights, and these: read once, as they never change here.
        self.judge = {"potential": specification(potential), "weights": fingerprint(potential)}
        self.tolerance = positive("tolerance", tolerance)
        self.fmax, self.max_steps = positive("fmax", fmax), whole("max_steps", max_steps)
        self._ends: dict[str, Structures | None] = {}  # fingerprint of an end → where it rests

    def one(self, potential: Potential, reference: ReferenceRelaxation, draw: Draw) -> Structures:
        """A drawn start of one structure.

        Raises:
            StructureError: it lies in another basin, or the end itself does not come to rest.
        """
        start = self.starts.one(potential, reference, draw)
        end = self._resting_end(reference)
        if end is None:
            raise StructureError(
                "the pretrained potential does not bring the reference's end to rest, so that no "
                "start can be said to lead there",
                0,
                reference.name,
            )
        rest = self._at_rest(start)
        if rest is None or float(delta_q(rest, end, potential.places_matter)) > self.tolerance:
            raise StructureError(
                "a start was drawn from which the pretrained potential goes elsewhere than from "
                "the reference's end; it was dropped",
                0,
                reference.name,
            )
        return start

    def _resting_end(self, reference: ReferenceRelaxation) -> Structures | None:
        key = fingerprint_structures(reference.end)
        if key not in self._ends:
            self._ends[key] = self._at_rest(reference.end)
        return self._ends[key]

    def _at_rest(self, structure: Structures) -> Structures | None:
        """Where the pretrained potential brings it; None where it does not come to rest."""
        stop = StoppingCriterion(self.max_steps, self.fmax)
        with torch.no_grad():
            path = relax(self.potential, structure.to(self.potential.device), FIRE(), stop)
        arrived = not path.diverged and bool(path.converged.all())
        return path.final.to("cpu") if arrived else None

    def config(self) -> dict[str, Any]:
        """What the draws depend on."""
        return {
            "starts": self.starts,
            **self.judge,
            "tolerance": self.tolerance,
            "fmax": self.fmax,
            "max_steps": self.max_steps,
        }

    def __repr__(self) -> str:
        return f"WithinBasin({self.starts!r}, tolerance={self.tolerance:g})"
