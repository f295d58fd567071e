"""How the gradient goes back through a relaxation.

An adjoint drives a `Loop`: it decides which steps keep their graph and what happens in the backward
pass.

- `Full`, `Checkpointed`: through every step, exactly.
- `Truncated`: through the last few steps.
- `Implicit`: at the resting place itself, through no step at all.
- `Guided`: through the first few steps, and then at the resting place.

The first three do not change where a relaxation goes; the last two carry it on to rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bpttviz.iterate import Loop, Stop
from bpttviz.linear import GMRES, ConjugateGradient, Solution
from bpttviz.rules import FIRE, State
from bpttviz.zero_modes import ZeroModes


@dataclass(eq=False)
class Backward:
    """What a backward pass left behind; empty until there has been one.

    Attributes:
        sensitivity: step t → norm of dL/dX_t over the batch, where the gradient passed through
            (L in amu^½ Å makes this amu^½).
        solutions: what the linear solver of an implicit gradient reports.
    """

    sensitivity: dict[int, float] = field(default_factory=dict)
    solutions: list[Solution] = field(default_factory=list)

    def watch(self, state: State) -> State:
        """Note the gradient that will come back to these positions."""
        if state.positions.requires_grad:

            def note(gradient: Tensor) -> None:
                self.sensitivity[state.t] = float(gradient.norm())

            state.positions.register_hook(note)
        return state


class Driven(NamedTuple):
    """What driving a loop gives.

    Attributes:
        end: the last state; its positions carry the graph.
        backward: filled in when a gradient comes back.
        waypoints: (weight, positions (N, 3)): places on the way where a loss is to be taken too.
    """

    end: State
    backward: Backward
    waypoints: tuple[tuple[float, Tensor], ...] = ()


class ImplicitError(RuntimeError):
    """An implicit gradient that would mean nothing: not at rest, or its equations not solved."""


class ImplicitWarning(UserWarning):
    """An implicit gradient that was given in spite of an `ImplicitError`."""


@dataclass(frozen=True)
class Full:
    """Keep every step's graph: fastest, and memory grows with K (CHGNet: about 0.2 GB a step)."""

    def drive(self, loop: Loop) -> Driven:
        backward = Backward()
        state = backward.watch(loop.begin())
        for _ in range(loop.stop.steps):
            if loop.finished:
                break
            state = backward.watch(loop.advance(state, 1))
        return Driven(state, backward)


@dataclass(frozen=True)
class Checkpointed:
    """Keep positions only, and recompute each segment of ``every`` steps on the way back.

    The gradient is the same as `Full`'s. Peak memory is that of ``every`` steps plus a few hundred
    bytes an atom and step; time grows by one evaluation a step without graph.

    The first pass needs no second derivatives and is run without any graph. (PyTorch's own
    checkpoint runs it with ``create_graph`` on and, since forces are a derivative taken *inside*
    the segment, recomputes the energy within the forward pass too.)
    """

    every: int = 1

    def __post_init__(self):
        _require_whole("every", self.every)

    def drive(self, loop: Loop) -> Driven:
        start, backward = loop.begin(), Backward()
        path = record(loop, start, loop.stop.steps)
        if not torch.is_grad_enabled():
            return Driven(path[-1], backward)
        return Driven(_through(loop, path, start, self.every, backward), backward)


@dataclass(frozen=True)
class Truncated:
    """The gradient through each structure's last ``last`` steps only.

    Cheaper, and biased: at a quadratic minimum it is the share 1 - (1 - eta λ)^n of the full
    gradient in a mode of curvature λ (the oracle of its tests), so that soft modes hardly learn.
    It never reaches the start.
    """

    last: int = 5

    def __post_init__(self):
        _require_whole("last", self.last)

    def drive(self, loop: Loop) -> Driven:
        start, backward = loop.begin(), Backward()
        path = record(loop, start, loop.stop.steps)
        if not torch.is_grad_enabled():
            return Driven(path[-1], backward)
        # In a batch whose members stop at different steps each has its own last ones.
        cuts = (loop.steps - self.last).clamp(min=0)
        first = int(cuts.min())
        state = start if first == 0 else path[first]
        for before, after in zip(path[first:-1], path[first + 1 :], strict=True):
            cut = (cuts[loop.structures.owner] == before.t) & (before.t > 0)
            state = State(*(_detached(cut, x) for x in state[:2]), state.t)
            state = _through(loop, [before, after], state, 1, backward)
        return Driven(state, backward)


@dataclass(frozen=True)
class Implicit:
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
    rule: nn.Module = field(default_factory=FIRE)
    rest: Stop = field(default_factory=lambda: Stop(steps=500, fmax=0.005))
    strict: bool = True

    def __post_init__(self):
        if not self.damping >= 0:
            raise ValueError(f"damping must not be negative, got {self.damping}")
        if self.rest.fmax is None:
            raise ValueError("rest needs an fmax (eV/Å): otherwise nothing says what rest is")

    def drive(self, loop: Loop) -> Driven:
        backward = Backward()
        with torch.no_grad():
            state = loop.advance(loop.begin(), loop.stop.steps)
        return Driven(self.settle(loop, state, backward), backward)

    def settle(self, loop: Loop, state: State, backward: Backward) -> State:
        """Go on from ``state`` to rest, and attach the gradient there."""
        with torch.no_grad():
            state = loop.follow(state, self.rule, self.rest)
            state = loop.advance(state, self.rest.steps)
            state = State(state.positions.detach(), (), state.t)
        parameters = [p for p in loop.potential.parameters() if p.requires_grad]
        if not torch.is_grad_enabled() or not parameters:
            return state
        self._require_rest(loop, state)
        positions = _FixedPoint.apply(loop, self, backward, state.positions, *parameters)
        return backward.watch(state._replace(positions=positions))

    def _require_rest(self, loop: Loop, state: State) -> None:
        fmax = loop.measure(state).fmax
        moving = (fmax > self.rest.fmax) & ~loop.given_up
        if moving.any():
            worst = int(torch.where(moving, fmax, 0.0).argmax())
            self._complain(
                f"structure {worst} ({loop.structures.names[worst]}) is not at rest: its largest "
                f"force is {float(fmax[worst]):.2g} eV/Å after {int(loop.steps[worst])} steps, and "
                f"an implicit gradient was asked for at {self.rest.fmax:g} eV/Å. Allow more steps "
                "(rest=Stop(steps=..., fmax=...)), or choose another adjoint"
            )

    def _complain(self, message: str) -> None:
        if self.strict:
            raise ImplicitError(message + "; strict=False gives the gradient all the same")
        warnings.warn(message, ImplicitWarning, stacklevel=2)


@dataclass(frozen=True)
class Guided:
    """Through the first ``window`` steps, and implicitly at rest: w L(X_n) + L(X*).

    An implicit gradient polishes the basin that a relaxation ends in and cannot leave it; the loss
    on the end of a short unrolled window is what chooses the basin. (Unrolling *into* the fixed
    point instead would change nothing: dX*/dX_n = 0.) With weight 0 this is ``then`` alone.

    The two losses are added by whoever takes the loss: see ``waypoints`` of `Relaxation`.

    Args:
        window: n, steps differentiated through time; cut short where the relaxation is shorter.
        weight: w, of the loss at the window's end.
        then: how the resting place is differentiated.
    """

    window: int = 10
    weight: float = 1.0
    then: Implicit = field(default_factory=Implicit)

    def __post_init__(self):
        _require_whole("window", self.window)
        if not self.weight >= 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    def drive(self, loop: Loop) -> Driven:
        start, backward = loop.begin(), Backward()
        path = record(loop, start, min(self.window, loop.stop.steps))
        waypoints = ()
        if self.weight > 0:
            inside = path[-1]
            if torch.is_grad_enabled():
                inside = _through(loop, path, start, 1, backward)
            waypoints = ((self.weight, inside.positions),)
        with torch.no_grad():
            state = loop.advance(path[-1], loop.stop.steps - path[-1].t)
        return Driven(self.then.settle(loop, state, backward), backward, waypoints)


def record(loop: Loop, state: State, steps: int) -> list[State]:
    """Up to ``steps`` steps from ``state``, without a graph: all states, this one included."""
    with torch.no_grad():
        path = [State(*(_detached(None, x) for x in state[:2]), state.t)]
        for _ in range(steps):
            if loop.finished:
                break
            path.append(loop.advance(path[-1], 1))
    return path


def _through(loop: Loop, path: list[State], start: State, every: int, backward: Backward) -> State:
    """The recorded path's end as a differentiable function of ``start`` and the parameters."""
    parameters = [
        p for module in (loop.potential, loop.rule) for p in module.parameters() if p.requires_grad
    ]
    state = backward.watch(start)
    for first in range(0, len(path) - 1, every):
        after = path[min(first + every, len(path) - 1)]
        carried = _Segment.apply(
            loop, state.t, after, 1 + len(state.memory), state.positions, *state.memory, *parameters
        )
        state = backward.watch(State(carried[0], tuple(carried[1:]), after.t))
    return state


def replayed_gradient(
    loop: Loop, state: State, steps: int, incoming: Sequence[Tensor], parameters: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Replay recorded steps with a graph, and take a gradient back through them.

    Args:
        loop: which has made these steps.
        state: before them.
        steps: how many.
        incoming: gradient of the loss with respect to positions and memory after them.
        parameters: what else a gradient is wanted for.

    Returns:
        The gradient with respect to the positions and memory before, then to each parameter; None
        where there is no dependence.
    """
    with torch.enable_grad():
        carried = [x.detach().requires_grad_() for x in (state.positions, *state.memory)]
        after = loop.advance(State(carried[0], tuple(carried[1:]), state.t), steps)
        # What a rule decides without gradient (FIRE's time step) carries none.
        outputs, cotangents = zip(
            *(
                (x, g)
                for x, g in zip((after.positions, *after.memory), incoming, strict=True)
                if x.requires_grad
            ),
            strict=True,
        )
        return torch.autograd.grad(outputs, [*carried, *parameters], cotangents, allow_unused=True)


class _Segment(torch.autograd.Function):
    """Some recorded steps of a loop, replayed with a graph in the backward pass."""

    @staticmethod
    def forward(ctx, loop, first, after, n_state, *tensors):
        ctx.loop, ctx.first, ctx.made, ctx.n_state = loop, first, after.t - first, n_state
        # The parameters too: PyTorch then notices if they change before the replay.
        ctx.save_for_backward(*tensors)
        return tuple(x.clone() for x in (after.positions, *after.memory))

    @staticmethod
    @once_differentiable
    def backward(ctx, *incoming):
        tensors = ctx.saved_tensors
        state = State(tensors[0], tuple(tensors[1 : ctx.n_state]), ctx.first)
        gradients = replayed_gradient(ctx.loop, state, ctx.made, incoming, tensors[ctx.n_state :])
        return (None, None, None, None, *gradients)


class _FixedPoint(torch.autograd.Function):
    """Resting positions as a function of the potential's parameters."""

    @staticmethod
    def forward(ctx, loop, implicit, record, positions, *parameters):
        ctx.loop, ctx.implicit, ctx.record = loop, implicit, record
        ctx.save_for_backward(positions, *parameters)
        return positions.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming):
        loop, implicit = ctx.loop, ctx.implicit
        positions, *parameters = ctx.saved_tensors
        structures = loop.structures.with_positions(positions)
        internal = ZeroModes(structures, loop.potential)
        lost = loop.given_up[structures.owner][:, None]
        with torch.enable_grad():
            leaf = positions.clone().requires_grad_()
            forces = loop.predict(leaf).forces

        def product(vectors: Tensor) -> Tensor:
            # -(∂F/∂X)ᵀ u, one backward pass. No create_graph: nobody differentiates it further.
            (slope,) = torch.autograd.grad(
                forces, leaf, internal.remove(vectors), retain_graph=True
            )
            return implicit.damping * vectors - internal.remove(slope)

        solver = implicit.solver
        if solver is None:
            solver = ConjugateGradient() if loop.potential.conservative else GMRES()
        target = internal.remove(torch.where(lost, 0.0, incoming))
        solution = solver(product, target, structures.owner, len(structures))
        ctx.record.solutions.append(solution)
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


def _detached(where: Tensor | None, values):
    """``values`` (tensor or tuple of them) without a graph, for atoms (N,) in ``where`` or all."""
    if isinstance(values, tuple):
        return tuple(_detached(where, x) for x in values)
    if where is None:
        return values.detach()
    return torch.where(where.reshape(-1, *[1] * (values.ndim - 1)), values.detach(), values)


def _require_whole(name: str, value: int) -> None:
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
