"""The gradient of a resting place, from the equations that hold there; through no step at all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz._checks import flag, instance_of, not_negative
from bpttviz.relaxation.adjoints.base import Adjoint, AdjointResult, BackwardRecord
from bpttviz.relaxation.linear_solvers import GMRES, ConjugateGradient
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import FIRE, UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.relaxation.zero_modes import ZeroModes


class ImplicitError(RuntimeError):
    """An implicit gradient that would mean nothing: not at rest, or its equations not solved."""


class ImplicitWarning(UserWarning):
    """An implicit gradient that was given in spite of an `ImplicitError`."""


@dataclass(frozen=True)
class ImplicitAdjoint(Adjoint):
    """The gradient of the resting place itself: no step is differentiated, memory is that of one.

    At rest F(X*, θ) = 0, so dX*/dθ = H⁻¹ ∂F/∂θ with the Hessian H = -∂F/∂X. With Hᵀλ = ∂L/∂X* the
    gradient of a loss is λᵀ ∂F/∂θ. Products with Hᵀ are backward passes through one force graph;
    zero modes (`ZeroModes`) are projected out of both sides.

    The relaxation first follows the rule and stop given to `relax`, then goes on to rest by a rule
    of its own. Neither the start, nor the path, nor the step size gets any gradient: at an exact
    fixed point their influence is zero, but for the choice of basin, which no derivative sees.

    Args:
        solver: `ConjugateGradient` by default, `GMRES` for a potential that is not conservative.
        damping: eV/Å², added to the Hessian; tames soft modes, and biases what they learn.
        rule: how to reach rest; `FIRE` by default.
        rest: what rest is; it needs an ``fmax``.
        strict: refuse to give a gradient where a structure is not at rest or its equations are not
            solved. Otherwise warn, and give what there is (as truncated Newton methods do).

    Raises:
        ImplicitError: (from `relax`) not at rest; (from the backward pass) no solution.
    """

    solver: ConjugateGradient | GMRES | None = None
    damping: float = 0.0
    rule: UpdateRule = field(default_factory=FIRE)
    rest: StoppingCriterion = field(
        default_factory=lambda: StoppingCriterion(max_steps=500, fmax=0.005)
    )
    strict: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "damping", not_negative("damping", self.damping))
        object.__setattr__(self, "strict", flag("strict", self.strict))
        instance_of("rule", self.rule, UpdateRule, "bv.FIRE()")
        instance_of("rest", self.rest, StoppingCriterion, "bv.StoppingCriterion(500, fmax=0.005)")
        if self.solver is not None and not isinstance(self.solver, (ConjugateGradient, GMRES)):
            raise TypeError(
                f"solver must be None, bv.ConjugateGradient() or bv.GMRES(), got {self.solver!r}"
            )
        if self.rest.fmax is None:
            raise ValueError("rest needs an fmax (eV/Å): otherwise nothing says what rest is")

    def drive(self, loop: Loop) -> AdjointResult:
        """The steps asked for and on to rest, without a graph; then the gradient there."""
        backward = BackwardRecord.of(loop)
        with torch.no_grad():
            state = loop.advance(loop.begin(), loop.stop.max_steps)
        return AdjointResult(self.settle(loop, state, backward), backward)

    def settle(self, loop: Loop, state: State, backward: BackwardRecord) -> State:
        """Go on from ``state`` to rest, and attach the gradient there."""
        with torch.no_grad():
            state = loop.switch_rule(state, self.rule, self.rest)
            state = loop.advance(state, self.rest.max_steps)
            state = State(state.positions.detach(), state.structure_index, step=state.step)
        parameters = [p for p in loop.potential.parameters() if p.requires_grad]
        if not torch.is_grad_enabled() or not parameters:
            return state
        self._require_rest(loop, state)
        positions = _FixedPoint.apply(loop, self, backward, state.positions, *parameters)
        return backward.attach_hook(state.with_tensors([positions]))

    def _require_rest(self, loop: Loop, state: State) -> None:
        fmax, limit = loop.measure(state).fmax, self.rest.fmax or 0.0
        moving = (fmax > limit) & ~loop.diverged
        if moving.any():
            worst = int(torch.where(moving, fmax, 0.0).argmax())
            self._complain(
                f"structure {worst} ({loop.structures.names[worst]}) is not at rest: its largest "
                f"force is {float(fmax[worst]):.2g} eV/Å after {int(loop.steps[worst])} steps, and "
                f"an implicit gradient was asked for at {limit:g} eV/Å. Allow more steps "
                "(rest=StoppingCriterion(max_steps=..., fmax=...)), or choose another adjoint"
            )

    def _complain(self, message: str) -> None:
        if self.strict:
            raise ImplicitError(message + "; strict=False gives the gradient all the same")
        warnings.warn(message, ImplicitWarning, stacklevel=2)


class _FixedPoint(torch.autograd.Function):
    """Resting positions as a function of the potential's parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        loop: Loop,
        implicit: ImplicitAdjoint,
        backward: BackwardRecord,
        positions: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.loop, ctx.implicit, ctx.backward = loop, implicit, backward
        ctx.save_for_backward(positions, *parameters)
        return positions.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        loop, implicit = ctx.loop, ctx.implicit
        positions, *parameters = ctx.saved_tensors
        structures = loop.structures.with_positions(positions)
        internal = ZeroModes(structures, loop.potential)
        lost = loop.diverged[structures.structure_index][:, None]
        with torch.enable_grad():
            leaf = positions.clone().requires_grad_()
            forces = loop.predict(leaf).forces

        def matvec(vectors: Tensor) -> Tensor:
            # -(∂F/∂X)ᵀ u, one backward pass. No create_graph: nobody differentiates it further.
            (slope,) = torch.autograd.grad(
                forces, leaf, internal.remove(vectors), retain_graph=True
            )
            return implicit.damping * vectors - internal.remove(slope)

        solver = implicit.solver
        if solver is None:
            solver = ConjugateGradient() if loop.potential.conservative else GMRES()
        target = internal.remove(torch.where(lost, 0.0, incoming))
        solution = solver(matvec, target, structures.structure_index, len(structures))
        ctx.backward.solutions.append(solution)
        for index, failure in solution.failures.items():
            implicit._complain(
                f"structure {index} ({structures.names[index]}): no implicit gradient, {failure}. "
                + _advice(failure)
            )
        gradients = torch.autograd.grad(
            forces, parameters, internal.remove(solution.x), allow_unused=True
        )
        return (None, None, None, None, *gradients)


def _advice(failure: str) -> str:
    if "curvature" in failure:
        return "It rests on a saddle: displace its start a little, or add damping"
    return "Allow the solver more iterations, a larger tolerance, or add damping"
