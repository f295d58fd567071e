"""Gradients at rest, against closed forms; and what is said where they would mean nothing."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms
from springs import central_difference, network, starts, targets

import bpttviz as bv

EXACT = bv.StoppingCriterion(max_steps=20_000, fmax=1e-13)
TIGHT = bv.ImplicitAdjoint(bv.ConjugateGradient(1e-13), rest=EXACT)


def gradient_of(adjoint, count=2, steps=3, wanted=("stiffness", "rest")):
    """d(sum of ΔQ at the end, and at waypoints)/d(parameters) of a frustrated network."""
    potential, start = network(), starts(count)
    rule = bv.GradientDescent(0.08, max_step=None)
    result = bv.relax(potential, start, rule, bv.StoppingCriterion(steps), adjoint)
    loss = bv.delta_q(targets(start), result.final).sum()
    for weight, waypoint in result.waypoints:
        loss = loss + weight * bv.delta_q(targets(start), waypoint).sum()
    return torch.autograd.grad(loss, [getattr(potential, name) for name in wanted]), result


def closed_form(count=2):
    potential, start = network(), starts(count)
    ends = torch.cat([potential.rest_positions(x) for x in start.split(start.positions)])
    loss = bv.delta_q(targets(start), start.with_positions(ends)).sum()
    return torch.autograd.grad(loss, [potential.stiffness, potential.rest])


def difference(one, two):
    return max(float((a - b).norm() / b.norm()) for a, b in zip(one, two, strict=True))


# --- the oracle ----------------------------------------------------------------------------------


def test_implicit_equals_the_closed_form():
    expected = closed_form()
    assert all(g.norm() > 1e-2 for g in expected), "0 = 0 would prove nothing"
    found, result = gradient_of(TIGHT)
    assert difference(found, expected) < 1e-8
    (solution,) = result.backward.solutions
    assert solution.converged.all()
    assert result.converged.all()
    assert result.fmax[-1].max() < 1e-13


def test_implicit_by_gmres_equals_the_closed_form():
    adjoint = bv.ImplicitAdjoint(bv.GMRES(1e-13), rest=EXACT)
    assert difference(gradient_of(adjoint)[0], closed_form()) < 1e-8


def test_implicit_equals_a_converged_full_unroll():
    found, _ = gradient_of(TIGHT, steps=1)
    unrolled, result = gradient_of(bv.FullBPTT(), steps=600)
    assert result.fmax[-1].max() < 1e-12
    assert difference(found, unrolled) < 1e-9


def test_damping_is_added_to_the_hessian():
    damping = 0.3
    adjoint = bv.ImplicitAdjoint(bv.ConjugateGradient(1e-13), damping, rest=EXACT)
    (found,), _ = gradient_of(adjoint, count=1, wanted=("rest",))
    potential, start = network(), starts(1)
    end = potential.rest_positions(start.positions).detach().requires_grad_()
    loss = bv.delta_q(targets(start), start.with_positions(end)).sum()
    (slope,) = torch.autograd.grad(loss, end)
    hessian = potential.laplacian().detach() + damping * torch.eye(4, dtype=torch.float64)
    adjoint_state = torch.linalg.solve(hessian, slope)
    force = potential(start.with_positions(end)).forces
    (expected,) = torch.autograd.grad(force, potential.rest, adjoint_state)
    assert difference([found], [expected]) < 1e-9


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_truncated_has_the_predicted_bias_in_every_mode(steps):
    eta, potential, start = 0.08, network(), starts(1)
    curvatures, modes = torch.linalg.eigh(potential.laplacian().detach())
    direction = torch.tensor([0.6, -0.8, 0.0], dtype=torch.float64)
    rule, stop = bv.GradientDescent(eta, max_step=None), bv.StoppingCriterion(600 + steps)
    truncated = bv.relax(potential, start, rule, stop, bv.TruncatedBPTT(steps)).final.positions
    at_rest = potential.rest_positions(start.positions)
    for curvature, mode in zip(curvatures[1:], modes.T[1:], strict=True):  # [0]: translation
        probe = mode[:, None] * direction
        for parameter in (potential.stiffness, potential.rest):
            (found,) = torch.autograd.grad((truncated * probe).sum(), parameter, retain_graph=True)
            (full,) = torch.autograd.grad((at_rest * probe).sum(), parameter, retain_graph=True)
            assert full.norm() > 1e-3
            share = 1 - (1 - eta * curvature) ** steps
            assert difference([found], [share * full]) < 1e-8


def test_truncated_to_all_steps_is_full():
    expected, _ = gradient_of(bv.FullBPTT(), steps=7)
    assert difference(gradient_of(bv.TruncatedBPTT(7), steps=7)[0], expected) < 1e-12
    assert difference(gradient_of(bv.TruncatedBPTT(3), steps=7)[0], expected) > 1e-2


def test_truncated_counts_each_members_own_last_steps():
    potential, start = network(), starts(2)
    x = start.positions.clone()
    x[4:8] = potential.rest_positions(start[1].positions).detach() + 0.01 * x[:4]
    start = start.with_positions(x)
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(12, fmax=0.02)

    def gradient(structures):
        result = bv.relax(potential, structures, rule, stop, bv.TruncatedBPTT(3))
        # not ΔQ: its gradient is a unit vector for each, so a sum would hide a lost member less
        loss = (result.final.positions**2).sum()
        return torch.autograd.grad(loss, potential.stiffness)[0], result

    together, result = gradient(start)
    assert 3 < int(result.steps[1]) < int(result.steps[0]) == 12
    alone = gradient(start[0])[0] + gradient(start[1])[0]
    assert gradient(start[1])[0].norm() > 1e-4
    assert difference([together], [alone]) < 1e-12


def test_guided_without_weight_is_implicit():
    expected, _ = gradient_of(TIGHT, steps=5)
    found, result = gradient_of(bv.GuidedAdjoint(5, 0.0, TIGHT), steps=5)
    assert result.waypoints == ()
    assert difference(found, expected) < 1e-12


def test_guided_is_the_sum_of_its_two_parts():
    weight, window = 0.7, 5
    implicit, _ = gradient_of(TIGHT, steps=9)
    unrolled, _ = gradient_of(bv.FullBPTT(), steps=window)
    found, result = gradient_of(bv.GuidedAdjoint(window, weight, TIGHT), steps=9)
    expected = [weight * a + b for a, b in zip(unrolled, implicit, strict=True)]
    assert difference(found, expected) < 1e-10
    assert difference(found, implicit) > 1e-2
    ((given, waypoint),) = result.waypoints
    assert given == weight
    torch.testing.assert_close(waypoint.positions.detach(), result.trajectory[window])


def test_guided_reaches_the_start_and_implicit_does_not():
    potential, start = network(), starts(1)
    leaf = start.positions.clone().requires_grad_()
    rule, stop = bv.GradientDescent(0.08), bv.StoppingCriterion(4)
    implicit = bv.relax(potential, start.with_positions(leaf), rule, stop, TIGHT)
    loss = (implicit.final.positions**2).sum()
    (slope,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    assert slope is None
    guided = bv.relax(
        potential, start.with_positions(leaf), rule, stop, bv.GuidedAdjoint(4, 1.0, TIGHT)
    )
    (slope,) = torch.autograd.grad((guided.waypoints[0][1].positions ** 2).sum(), leaf)
    assert slope.norm() > 1e-2


def test_the_backward_record_holds_the_gradient_at_each_step():
    _, result = gradient_of(bv.CheckpointedBPTT(), steps=6)
    record = result.backward.sensitivity
    assert sorted(record) == [1, 2, 3, 4, 5, 6]  # the start carries no graph
    _, full = gradient_of(bv.FullBPTT(), steps=6)
    assert record == pytest.approx(full.backward.sensitivity)
    # through springs each step back shrinks it, by no more than the softest mode allows
    softest = float(torch.linalg.eigvalsh(network().laplacian().detach())[1])
    assert all(0 < record[t] / record[t + 1] <= 1 - 0.08 * softest + 1e-12 for t in range(1, 6))


def test_no_graph_without_gradients():
    with torch.no_grad():
        for adjoint in (bv.TruncatedBPTT(2), TIGHT, bv.GuidedAdjoint(2, 1.0, TIGHT)):
            result = bv.relax(network(), starts(1), adjoint=adjoint)
            assert not result.final.positions.requires_grad
            assert all(not w.positions.requires_grad for _, w in result.waypoints)
    assert len(result.waypoints) == 1  # a loss without gradient is the same loss


# --- potentials without an energy ----------------------------------------------------------------


class Whirl(bv.Potential):
    """Springs with a force across each pair: no energy has these forces."""

    conservative, equivariant = False, False

    def __init__(self, springs, strength):
        super().__init__()
        self.springs = springs
        self.strength = torch.nn.Parameter(torch.tensor(strength, dtype=torch.float64))

    def forward(self, structures):
        energy, forces = self.springs(structures)
        across = torch.stack(
            [-structures.positions[:, 1], structures.positions[:, 0], 0 * forces[:, 0]], 1
        )
        for index in range(len(structures)):
            mine = structures.structure_index == index
            across = torch.where(mine[:, None], across - across[mine].mean(0), across)
        return bv.Prediction(energy, forces + self.strength * across)


def test_implicit_gradient_of_forces_that_are_not_conservative():
    potential = Whirl(network(), 0.3)
    start = starts(2)
    target = targets(start)
    adjoint = bv.ImplicitAdjoint(
        bv.GMRES(1e-13), rule=bv.GradientDescent(0.08, max_step=None), rest=EXACT
    )

    def loss():
        result = bv.relax(
            potential, start, bv.GradientDescent(0.08), bv.StoppingCriterion(1), adjoint
        )
        return bv.delta_q(target, result.final).sum()

    names = {"strength": potential.strength, "stiffness": potential.springs.stiffness}
    found = torch.autograd.grad(loss(), list(names.values()))

    def value():
        with torch.no_grad():
            return float(loss())

    for gradient, leaf in zip(found, names.values(), strict=True):
        expected = central_difference(value, leaf)
        assert expected.norm() > 1e-3
        assert difference([gradient], [expected]) < 1e-7


def test_the_transposed_jacobian_is_what_is_solved():
    """With H instead of Hᵀ the whirl's gradient would come out another, so the test above bites."""
    potential, start = Whirl(network(), 0.3), starts(1)

    def forces(x):
        return potential(start.with_positions(x)).forces

    jacobian = torch.autograd.functional.jacobian(forces, start.positions).reshape(12, 12)
    assert (jacobian - jacobian.T).norm() > 0.1 * jacobian.norm()


# --- where it would mean nothing -----------------------------------------------------------------


def test_not_at_rest_is_refused_or_warned_about():
    hasty = {"rest": bv.StoppingCriterion(max_steps=2, fmax=1e-6)}
    with pytest.raises(bv.ImplicitError, match=r"structure \d \(s\d\) is not at rest.*more steps"):
        gradient_of(bv.ImplicitAdjoint(**hasty))
    with pytest.warns(bv.ImplicitWarning, match="not at rest"):
        found, result = gradient_of(bv.ImplicitAdjoint(**hasty, strict=False))
    assert all(torch.isfinite(g).all() for g in found)
    assert not result.converged.all()
    assert result.fmax[-1].max() > 1e-6  # the result says how far from rest it stopped


class Saddle(bv.Landscape):
    """A mountain pass at the origin, with a strength to learn."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def surface(self, points):
        x, y = points.unbind(1)
        return x**2 - y**2 + y**4 + self.slope * x


def test_negative_curvature_is_refused_or_warned_about():
    from bpttviz.potentials.landscape import walkers

    start, end = walkers([[0.3, 0.0]]), walkers([[0.4, 0.5]])  # y = 0: it walks onto the pass

    def loss(strict):
        adjoint = bv.ImplicitAdjoint(rest=bv.StoppingCriterion(500, fmax=1e-8), strict=strict)
        result = bv.relax(
            Saddle(), start, bv.GradientDescent(0.1), bv.StoppingCriterion(5), adjoint
        )
        return bv.delta_q(end, result.final).sum()

    with pytest.raises(bv.ImplicitError, match="negative curvature.*saddle: displace"):
        loss(True).backward()
    with pytest.warns(bv.ImplicitWarning, match="negative curvature"):
        loss(False).backward()


def test_a_stalled_solver_is_refused_or_warned_about():
    for strict in (True, False):
        adjoint = bv.ImplicitAdjoint(bv.ConjugateGradient(1e-13, 2), rest=EXACT, strict=strict)
        if strict:
            with pytest.raises(bv.ImplicitError, match="stalled at a residual.*more iterations"):
                gradient_of(adjoint)
        else:
            with pytest.warns(bv.ImplicitWarning, match="stalled"):
                gradient_of(adjoint)


def test_a_loss_without_gradient_gives_zero_and_no_complaint():
    potential, start = network(), starts(1)
    result = bv.relax(potential, start, bv.GradientDescent(0.08), bv.StoppingCriterion(2), TIGHT)
    end = start.with_positions(result.final.positions.detach())
    loss = bv.delta_q(end, result.final).sum()
    assert loss == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (gradient,) = torch.autograd.grad(loss, potential.stiffness)
    assert (gradient == 0).all()
    assert result.backward.solutions[0].n_matvecs == 0


def test_one_frozen_atom():
    """Its translations are no zero modes: the rest follows from where it is held."""
    potential = network()
    start = starts(1)
    fixed = start.fixed.clone()
    fixed[2] = True
    start = bv.Structures(**{**vars(start), "fixed": fixed})
    result = bv.relax(potential, start, bv.GradientDescent(0.08), bv.StoppingCriterion(2), TIGHT)
    probe = targets(start).positions
    loss = (result.final.positions * probe).sum()  # not free of drift, on purpose
    found = torch.autograd.grad(loss, [potential.stiffness, potential.rest])

    exact = potential.rest_positions(start.positions)
    exact = exact + (start.positions[2] - exact[2])
    torch.testing.assert_close(result.final.positions.detach(), exact.detach())
    expected = torch.autograd.grad((exact * probe).sum(), [potential.stiffness, potential.rest])
    assert difference(found, expected) < 1e-8


class Morse(bv.Potential):
    """Isotropic pair forces: turns freely."""

    def __init__(self):
        super().__init__()
        self.length = torch.nn.Parameter(torch.tensor(1.1, dtype=torch.float64))

    def energy(self, structures):
        total = []
        for x in structures.split(structures.positions):
            i, j = torch.triu_indices(len(x), len(x), 1)
            distance = (x[i] - x[j]).norm(dim=1)
            total.append(((1 - torch.exp(-(distance - self.length))) ** 2).sum())
        return torch.stack(total)


def test_one_atom_alone_has_nothing_to_learn_from():
    potential = Morse()
    start = bv.Structures.from_ase(Atoms("Si", positions=[[1, 2, 3]]))
    result = bv.relax(
        potential, start, bv.GradientDescent(), bv.StoppingCriterion(2), bv.ImplicitAdjoint()
    )
    (gradient,) = torch.autograd.grad((result.final.positions**2).sum(), potential.length)
    assert gradient == 0
    assert result.backward.solutions[0].converged.all()


def test_a_molecule_turns_freely():
    potential = Morse()
    water = molecule("H2O")
    water.rattle(0.1, seed=1)
    rest = bv.StoppingCriterion(5000, fmax=1e-12)
    adjoint = bv.ImplicitAdjoint(bv.ConjugateGradient(1e-12), rest=rest)
    result = bv.relax(potential, water, bv.GradientDescent(0.1), bv.StoppingCriterion(3), adjoint)
    x = result.final.positions
    distances = (x[[0, 0, 1]] - x[[1, 2, 2]]).norm(dim=1)
    # three equal springs: an equilateral triangle whose side is the learned length
    torch.testing.assert_close(distances.detach(), potential.length.detach().expand(3))
    for distance in distances:
        (slope,) = torch.autograd.grad(distance, potential.length, retain_graph=True)
        assert float(slope) == pytest.approx(1.0, abs=1e-8)
    assert all(s.converged.all() for s in result.backward.solutions)


@pytest.mark.parametrize(
    ("atoms", "pbc", "fixed", "modes"),
    [
        (molecule("H2O"), False, [], 6),
        (molecule("CO2"), False, [], 5),
        (Atoms("H"), False, [], 3),
        (molecule("H2O"), True, [], 3),
        (molecule("H2O"), (True, False, False), [], 4),
        (molecule("H2O"), False, [0], 3),
        (molecule("H2O"), False, [0, 1], 1),
        (molecule("H2O"), False, [0, 1, 2], 0),
        (molecule("H2O"), True, [0], 0),
    ],
)
def test_zero_modes_are_counted_right(atoms, pbc, fixed, modes):
    from bpttviz.relaxation.zero_modes import ZeroModes

    atoms = atoms.copy()
    atoms.rotate(37, (1, 2, 3))
    if np.any(pbc):
        atoms.set_cell([8, 9, 10])
    atoms.pbc = pbc
    atoms.set_constraint(FixAtoms(fixed))
    structures = bv.Structures.from_ase(atoms)
    potential = Morse()
    internal = ZeroModes(structures, potential)
    flat = internal.modes.reshape(-1, 6)
    lengths = flat.norm(dim=0)
    assert int((lengths > 0.5).sum()) == modes
    torch.testing.assert_close(flat.T @ flat, torch.diag((lengths > 0.5).double()))
    assert internal.modes[fixed].abs().sum() < 1e-12
    noise = torch.randn(len(atoms), 3, dtype=torch.float64)
    once = internal.remove(noise)
    torch.testing.assert_close(internal.remove(once), once)
    if modes < 6 and not np.any(pbc):  # the energy does not feel them
        moved = structures.with_positions(structures.positions + 1e-4 * internal.modes.sum(2))
        if len(atoms) > 1:
            change = potential.energy(moved) - potential.energy(structures)
            slope = (potential(structures).forces.detach() * internal.modes.sum(2)).sum()
            assert abs(float(slope)) < 1e-10
            assert abs(float(change.detach())) < 1e-6


class Fragile(bv.Springs):
    """Springs that cannot be evaluated once atom 0 of a structure has gone up by more than 50 Å."""

    def energy(self, structures):
        energy = super().energy(structures)
        first = structures.positions.reshape(len(structures), -1, 3)[:, 0, 2]
        return torch.where(first > 50, torch.nan, energy)


def test_a_batch_in_which_one_member_diverges():
    reference = network()
    potential = Fragile(reference.pairs, reference.stiffness.detach(), reference.rest.detach())
    start = starts(2)
    x = start.positions.clone()
    x[4, 2] = 49.9  # atom 0 of the second: thrown upwards
    x[5:8, 2] = 400.0
    start = start.with_positions(x)
    target = targets(start)
    rule, stop = bv.GradientDescent(0.08, max_step=None), bv.StoppingCriterion(3)
    adjoint = bv.GuidedAdjoint(3, 0.5, TIGHT)

    def gradient(structures, goal):
        result = bv.relax(potential, structures, rule, stop, adjoint)
        loss = bv.delta_q(goal, result.final)[0] + 0.5 * bv.delta_q(goal, result.waypoints[0][1])[0]
        return torch.autograd.grad(loss, [potential.stiffness, potential.rest]), result

    with pytest.warns(bv.DivergenceWarning):
        together, result = gradient(start, target)
    assert list(result.diverged) == [1]
    assert all(torch.isfinite(g).all() for g in together)
    alone, _ = gradient(start[0], target[0])
    assert difference(together, alone) < 1e-9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bv.TruncatedBPTT(0), "steps"),
        (lambda: bv.GuidedAdjoint(window=0), "window"),
        (lambda: bv.GuidedAdjoint(weight=-1), "weight"),
        (lambda: bv.ImplicitAdjoint(damping=-1), "damping"),
        (lambda: bv.ImplicitAdjoint(rest=bv.StoppingCriterion(5)), "fmax"),
    ],
)
def test_senseless_adjoints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
