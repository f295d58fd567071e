"""What a relaxation must be to enter a shipped set."""

import re
from importlib.resources import files

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import BFGS

import bpttviz as bv
from bpttviz.datasets.pack import main as pack_command
from bpttviz.datasets.pack import pack
from bpttviz.datasets.read import read_frames
from bpttviz.datasets.validate import find_problems


@pytest.fixture(scope="module")
def relaxed():
    """A real relaxation: copper with one atom displaced, by effective-medium theory."""
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    frames = []

    def keep():
        frame = atoms.copy()
        frame.calc = SinglePointCalculator(
            frame, energy=atoms.get_potential_energy(), forces=atoms.get_forces()
        )
        frames.append(frame)

    optimiser = BFGS(atoms, logfile=None)
    optimiser.attach(keep)
    optimiser.run(fmax=0.01)
    return frames


def copied(frames):
    result = []
    for frame in frames:
        copy = frame.copy()
        copy.calc = SinglePointCalculator(copy, **frame.calc.results)
        result.append(copy)
    return result


def test_a_finished_relaxation_has_no_problems(relaxed):
    assert len(relaxed) > 4
    assert find_problems(relaxed) == []


@pytest.mark.parametrize("name", ["si-defects", "si-defects-dense", "crystals"])
def test_what_is_shipped_could_enter_again(name):
    folder = files("bpttviz") / "datasets" / "data" / name
    found = {path.name: find_problems(read_frames(path)) for path in folder.glob("*.xz")}
    assert len(found) == len(bv.load_dataset(name))
    assert {name: why for name, why in found.items() if why} == {}


def cut_short(frames):
    return frames[:-3]


def one_frame(frames):
    return frames[:1]


def reordered(frames):
    frames[-1].symbols[3] = "Au"
    return frames


def other_cell(frames):
    frames[2].set_cell(frames[2].cell * 1.01)
    return frames


def unlabelled(frames):
    frames[1].calc = None
    return frames


def mixed(frames):
    for number, frame in enumerate(frames):
        frame.info["settings"] = "400 eV" if number else "250 eV"
    return frames


def partly_stated(frames):
    frames[-1].info["settings"] = "400 eV"
    return frames


def swapped(frames):
    """From one frame on, two atoms of one element have each other's place in the list."""
    for frame in frames[3:]:
        frame.positions[[0, 5]] = frame.positions[[5, 0]]
    return frames


def jumped(frames):
    for frame in frames[2:]:
        frame.positions[4] += (0.4, 0, 0)
    return frames


def wrapped(frames):
    for frame in frames[2:]:
        frame.positions[7] += frame.cell[0]
    return frames


def twice(frames):
    return [*frames[:3], *copied(frames[2:])]


def not_finite(frames):
    frames[-1].calc.results["forces"] = frames[-1].calc.results["forces"] * np.nan
    return frames


def without_energy(frames):
    frames[2].calc.results["energy"] = np.nan
    return frames


def nowhere(frames):
    frames[2].positions[1] = np.nan
    return frames


def a_molecule(frames):
    frames[-1].pbc = False
    return frames


def interrupted(frames):
    frames[-1].info["converged"] = False
    return frames


@pytest.mark.parametrize(
    ("spoil", "sentences"),
    [
        (one_frame, ["two frames at least"]),
        (reordered, ["lists other atoms, or in another order"]),
        (other_cell, ["frame 2 has another cell"]),
        (unlabelled, ["frame 1 comes without energy or forces"]),
        (mixed, ["different settings in one file: 250 eV; 400 eV"]),
        (partly_stated, ["different settings in one file: 400 eV; not stated"]),
        (cut_short, ["not at rest: an atom feels"]),
        (not_finite, ["energy or forces of frame [0-9]+ are not finite"]),
        (without_energy, ["energy or forces of frame 2 are not finite"]),
        (nowhere, ["positions of frame 2 are not finite"]),
        (a_molecule, ["is periodic in other directions"]),
        (interrupted, ["says that its relaxation is not finished"]),
        (swapped, ["jumps .* from frame 2 to 3: atoms swapped", "atoms 0, 5 have traded places"]),
        (jumped, ["atom 4 jumps 0.4. Å from frame 1 to 2.*another basin"]),
        (wrapped, ["atom 7 is wrapped into the cell between frames 1 and 2"]),
        (twice, ["frame 3 is where frame 2 was"]),
    ],
)
def test_what_is_refused_and_why(relaxed, spoil, sentences):
    found = find_problems(spoil(copied(relaxed)))
    assert len(found) == len(sentences), found
    for fault, sentence in zip(found, sentences, strict=True):
        assert re.search(sentence, fault)


def test_a_slow_exchange_of_twins_is_noticed_though_no_step_is_long(relaxed):
    """As when a file was sorted by position after each step."""
    frames = copied(relaxed)
    start, end = frames[0].positions.copy(), frames[-1].positions.copy()
    end[[0, 5]] = end[[5, 0]]
    path = []
    for share in np.linspace(0, 1, 40):
        frame = frames[-1].copy()
        frame.positions = (1 - share) * start + share * end
        frame.calc = SinglePointCalculator(frame, **frames[-1].calc.results)
        path.append(frame)
    assert find_problems(path) == [
        "atoms 0, 5 have traded places from start to end: list them in one order"
    ]


def test_packing_refuses_what_cannot_enter(relaxed, tmp_path):
    source = tmp_path / "early.extxyz"
    ase.io.write(source, relaxed[:-3])
    with pytest.raises(ValueError, match=r"early\.extxyz cannot enter the set: the end is not at"):
        pack(source, tmp_path)
    assert not list(tmp_path.glob("*.xz"))
    assert pack(source, tmp_path, at_rest=1.0).exists()


def stated(frames, settings):
    for frame in copied(frames):
        frame.info["settings"] = settings
        yield frame


def test_a_folder_keeps_one_kind_of_label_and_one_relaxation_a_name(relaxed, tmp_path):
    """Denser labels carry the names of those that they improve."""
    ours, dense, moved = (tmp_path / name / "copper.extxyz" for name in ("ours", "dense", "moved"))
    for path, settings in ((ours, "250 eV"), (dense, "350 eV"), (moved, "250 eV")):
        path.parent.mkdir()
        ase.io.write(path, list(stated(relaxed, settings)))
    packed = pack(ours, tmp_path)
    whole = packed.read_bytes()
    assert pack(ours, tmp_path) == packed  # again is no harm
    with pytest.raises(ValueError, match=r"dense.copper.* '350 eV', .*copper.* '250 eV': one fol"):
        pack(dense, tmp_path)
    ase.io.write(moved, list(stated(relaxed[1:], "250 eV")))
    with pytest.raises(ValueError, match=r"copper.*is another relaxation than .*moved.*rename"):
        pack(moved, tmp_path)
    # a label that is in use gives way only when told to
    for change in ("energy", "forces"):
        again = list(stated(relaxed, "250 eV"))
        again[2].calc.results[change] = again[2].calc.results[change] + 1e-4
        ase.io.write(moved, again)
        with pytest.raises(ValueError, match="with other frames"):
            pack(moved, tmp_path)
    again = [*stated(relaxed[:2], "250 eV"), *stated(relaxed[3:], "250 eV")]
    ase.io.write(moved, again)
    with pytest.raises(
        ValueError, match=r"made before from the same start, with other frames.*--rep"
    ):
        pack(moved, tmp_path)
    assert packed.read_bytes() == whole
    packed = pack(moved, tmp_path, replace=True)
    assert len(bv.read_relaxations(packed)[0].trajectory) == len(again)
    pack(ours, tmp_path, replace=True)
    other = dense.rename(dense.with_name("gold.extxyz"))
    with pytest.raises(ValueError, match="one folder holds one kind of label"):
        pack(other, tmp_path)
    assert packed.read_bytes() == whole
    assert len(list(tmp_path.glob("*.xz"))) == 1


def test_a_refusal_does_not_keep_the_others_out(relaxed, tmp_path, capsys):
    sources = [tmp_path / name for name in ("early.extxyz", "whole.extxyz")]
    for source, frames in zip(sources, (relaxed[:-3], relaxed), strict=True):
        ase.io.write(source, frames)
    assert pack_command([*map(str, sources), "--out", str(tmp_path / "set")]) == 1
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["whole.extxyz.xz"]
    assert "REFUSED: " in (shown := capsys.readouterr().out)
    assert "early.extxyz cannot enter the set" in shown


def test_the_energy_that_forces_derive_from_is_packed_too(relaxed, tmp_path):
    frames = copied(relaxed)
    for frame in frames:
        frame.calc.results["free_energy"] = frame.get_potential_energy() - 0.25
    ase.io.write(tmp_path / "copper.extxyz", frames)
    for frame in read_frames(pack(tmp_path / "copper.extxyz", tmp_path)):
        energy, free = frame.get_potential_energy(), frame.calc.results["free_energy"]
        assert free == pytest.approx(energy - 0.25, abs=2e-6)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"settings": "one\ntwo"}, r"info\['settings'\] is 'one.ntwo'; write it in one line"),
        ({"settings": 'PAW "hard"'}, "without quotes"),
        ({"place": "C:\\data\\"}, "without quotes and backslashes"),
        ({"my key": 1}, "has the key 'my key'; keys are letters, digits and _ only"),
        ({"Lattice": 1.0}, "has the key 'Lattice', which says something else in the file"),
        ({"free_energy": 1.0}, "has the key 'free_energy'"),
    ],
)
def test_packing_refuses_what_the_file_would_say_otherwise(relaxed, tmp_path, info, message):
    frames = copied(relaxed)
    for frame in frames:
        frame.info |= info
    ase.io.write(tmp_path / "copper.traj", frames)
    with pytest.raises(ValueError, match=f"copper.traj cannot be packed: .*{message}"):
        pack(tmp_path / "copper.traj", tmp_path / "set")
    assert not list(tmp_path.glob("**/*.xz"))


def test_packing_keeps_out_own_masses_only(relaxed, tmp_path):
    """What is exported states the masses that every element has."""
    frames = copied(relaxed)
    for frame in frames:
        frame.set_masses(frame.get_masses())
    ase.io.write(tmp_path / "copper.traj", frames)
    assert pack(tmp_path / "copper.traj", tmp_path).exists()
    for frame in frames:
        frame.set_masses(65.0 * np.ones(len(frame)))
    ase.io.write(tmp_path / "heavy.traj", frames)
    with pytest.raises(ValueError, match="own masses would be lost"):
        pack(tmp_path / "heavy.traj", tmp_path)


def test_the_box_around_a_molecule_is_no_problem(relaxed):
    frames = copied(relaxed)
    for number, frame in enumerate(frames):
        frame.pbc = False
        frame.set_cell([20 + number] * 3)
    assert find_problems(frames) == []
