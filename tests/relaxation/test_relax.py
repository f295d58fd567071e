"""The iterated map itself: rules, stopping, batches, members that go wrong."""

import warnings

import pytest
import torch
from springs import network, starts, targets
from taught import references

import bpttviz as bv
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.relaxation.adjoints.base import record_path
from bpttviz.relaxation.adjoints.iterates import IterateAdjoint
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.state import State


def test_gradient_descent_is_the_linear_map_of_the_laplacian():
    potential, start = network(), starts(1)
    eta, steps = 0.1, 9
    with torch.no_grad():
        result = bv.relax(
            potential, start, bv.GradientDescent(eta, max_step=None), bv.StoppingCriterion(steps)
        )
        rest = potential.rest_positions(start.positions)
        one_step = torch.eye(4, dtype=torch.float64) - eta * potential.laplacian()
        expected = rest + torch.linalg.matrix_power(one_step, steps) @ (start.positions - rest)
    assert torch.allclose(result.final.positions, expected, atol=1e-12)
    assert result.trajectory.shape == (steps + 1, 4, 3)
    assert torch.equal(result.trajectory[-1], result.final.positions)
    assert (result.energy.diff(dim=0) < 0).all()


def test_a_step_size_for_each_step():
    potential, start = network(), starts(1)
    sizes = [0.1, 0.02, 0.05]
    with torch.no_grad():
        result = bv.relax(
            potential, start, bv.GradientDescent(sizes, max_step=None), bv.StoppingCriterion(3)
        )
        x = start.positions
        for size in sizes:
            x = x + size * potential(start.with_positions(x)).forces
        assert torch.allclose(result.final.positions, x, atol=1e-12)
        with pytest.raises(ValueError, match="step 4 was asked for, but step_size lists 3"):
            bv.relax(potential, start, bv.GradientDescent(sizes), bv.StoppingCriterion(4))


def test_long_steps_are_shortened_in_their_own_direction():
    potential, start = network(), starts(1)
    with torch.no_grad():
        forces = potential(start).forces
        result = bv.relax(
            potential, start, bv.GradientDescent(1.0, max_step=0.01), bv.StoppingCriterion(1)
        )
    moved = result.final.positions - start.positions
    assert torch.allclose(moved.norm(dim=1), torch.full((4,), 0.01, dtype=torch.float64))
    assert torch.allclose(torch.cosine_similarity(moved, forces, dim=1), torch.ones(4).double())


@pytest.mark.parametrize(
    "arguments", [{"step_size": 0}, {"step_size": [0.1, -1]}, {"step_size": []}, {"max_step": 0}]
)
def test_senseless_rules_are_refused(arguments):
    with pytest.raises(ValueError, match="positive"):
        bv.GradientDescent(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"max_steps": 0}, {"max_steps": 2.5}, {"fmax": 0}, {"fmax": float("inf")}]
)
def test_senseless_stops_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        bv.StoppingCriterion(**arguments)


def test_each_structure_stops_by_itself():
    potential, start = network(), starts(3)
    near = potential.rest_positions(start[1].positions).detach()
    x = start.positions.clone()
    x[4:8] = near + 1e-3 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(2000, fmax=1e-5)
    with torch.no_grad():
        result = bv.relax(potential, start.with_positions(x), rule, stop)
    assert result.converged.all()
    assert (result.fmax[-1] < 1e-5).all()
    assert result.steps[1] < result.steps[0]
    made = int(result.steps[1])
    mine = start.structure_index == 1
    frozen = result.trajectory[made:, mine]
    assert torch.equal(frozen, frozen[:1].expand_as(frozen))
    for index in range(3):  # a batch ends where its members end alone
        with torch.no_grad():
            alone = bv.relax(potential, start.with_positions(x)[index], rule, stop)
        assert int(alone.steps) == int(result.steps[index])
        assert torch.allclose(alone.final.positions, result[index].final.positions, atol=1e-12)


class Asked(bv.Springs):
    """Notes how many structures it is asked about."""

    def forward(self, structures):
        self.asked = [*getattr(self, "asked", []), len(structures)]
        return super().forward(structures)


@pytest.mark.parametrize("limit", [{"fmax": 0.02}, {"max_displacement": 2e-3}])
def test_who_is_at_rest_leaves_the_batch(limit):
    stop, rule = bv.StoppingCriterion(500, **limit), bv.GradientDescent(0.1)
    potential = Asked.frustrated()
    with torch.no_grad():
        result = bv.relax(potential, starts(3), rule, stop)
    assert result.converged.all()
    assert len(set(result.steps.tolist())) > 1
    assert sum(potential.asked) == int((result.steps + 1).sum())  # the end is seen, too
    assert potential.asked[-1] < 3
    for index, steps in enumerate(result.steps.tolist()):
        mine = result[index]
        with torch.no_grad():
            there = potential(mine.final)
        for found, end in ((mine.energy, there.energy), (mine.forces, there.forces)):
            assert torch.allclose(found[steps:], end.expand_as(found[steps:]), atol=1e-12)


@pytest.mark.parametrize("adjoint", [bv.FullBPTT(), bv.CheckpointedBPTT(segment_length=3)])
def test_a_gradient_passes_those_who_left(adjoint):
    stop, rule = bv.StoppingCriterion(500, fmax=0.02), bv.GradientDescent(0.1)
    potential, batch = network(), starts(3)

    def gradient(structures):
        end = bv.relax(potential, structures, rule, stop, adjoint).final
        away = end.with_positions(end.positions.detach() + 0.1 * structures.positions)
        loss = bv.delta_q(end, away).sum()
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, potential.parameters())])

    together, alone = gradient(batch), sum(gradient(batch[index]) for index in range(3))
    assert float((together - alone).norm() / alone.norm()) < 1e-9


def test_a_path_that_a_tolerance_ended_has_no_step_too_many():
    """The evaluation that finds a structure at rest moves nothing: it is no step of the map."""
    start = starts(1)
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(60, fmax=0.02)
    made = bv.relax(network(), start, rule, stop)
    steps = int(made.steps)
    assert 1 < steps < 60
    loop = Loop(network(), start, rule, stop)
    with torch.no_grad():
        path = record_path(loop, loop.begin(), 60)
    assert len(path) == steps + 1
    assert torch.equal(path[-1].positions, made.final.positions)
    assert not torch.equal(path[-1].positions, path[-2].positions)
    assert bv.diagnose_gradient(network(), start, start, rule, stop).steps == steps


@pytest.mark.parametrize(
    "adjoint",
    [bv.FullBPTT(), bv.CheckpointedBPTT(), bv.CheckpointedBPTT(2, kept_steps=3),
     bv.TruncatedBPTT(2), bv.DetachedBPTT(), IterateAdjoint()],
    ids=repr,
)  # fmt: skip
def test_a_start_that_is_at_rest_has_a_gradient_of_zero(adjoint):
    """No graph at all would end a training."""
    potential = network()
    stop = bv.StoppingCriterion(10, fmax=1e3)
    made = bv.relax(potential, starts(1), stop=stop, adjoint=adjoint)
    assert int(made.steps) == 0
    loss = bv.delta_q(targets(starts(1)), made.final).sum()
    (gradient,) = torch.autograd.grad(loss, potential.stiffness, allow_unused=True)
    assert gradient is None or not gradient.any()
    run = bv.finetune(
        potential, references(1), bv.EndpointLoss(stop=stop, adjoint=adjoint), epochs=1,
        progress=False,
    )  # fmt: skip
    assert run.status == "finished"


def test_one_structure_of_a_batch_is_taken_by_its_number():
    made = bv.relax(network(), starts(3), stop=bv.StoppingCriterion(2))
    last = made[-1]
    assert last.trajectory.shape == made[2].trajectory.shape
    assert torch.equal(last.final.positions, made[2].final.positions)
    for index in (3, -4):
        with pytest.raises(IndexError, match=rf"3 structures, counted from 0; got {index}"):
            made[index]
    with pytest.raises(ValueError, match="index must be a whole number"):
        made[1.5]
    with pytest.raises(TypeError, match="index must be a whole number"):
        made["a"]


def test_a_small_displacement_stops_too():
    with torch.no_grad():
        result = bv.relax(
            network(),
            starts(1),
            bv.GradientDescent(0.1),
            bv.StoppingCriterion(5000, max_displacement=1e-6),
        )
    assert result.converged.all()
    last = (result.trajectory[-1] - result.trajectory[-2]).norm(dim=1).max()
    assert last < 1e-6


def test_fixed_atoms_stay():
    atoms = starts(1).to_ase()[0]
    from ase.constraints import FixAtoms

    atoms.set_constraint(FixAtoms([2]))
    with torch.no_grad():
        result = bv.relax(
            network(), atoms, bv.GradientDescent(0.1), bv.StoppingCriterion(50, fmax=1e-4)
        )
    assert torch.equal(
        result.trajectory[:, 2], result.trajectory[:1, 2].expand(len(result.trajectory), 3)
    )
    assert not torch.equal(result.trajectory[0, 1], result.trajectory[-1, 1])


class Cliff(Potential):
    """Springs to the origin that return NaN once an atom of a structure is beyond ``edge`` Å."""

    equivariant = net_force_free = False

    def __init__(self, edge, strength):
        super().__init__()
        self.edge = edge
        self.strength = torch.nn.Parameter(torch.tensor(strength, dtype=torch.float64))

    def forward(self, structures):
        x = structures.positions
        beyond = torch.zeros(len(structures), dtype=torch.bool)
        beyond[structures.structure_index[x.detach().norm(dim=1) > self.edge]] = True
        # log of a negative number: NaN in the value and in every derivative, as a real model's
        poison = torch.where(beyond, -self.strength, self.strength).log() * 0
        forces = -self.strength * x + poison[structures.structure_index][:, None]
        return Prediction(poison, forces)


def test_a_member_that_diverges_is_named_and_the_others_go_on():
    start = starts(3)
    x = start.positions.clone()
    x[4:8] *= 4  # overshoots: |1 - 3·0.7| > 1 and starts near the edge
    start = start.with_positions(x)
    potential, rule = Cliff(60.0, 3.0), bv.GradientDescent(0.7, max_step=None)
    stop = bv.StoppingCriterion(8)
    potential.edge = float(start.positions.norm(dim=1)[4:8].max()) * 1.2
    with pytest.warns(bv.DivergenceWarning, match=r"structure 1 \(s1\) diverged at step \d"):
        result = bv.relax(potential, start, rule, stop, bv.FullBPTT())
    lost = result.diverged[1]
    assert set(result.diverged) == {1}
    assert lost.step in (1, 2)
    assert "not finite" in lost.cause
    assert torch.isnan(result.trajectory[lost.step + 1 :, 4:8]).all()
    assert torch.isfinite(result.trajectory[: lost.step + 1]).all()
    assert torch.isfinite(result.final.positions).all()

    loss = bv.delta_q(start, result.final)
    weight = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    (slope,) = torch.autograd.grad((loss * weight).sum(), potential.strength)
    pieces = []
    for index in (0, 2):
        alone = bv.relax(potential, start[index], rule, stop, bv.FullBPTT())
        pieces.append(
            torch.autograd.grad(bv.delta_q(start[index], alone.final).sum(), potential.strength)[0]
        )
    assert torch.isfinite(slope)
    assert float(slope) == pytest.approx(float(sum(pieces)), rel=1e-10)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = bv.relax(potential, start, rule, stop, bv.CheckpointedBPTT())
    (checkpointed,) = torch.autograd.grad(
        (bv.delta_q(start, again.final) * weight).sum(), potential.strength
    )
    assert float(checkpointed) == pytest.approx(float(slope), rel=1e-12)


def test_a_start_without_finite_forces_is_an_input_error():
    with pytest.raises(bv.StructureError, match=r"structure 0 \(s0\).*not finite"):
        bv.relax(Cliff(0.1, 1.0), starts(1))


def test_frames_carry_energies_and_forces():
    with torch.no_grad():
        result = bv.relax(network(), starts(2), stop=bv.StoppingCriterion(3))
    frames = result.frames(1)
    assert len(frames) == 4
    assert frames[2].get_potential_energy() == pytest.approx(float(result.energy[2, 1]))
    assert frames[2].get_forces() == pytest.approx(result.forces[2, 4:8].numpy())
    assert "2 structures, 3 steps" in repr(result)


def far_apart(count, **changes):
    """`starts` with other positions for some members: index → (4, 3) Å."""
    start = starts(count)
    x = start.positions.clone()
    for index, positions in changes.items():
        x[start.structure_index == int(index[1:])] = positions
    return start.with_positions(x)


class Refusing(bv.Springs):
    """Springs that cannot describe a structure with an atom beyond 50 Å."""

    def energy(self, structures):
        for index, x in enumerate(structures.split(structures.positions)):
            if float(x.detach().abs().max()) > 50:
                raise bv.StructureError("has an isolated atom", index, structures.names[index])
        return super().energy(structures)


def refusing(poisoned):
    springs = network()
    if poisoned:
        return Cliff(50.0, 1.0)
    return Refusing(springs.pairs, springs.stiffness.detach(), springs.rest.detach())


@pytest.mark.parametrize("poisoned", [False, True], ids=["refused", "not finite"])
@pytest.mark.parametrize("adjoint", [bv.FullBPTT(), bv.CheckpointedBPTT(2)], ids=repr)
def test_a_start_that_cannot_be_evaluated_is_left_out_and_the_others_go_on(poisoned, adjoint):
    potential = refusing(poisoned)
    lost = torch.full((4, 3), 60.0, dtype=torch.float64) + 2 * starts(1).positions
    start = far_apart(4, m0=lost, m2=lost)
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(5)
    with pytest.warns(bv.DivergenceWarning, match=r"s[02]\) cannot be evaluated at its start"):
        together = bv.relax(potential, start, rule, stop, adjoint)
    assert {index: d.step for index, d in together.diverged.items()} == {0: 0, 2: 0}
    assert together.steps.tolist() == [0, 5, 0, 5]
    assert together.energy[:, [0, 2]].isnan().all()
    assert torch.equal(together.trajectory[0], start.positions)
    alone = bv.relax(potential, start[[1, 3]], rule, stop, adjoint)
    kept = (start.structure_index == 1) | (start.structure_index == 3)
    torch.testing.assert_close(together.final.positions[kept], alone.final.positions)
    weights = list(potential.parameters())
    one = torch.autograd.grad((together.final.positions**2).sum(), weights, allow_unused=True)
    two = torch.autograd.grad((alone.final.positions**2).sum(), weights, allow_unused=True)
    torch.testing.assert_close(one, two)
    with pytest.raises(bv.StructureError, match=r"structure 0 \(s0\)"):
        bv.relax(potential, start[[0, 2]], rule, stop, adjoint)


class Repulsive(Potential):
    """Neighbours push each other apart until they no longer see each other."""

    def __init__(self):
        super().__init__()
        self.strength = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def energy(self, structures):
        parts = []
        for x in structures.split(structures.positions):
            distance = (x[:, None] - x[None]).square().sum(2).clamp(min=1e-12).sqrt()
            parts.append((self.strength * torch.exp(-distance)).triu(1).sum())
        return torch.stack(parts)


def test_atoms_that_were_thrown_apart_have_not_converged():
    start, stop = starts(1), bv.StoppingCriterion(50, fmax=0.01)
    with torch.no_grad(), pytest.warns(bv.DivergenceWarning, match=r"thrown .* Å from its start"):
        result = bv.relax(Repulsive(), start, bv.GradientDescent(1e6, max_step=None), stop)
    assert not result.converged.any()
    assert list(result.diverged) == [0]
    assert (result.final.positions - start.positions).norm(dim=1).max() < 100


def test_inference_mode_is_no_grad():
    with torch.no_grad():
        expected = bv.relax(network(), starts(1), stop=bv.StoppingCriterion(3)).final.positions
    potential = network()
    with torch.inference_mode():
        start = starts(1)
        for given in (start, start.to_ase()[0]):
            final = bv.relax(potential, given, stop=bv.StoppingCriterion(3)).final.positions
            torch.testing.assert_close(final, expected)
            assert not final.requires_grad
        spoiled = network()
    final = bv.relax(potential, start, stop=bv.StoppingCriterion(3)).final.positions
    assert final.requires_grad
    with pytest.raises(ValueError, match=r"made inside torch.inference_mode"):
        bv.relax(spoiled, start)


WRONG = {
    "potential": ["chgnet", bv.Springs, None],
    "structures": ["POSCAR", 3, None, [1, 2], {}],
    "rule": ["fire", bv.FIRE, 0.04],
    "stop": [20, bv.StoppingCriterion, {"max_steps": 3}],
    "adjoint": ["full", bv.CheckpointedBPTT, 5],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_an_argument_of_another_kind_gets_a_sentence(name, value):
    arguments = {"potential": network(), "structures": starts(1), name: value}
    with pytest.raises(TypeError, match=rf"^{name}(\[0\])? must be an? "):
        bv.relax(**arguments)
    if name != "adjoint":
        wanted = {"structures": "start"}.get(name, name)
        arguments = {"potential": network(), "start": starts(1), "end": starts(1), wanted: value}
        with pytest.raises(TypeError, match=rf"^{wanted}(\[0\])? must be an? "):
            bv.diagnose_gradient(**arguments)


class LastHalf(bv.Adjoint):
    """The example in the base's docstring."""

    def drive(self, loop):
        from bpttviz.relaxation.adjoints.base import AdjointResult, BackwardRecord

        backward = BackwardRecord.of(loop)
        with torch.no_grad():
            state = loop.advance(loop.begin(), loop.stop.max_steps // 2)
        while not loop.finished and state.step < loop.stop.max_steps:
            state = backward.attach_hook(loop.advance(state, 1))
        return AdjointResult(state, backward)


class Nesterov(bv.UpdateRule):
    """The example in the base's docstring."""

    def __init__(self, step_size=0.04, momentum=0.5):
        super().__init__()
        self.step_size, self.momentum = step_size, momentum

    def init(self, structures):
        return State.first(structures, {"last": structures.positions})

    def step(self, state, forces):
        ahead = state.positions + self.momentum * (state.positions - state.per_atom["last"])
        return state.after(ahead + self.step_size * forces, {"last": state.positions})

    def config(self):
        return {"step_size": self.step_size, "momentum": self.momentum}


def test_a_rule_and_an_adjoint_of_ones_own():
    potential, stop = network(), bv.StoppingCriterion(12)
    ends = {}
    for adjoint in (LastHalf(), bv.FullBPTT(), bv.CheckpointedBPTT(5), bv.TruncatedBPTT(6)):
        final = bv.relax(potential, starts(2), Nesterov(), stop, adjoint).final.positions
        (gradient,) = torch.autograd.grad((final**2).sum(), potential.stiffness)
        ends[type(adjoint).__name__] = gradient
    torch.testing.assert_close(ends["CheckpointedBPTT"], ends["FullBPTT"])
    torch.testing.assert_close(ends["LastHalf"], ends["TruncatedBPTT"])
    assert (ends["LastHalf"] - ends["FullBPTT"]).norm() > 1e-3 * ends["FullBPTT"].norm()


@pytest.mark.parametrize("base", [bv.UpdateRule, bv.Adjoint])
def test_a_base_without_its_methods_cannot_be_made(base):
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (base,), {})()
