"""The CHGNet adapter against the chgnet package itself."""

import contextlib
import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from chgnet.model.model import CHGNet as Original
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

import bpttviz as bv
from bpttviz.potentials.pretrained.chgnet import CHECKPOINTS
from bpttviz.potentials.pretrained.chgnet_graph import crystal_graphs


def original(checkpoint):
    with contextlib.redirect_stdout(io.StringIO()):
        return Original.load(model_name=checkpoint, use_device="cpu", verbose=False)


def trained(potential):
    """Its parameters less those that the chgnet package freezes (the composition model's)."""
    return [p for p in potential.parameters() if p.requires_grad]


def twenty_structures():
    """Elements and compounds, cubic to badly skewed cells, 1 to 64 atoms, all displaced."""
    rng = np.random.default_rng(11)
    plain = [
        bulk("Si"),
        bulk("Si", cubic=True),
        bulk("Ge"),
        bulk("C"),
        bulk("Cu") * (2, 1, 1),
        bulk("Al", cubic=True),
        bulk("Fe", cubic=True),
        bulk("Mg"),
        bulk("Ti"),
        bulk("W") * (1, 1, 2),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("MgO", "rocksalt", a=4.2, cubic=True),
        bulk("GaAs", "zincblende", a=5.65),
        bulk("ZnO", "wurtzite", a=3.25, c=5.2),
        bulk("CsCl", "cesiumchloride", a=4.1),
        bulk("LiF", "rocksalt", a=4.0),
        bulk("SiC", "zincblende", a=4.36, cubic=True),
        bulk("CaF2", "fluorite", a=5.46),
        bulk("U"),
        bulk("Pb"),
    ]
    result = []
    for number, atoms in enumerate(plain):
        atoms = atoms.copy()
        if number % 3 == 0:  # another, skewed description of the same lattice
            atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]]) @ atoms.cell.array)
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True
        )
        atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
        result.append(atoms)
    data = bv.load_dataset("si-defects").all
    return [*result, *data[0].start.to_ase(), *data["114_tet_P"].end.to_ase()]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_energies_and_forces_equal_the_packages_own(checkpoint):
    theirs, ours = original(checkpoint), bv.CHGNet(checkpoint)
    several = twenty_structures()
    assert len(several) >= 20
    for atoms in several:
        expected = theirs.predict_structure(AseAtomsAdaptor.get_structure(atoms), task="ef")
        energy, forces = ours(bv.Structures.from_ase(atoms))
        found = forces.detach().numpy()
        assert float(energy) / len(atoms) == pytest.approx(float(expected["e"]), abs=1e-5)
        # float32's noise where bonds are added in another order; in float64 below they are equal
        assert np.abs(found - expected["f"]).max() < 1e-4, atoms.get_chemical_formula()


def by_their_converter(potential, structures):
    """A crystal graph that the chgnet package made, its coordinates tied to the positions."""
    cell = structures.cell[0]
    fractional = structures.positions @ torch.linalg.inv(cell)
    numbers, frozen = structures.numbers.tolist(), fractional.detach().numpy()
    crystal = Structure(Lattice(cell.numpy()), numbers, frozen)
    graph = potential.network.graph_converter(crystal)
    graph.lattice, graph.atom_frac_coord = cell, fractional
    graph.neighbor_image = graph.neighbor_image.double()
    return graph


def test_our_graphs_are_the_packages_own():
    potential = bv.CHGNet(dtype=torch.float64)
    for atoms in [
        *twenty_structures(),
        bulk("Fe"),
        *bv.load_dataset("crystals").all[:9].starts().to_ase(),
    ]:
        structures = bv.Structures.from_ase(atoms)
        start = structures.with_positions(structures.positions.requires_grad_())
        (ours,) = crystal_graphs(start, 6.0, 3.0, torch.float64)
        theirs = by_their_converter(potential, start)
        for name, size in (("atom_graph", 2), ("bond_graph", 5)):
            assert getattr(ours, name).shape == getattr(theirs, name).reshape(-1, size).shape
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype
        edges = [
            sorted(torch.cat([g.atom_graph, g.neighbor_image.int()], 1).tolist())
            for g in (ours, theirs)
        ]
        assert edges[0] == edges[1]
        found = []
        for graph in (ours, theirs):
            energy = potential.network([graph], task="e")["e"].sum()
            found.append((energy.item(), torch.autograd.grad(energy, start.positions)[0]))
        assert found[0][0] == pytest.approx(found[1][0], abs=1e-11)
        assert float((found[0][1] - found[1][1]).abs().max()) < 1e-10, atoms


def test_gradient_descent_equals_steps_made_by_hand_with_chgnets_own_api():
    reference = bv.load_dataset("si-defects").all["001_sub_P"]
    atoms, steps, eta = reference.start.to_ase()[0], 5, 0.04
    model = original("0.3.0")
    for _ in range(steps):
        forces = model.predict_structure(AseAtomsAdaptor.get_structure(atoms), task="ef")["f"]
        atoms.positions += eta * forces
    with torch.no_grad():
        result = bv.relax(
            bv.CHGNet(),
            reference.start,
            bv.GradientDescent(eta, max_step=None),
            bv.StoppingCriterion(steps),
        )
    assert np.abs(result.final.positions.numpy() - atoms.positions).max() < 1e-5


@pytest.mark.slow
def test_alone_and_in_a_batch_of_eight_end_together():
    data = bv.load_dataset("si-defects").all[:8]
    potential, rule, stop = bv.CHGNet(), bv.GradientDescent(0.04), bv.StoppingCriterion(8)
    with torch.no_grad():
        together = bv.relax(potential, data.starts(), rule, stop)
        for index in (0, 3, 7):
            alone = bv.relax(potential, data[index].start, rule, stop)
            apart = (together[index].final.positions - alone.final.positions).abs().max()
            assert apart < 1e-4


def directional_derivative(potential, steps, scale):
    """(by BPTT, by central differences) of ΔQ after ``steps`` steps along a random direction."""
    reference = bv.load_dataset("si-defects").all["000_vac_Si"]
    start, end = reference.start, reference.end
    rule, stop = bv.GradientDescent(0.06), bv.StoppingCriterion(steps)
    parameters = trained(potential)

    def loss():
        return bv.delta_q(bv.relax(potential, start, rule, stop).final, end).sum()

    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    # Along the gradient itself the derivative is as large as it gets, far above rounding.
    direction = [
        torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)
    ]
    length = torch.sqrt(sum((d**2).sum() for d in direction))
    direction = [d / length for d in direction]
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            for p, d in zip(parameters, direction, strict=True):
                p += sign * scale * d
            values.append(float(loss()))
            for p, d in zip(parameters, direction, strict=True):
                p -= sign * scale * d
    return float(length), (values[0] - values[1]) / (2 * scale)


@pytest.mark.slow
def test_bptt_through_five_steps_equals_central_differences():
    found, expected = directional_derivative(bv.CHGNet(dtype=torch.float64), 5, 1e-4)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_full_and_checkpointed_agree():
    reference = bv.load_dataset("si-defects").all["000_vac_Si"]
    start, end = reference.start, reference.end
    potential = bv.CHGNet(dtype=torch.float64)
    gradients = []
    for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT()):
        result = bv.relax(
            potential, start, bv.GradientDescent(0.06), bv.StoppingCriterion(3), adjoint
        )
        found = torch.autograd.grad(
            bv.delta_q(result.final, end).sum(), trained(potential), allow_unused=True
        )
        gradients.append(torch.cat([g.reshape(-1) for g in found if g is not None]))
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert gradients[0].norm() > 0.1
    assert difference < 1e-6


PEAK = """
import sys, torch, warnings
warnings.filterwarnings("ignore")
torch.set_num_threads(1)
import bpttviz as bv
reference = bv.load_dataset("si-defects").all["001_sub_P"]  # 64 atoms
start, end = reference.start, reference.end
potential, steps = bv.CHGNet(), int(sys.argv[1])
rule, stop = bv.GradientDescent(0.04), bv.StoppingCriterion(steps)
result = bv.relax(potential, start, rule, stop, eval(sys.argv[2]))
bv.delta_q(result.final, end).sum().backward()
# Not getrusage: its peak starts from that of the process which started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_memory(steps, adjoint):
    """Peak resident memory (MB) of one gradient in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), str(steps), adjoint],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) / 1024


@pytest.mark.slow
def test_checkpointed_memory_hardly_grows_with_the_number_of_steps():
    few, many = (peak_memory(steps, "bv.CheckpointedBPTT()") for steps in (2, 7))
    assert (many - few) / 5 < 10  # MB a step
    full = (peak_memory(4, "bv.FullBPTT()") - few) / 3  # one step's graph is there in either
    assert full > 50  # the comparison has teeth: a kept graph is far larger


def single(symbols, positions, cell=12.0, pbc=True):
    return Atoms(symbols, positions=positions, cell=[cell] * 3, pbc=pbc)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (
            single("SiAm", [[0, 0, 0], [2.4, 0, 0]]),
            "has element Am, which CHGNet does not know",
        ),
        (
            single("Si3", [[0, 0, 0], [2.4, 0, 0], [0, 0, 8.2]], 20.0),
            "atom 2 has no neighbour within 6 Å",
        ),
        (single("Si2", [[0, 0, 0], [2.4, 0, 0]], pbc=False), "is not periodic in all three"),
    ],
)
def test_structures_it_cannot_describe_are_named(atoms, message):
    good = bulk("Si")
    with pytest.raises(bv.StructureError, match=f"structure 1.*{message}"):
        bv.CHGNet()(bv.Structures.from_ase([good, atoms]))


def test_atoms_at_one_place_are_refused_where_nobody_checked():
    atoms = single("Si3", [[0, 0, 0], [2.4, 0, 0], [12, 0, 0]])
    structures = bv.Structures.from_ase(atoms, check=False)
    with pytest.raises(bv.StructureError, match=r"atoms 0 and 2 .* are at one place"):
        bv.CHGNet()(structures)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_a_changed_potential_goes_back_to_the_chgnet_package(checkpoint, tmp_path):
    potential = bv.CHGNet(checkpoint)
    atoms = bulk("NaCl", "rocksalt", a=5.7) * (2, 1, 1)
    atoms.rattle(0.1, seed=3)
    structures = bv.Structures.from_ase(atoms)
    untrained = potential(structures).forces.detach()
    end = bv.relax(potential, structures, stop=bv.StoppingCriterion(2)).final
    (end.positions**2).sum().backward()
    torch.optim.Adam(trained(potential), 1e-3).step()
    potential.export(tmp_path / "tuned.pth.tar")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = Original.from_file(tmp_path / "tuned.pth.tar")
    expected = theirs.predict_structure(AseAtomsAdaptor.get_structure(atoms), task="ef")
    energy, forces = potential(structures)
    assert np.abs(forces.detach().numpy() - expected["f"]).max() < 1e-5
    assert float(energy) / len(atoms) == pytest.approx(float(expected["e"]), abs=1e-5)
    assert (forces - untrained).abs().max() > 1e-3
    # Tensors and plain values only: whoever opens it runs no code.
    assert torch.load(tmp_path / "tuned.pth.tar", weights_only=True)["model"]


def test_unknown_checkpoint_is_refused():
    with pytest.raises(ValueError, match="no CHGNet checkpoint '9.9'; choose one of 0.3.0"):
        bv.CHGNet("9.9")


def test_a_type_of_number_can_be_chosen_later():
    made, cast = bv.CHGNet(dtype=torch.float64), bv.CHGNet().double()
    structures = bv.Structures.from_ase(twenty_structures()[:2])
    gradients = []
    for potential in (made, cast):
        forces = potential(structures).forces
        assert forces.dtype == torch.float64
        gradients.append(
            torch.autograd.grad((forces**2).sum(), trained(potential), allow_unused=True)
        )
    assert any(one is not None for one in gradients[0])
    for one, other in zip(*gradients, strict=True):
        assert one is other or torch.equal(one, other)
    assert cast.config() == made.config()
    single = cast.float()
    assert torch.equal(single(structures).forces, bv.CHGNet()(structures).forces)
    for refused in (single.half, single.bfloat16, lambda: single.to(torch.float16)):
        with pytest.raises(ValueError, match=r"must be torch.float32 or torch.float64, got .*16"):
            refused()
    assert single(structures).forces.isfinite().all()


def test_an_atom_that_leaves_is_a_divergence_not_an_abort():
    """A huge step throws atoms out of every cutoff; the other structure is still relaxed."""
    lonely = Atoms("Si2", [[0, 0, 0], [1.3, 0, 0]], cell=[40, 40, 40], pbc=True)
    batch = bv.Structures.from_ase([lonely, bulk("Si", cubic=True)], ["lonely", "bulk"])
    with torch.no_grad(), pytest.warns(bv.DivergenceWarning, match=r"lonely\) diverged at step 1"):
        result = bv.relax(
            bv.CHGNet(), batch, bv.GradientDescent(3.0, max_step=None), bv.StoppingCriterion(3)
        )
    assert "no neighbour" in result.diverged[0].cause
    assert 1 not in result.diverged
    assert torch.isfinite(result.final.positions).all()


@pytest.mark.slow
def test_implicit_equals_a_converged_unroll():
    """At rest in layers of antimony, whose height is free; in float32."""
    reference = bv.load_dataset("crystals").all["310_arsenic_Sb"]
    potential = bv.CHGNet()
    start, end = reference.start, reference.end
    weights = [p for p in potential.parameters() if p.requires_grad]

    def gradient(structures, rule, steps, adjoint):
        result = bv.relax(potential, structures, rule, bv.StoppingCriterion(steps), adjoint)
        loss = bv.delta_q(result.final, end).sum()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        flat = [
            torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)
        ]
        return torch.cat([g.reshape(-1) for g in flat]), result

    implicit = bv.ImplicitAdjoint(rest=bv.StoppingCriterion(500, fmax=2e-4))
    at_rest, result = gradient(start, bv.GradientDescent(0.06), 20, implicit)
    (solution,) = result.backward.solutions
    assert solution.converged.all()
    rest = start.with_positions(result.final.positions.detach())
    ball = bv.HeavyBall(0.06, 0.8, max_step=None)
    unrolled, _ = gradient(rest, ball, 100, bv.CheckpointedBPTT())
    assert float(torch.cosine_similarity(at_rest, unrolled, 0)) > 0.999
    assert float(unrolled.norm() / at_rest.norm()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("cells", [1, -1000])
def test_forces_in_single_precision_are_the_same_far_from_the_origin(cells):
    atoms = bulk("GaAs", "zincblende", a=5.65)
    atoms.rattle(0.1, seed=1)
    start, potential = bv.Structures.from_ase(atoms), bv.CHGNet()
    shift = cells * start.cell[0].sum(0)
    moved = start.with_positions(start.positions + shift)
    unwrapped = start.with_positions(start.positions + shift * torch.tensor([[0], [1]]))
    with torch.no_grad():
        energy, forces = potential(start)
        for there in (moved, unwrapped):
            found = potential(there)
            torch.testing.assert_close(found.forces, forces, rtol=0, atol=5e-5)
            torch.testing.assert_close(found.energy, energy, rtol=0, atol=5e-5)
