"""Pictures of atoms and forces show the numbers they were given."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from matplotlib.quiver import Quiver

from bpttviz import plotting
from bpttviz.distances import delta_q
from bpttviz.plotting import trajectory
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import StructureError, Structures


def silicon(seed=None):
    """Eight atoms of silicon; with a seed, displaced."""
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    if seed is not None:
        atoms.rattle(0.1, seed=seed)
    return atoms


def arrows(axes):
    return [c for c in axes.collections if isinstance(c, Quiver)]


def test_stills_are_seen_from_the_reference():
    reference, other = silicon(), silicon(1)
    other.positions += (0.3, 0.0, 0.0)  # drift
    other.wrap()
    pair = [Structures.from_ase(atoms) for atoms in (reference, other)]
    batch = Structures.from_ase([other, reference])
    path = trajectory.AlignedTrajectory.from_structures(batch, pair[0], "cell")
    np.testing.assert_allclose(path.delta_q, [float(delta_q(*pair)), 0], atol=1e-12)
    assert path.distance[0].max() < 0.5
    np.testing.assert_allclose(
        np.linalg.norm(path.positions[0] - path.reference, axis=1), path.distance[0]
    )
    assert path.last == 1
    assert np.isnan(path.energy).all()


def test_stills_refuse_other_atoms():
    other = silicon()
    other.symbols[3] = "Ge"
    with pytest.raises(StructureError, match="atom 3"):
        trajectory.AlignedTrajectory.from_structures(
            Structures.from_ase(other), Structures.from_ase(silicon())
        )


def test_a_picture_removes_what_is_free_and_no_more():
    """Where atoms are held the way they are held is the frame of reference."""
    reference = silicon()
    lifted = reference.copy()
    lifted.positions[4:, 2] += 0.2
    paths = []
    for held in ([], [0, 1, 2, 3]):
        for atoms in (reference, lifted):
            atoms.set_constraint(FixAtoms(held))
        path = trajectory.AlignedTrajectory.from_structures(
            Structures.from_ase(lifted), Structures.from_ase(reference)
        )
        paths.append(path.distance[0])
    np.testing.assert_allclose(paths[0], 0.1, atol=1e-9)
    np.testing.assert_allclose(paths[1], [0] * 4 + [0.2] * 4, atol=1e-9)


def test_a_molecule_that_merely_turned_has_not_moved():
    water = Atoms("OH2", positions=[[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    turned = water.copy()
    turned.rotate(90, "z", center="COM")
    pair = [Structures.from_ase(atoms) for atoms in (turned, water)]
    path = trajectory.AlignedTrajectory.from_structures(*pair)
    assert path.distance.max() < 1e-6
    assert path.delta_q[0] < 1e-6


def test_structures_and_ase_atoms_are_both_taken():
    both = [
        plotting.plot_snapshots({"start": door(silicon(1))}, door(silicon())).alt_text
        for door in (Structures.from_ase, lambda atoms: atoms)
    ]
    assert both[0] == both[1]
    with pytest.raises(TypeError, match="takes bv.Structures or ase.Atoms, got str"):
        plotting.plot_snapshots({"a": "POSCAR"}, silicon())


def test_snapshots_name_each_panel_and_its_distance():
    picture = plotting.plot_snapshots({"start": silicon(1), "end": silicon()}, silicon(), "cell")
    titles = [axes.get_title() for axes in picture.axes[:2]]
    assert titles[0].startswith("start\nΔQ ")
    assert "ΔQ 0.00" in titles[1]
    assert "start: ΔQ" in picture.alt_text
    assert "end: ΔQ 0.00" in picture.alt_text


def test_snapshots_of_nothing():
    with pytest.raises(ValueError, match="no structure"):
        plotting.plot_snapshots({}, silicon())


def test_arrows_are_as_long_as_forces_say():
    atoms = silicon(2)
    forces = np.zeros((8, 3))
    forces[0] = (3.0, 0.0, 0.0)
    forces[1] = (0.0, 1.5, 0.0)
    picture = plotting.plot_forces(atoms, {"all": forces, "half": forces / 2})
    lengths = []
    for axes in picture.axes[:2]:
        (drawn,) = arrows(axes)
        lengths.append(np.hypot(drawn.U, drawn.V))
        assert len(drawn.U) == 2  # arrows that nobody can see are not drawn
    assert lengths[0][0] > 1.5
    assert lengths[0][0] / lengths[1][0] == pytest.approx(2, rel=0.1)  # perspective
    assert "all: largest 3.00 eV/Å on atom 0 (Si)" in picture.alt_text
    assert "half: largest 1.50 eV/Å" in picture.alt_text


def test_forces_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="8 atoms need"):
        plotting.plot_forces(silicon(), {"short": np.zeros((7, 3))})


def test_no_force_at_all_can_be_drawn():
    picture = plotting.plot_forces(silicon(), {"rest": np.zeros((8, 3))})
    assert len(picture.png()) > 1000


def test_parity_measures_slope_and_error():
    true = np.random.default_rng(0).normal(size=(5, 8, 3))
    picture = plotting.plot_parity({"soft": (0.6 * true, true), "right": (true, true)})
    soft, right = picture.axes
    labels = [line.get_label() for line in soft.lines]
    assert "slope 0.60" in labels
    x, y = soft.lines[-1].get_data()
    np.testing.assert_allclose(y, 0.6 * np.asarray(x))
    assert "mean error 0.000" in right.get_title()
    assert f"soft: slope 0.60, mean absolute error {0.4 * np.abs(true).mean():.3f}" in (
        picture.alt_text
    )


def test_parity_refuses_what_does_not_match():
    with pytest.raises(ValueError, match="predicted"):
        plotting.plot_parity({"a": (np.zeros(3), np.zeros(4))})


def labelled(seed):
    atoms = silicon(seed)
    forces = np.random.default_rng(seed).normal(size=(8, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=-float(seed), forces=forces)
    return atoms


def test_a_path_from_elsewhere_becomes_a_relaxation():
    path = [labelled(seed) for seed in (3, 4, 5)]
    relaxation = Relaxation.from_frames(path, "mine")
    assert relaxation.start.names == ("mine",)
    assert relaxation.steps.tolist() == [2]
    assert relaxation.energy.flatten().tolist() == [-3, -4, -5]
    back = relaxation.frames()
    for frame, original in zip(back, path, strict=True):
        np.testing.assert_allclose(frame.positions, original.positions)
        np.testing.assert_allclose(frame.get_forces(), original.get_forces())
    largest = [np.linalg.norm(frame.get_forces(), axis=1).max() for frame in path]
    np.testing.assert_allclose(relaxation.fmax[:, 0], largest)


def test_a_path_with_another_order_of_atoms_is_refused():
    path = [labelled(3), labelled(4)]
    path[0].symbols[2] = path[1].symbols[5] = "Ge"
    with pytest.raises(StructureError, match="frame 1 has other atoms"):
        Relaxation.from_frames(path)
