"""Small potentials for tests: sound ones of our own, and those that extras bring."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from torch import nn

import bpttviz as bv
from bpttviz.geometry import segment_sum
from bpttviz.potentials.neighbors import neighbours

CUTOFF = 4.5


class Pairs(nn.Module):
    """E = Σ w(r) (1 - r/c)³ over pairs within c, with a small network w; any cell, any element."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        layers = nn.Linear(1, 8), nn.SiLU(), nn.Linear(8, 1)
        self.net = nn.Sequential(*layers).to(torch.float64)

    def of(self, distance):
        """(E,) eV of pairs (E,) Å apart."""
        return 0.5 * self.net(distance[:, None])[:, 0] * 50 * (1 - distance / CUTOFF) ** 3

    def forward(self, structures, positions):
        graph = neighbours(structures, CUTOFF)
        pair = self.of(graph.vectors(positions).norm(dim=1))
        return segment_sum(pair, structures.structure_index[graph.first], len(structures))


def pairs():
    return bv.EnergyFunction(Pairs())


def small_mace(dtype=torch.float64, heads=("Default",), seed=0):
    """A MACE as mace-torch makes them: random weights, for Na, Si, P and Cl."""
    pytest.importorskip("mace", reason="mace-torch is not installed: pip install 'bpttviz[mace]'")
    from bpttviz.potentials.pretrained.e3 import import_extra

    modules = import_extra("mace.modules", "mace-torch", "mace")
    from e3nn import o3

    torch.manual_seed(seed)
    several = len(heads) > 1
    return modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=4,
        hidden_irreps=o3.Irreps("8x0e+8x1o"),
        MLP_irreps=o3.Irreps("4x0e"),
        atomic_energies=torch.tensor([[-1.0, -5.0, -4.0, -2.0]] * len(heads)).numpy(),
        avg_num_neighbors=12.0,
        atomic_numbers=[11, 14, 15, 17],
        correlation=2,
        gate=nn.functional.silu,
        radial_MLP=[16],
        heads=list(heads),
        atomic_inter_scale=[20.0] * len(heads) if several else 20.0,
        atomic_inter_shift=[0.1] * len(heads) if several else 0.1,
    ).to(dtype)


def sevennet(*arguments, **keywords):
    pytest.importorskip("sevenn", reason="sevenn is not installed: pip install 'bpttviz[sevennet]'")
    return bv.SevenNet(*arguments, **keywords)


def diep(*arguments, **keywords):
    if find_spec("diep") is None:
        pytest.skip("diep is not installed: pip install 'bpttviz[diep]'")
    return bv.DIEP(*arguments, **keywords)


def small_matgl(kind, seed=0, **settings):
    """A potential as matgl makes them, of its class ``kind``: random weights, eight elements."""
    if find_spec("matgl") is None:
        pytest.skip("matgl is not installed: pip install 'bpttviz[matgl]'")
    import matgl.models
    from matgl.apps.pes import Potential

    torch.manual_seed(seed)
    small = {"units": 8, "nblocks": 1, "is_intensive": False, "cutoff": CUTOFF, "use_smooth": True}
    of_kind = {
        "M3GNet": {"dim_node_embedding": 8, "dim_edge_embedding": 8, "threebody_cutoff": 3.5},
        "TensorNet": {"rbf_type": "SphericalBessel"},
    }
    elements = ("C", "O", "Na", "Si", "P", "Cl", "Ga", "Ge")
    network = getattr(matgl.models, kind)(elements, **small | of_kind.get(kind, {}) | settings)
    with torch.no_grad():
        for weights in network.parameters():
            # As they are born they give no forces to speak of.
            weights *= 2.5 if kind == "M3GNet" else 1.4
    return Potential(network, data_std=5.0, element_refs=-torch.arange(1.0, 9.0))


def m3gnet(dtype=torch.float32):
    return bv.MatGL(small_matgl("M3GNet"), dtype=dtype)


def tensornet(dtype=torch.float32):
    return bv.MatGL(small_matgl("TensorNet"), dtype=dtype)


SMALL_NEQUIX = Path(__file__).parents[1] / "potentials" / "small.nqx"


def nequix(dtype=torch.float32):
    """A Nequix of random weights, for Na, Si, P and Cl."""
    pytest.importorskip("e3nn", reason="e3nn is not installed: pip install 'bpttviz[nequix]'")
    return bv.Nequix(SMALL_NEQUIX, dtype=dtype)


def rattled_silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    return bv.Structures.from_ase(atoms)


def awkward_cells():
    """Cubic, skewed, and one atom that sees its own images; all displaced."""
    skewed = bulk("Si")
    skewed.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]]) @ skewed.cell.array)
    several = [
        bulk("NaCl", "rocksalt", a=5.6, cubic=True),
        skewed,
        Atoms("Si", cell=[[2.5, 0, 0], [0.3, 2.6, 0], [0, 0.4, 2.7]], pbc=True),
    ]
    for seed, atoms in enumerate(several):
        atoms.rattle(0.1, seed=seed)
    return several


def worst_deviation(potential, calculator, several):
    """Largest deviation from an ASE calculator: (energy per atom eV, force eV/Å)."""
    with torch.no_grad():
        energy, forces = potential(bv.Structures.from_ase(several))
    deviations = []
    pieces = forces.split([len(atoms) for atoms in several])
    for atoms, value, piece in zip(several, energy, pieces, strict=True):
        atoms.calc = calculator
        off = abs(atoms.get_potential_energy() - float(value)) / len(atoms)
        deviations.append((off, np.abs(atoms.get_forces() - piece.numpy()).max()))
    return np.max(deviations, axis=0)


def endpoint_gradient(potential, structures, adjoint, steps=3, rate=0.03):
    """(value, gradient by all weights as one vector) of a number that tells where K steps end."""
    weights = [p for p in potential.parameters() if p.requires_grad]
    rule = bv.GradientDescent(rate)
    end = bv.relax(
        potential, structures, rule, bv.StoppingCriterion(steps), adjoint
    ).final.positions
    draw = torch.Generator().manual_seed(5)
    value = (end * torch.randn(end.shape, generator=draw, dtype=torch.float64)).sum()
    found = torch.autograd.grad(value, weights, allow_unused=True)
    flat = [
        (torch.zeros_like(w) if g is None else g).reshape(-1)
        for w, g in zip(weights, found, strict=True)
    ]
    return float(value.detach()), torch.cat(flat)


def central_difference(potential, structures, direction, nudge=1e-5):
    """The derivative of `endpoint_gradient`'s value along a direction (a vector of all weights)."""
    weights = [p for p in potential.parameters() if p.requires_grad]
    start = nn.utils.parameters_to_vector(weights).detach().clone()
    values = []
    for sign in (1, -1):
        nn.utils.vector_to_parameters(start + sign * nudge * direction, weights)
        values.append(endpoint_gradient(potential, structures, bv.FullBPTT())[0])
    nn.utils.vector_to_parameters(start, weights)
    return (values[0] - values[1]) / (2 * nudge)


def require_exact_gradients(potential, structures):
    """Full and Checkpointed agree, and both equal central differences, in double precision."""
    assert {p.dtype for p in potential.parameters()} == {torch.float64}
    (_, full), (_, kept) = (
        endpoint_gradient(potential, structures, adjoint)
        for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT())
    )
    assert full.norm() > 1e-3
    assert (full - kept).norm() / full.norm() < 1e-9
    draw = torch.Generator().manual_seed(6)
    for _ in range(2):
        # Half along the gradient, so that the derivative is well above rounding.
        chance = torch.randn(full.shape, generator=draw, dtype=torch.float64)
        direction = full / full.norm() + chance / chance.norm()
        expected = central_difference(potential, structures, direction)
        assert float(full @ direction) == pytest.approx(expected, rel=1e-5)
