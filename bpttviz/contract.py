"""The contract that relaxing through a potential relies on: its clauses, and how they are measured.

A failure is explained in one sentence: what was wrong, the likely cause, what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from torch import Tensor

from bpttviz.geometry import sum_by_owner
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import StructureError, Structures

TENSORS = [f.name for f in fields(Structures) if f.name != "names"]
BEYOND = 1e6  # a second derivative (eV/Å² and the like) larger than this is a rounded infinity


@dataclass(frozen=True)
class Precision:
    """What can be asked of a potential that computes in a given floating-point type.

    Attributes:
        name: of the type.
        step: Å, of central differences: rounding and curvature disturb them about equally.
        slope: of forces against central differences, relative to the largest force.
        same: of results that should be equal (eV, eV/Å), likewise.
        derivative: of second derivatives, relative.
        parameters: of the derivative by parameters, relative.
        nudge: Å, how far parameters are changed, by what it does to the positions after two steps.
        smallest: eV/Å, limits shrink with the forces down to this; below, rounding of the energy
            is all that is seen.
    """

    name: str
    step: float
    slope: float
    same: float
    derivative: float
    parameters: float
    nudge: float
    smallest: float


SINGLE = Precision("float32", 1e-2, 1e-2, 5e-4, 5e-2, 1e-1, 1e-4, 1.0)
DOUBLE = Precision("float64", 1e-4, 1e-5, 1e-6, 1e-3, 1e-3, 1e-6, 1e-2)


@dataclass(frozen=True)
class Finding:
    """One clause of the contract, measured.

    Attributes:
        clause: what should hold.
        status: "holds", "fails", "not claimed", "does not apply", or "not reached" where the first
            clause fails and nothing else can be asked.
        figure: the deviation found, NaN where there is none to give.
        limit: the largest deviation that passes.
        unit: of both; empty: relative.
        sentence: what to know about it; for a failure: what was wrong, why probably, what to do.
    """

    clause: str
    status: str
    figure: float
    limit: float
    unit: str
    sentence: str


class _Broken(Exception):
    """A failure that needs a sentence of its own, not a figure."""


class _DoesNotApply(Exception):
    """A clause that cannot be asked of this potential or these structures; says why."""


@dataclass(frozen=True)
class Clause:
    """One thing that should hold.

    Attributes:
        name: what should hold, in a few words.
        measure: the deviation found in a bench; may raise `_Broken` or `_DoesNotApply`.
        limit: the largest deviation that passes.
        unit: of both.
        fault: the sentence for a deviation; ``{figure}`` stands for it.
        claimed: whether a potential claims it. None: every potential must keep it.
    """

    name: str
    measure: Callable[[Bench], float]
    limit: Callable[[Bench], float]
    unit: str
    fault: str
    claimed: Callable[[Potential], bool] | None = None

    def examine(self, bench: Bench) -> Finding:
        limit = self.limit(bench)
        claimed = self.claimed is None or self.claimed(bench.potential)
        figure = float("nan")
        try:
            figure = self.measure(bench)
        except _DoesNotApply as reason:
            return self.unmeasured("does not apply", str(reason))
        except _Broken as broken:
            fault = str(broken)
        except Exception as error:  # whatever a stranger's model raises is a finding
            fault = f"evaluating it raised {type(error).__name__}: {error}"
        else:
            if figure <= limit:  # NaN is not
                if claimed:
                    return Finding(self.name, "holds", figure, limit, self.unit, "")
                note = "not claimed, though it holds here"
                return Finding(self.name, "not claimed", figure, limit, self.unit, note)
            fault = self.fault.format(figure=f"{figure:.2g} {self.unit}".strip())
        if not claimed:
            # What the clause found, without the advice to change it.
            found = fault.split(";")[0].split(":")[0]
            note = f"not claimed, and indeed {found}"
            return Finding(self.name, "not claimed", figure, limit, self.unit, note)
        return Finding(self.name, "fails", figure, limit, self.unit, fault)

    def unmeasured(self, status: str, reason: str) -> Finding:
        nan = float("nan")
        return Finding(self.name, status, nan, nan, self.unit, reason)


class Bench:
    """A potential, structures, and what several clauses ask about them."""

    def __init__(self, potential: Potential, structures: Structures):
        self.potential = potential
        self.structures = structures.with_positions(structures.positions.detach().clone())
        # Frozen parts may stay in float32 where they add no force (CHGNet's composition model).
        kinds = {p.dtype for p in potential.parameters() if p.requires_grad} | {structures.dtype}
        self.precision = DOUBLE if kinds == {torch.float64} else SINGLE

    def random(self, seed: int) -> Tensor:
        """A direction (N, 3) of length 1; fixed atoms take part (a force acts on them too)."""
        draw = torch.Generator().manual_seed(seed)
        shape = self.structures.positions.shape
        direction = torch.randn(shape, generator=draw, dtype=torch.float64)
        return (direction / direction.norm()).to(self.structures.positions)

    def at(self, positions: Tensor) -> Prediction:
        """Energy and forces elsewhere, without gradient."""
        with torch.no_grad():
            return self.potential(_copy(self.structures.with_positions(positions)))

    @cached_property
    def here(self) -> Prediction:
        return self.at(self.structures.positions)

    @cached_property
    def along(self) -> dict[int, tuple[Prediction, Prediction]]:
        """Predictions a step ahead and a step behind, along two random directions."""
        return {
            seed: tuple(
                self.at(self.structures.positions + sign * self.precision.step * self.random(seed))
                for sign in (1, -1)
            )
            for seed in (0, 1)
        }

    def force_slope(self, seed: int) -> Tensor:
        """dF/dx along a random direction (N, 3) eV/Å², by central differences."""
        ahead, behind = self.along[seed]
        return (ahead.forces - behind.forces) / (2 * self.precision.step)

    @property
    def force_scale(self) -> float:
        """The largest force component, eV/Å: what limits are relative to."""
        return max(self.precision.smallest, float(self.here.forces.abs().max()))

    def per_structure(self, values: Tensor) -> Tensor:
        return sum_by_owner(values, self.structures.owner, len(self.structures))

    def weights(self) -> list[Tensor]:
        weights = [p for p in self.potential.parameters() if p.requires_grad]
        if not weights:
            raise _DoesNotApply(
                "it has no trainable parameters, so it can be relaxed with but not fine-tuned "
                "(a function that calls a module: pass the module too, EnergyFunction(f, module))"
            )
        return weights


def _copy(structures: Structures) -> Structures:
    """Tensors of its own, which a potential may spoil."""
    return replace(structures, **{f: getattr(structures, f).clone() for f in TENSORS})


def _difference(found: Prediction, expected: Prediction) -> float:
    """The larger of the deviations of energy (eV) and forces (eV/Å)."""
    energy = (found.energy - expected.energy).abs().max()
    forces = (found.forces - expected.forces).abs().max()
    return float(torch.maximum(energy, forces))


def _output(bench: Bench) -> float:
    structures = bench.structures
    prediction = bench.at(structures.positions)
    expected = {"energy": (len(structures),), "forces": tuple(structures.positions.shape)}
    for name, shape in expected.items():
        value = getattr(prediction, name, None)
        if not isinstance(value, Tensor):
            raise _Broken(
                f"forward() gave no tensor of {name}; return a Prediction(energy, forces), or "
                "define energy() alone and let the base class take the forces"
            )
        if tuple(value.shape) != shape:
            raise _Broken(
                f"{name} has shape {tuple(value.shape)} where {shape} was expected (energy: one a "
                "structure; forces: three an atom); sum atoms by structures.owner, and do not keep "
                "a last axis of length one"
            )
        if value.dtype != structures.dtype:
            raise _Broken(
                f"{name} is {value.dtype} while positions are {structures.dtype}; convert results "
                "back, value.to(structures.dtype), however the network computes"
            )
    bad = sum(int((~torch.isfinite(value)).sum()) for value in prediction)
    return float(bad)


def _input(bench: Bench) -> float:
    structures = bench.structures
    handed = _copy(structures)
    bench.potential(handed)
    changed = [f for f in TENSORS if not torch.equal(getattr(handed, f), getattr(structures, f))]
    if handed.positions.requires_grad:
        changed.append("positions.requires_grad")
    if changed:
        raise _Broken(
            f"it changed {' and '.join(changed)} of the structures it was given; something inside "
            "writes into the tensors it gets (+=, requires_grad_): hand the model a copy"
        )
    return 0.0


def _energy_slope(bench: Bench) -> float:
    ahead, behind = bench.along[0]
    expected = (behind.energy - ahead.energy) / (2 * bench.precision.step)
    found = bench.per_structure((bench.here.forces * bench.random(0)).sum(1))
    return float((found - expected).abs().max())


def _curl(bench: Bench) -> float:
    first, second = bench.force_slope(0), bench.force_slope(1)
    asymmetry = ((first * bench.random(1)).sum() - (second * bench.random(0)).sum()).abs()
    return float(asymmetry / (first.norm() + second.norm() + 1e-3))


def _net_force(bench: Bench) -> float:
    return float(bench.per_structure(bench.here.forces).abs().max())


def _translation(bench: Bench) -> float:
    step = bench.structures.positions.new_tensor([0.37, -0.21, 0.53])
    return _difference(bench.at(bench.structures.positions + step), bench.here)


def _rotation(bench: Bench) -> float:
    draw = torch.Generator().manual_seed(2)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=torch.float64))
    turn = (turn * torch.linalg.det(turn).sign()).to(bench.structures.positions)  # no mirror
    structures = bench.structures
    turned = replace(structures, positions=structures.positions @ turn, cell=structures.cell @ turn)
    with torch.no_grad():
        energy, forces = bench.potential(turned)
    return _difference(Prediction(energy, forces @ turn.T), bench.here)


def _permutation(bench: Bench) -> float:
    structures = bench.structures
    # Backwards within each structure: atoms of all elements change places.
    atoms = torch.arange(len(structures.owner), device=structures.device)
    order = torch.cat([members.flip(0) for members in structures.split(atoms)])
    per_atom = ("positions", "numbers", "masses", "fixed")
    shuffled = replace(structures, **{k: getattr(structures, k)[order] for k in per_atom})
    with torch.no_grad():
        energy, forces = bench.potential(shuffled)
    return _difference(Prediction(energy, forces[order.argsort()]), bench.here)


def _images(bench: Bench) -> float:
    structures = bench.structures
    if not bool(structures.pbc.any()):
        raise _DoesNotApply("no structure is periodic")
    positions = structures.positions.clone()
    first = torch.tensor([0, *structures.counts[:-1]], device=structures.device).cumsum(0)
    vectors = (structures.cell * structures.pbc[:, :, None]).sum(1)  # (B, 3)
    return _difference(bench.at(positions.index_add(0, first, vectors.to(positions))), bench.here)


def _batch(bench: Bench) -> float:
    structures = bench.structures
    if len(structures) == 1:
        raise _DoesNotApply("one structure only; pass two or more to compare")
    worst = 0.0
    for index in range(len(structures)):
        with torch.no_grad():
            alone = bench.potential(structures[index])
        mine = structures.owner == index
        together = Prediction(bench.here.energy[[index]], bench.here.forces[mine])
        worst = max(worst, _difference(alone, together))
    return worst


def _repeat(bench: Bench) -> float:
    return _difference(bench.at(bench.structures.positions), bench.here)


def _second_derivative(bench: Bench) -> float:
    positions = bench.structures.positions.clone().requires_grad_()
    # Derived from other positions, as those in the middle of a relaxation are.
    forces = bench.potential(bench.structures.with_positions(positions * 1.0)).forces
    found = None
    if forces.requires_grad:
        pull = (forces * bench.random(1)).sum()
        (found,) = torch.autograd.grad(pull, positions, allow_unused=True)
    if found is None:
        raise _Broken(
            "forces carry no graph to the positions they were computed at; something detaches "
            "(a calculator, numpy, .detach(), no_grad, a graph kept in train() mode only): call "
            "the bare model, with create_graph=True where it takes derivatives itself"
        )
    expected = (bench.force_slope(0) * bench.random(1)).sum()
    deviation = ((found * bench.random(0)).sum() - expected).abs()
    return float(deviation / (bench.force_slope(0).norm() + 1e-3))


def _two_steps(bench: Bench, rate: float) -> Tensor:
    """A number (Å) that depends on where two steps of gradient descent lead."""
    positions = bench.structures.positions
    for _ in range(2):
        forces = bench.potential(bench.structures.with_positions(positions)).forces
        positions = positions + rate * forces
    return (positions * bench.random(3)).sum()


def _parameters(bench: Bench) -> float:
    weights = bench.weights()
    rate = 0.05 / max(float(bench.here.forces.abs().max()), 1e-3)  # at most 0.05 Å a step
    value = _two_steps(bench, rate)
    found = [None] * len(weights)
    if value.requires_grad:
        found = torch.autograd.grad(value, weights, allow_unused=True)
    slopes = [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]
    length = float(torch.sqrt(sum((g.double() ** 2).sum() for g in slopes)))
    if length < 1e-10:
        raise _Broken(
            "no parameter is felt in the positions after two steps; the forces carry no graph to "
            "them (retain_graph where create_graph=True is needed, a graph kept in train() mode "
            "only, or weights read through .data or .detach()): keep the graph in eval() too"
        )
    if length != length:
        raise _Broken(
            "the gradient through two steps is NaN; a norm at zero or a masked branch probably "
            "divides by zero in its derivative: use geometry.safe_norm, and mask the input of a "
            "branch, not only its result"
        )
    # Along the gradient itself the derivative is as large as it gets, far above rounding.
    size = float(torch.sqrt(sum((w.detach().double() ** 2).sum() for w in weights)))
    step = min(bench.precision.nudge / length, 1e-2 * (1e-3 + size))
    kept = [w.detach().clone() for w in weights]
    values = []
    with torch.no_grad():
        try:
            for sign in (1, -1):
                for w, old, slope in zip(weights, kept, slopes, strict=True):
                    w.copy_(old + sign * step / length * slope)
                values.append(float(_two_steps(bench, rate)))
        finally:
            for w, old in zip(weights, kept, strict=True):
                w.copy_(old)
    expected = (values[0] - values[1]) / (2 * step)
    return abs(length - expected) / max(length, abs(expected))


def _symmetric_places(bench: Bench) -> float:
    bad = 0
    places = [bench.structures]
    ideal = _straight_lines(bench.structures)
    try:
        with torch.no_grad():
            bench.potential(ideal)
        places.append(ideal)
    except StructureError:  # it takes other structures only; its own must do
        pass
    for structures in map(_copy, places):
        positions = structures.positions.clone().requires_grad_()
        weights = [p for p in bench.potential.parameters() if p.requires_grad]
        forces = bench.potential(structures.with_positions(positions * 1.0)).forces
        if not forces.requires_grad:
            raise _Broken("forces carry no graph, so nothing can be differentiated twice")
        draw = torch.Generator().manual_seed(4)
        pull = torch.randn(forces.shape, generator=draw, dtype=torch.float64).to(forces)
        slopes = torch.autograd.grad(
            (forces * pull).sum(), [positions, *weights], allow_unused=True
        )
        values = [forces, *(slope for slope in slopes if slope is not None)]
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


def _same(bench: Bench) -> float:
    return bench.precision.same * bench.force_scale


CLAUSES = (
    Clause(
        "energies and forces are finite",
        _output,
        lambda bench: 0,
        "values",
        "{figure} of energy or forces are NaN or infinite; an atom without neighbours, a division "
        "by a distance or a logarithm is the usual cause: guard that expression, or refuse the "
        "structure with a StructureError",
    ),
    Clause(
        "input is left alone",
        _input,
        lambda bench: 0,
        "",
        "",
    ),
    Clause(
        "the same twice",
        _repeat,
        _same,
        "eV/Å",
        "two calls differ by {figure}; something random is left on in eval() mode (dropout, "
        "noise), or the first call left something behind: switch it off outside training, and "
        "keep no state between calls",
    ),
    Clause(
        "forces are -dE/dx",
        _energy_slope,
        lambda bench: bench.precision.slope * bench.force_scale,
        "eV/Å",
        "forces differ from the slope of the energy by {figure}; part of the energy is probably "
        "computed outside the graph (numpy, .detach(), no_grad, distances from a neighbour list) "
        "or the forces have a head of their own: rebuild distances in torch from the positions, "
        "or say conservative = False",
        lambda potential: potential.conservative,
    ),
    Clause(
        "forces have no curl",
        _curl,
        lambda bench: bench.precision.derivative,
        "",
        "the forces' Jacobian is not symmetric (by {figure} of its size); there is no energy of "
        "which they are the slope, so that relaxations may go round in circles: derive forces "
        "from an energy, or say conservative = False, which makes Implicit use GMRES",
        lambda potential: potential.conservative,
    ),
    Clause(
        "forces add up to zero",
        _net_force,
        lambda bench: 10 * _same(bench),
        "eV/Å",
        "forces on a structure add up to {figure}; something knows absolute positions, or forces "
        "are predicted atom by atom: use differences of positions only, subtract the mean force, "
        "or say net_force_free = False",
        lambda potential: potential.net_force_free,
    ),
    Clause(
        "translation changes nothing",
        _translation,
        _same,
        "eV/Å",
        "moving a whole structure changes energy or forces by {figure}; absolute coordinates "
        "enter somewhere (a wrapped cell, an origin, a grid): use differences of positions, or "
        "say equivariant = net_force_free = False",
        lambda potential: potential.equivariant or potential.net_force_free,
    ),
    Clause(
        "rotation turns the forces",
        _rotation,
        _same,
        "eV/Å",
        "turning a whole structure changes the energy, or the forces do not turn with it, by "
        "{figure}; coordinates are used as plain numbers somewhere, or the cell is not turned "
        "along: build on distances, angles or equivariant features, or say equivariant = False",
        lambda potential: potential.equivariant,
    ),
    Clause(
        "the order of atoms does not matter",
        _permutation,
        _same,
        "eV/Å",
        "listing the atoms in another order changes energy or forces by {figure}; an atom's place "
        "in the list is used as if it meant something (an index, a position encoding, a fixed "
        "table of pairs): use the element instead, or say exchangeable = False",
        lambda potential: potential.exchangeable,
    ),
    Clause(
        "periodic images are the same",
        _images,
        _same,
        "eV/Å",
        "moving an atom by a lattice vector changes energy or forces by {figure}; periodic images "
        "are missed or counted wrongly (no shifts, a wrapped copy of the positions, a neighbour "
        "list from other positions): take pairs and shifts from potentials.graph.neighbours",
    ),
    Clause(
        "a batch equals its members",
        _batch,
        _same,
        "eV/Å",
        "a structure alone differs from the same one in a batch by {figure}; structures of a "
        "batch see each other (a normalisation, an attention or a mean over all atoms, a wrong "
        "index offset): work by structures.owner, and keep batch normalisation out",
    ),
    Clause(
        "forces know their positions",
        _second_derivative,
        lambda bench: bench.precision.derivative,
        "",
        "the derivative of the forces by positions is off by {figure} of its size; part of the "
        "graph is lost between positions and forces (a detach, no_grad around geometry, a cached "
        "neighbour distance, TorchScript): recompute geometry in torch at every call",
    ),
    Clause(
        "forces know the parameters",
        _parameters,
        lambda bench: bench.precision.parameters,
        "",
        "the gradient through two steps is off by {figure} from central differences over the "
        "parameters; part of it is lost (retain_graph instead of create_graph=True, a detach, a "
        "cached feature): keep the whole graph from parameters to forces",
    ),
    Clause(
        "finite at symmetric places",
        _symmetric_places,
        lambda bench: 0,
        "values",
        "{figure} of the second derivatives are NaN, infinite or beyond 1e6, on ideal straight "
        "lines of atoms or the structures given; a norm at zero, an arccos at 180° or a masked "
        "branch is the usual cause: use geometry.safe_norm, avoid angles themselves (use cosines), "
        "and mask the input of a branch, not only its result",
    ),
)
