"""Does the gradient live through a relaxation? Its size step by step, and what decides it.

The gradient comes back through a step of the map as through its Jacobian: each step multiplies it.
Near the resting place of gradient descent that Jacobian is 1 - eta H, so soft modes pass (factor
near 1), stiff ones vanish, and a step size beyond 2/λ_max makes both the relaxation and its
gradient explode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from ase import Atoms
from torch import Tensor

from bpttviz._checks import whole
from bpttviz._tensor_checks import gradients_enabled
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.arnoldi import outermost_eigenvalue
from bpttviz.relaxation.gradient_trace import follow_gradient
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.relaxation.zero_modes import ZeroModes
from bpttviz.structures import Structures

# A gradient that has shrunk to a hundredth teaches the early steps nothing; one that has grown
# tenfold is led by them, and by their rounding errors.
VANISHED, EXPLODED = 0.01, 10.0

# The spectral radius of a map that settles is below 1; rounding and soft modes need some room.
STABLE = 1.001


@dataclass(frozen=True, eq=False)
class GradientDiagnosis:
    """How the gradient of ΔQ fares on its way back through K steps of one relaxation.

    Attributes:
        name: of the structure.
        loss: ΔQ at the end, amu^½ Å.
        sensitivity: (K+1,) norm of dL/dX_t over the atoms that may move, amu^½, from the start
            (t = 0) to the end.
        contribution: (K,) norm of what step t alone adds to dL/dθ.
        spectral_radius: of the map's Jacobian at the end, zero modes projected out: the factor by
            which the slowest error shrinks (or the fastest grows) with a step.
        fmax: largest force at the end, eV/Å: the spectral radius describes the resting place only
            if this is small.
        negative_curvature: whether what grows fastest there does so along a negative curvature
            (a real eigenvalue above 1), at any step size.
    """

    name: str
    loss: float
    sensitivity: Tensor
    contribution: Tensor
    spectral_radius: float
    fmax: float
    negative_curvature: bool = False

    @property
    def steps(self) -> int:
        """K."""
        return len(self.contribution)

    @property
    def contraction(self) -> float:
        """Mean factor (geometric) by which a step changes the gradient passing back through it."""
        return float(self.sensitivity[0] / self.sensitivity[-1]) ** (1 / self.steps)

    @property
    def effective_horizon(self) -> int:
        """How many of the last steps hold 90 % of the contributions to dL/dθ."""
        shares = self.contribution.flip(0).cumsum(0) / self.contribution.sum()
        return int((shares < 0.9).sum()) + 1

    @property
    def verdict(self) -> str:
        """ "vanishing", "exploding", "healthy"; or "nothing to learn" without any gradient.

        "curved away" where the gradient has not grown, and a negative curvature at the end would
        let it grow with more steps.
        """
        found = verdict(self.sensitivity.tolist())
        if found == "nothing to learn" or not self.spectral_radius > STABLE:
            return found
        grew = not bool(self.sensitivity[0] <= self.sensitivity[-1]) or found == "exploding"
        return "curved away" if self.negative_curvature and not grew else "exploding"

    def describe(self) -> str:
        """The verdict, why, and what to do about it."""
        if self.verdict == "nothing to learn":
            return f"{self.name}: nothing to learn, the relaxation ends at the reference"
        first, last = float(self.sensitivity[0]), float(self.sensitivity[-1])
        horizon = self.effective_horizon
        advice = {
            "healthy": "every step takes part.",
            "vanishing": (
                f"early steps teach nothing. TruncatedBPTT(steps={horizon}) would cost less for "
                "nearly the same gradient; ImplicitAdjoint looks at the resting place alone."
            ),
            "exploding": "fewer steps tame it; so does a smaller step size, but not at a saddle.",
            "curved away": (
                "one curvature is negative, and more steps would let the gradient grow, whatever "
                "the step size; fewer steps keep it small."
            ),
        }
        fate = self.verdict + ": near a saddle" * (self.verdict == "curved away")
        return (
            f"{self.name}: {fate}. Back through {self.steps} steps the gradient goes from "
            f"{last:.3g} to {first:.3g} ({self.contraction:.3f} a step); the last {horizon} steps "
            f"hold 90 % of what θ learns from. At the end (fmax {self.fmax:.2g} eV/Å) the map's "
            f"spectral radius is {self.spectral_radius:.3f}: {advice[self.verdict]}"
        )

    def __repr__(self) -> str:
        return f"<GradientDiagnosis of {self.describe()}>"


def verdict(sensitivity: Sequence[float]) -> str:
    """ "vanishing", "exploding", "healthy" or "nothing to learn": what |dL/dX_t| from first to last
    step says, without a look at the map."""
    first, last, largest = sensitivity[0], sensitivity[-1], max(sensitivity)
    if last == 0:
        return "nothing to learn"
    if not all(map(math.isfinite, sensitivity)) or largest > EXPLODED * last:
        return "exploding"
    return "vanishing" if first < VANISHED * last else "healthy"


@gradients_enabled()
def diagnose_gradient(
    potential: Potential,
    start: Structures | Atoms,
    end: Structures | Atoms,
    rule: UpdateRule | None = None,
    stop: StoppingCriterion | None = None,
    iterations: int = 40,
) -> GradientDiagnosis:
    """Follow the gradient of ΔQ(X_K, end) back through one relaxation, step by step, by hand.

    The time is that of one `CheckpointedBPTT` gradient, and one backward pass an iteration.

    Args:
        potential, start, rule, stop: as in `relax`; one structure. However far its atoms are
            thrown, they are followed, as long as numbers are finite.
        end: the reference end, the same atoms.
        iterations: of the Arnoldi process behind the spectral radius.

    Raises:
        TypeError: an argument that is something else.
        ValueError: more than one structure; iterations below 1.
        StructureError: start and end are not the same atoms; or the start cannot be evaluated.
        RuntimeError: the relaxation diverged: there is no end to look back from.
    """
    iterations = whole("iterations", iterations)
    followed = follow_gradient(potential, start, end, rule, stop)
    loop, last = followed.loop, followed.path[-1]
    outermost = _eigenvalue_at(loop, last, iterations)
    return GradientDiagnosis(
        name=loop.structures.names[0],
        loss=followed.loss,
        sensitivity=followed.gradients.flatten(1).norm(dim=1).cpu(),
        contribution=followed.contribution.cpu(),
        spectral_radius=abs(outermost),
        fmax=float(loop.measure(last).fmax[0]),
        negative_curvature=outermost.real > STABLE and outermost.imag == 0,
    )


def _eigenvalue_at(loop: Loop, state: State, iterations: int) -> complex:
    """Outermost eigenvalue of one step's Jacobian at ``state``, zero modes projected out.

    Unprojected it is never below 1: a translated structure stays translated. Only what belongs to
    atoms and has a direction takes part (positions, velocities).
    """
    structures = loop.structures.with_positions(state.positions)
    internal = ZeroModes(structures, loop.potential)
    chosen = [k for k in range(1 + len(state.per_atom)) if state.tensors[k].shape[1:] == (3,)]
    with torch.enable_grad():
        tensors = [x.detach() for x in state.tensors]
        inputs = [tensors[k].requires_grad_() for k in chosen]
        forces = torch.where(~structures.fixed[:, None], loop.predict(inputs[0]).forces, 0.0)
        # One more step of the same kind; with a list of step sizes, its last.
        here = replace(state.with_tensors(tensors), step=max(0, state.step - 1))
        after = loop.rule.step(here, forces).tensors
        outputs = [(place, after[k]) for place, k in enumerate(chosen) if after[k].requires_grad]

    def clean(vectors: Sequence[Tensor]) -> Tensor:
        """(N, 3 × parts): vectors without zero modes, side by side."""
        return torch.cat([internal.remove(v) for v in vectors], 1)

    def transposed(u: Tensor) -> Tensor:
        """Jᵀ u: it has the eigenvalues of J, and is one backward pass."""
        parts = clean(u.split(3, dim=1)).split(3, dim=1)
        gradients = torch.autograd.grad(
            [x for _, x in outputs],
            inputs,
            [parts[place] for place, _ in outputs],
            retain_graph=True,
            allow_unused=True,
        )
        return clean(
            [
                torch.zeros_like(x) if g is None else g
                for g, x in zip(gradients, inputs, strict=True)
            ]
        )

    draw = torch.Generator().manual_seed(0)
    shape = (len(state.positions), 3 * len(chosen))
    random = torch.randn(shape, generator=draw, dtype=torch.float64).to(state.positions)
    start = clean(random.split(3, dim=1))
    found = outermost_eigenvalue(transposed, start, structures.structure_index, 1, iterations)
    return complex(found[0])
