"""Does the gradient live through a relaxation? Its size step by step, and what decides it.

The gradient comes back through a step of the map as through its Jacobian: each step multiplies it.
Near the resting place of gradient descent that Jacobian is 1 - eta H, so soft modes pass (factor
near 1), stiff ones fade, and a step size beyond 2/λ_max makes both the relaxation and its gradient
explode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from ase import Atoms
from torch import Tensor

from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import record, replayed_gradient
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import GradientDescent, State
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
        sensitivity: (K+1,) norm of dL/dX_t, amu^½, from the start (t = 0) to the end.
        contribution: (K,) norm of what step t alone adds to dL/dθ.
        spectral_radius: of the map's Jacobian at the end, zero modes projected out: the factor by
            which the slowest error shrinks (or the fastest grows) with a step.
        fmax: largest force at the end, eV/Å: the spectral radius describes the resting place only
            if this is small.
    """

    name: str
    loss: float
    sensitivity: Tensor
    contribution: Tensor
    spectral_radius: float
    fmax: float

    @property
    def steps(self) -> int:
        """K."""
        return len(self.contribution)

    @property
    def contraction(self) -> float:
        """Mean factor (geometric) by which a step changes the gradient passing back through it."""
        return float(self.sensitivity[0] / self.sensitivity[-1]) ** (1 / self.steps)

    @property
    def reach(self) -> int:
        """How many of the last steps hold 90 % of the contributions to dL/dθ."""
        shares = self.contribution.flip(0).cumsum(0) / self.contribution.sum()
        return int((shares < 0.9).sum()) + 1

    @property
    def verdict(self) -> str:
        """ "fading", "exploding", "healthy"; or "nothing to learn" without any gradient."""
        found = verdict(self.sensitivity.tolist())
        if found != "nothing to learn" and self.spectral_radius > STABLE:
            return "exploding"
        return found

    def describe(self) -> str:
        """The verdict, why, and what to do about it."""
        if self.verdict == "nothing to learn":
            return f"{self.name}: nothing to learn, the relaxation ends at the reference"
        first, last = float(self.sensitivity[0]), float(self.sensitivity[-1])
        text = (
            f"{self.name}: {self.verdict}. Back through {self.steps} steps the gradient goes from "
            f"{last:.3g} to {first:.3g} ({self.contraction:.3f} a step); the last {self.reach} "
            f"steps hold 90 % of what θ learns from. At the end (fmax {self.fmax:.2g} eV/Å) the "
            f"map's spectral radius is {self.spectral_radius:.3f}"
        )
        return (
            text
            + {
                "healthy": ": every step takes part.",
                "fading": (
                    f": early steps teach nothing. TruncatedBPTT(steps={self.reach}) would cost less "
                    "for nearly the same gradient; Implicit looks at the resting place alone."
                ),
                "exploding": ": a smaller step size, or fewer steps, tames it.",
            }[self.verdict]
        )

    def __repr__(self) -> str:
        return f"<GradientDiagnosis of {self.describe()}>"


def verdict(sensitivity: Sequence[float]) -> str:
    """ "fading", "exploding", "healthy" or "nothing to learn": what |dL/dX_t| from first to last
    step says, without a look at the map."""
    first, last, largest = sensitivity[0], sensitivity[-1], max(sensitivity)
    if last == 0:
        return "nothing to learn"
    if not all(map(math.isfinite, sensitivity)) or largest > EXPLODED * last:
        return "exploding"
    return "fading" if first < VANISHED * last else "healthy"


def diagnose_gradient(
    potential: Potential,
    start: Structures | Atoms,
    end: Structures | Atoms,
    rule=None,
    stop: StoppingCriterion | None = None,
    iterations: int = 40,
) -> GradientDiagnosis:
    """Follow the gradient of ΔQ(X_K, end) back through one relaxation, step by step, by hand.

    The time is that of one `CheckpointedBPTT` gradient, and one backward pass an iteration.

    Args:
        potential, start, rule, stop: as in `relax`; one structure.
        end: the reference end, the same atoms.
        iterations: of the Arnoldi process behind the spectral radius.

    Raises:
        ValueError: more than one structure.
        StructureError: start and end are not the same atoms; or the start cannot be evaluated.
        RuntimeError: the relaxation diverged: there is no end to look back from.
    """
    rule = GradientDescent() if rule is None else rule
    stop = StoppingCriterion() if stop is None else stop
    start, end = (
        (x if isinstance(x, Structures) else Structures.from_ase(x)).to(potential.device)
        for x in (start, end)
    )
    if len(start) != 1:
        raise ValueError(f"one structure at a time can be diagnosed, got {len(start)}")
    loop = Loop(potential, start, rule, stop)
    path = record(loop, loop.begin(), stop.max_steps)
    if loop.diverged:
        lost = loop.diverged[0]
        raise RuntimeError(
            f"{start.names[0]} diverged at step {lost.step} ({lost.cause}): no gradient to "
            "follow; a smaller step size or max_step may help"
        )
    leaf = path[-1].positions.clone().requires_grad_()
    with torch.enable_grad():
        loss = delta_q(start.with_positions(leaf), end).sum()
        (cotangent,) = torch.autograd.grad(loss, leaf)
    parameters = [p for p in potential.parameters() if p.requires_grad]
    incoming = [cotangent, *(torch.zeros_like(x) for x in path[-1].memory)]
    sensitivity, contribution = [cotangent.norm()], []
    for state in reversed(path[:-1]):
        gradients = replayed_gradient(loop, state, 1, incoming, parameters)
        size = 1 + len(state.memory)
        incoming = [
            torch.zeros_like(x) if g is None else g
            for g, x in zip(gradients[:size], (state.positions, *state.memory), strict=True)
        ]
        sensitivity.append(incoming[0].norm())
        norms = [g.norm().to(cotangent.dtype) for g in gradients[size:] if g is not None]
        contribution.append(torch.stack(norms).norm() if norms else cotangent.new_zeros(()))
    return GradientDiagnosis(
        name=start.names[0],
        loss=float(loss.detach()),
        sensitivity=torch.stack(sensitivity[::-1]).cpu(),
        contribution=torch.stack(contribution[::-1]).cpu(),
        spectral_radius=_radius_at(loop, path[-1], iterations),
        fmax=float(loop.measure(path[-1]).fmax[0]),
    )


def _radius_at(loop: Loop, state: State, iterations: int) -> float:
    """Spectral radius of one step's Jacobian at ``state``, zero modes projected out.

    Unprojected it is never below 1: a translated structure stays translated.
    """
    structures = loop.structures.with_positions(state.positions)
    internal = ZeroModes(structures, loop.potential)
    free = ~structures.fixed[:, None]
    with torch.enable_grad():
        inputs = [x.detach().requires_grad_() for x in (state.positions, *state.memory)]
        forces = torch.where(free, loop.predict(inputs[0]).forces, 0.0)
        # One more step of the same kind; with a list of step sizes, its last.
        after = loop.rule.step(State(inputs[0], tuple(inputs[1:]), max(0, state.t - 1)), forces)
        outputs = [x for x in (after.positions, *after.memory) if x.requires_grad]
        kept = [x.requires_grad for x in (after.positions, *after.memory)]

    def clean(vectors: list[Tensor]) -> list[Tensor]:
        """Vectors without zero modes; memory that is not a vector does not move atoms."""
        return [internal.remove(v) if v.ndim == 2 else torch.zeros_like(v) for v in vectors]

    sizes = [x.numel() for x in inputs]

    def transposed(flat: Tensor) -> Tensor:
        """Jᵀ u: it has the eigenvalues of J, and is one backward pass."""
        vectors = clean(
            [v.reshape(x.shape) for v, x in zip(flat.split(sizes), inputs, strict=True)]
        )
        cotangents = [v for v, keep in zip(vectors, kept, strict=True) if keep]
        gradients = torch.autograd.grad(
            outputs, inputs, cotangents, retain_graph=True, allow_unused=True
        )
        found = [
            torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)
        ]
        return torch.cat([v.reshape(-1) for v in clean(found)])

    draw = torch.Generator().manual_seed(0)
    random = torch.randn(sum(sizes), generator=draw, dtype=torch.float64).to(inputs[0])
    vectors = clean([v.reshape(x.shape) for v, x in zip(random.split(sizes), inputs, strict=True)])
    return spectral_radius(transposed, torch.cat([v.reshape(-1) for v in vectors]), iterations)


def spectral_radius(product: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> float:
    """Largest |eigenvalue| of a matrix known by its products, from an Arnoldi basis.

    A power iteration that forgets nothing: the same products, far fewer of them where eigenvalues
    lie close together, and pairs of complex ones (momentum makes them) do no harm. Zero where
    ``start`` is.
    """
    size = float(start.norm())
    if size == 0:
        return 0.0
    basis = [start / size]
    hessenberg = torch.zeros(iterations + 1, iterations, dtype=torch.float64)
    for k in range(iterations):
        image = product(basis[-1])
        for _ in range(2):  # once loses orthogonality
            for i, q in enumerate(basis):
                overlap = q @ image
                hessenberg[i, k] += overlap.cpu()
                image = image - overlap * q
        length = float(image.norm())
        if length < 1e-10:  # the basis holds an invariant subspace: nothing more to find
            hessenberg = hessenberg[: k + 2, : k + 1]
            break
        hessenberg[k + 1, k] = length
        basis.append(image / length)
    square = hessenberg[: hessenberg.shape[1]]
    return float(torch.linalg.eigvals(square).abs().max())
