"""Files that could be read and should not be believed without a word."""

import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.optimize import BFGS

import bpttviz as bv
from bpttviz.datasets.labels import labels_of, unfinished


def copper(seed=1, size=2):
    atoms = bulk("Cu", cubic=True) * size
    atoms.rattle(0.05 * size, seed=seed)
    return atoms


def path_of(atoms, shared=False, fmax=0.01):
    """Frames of a relaxation, each with its own results, or all with one calculator."""
    atoms.calc, frames = EMT(), []

    def note():
        frame = atoms.copy()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        frame.calc = atoms.calc if shared else SinglePointCalculator(frame, **results)
        frames.append(frame)

    optimizer = BFGS(atoms, logfile=None)
    optimizer.attach(note)
    optimizer.run(fmax=fmax)
    return frames


def told(frames, **changes):
    """What is said of them, and the relaxation."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = bv.ReferenceRelaxation.from_ase("a", frames, "g", **changes)
    return " / ".join(str(one.message) for one in said), made


# --- labels --------------------------------------------------------------------------------------


def test_frames_that_share_a_calculator_do_not_all_have_its_last_results():
    frames = path_of(copper(), shared=True)
    said, made = told(frames)
    assert "what the calculator computed" in said
    assert made.trajectory is None or len(made.trajectory) == 1
    moved = path_of(copper())[0]
    moved.positions[0, 0] += 0.01
    assert labels_of(moved).forces is None


@pytest.mark.parametrize("name", ["f_dft", "F", "grad", "dE_dr", "qmdata"])
def test_vectors_that_may_be_forces_are_named(name):
    frames = [bulk("Cu", cubic=True) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.positions[0, 0] += 0.1 * number
        frame.set_array(name, np.ones((4, 3)))
    said, made = told(frames)
    assert f"'{name}' (neither" in said
    assert made.trajectory is None


def test_vectors_that_are_something_else_are_not():
    frame = bulk("Cu", cubic=True)
    frame.set_momenta(np.ones((4, 3)))
    frame.set_array("dft_magmoms", np.ones((4, 3)))
    assert labels_of(frame).ignored == ()


def test_what_is_no_array_is_no_label():
    frame = bulk("Cu", cubic=True)
    frame.info["kpts"] = [[1, 2], [3]]
    frame.set_array("dft_forces", np.array([["a"] * 3] * 4))
    found = labels_of(frame)
    assert found.forces is None
    assert "dft_forces" in found.ignored[0]


@pytest.mark.parametrize(("said", "ended"), [
    (False, False), ("False", False), ("no", False), (" F ", False), (0, False), (np.False_, False),
    (True, True), ("True", True), ("yes", True), (1, True),
])  # fmt: skip
def test_a_relaxation_that_says_it_is_not_finished_in_any_way(said, ended):
    frame = bulk("Cu")
    frame.info["converged"] = said
    assert unfinished([frame]) is not ended


def test_energies_and_forces_that_do_not_belong_together():
    frames = path_of(copper())
    bv.ReferenceRelaxation.from_ase("a", frames, "g")  # nothing is said of these
    for factor in (-1, 27.2114 / 0.529177):
        wrong = [frame.copy() for frame in frames]
        for frame, right in zip(wrong, frames, strict=True):
            forces = factor * right.get_forces()
            energy = right.get_potential_energy()
            frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
        said, _ = told(wrong)
        assert "their sign or units" in said


# --- one relaxation ------------------------------------------------------------------------------


def test_several_relaxations_in_one_file_are_noticed():
    one, two = path_of(copper(1)), path_of(copper(2))
    said, _ = told([*one, *two])
    assert f"frame {len(one) - 1} is at rest" in said
    assert "one file holds one" in said


def test_ends_of_several_relaxations_in_one_file_are_noticed():
    """Their forces say nothing, as all of them are at rest."""
    ends = [path_of(copper(seed))[-1] for seed in (1, 2)]
    said, _ = told(ends)
    assert "all 2 frames are at rest (at most 0.0" in said
    assert "one file holds one" in said
    assert "read_pairs" in said


def test_an_end_that_others_follow_far_away_is_noticed():
    frames = path_of(copper())
    said, _ = told(frames)
    assert not said
    other = frames[-1].copy()  # as an atom that hopped elsewhere
    other.positions[0] += [0.3, 0, 0]
    other.calc = SinglePointCalculator(other, **frames[-1].calc.results)
    said, _ = told([*frames, other])
    assert f"frame {len(frames) - 1} is at rest" in said
    assert "an atom moves 0.30 Å to the next one: probably that is of another relaxation" in said


def test_one_relaxation_in_two_files_is_noticed(tmp_path):
    frames = path_of(copper())
    moved = [frame.copy() for frame in frames]  # as by another program: digits, images
    for frame, was in zip(moved, frames, strict=True):
        frame.positions = was.positions.round(5) + frame.cell[0]
    for name, path in (("a", frames), ("b", moved), ("c", path_of(copper(2)))):
        ase.io.write(tmp_path / f"{name}.extxyz", path)
    files = [tmp_path / f"{name}.extxyz" for name in "abc"]
    with pytest.warns(UserWarning, match="a and b: the same start and end .* it counts twice") as w:
        read = bv.read_relaxations(files)
    assert read.names == ["a", "b", "c"]
    assert len([one for one in w if "the same start" in str(one.message)]) == 1
    with pytest.raises(bv.DataError, match="a and b: the same start and end, in different groups"):
        bv.read_relaxations(files, group=["one", "two", "two"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bv.read_relaxations(files[::2])


def test_a_jump_is_noticed_and_two_ends_alone_are_no_jump():
    frames = [bulk("Cu", cubic=True) * 2 for _ in range(3)]
    for frame in frames[1:]:
        frame.positions[0] += [1.2, 0, 0]
    said, _ = told(frames)
    assert "moves 1.20 Å from frame 0 to 1" in said
    bv.ReferenceRelaxation.from_ase("a", frames[::2], "g")


def test_what_is_shipped_raises_no_doubt(recwarn):
    from importlib.resources import files

    shelf = files("bpttviz") / "datasets" / "data"
    for name in ("300_chain_Se", "312_rutile_TiO2", "325_quartz_SiO2"):
        bv.read_relaxations(shelf / "crystals" / f"{name}.extxyz.xz")
    assert not recwarn.list


def test_a_held_atom_that_moves_is_refused_and_one_that_was_wrapped_is_not():
    start = copper()
    start.set_constraint(FixAtoms([0, 1]))
    end = start.copy()
    end.set_constraint()
    end.positions[5] += 0.1
    end.positions[0] += start.cell[0]  # a CONTCAR may write 1.0 for 0.0
    end.set_constraint(FixAtoms([0, 1]))
    bv.ReferenceRelaxation.from_ase("a", [start, end], "g")
    end.set_constraint()
    end.positions[1] += 0.2
    end.set_constraint(FixAtoms([0, 1]))
    with pytest.raises(bv.StructureError, match=r"atom 1 is held, and yet moves 0\.346 Å"):
        bv.ReferenceRelaxation.from_ase("a", [start, end], "g")


@pytest.mark.parametrize("angle", [20, 90, 180])
def test_a_molecule_that_was_turned_is_the_same_molecule(angle):
    start = molecule("C6H6")
    end = start.copy()
    end.positions[0] += 0.05
    plain = bv.ReferenceRelaxation.from_ase("a", [start, end], "g")
    end.rotate(angle, "x")
    end.translate([6, 0, 0])
    turned = bv.ReferenceRelaxation.from_ase("a", [start, end], "g")
    distances = [float(bv.delta_q(one.start, one.end)) for one in (plain, turned)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-6)
    end.positions[[1, 2]] = end.positions[[2, 1]]
    with pytest.raises(bv.StructureError, match="atoms 1, 2 have traded places"):
        bv.ReferenceRelaxation.from_ase("a", [start, end], "g")


def test_an_atomic_number_that_no_element_has():
    start = Atoms(numbers=[14, 119], positions=[[0, 0, 0], [2, 0, 0]])
    with pytest.raises(bv.StructureError, match="atom 1 has atomic number 119"):
        bv.ReferenceRelaxation.from_ase("a", [start, start], "g")


# --- files ---------------------------------------------------------------------------------------


def test_a_pattern_in_a_folder_with_brackets_in_its_name(tmp_path):
    frames = path_of(copper())
    for place in ("runs[2024]/a", "runs[2024]/b"):
        (tmp_path / place).mkdir(parents=True)
        ase.io.write(tmp_path / place / "x.extxyz", frames)
    found = bv.read_relaxations(str(tmp_path / "runs[2024]" / "*" / "x.extxyz"))
    assert found.names == ["a-x", "b-x"]


def test_pairs_of_a_format_that_their_names_do_not_tell(tmp_path):
    start = copper()
    end = start.copy()
    end.positions[0] += 0.1
    for name, atoms in (("first", start), ("second", end)):
        ase.io.write(tmp_path / name, atoms, format="extxyz")
    pair = (tmp_path / "first", tmp_path / "second")
    assert len(bv.read_pairs([pair], format="extxyz")) == 1


def test_a_link_in_a_circle_does_not_exist(tmp_path):
    (tmp_path / "loop.extxyz").symlink_to(tmp_path / "loop.extxyz")
    with pytest.raises(bv.DataError, match="does not exist"):
        bv.read_relaxations([tmp_path / "loop.extxyz"])
