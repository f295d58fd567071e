"""How each part of the contract is measured: the deviation found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from torch import Tensor

from bpttviz.potentials.base import Prediction
from bpttviz.potentials.conformance.context import (
    TENSORS,
    CheckContext,
    CheckFailed,
    NotApplicable,
    copy_of,
)
from bpttviz.structures import StructureError, Structures

SPACE = 40.0  # Å; layers this far apart do not feel each other
BEYOND = 1e6  # a second derivative (eV/Å² and the like) larger than this is a rounded infinity


def _difference(found: Prediction, expected: Prediction) -> float:
    """The larger of the deviations of energy (eV) and forces (eV/Å)."""
    energy = (found.energy - expected.energy).abs().max()
    forces = (found.forces - expected.forces).abs().max()
    return float(torch.maximum(energy, forces))


def output(context: CheckContext) -> float:
    """Number of values of energy and forces that are not finite."""
    structures = context.structures
    prediction = context.at(structures.positions)
    for name, value in prediction._asdict().items():  # of which the base class knows the shapes
        if value.dtype != structures.dtype:
            raise CheckFailed(
                f"{name} is {value.dtype} while positions are {structures.dtype}; convert results "
                "back, value.to(structures.dtype), however the network computes"
            )
    bad = sum(int((~torch.isfinite(value)).sum()) for value in prediction)
    return float(bad)


def input_left_alone(context: CheckContext) -> float:
    """0: the structures handed over are as they were."""
    structures = context.structures
    handed = copy_of(structures)
    context.potential(handed)
    changed = [f for f in TENSORS if not torch.equal(getattr(handed, f), getattr(structures, f))]
    if handed.positions.requires_grad:
        changed.append("positions.requires_grad")
    if changed:
        raise CheckFailed(
            f"it changed {' and '.join(changed)} of the structures it was given; something inside "
            "writes into the tensors it gets (+=, requires_grad_): hand the model a copy"
        )
    return 0.0


def energy_slope(context: CheckContext) -> float:
    """Forces against the slope of the energy along a random direction, eV/Å."""
    ahead, behind = context.along[0]
    expected = (behind.energy - ahead.energy) / (2 * context.precision.step)
    found = context.per_structure((context.here.forces * context.random(0)).sum(1))
    return float((found - expected).abs().max())


def curl(context: CheckContext) -> float:
    """Asymmetry of the forces' Jacobian, relative."""
    first, second = context.force_slope(0), context.force_slope(1)
    asymmetry = ((first * context.random(1)).sum() - (second * context.random(0)).sum()).abs()
    return float(asymmetry / (first.norm() + second.norm() + 1e-3))


def net_force(context: CheckContext) -> float:
    """The largest net force on a structure, eV/Å."""
    return float(context.per_structure(context.here.forces).abs().max())


def translation(context: CheckContext) -> float:
    """Change under a rigid translation, eV and eV/Å."""
    step = context.structures.positions.new_tensor([0.37, -0.21, 0.53])
    return _difference(context.at(context.structures.positions + step), context.here)


def rotation(context: CheckContext) -> float:
    """Change under a rotation, once forces are turned back, eV and eV/Å."""
    draw = torch.Generator().manual_seed(2)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64))
    turn = (turn * torch.linalg.det(turn).sign()).to(context.structures.positions)  # no mirror
    structures = context.structures
    turned = replace(structures, positions=structures.positions @ turn, cell=structures.cell @ turn)
    with torch.no_grad():
        energy, forces = context.potential(turned)
    return _difference(Prediction(energy, forces @ turn.T), context.here)


def permutation(context: CheckContext) -> float:
    """Change when atoms are listed in another order, eV and eV/Å."""
    structures = context.structures
    # Backwards within each structure: atoms of all elements change places.
    atoms = torch.arange(len(structures.structure_index), device=structures.device)
    order = torch.cat([members.flip(0) for members in structures.split(atoms)])
    per_atom = ("positions", "numbers", "masses", "fixed")
    shuffled = replace(structures, **{k: getattr(structures, k)[order] for k in per_atom})
    with torch.no_grad():
        energy, forces = context.potential(shuffled)
    return _difference(Prediction(energy, forces[order.argsort()]), context.here)


def periodic_images(context: CheckContext) -> float:
    """Change when an atom moves by a lattice vector, eV and eV/Å."""
    structures = context.structures
    if not bool(structures.pbc.any()):
        raise NotApplicable("no structure is periodic")
    positions = structures.positions.clone()
    first = torch.tensor([0, *structures.counts[:-1]], device=structures.device).cumsum(0)
    vectors = (structures.cell * structures.pbc[:, :, None]).sum(1)  # (B, 3)
    return _difference(
        context.at(positions.index_add(0, first, vectors.to(positions))), context.here
    )


def partial_periodicity(context: CheckContext) -> float:
    """Change of a layer with what stands in the direction that is open, eV and eV/Å.

    The first fully periodic structure, called periodic along two vectors only, is described with
    its own third vector and with a long upright one: neither is a period, so both are what the
    same atoms are in a periodic cell with much empty space.
    """
    periodic = context.structures.pbc.all(1).nonzero().flatten().tolist()
    if not periodic:
        raise NotApplicable("no structure is periodic in all directions")
    crystal = context.structures[periodic[0]]
    tall = replace(crystal, cell=_with_space(crystal.cell))
    layer = crystal.pbc.new_tensor([[True, True, False]])
    with torch.no_grad():
        spaced = context.potential(tall)
        try:
            found = [context.potential(replace(cell, pbc=layer)) for cell in (crystal, tall)]
        except StructureError as error:
            raise CheckFailed(
                f"it refuses a layer that is periodic in two directions ({error.reason}); tell "
                "others before they try: say partial_pbc = False"
            ) from error
    return max(_difference(prediction, spaced) for prediction in found)


def _with_space(cell: Tensor) -> Tensor:
    """A cell (1, 3, 3) Å with a third vector that is upright on the first two, and long."""
    upright = torch.linalg.cross(cell[0, 0], cell[0, 1])
    return torch.stack([cell[0, 0], cell[0, 1], SPACE * upright / upright.norm()])[None]


def batch(context: CheckContext) -> float:
    """Difference of a structure alone from itself in a batch, eV and eV/Å."""
    structures = context.structures
    if len(structures) == 1:
        raise NotApplicable("one structure only; pass two or more to compare")
    worst = 0.0
    for index in range(len(structures)):
        with torch.no_grad():
            alone = context.potential(structures[index])
        mine = structures.structure_index == index
        together = Prediction(context.here.energy[[index]], context.here.forces[mine])
        worst = max(worst, _difference(alone, together))
    return worst


def repeat(context: CheckContext) -> float:
    """Difference between two calls, eV and eV/Å."""
    return _difference(context.at(context.structures.positions), context.here)


def second_derivative(context: CheckContext) -> float:
    """Derivative of the forces by positions against central differences, relative."""
    positions = context.structures.positions.clone().requires_grad_()
    # Derived from other positions, as those in the middle of a relaxation are.
    forces = context.potential(context.structures.with_positions(positions * 1.0)).forces
    found = None
    if forces.requires_grad:
        pull = (forces * context.random(1)).sum()
        (found,) = torch.autograd.grad(pull, positions, allow_unused=True)
    if found is None:
        raise CheckFailed(
            "forces carry no graph to the positions they were computed at; something detaches "
            "(a calculator, numpy, .detach(), no_grad, a graph kept in train() mode only): call "
            "the bare model, with create_graph=True where it takes derivatives itself"
        )
    expected = (context.force_slope(0) * context.random(1)).sum()
    deviation = ((found * context.random(0)).sum() - expected).abs()
    return float(deviation / (context.force_slope(0).norm() + 1e-3))


def _two_steps(context: CheckContext, rate: float) -> Tensor:
    """A number (Å) that depends on where two steps of gradient descent lead."""
    positions = context.structures.positions
    for _ in range(2):
        forces = context.potential(context.structures.with_positions(positions)).forces
        positions = positions + rate * forces
    return (positions * context.random(3)).sum()


def parameter_gradient(context: CheckContext) -> float:
    """Gradient through two steps against central differences over parameters, relative."""
    weights = context.weights()
    rate = 0.05 / max(float(context.here.forces.abs().max()), 1e-3)  # at most 0.05 Å a step
    slopes = _parameter_slopes(_two_steps(context, rate), weights)
    length = _length(slopes)
    if length < 1e-10:
        raise CheckFailed(
            "no parameter is felt in the positions after two steps; the forces carry no graph to "
            "them (retain_graph where create_graph=True is needed, a graph kept in train() mode "
            "only, or weights read through .data or .detach()): keep the graph in eval() too"
        )
    if math.isnan(length):
        raise CheckFailed(
            "the gradient through two steps is NaN; a norm at zero or a masked branch probably "
            "divides by zero in its derivative: use geometry.safe_norm, and mask the input of a "
            "branch, not only its result"
        )
    # Along the gradient itself the derivative is as large as it gets, far above rounding.
    size = _length([w.detach() for w in weights])
    step = min(context.precision.nudge / length, 1e-2 * (1e-3 + size))
    direction = [slope * (step / length) for slope in slopes]
    values = [_value_at(context, rate, weights, [sign * d for d in direction]) for sign in (1, -1)]
    expected = (values[0] - values[1]) / (2 * step)
    return abs(length - expected) / max(length, abs(expected))


def _parameter_slopes(value: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """The gradient of ``value``, zero for parameters that it does not depend on."""
    found: Sequence[Tensor | None] = [None] * len(weights)
    if value.requires_grad:
        found = torch.autograd.grad(value, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]


def _length(tensors: list[Tensor]) -> float:
    """Euclidean length of all of them as one vector."""
    return math.sqrt(sum(float((t.double() ** 2).sum()) for t in tensors))


@torch.no_grad()
def _value_at(
    context: CheckContext, rate: float, weights: list[Tensor], change: list[Tensor]
) -> float:
    """What `_two_steps` gives with changed parameters, which are put back."""
    kept = [w.detach().clone() for w in weights]
    try:
        for w, old, by in zip(weights, kept, change, strict=True):
            w.copy_(old + by)
        return float(_two_steps(context, rate))
    finally:
        for w, old in zip(weights, kept, strict=True):
            w.copy_(old)


def symmetric_places(context: CheckContext) -> float:
    """Number of second derivatives that are not finite at symmetric places."""
    bad = 0
    places = [context.structures]
    ideal = _straight_lines(context.structures)
    try:
        with torch.no_grad():
            context.potential(ideal)
        places.append(ideal)
    except StructureError:  # it takes other structures only; its own must do
        pass
    for structures in map(copy_of, places):
        positions = structures.positions.clone().requires_grad_()
        weights = [p for p in context.potential.parameters() if p.requires_grad]
        forces = context.potential(structures.with_positions(positions * 1.0)).forces
        if not forces.requires_grad:
            raise CheckFailed("forces carry no graph, so nothing can be differentiated twice")
        draw = torch.Generator().manual_seed(4)
        pull = torch.randn(forces.shape, generator=draw, dtype=torch.float64).to(forces)
        slopes = torch.autograd.grad(
            (forces * pull).sum(), [positions, *weights], allow_unused=True
        )
        values = [forces, *filter(lambda slope: slope is not None, slopes)]
        bad += sum(int((~(value.abs() < BEYOND)).sum()) for value in values)  # NaN is not below
    return float(bad)


def _straight_lines(structures: Structures) -> Structures:
    """Atoms of the same elements at ordinary distances where all angles are 90° or 180°.

    A rock-salt crystal (every atom at a centre of inversion: many vectors add up to exactly zero),
    or three atoms in a row where the structures are not periodic.
    """
    first = structures[0].to_ase()[0]
    symbols = list(dict.fromkeys(first.get_chemical_symbols()))
    one, other = symbols[0], symbols[-1]
    lengths = neighbor_list("d", first, 4.0)
    length = max(float(lengths.min()), 0.7) if len(lengths) else 2.0
    length = round(length * 16) / 16  # sums and differences are exact: zero is zero
    if first.pbc.all():
        ideal = bulk(one + other, "rocksalt", a=2 * length)
    else:
        ideal = Atoms([one, other, one], positions=[[0, 0, length * i] for i in range(3)])
    return Structures.from_ase(ideal, ["straight lines"], structures.dtype, structures.device)
