"""Which rigid motions are free, and that exactly these cost nothing."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms
from scipy.spatial.transform import Rotation

import bpttviz as bv
from bpttviz.distances import displacements

PERIODIC = list(itertools.product([False, True], repeat=3))
CELL = np.array([[7.0, 0.4, 0], [1.5, 8.0, 0.3], [-2.0, 1.0, 9.0]])


def cluster(pbc=(False,) * 3, held=(), seed=0, count=6, cell=CELL):
    """A few atoms of different masses in a tilted cell."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(["Si", "C", "O", "Ge", "H", "P", "Al", "S"][:count], cell=cell, pbc=pbc)
    grid = np.array(list(itertools.product([0, 2.0], repeat=3)))[:count]
    atoms.positions = grid + rng.normal(scale=0.25, size=(count, 3))
    atoms.set_constraint(FixAtoms(list(held)))
    return atoms


def moved(atoms, positions):
    other = atoms.copy()
    other.positions = positions
    return other


def distances(*atoms):
    pair = [bv.Structures.from_ase(x, check=False) for x in atoms]
    return float(bv.delta_q(*pair)), float(bv.rmsd(*pair))


def turn(positions, axis, angle, about):
    return Rotation.from_rotvec(angle * np.array(axis)).apply(positions - about) + about


# held atoms and the positions that make them one, two on a line, three on a line, or a plane
HELD = {"none": [], "one": [1], "line": [0, 2, 4], "plane": [0, 1, 2]}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("periodic", [0, 1, 2, 3])
def test_exactly_the_free_motions_cost_nothing(periodic, held):
    pbc = [True] * periodic + [False] * (3 - periodic)
    atoms = cluster(pbc, HELD[held])
    along = CELL[0] / np.linalg.norm(CELL[0])
    axis, about = along, atoms.positions.mean(0)
    if held == "line":  # along the first cell vector
        for place, member in enumerate(HELD[held]):
            atoms.positions[member] = [0.3, 0.2, 0.1] + 2.1 * place * along
        about = atoms.positions[0]
    if held == "one":
        about = atoms.positions[1]
    motions = {
        "translation": atoms.positions + np.array([0.3, -0.2, 0.4]),
        "turn about the first vector": turn(atoms.positions, axis, 1.9, about),
        "turn about another": turn(atoms.positions, [0, 0.6, 0.8], 2.5, about),
    }
    free = {
        "translation": held == "none",
        "turn about the first vector": periodic <= 1 and held != "plane",
        "turn about another": periodic == 0 and held in ("none", "one"),
    }
    for name, positions in motions.items():
        dq, rmsd = distances(atoms, moved(atoms, positions))
        if free[name]:
            assert dq < 1e-6, name
            assert rmsd < 1e-6, name
        else:
            assert dq > 0.5, name
            assert rmsd > 0.1, name
    if held != "none":  # nothing turned: plain distances
        step = 0.02 * np.random.default_rng(1).normal(size=(6, 3))
        step[HELD[held]] = 0
        dq, _ = distances(atoms, moved(atoms, atoms.positions + step))
        plain = np.sqrt((atoms.get_masses()[:, None] * step**2).sum())
        assert dq <= plain * (1 + 1e-9)
        if periodic > 1 or held == "plane":
            assert dq == pytest.approx(plain)


@pytest.mark.parametrize(("pbc", "held"), [((0, 0, 0), []), ((1, 0, 0), []), ((0, 0, 0), [1])])
def test_no_rotation_explains_more(pbc, held):
    """The rotation found is the best one: none of many others leaves less."""
    atoms = cluster(pbc, held)
    rng = np.random.default_rng(2)
    noise = 0.2 * rng.normal(size=(6, 3))
    noise[held] = 0
    axis = CELL[0] / np.linalg.norm(CELL[0]) if pbc[0] else [0.48, 0.6, 0.64]
    about = atoms.positions[held[0]] if held else np.zeros(3)
    other = moved(atoms, turn(atoms.positions + noise, axis, 2.0, about))
    found, _ = distances(atoms, other)
    masses = atoms.get_masses()[:, None]
    for _ in range(300):
        rotvec = rng.normal(scale=0.1, size=3) - 2.0 * np.array(axis)
        if pbc[0]:
            rotvec = (rotvec @ axis) * np.array(axis)
        left = Rotation.from_rotvec(rotvec).apply(other.positions - about) + about
        left = left - atoms.positions
        if not held:
            left -= (masses * left).sum(0) / masses.sum()
        assert found <= np.sqrt((masses * left**2).sum()) + 1e-9
    assert 0.1 < found < np.sqrt((masses * noise**2).sum()) + 1e-9


def test_a_mirror_image_is_another_molecule():
    atoms = cluster(count=5)
    assert distances(atoms, moved(atoms, atoms.positions * [1, 1, -1]))[0] > 0.5


@pytest.mark.parametrize("name", ["H2", "CO2", "H2O", "C6H6"])
def test_flat_and_straight_molecules_turn_too(name):
    atoms = molecule(name)
    turned = moved(
        atoms, turn(atoms.positions, [0.48, 0.6, 0.64], 2.2, [1.0, 0, 0]) + np.array([1, 2, 3])
    )
    assert max(distances(atoms, turned)) < 1e-6


@pytest.mark.parametrize("turned", [0.0, 2.2])
@pytest.mark.parametrize(
    ("pbc", "held"),
    [((0, 0, 0), []), ((1, 0, 0), []), ((1, 1, 1), []), ((0, 0, 0), [1]), ((1, 1, 0), [0, 3])],
)
def test_gradients_equal_central_differences(pbc, held, turned):
    atoms = cluster(pbc, held)
    rng = np.random.default_rng(4)
    other = moved(atoms, turn(atoms.positions, [0.48, 0.6, 0.64], turned, [0, 0, 0]))
    other.positions += 0.1 * rng.normal(size=(6, 3))
    a, b = (bv.Structures.from_ase(x, check=False) for x in (atoms, other))
    for distance in (bv.delta_q, bv.rmsd):
        assert torch.autograd.gradcheck(
            lambda x, distance=distance: distance(a, b.with_positions(x)),
            b.positions.clone().requires_grad_(),
        )
        assert torch.autograd.gradcheck(
            lambda x, distance=distance: distance(a.with_positions(x), b),
            a.positions.clone().requires_grad_(),
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_molecule_merely_turned_has_no_gradient(dtype):
    atoms = cluster()
    other = moved(atoms, turn(atoms.positions, [0.48, 0.6, 0.64], 2.0, [0, 0, 0]))
    a, b = (bv.Structures.from_ase(x, dtype=dtype) for x in (atoms, other))
    for there in (a, b):
        x = there.positions.clone().requires_grad_()
        dq = bv.delta_q(a, there.with_positions(x))
        (slope,) = torch.autograd.grad(dq.sum(), x)
        assert float(dq.detach()) == 0
        assert torch.equal(slope, torch.zeros_like(slope))


def test_a_batch_equals_its_members():
    kinds = [((0, 0, 0), []), ((1, 0, 0), []), ((1, 1, 1), []), ((0, 0, 0), [1]), ((0, 1, 1), [2])]
    starts = [cluster(pbc, held, seed) for seed, (pbc, held) in enumerate(kinds)]
    rng = np.random.default_rng(5)
    ends = [
        moved(x, turn(x.positions, [0, 0, 1], 1.0, [0, 0, 0]) + 0.1 * rng.normal(size=(6, 3)))
        for x in starts
    ]
    together = bv.delta_q(bv.Structures.from_ase(starts), bv.Structures.from_ase(ends))
    alone = [distances(a, b)[0] for a, b in zip(starts, ends, strict=True)]
    assert together.tolist() == pytest.approx(alone)


# --- periodic images -----------------------------------------------------------------------------


def best_by_hand(raw, weights, cell, pbc):
    """Smallest Σ w |d - mean|² over all images: exact for a few atoms.

    It is (1/W) Σ_{i<j} w_i w_j |d_i - d_j|²; so relative to atom 0 every image is tried.
    """
    images = (
        np.array(list(itertools.product(*[range(-12, 13) if on else (0,) for on in pbc])), float)
        @ cell
    )
    choices = [(raw[i] - raw[0])[None] + images for i in range(1, len(raw))]
    choices = [c[np.argsort((c**2).sum(1))[:9]] for c in choices]
    rest = np.array(list(itertools.product(*choices)))
    d = np.concatenate([np.zeros((len(rest), 1, 3)), rest], 1)
    d = d - (weights[:, None] * d).sum(1, keepdims=True) / weights.sum()
    best = (weights[:, None] * d**2).sum((1, 2)).min()
    return np.sqrt(best)


@pytest.mark.parametrize("pbc", PERIODIC[1:], ids=str)
def test_the_common_translation_and_the_images_are_the_best_ones(pbc):
    rng = np.random.default_rng(6)
    for trial in range(8):
        cell = rng.normal(size=(3, 3)) + 4 * np.eye(3)
        if trial % 2:
            cell[2] += 3 * cell[0]
        atoms = cluster(pbc, count=4, cell=cell)
        scale = 2.0 if trial < 6 else 0.05
        end = atoms.positions + scale * rng.normal(size=(4, 3)) + 3 * rng.normal(size=3)
        images = rng.integers(-2, 3, size=(4, 3)) * pbc
        end = end + images @ cell
        a, b = (bv.Structures.from_ase(x, check=False) for x in (atoms, moved(atoms, end)))
        expected = best_by_hand(end - atoms.positions, atoms.get_masses(), cell, pbc)
        found = float(bv.delta_q(a, b))
        if sum(pbc) == 1:  # a rotation explains some of it
            assert found <= expected + 1e-8
        else:
            assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 1)])
def test_a_translation_near_half_a_lattice_vector_is_ignored(pbc):
    rng = np.random.default_rng(7)
    atoms = cluster(pbc, count=8)
    internal = 0.1 * rng.normal(size=(8, 3))
    expected = distances(atoms, moved(atoms, atoms.positions + internal))
    for shift in itertools.product([0, 0.45, 0.5, 0.55, 1.5], repeat=3):
        far = moved(atoms, atoms.positions + internal + np.array(shift) @ CELL)
        assert distances(atoms, far) == pytest.approx(expected, abs=1e-9)
        far.wrap()
        assert distances(atoms, far) == pytest.approx(expected, abs=1e-9)


def test_vectors_without_periodicity_do_not_matter():
    cell = [[3, 0, 0], [0, 3, 0], [12, 0, 4]]
    atoms = Atoms("AlH", [[0, 0, 0], [0, 0, 1.5]], cell=cell, pbc=(1, 1, 0))
    atoms.set_constraint(FixAtoms([0]))
    lifted = moved(atoms, atoms.positions + np.array([[0, 0, 0], [0, 0, 3.5]]))
    a, b = (bv.Structures.from_ase(x) for x in (atoms, lifted))
    assert displacements(a, b)[1].tolist() == pytest.approx([0, 0, 3.5])


def test_nothing_is_known_of_frames_that_are_not_there():
    start = bv.Structures.from_ase([cluster(), cluster((1, 1, 1)), cluster(seed=1)])
    x = start.positions.clone()
    x[:12] = torch.nan
    found = bv.delta_q(start, start.with_positions(x))
    assert found.isnan().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.set_pbc((1, 1, 0)), "periodic along a and b and c, its reference along a"),
        (lambda x: x.set_masses([20.0, *x.get_masses()[1:]]), r"atom 0 has a mass of 28.* 20 amu"),
        (lambda x: x.set_constraint(FixAtoms([3])), "atom 3 is free, in its reference held"),
        (lambda x: x.set_cell(1.01 * x.cell), "another cell"),
    ],
)
def test_other_structures_are_refused(change, message):
    atoms = cluster((1, 1, 1))
    other = atoms.copy()
    change(other)
    a = bv.Structures.from_ase([atoms, atoms], ["one", "two"])
    b = bv.Structures.from_ase([atoms, other])
    for distance in (bv.delta_q, bv.rmsd, displacements):
        with pytest.raises(bv.StructureError, match=rf"structure 1 \(two\).*{message}"):
            distance(a, b)
