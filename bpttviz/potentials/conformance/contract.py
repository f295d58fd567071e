"""The contract that relaxing through a potential relies on, check by check.

A failure is explained in one sentence: what was wrong, the likely cause, what to do.
"""

from __future__ import annotations

from bpttviz.potentials.conformance import measures
from bpttviz.potentials.conformance.check import Check
from bpttviz.potentials.conformance.context import CheckContext


def _same(context: CheckContext) -> float:
    return context.precision.same * context.force_scale


CHECKS = (
    Check(
        "energies and forces are finite",
        measures.output,
        lambda context: 0,
        "values",
        "{figure} of energy or forces are NaN or infinite; an atom without neighbours, a division "
        "by a distance or a logarithm is the usual cause: guard that expression, or refuse the "
        "structure with a StructureError",
    ),
    Check(
        "input is left alone",
        measures.input_left_alone,
        lambda context: 0,
        "",
        "",
    ),
    Check(
        "the same twice",
        measures.repeat,
        _same,
        "eV/Å",
        "two calls differ by {figure}; something random is on (dropout, noise), or the first call "
        "left something behind: call .eval() on it; where that does not help, take the noise out, "
        "and keep no state between calls",
    ),
    Check(
        "forces are -dE/dx",
        measures.energy_slope,
        lambda context: context.precision.slope * context.force_scale,
        "eV/Å",
        "forces differ from the slope of the energy by {figure}; part of the energy is probably "
        "computed outside the graph (numpy, .detach(), no_grad, distances from a neighbour list) "
        "or the forces have a head of their own: rebuild distances in torch from the positions, "
        "or say conservative = False",
        lambda potential: potential.conservative,
    ),
    Check(
        "forces have no curl",
        measures.curl,
        lambda context: context.precision.derivative,
        "",
        "the forces' Jacobian is not symmetric (by {figure} of its size); there is no energy of "
        "which they are the slope, so that relaxations may go round in circles: derive forces "
        "from an energy, or say conservative = False, which makes ImplicitAdjoint use GMRES",
        lambda potential: potential.conservative,
    ),
    Check(
        "forces add up to zero",
        measures.net_force,
        lambda context: 10 * _same(context),
        "eV/Å",
        "forces on a structure add up to {figure}; something knows absolute positions, or forces "
        "are predicted atom by atom: use differences of positions only, subtract the mean force, "
        "or say net_force_free = False",
        lambda potential: potential.net_force_free,
    ),
    Check(
        "translation changes nothing",
        measures.translation,
        _same,
        "eV/Å",
        "moving a whole structure changes energy or forces by {figure}; absolute coordinates "
        "enter somewhere (a wrapped cell, an origin, a grid): use differences of positions, or "
        "say equivariant = net_force_free = False",
        lambda potential: potential.equivariant or potential.net_force_free,
    ),
    Check(
        "rotation turns the forces",
        measures.rotation,
        _same,
        "eV/Å",
        "turning a whole structure changes the energy, or the forces do not turn with it, by "
        "{figure}; coordinates are used as plain numbers somewhere, or the cell is not turned "
        "along: build on distances, angles or equivariant features, or say equivariant = False",
        lambda potential: potential.equivariant,
    ),
    Check(
        "the order of atoms does not matter",
        measures.permutation,
        _same,
        "eV/Å",
        "listing the atoms in another order changes energy or forces by {figure}; an atom's place "
        "in the list is used as if it meant something (an index, a position encoding, a fixed "
        "table of pairs): use the element instead, or say exchangeable = False",
        lambda potential: potential.exchangeable,
    ),
    Check(
        "periodic images are the same",
        measures.periodic_images,
        _same,
        "eV/Å",
        "moving an atom by a lattice vector changes energy or forces by {figure}; periodic images "
        "are missed or counted wrongly (no shifts, a wrapped copy of the positions, a neighbour "
        "list from other positions): take pairs and shifts from potentials.neighbors.neighbours",
    ),
    Check(
        "open directions are open",
        measures.partial_periodicity,
        _same,
        "eV/Å",
        "a layer of atoms changes by {figure} with the vector of the direction in which it is not "
        "periodic; pbc is not looked at, or that vector is used although it is no period: take "
        "pairs from potentials.neighbors.neighbours, or say partial_pbc = False",
        lambda potential: potential.partial_pbc,
    ),
    Check(
        "a batch equals its members",
        measures.batch,
        _same,
        "eV/Å",
        "a structure alone differs from the same one in a batch by {figure}; structures of a "
        "batch see each other (a normalisation, an attention or a mean over all atoms, a wrong "
        "index offset): work by structures.structure_index, and keep batch normalisation out or "
        "in .eval() mode",
    ),
    Check(
        "forces know their positions",
        measures.second_derivative,
        lambda context: context.precision.derivative,
        "",
        "the derivative of the forces by positions is off by {figure} of its size; part of the "
        "graph is lost between positions and forces (a detach, no_grad around geometry, a cached "
        "neighbour distance, TorchScript): recompute geometry in torch at every call",
    ),
    Check(
        "forces know the parameters",
        measures.parameter_gradient,
        lambda context: context.precision.parameters,
        "",
        "the gradient through two steps is off by {figure} from central differences over the "
        "parameters; part of it is lost (retain_graph instead of create_graph=True, a detach, a "
        "cached feature): keep the whole graph from parameters to forces",
    ),
    Check(
        "finite at symmetric places",
        measures.symmetric_places,
        lambda context: 0,
        "values",
        "{figure} of the second derivatives are NaN, infinite or beyond 1e6, on ideal straight "
        "lines of atoms or the structures given; a norm at zero, an arccos at 180° or a masked "
        "branch is the usual cause: use geometry.safe_norm, avoid angles themselves (use cosines), "
        "and mask the input of a branch, not only its result",
    ),
)
