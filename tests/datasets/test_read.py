"""The door in: labels under any known name, programs that failed quietly, files that mislead."""

import bz2
import gzip
import lzma
import re
import subprocess
import sys
import textwrap
import warnings

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from outcars import outcar, poscar
from pymatgen.core import Lattice, Structure

import bpttviz as bv
from bpttviz.datasets import compression
from bpttviz.datasets.extxyz import read_packed, read_unlabelled
from bpttviz.datasets.names import clean_name, unique_names
from bpttviz.datasets.read import as_relaxations, read_frames
from bpttviz.datasets.validate import permuted_atoms

FORCES = np.zeros((8, 3))
FORCES[0, 0], FORCES[1, 0] = 0.5, -0.5


def frames(count=3):
    """A silicon crystal that goes back to its places; no labels."""
    kick = np.random.default_rng(0).normal(0, 0.05, (8, 3))
    made = []
    for left in np.linspace(1, 0, count):
        atoms = bulk("Si", cubic=True)
        atoms.positions += left * kick
        made.append(atoms)
    return made


def labelled(count=3, energy="energy", forces="forces", leave=()):
    """The same with labels under any names; those of ASE go where ASE keeps them."""
    made = frames(count)
    for number, atoms in enumerate(made):
        left = 1 - number / (count - 1)
        values = {energy: -40 - number / 10, forces: left * FORCES}
        values = {key: v for key, v in values.items() if key and number not in leave}
        standard = {k: v for k, v in values.items() if k in ("energy", "forces", "free_energy")}
        if standard:
            atoms.calc = SinglePointCalculator(atoms, **standard)
        for key, value in values.items():
            if key not in standard and np.ndim(value) == 0:
                atoms.info[key] = value
            elif key not in standard:
                atoms.new_array(key, value)
    return made


def read(tmp_path, members, name="run.extxyz", **options):
    """What a file of these frames is read as, and all that is said."""
    ase.io.write(tmp_path / name, members)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (reference,) = bv.read_relaxations(tmp_path / name, **options)
    sentences = [str(w.message) for w in said if issubclass(w.category, UserWarning)]
    # These labels are made up: what they say together is no matter here (see test_doubts.py).
    return reference, [one for one in sentences if "sign or units" not in one]


# --- labels under other names --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "forces"),
    [
        ("REF_energy", "REF_forces"),
        ("ref_energy", "ref_force"),
        ("dft_energy", "dft_forces"),
        ("DFT_ENERGY", "DFT_FORCES"),
        ("energy_dft", "forces_dft"),
        ("vasp-energy", "vasp-forces"),
        ("energy", "REF_forces"),
        ("free_energy", "forces"),
        ("TotEnergy", "force"),
        ("total_energy", "atomic_forces"),
        ("r2scan_energy", "r2scan_forces"),
        ("target_energy", "target_forces"),
        ("toten", "Forces"),
    ],
)
def test_labels_are_found_under_the_names_that_others_give_them(energy, forces, tmp_path):
    if energy == "TotEnergy":
        energy = "total-energy"
    reference, said = read(tmp_path, labelled(energy=energy, forces=forces))
    assert reference.trajectory is not None
    assert reference.trajectory.energy.tolist() == pytest.approx([-40, -40.1, -40.2])
    assert reference.trajectory.forces[0, 0, 0] == pytest.approx(0.5)
    (sentence,) = said
    assert str(tmp_path / "run.extxyz") in sentence
    assert "labels are read from" in sentence
    assert all(repr(name) in sentence for name in {energy, forces} - {"energy", "forces"})


def test_labels_in_info_and_arrays_are_found_in_memory():
    members = frames()
    for atoms in members:
        atoms.info["energy"] = -1.0
        atoms.arrays["forces"] = FORCES.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reference = bv.ReferenceRelaxation.from_ase("r", members)
    assert reference.trajectory.energy.tolist() == [-1.0] * 3


@pytest.mark.parametrize("forces", ["mace_forces", "chgnet_forces", "kinetic_force", "gradient"])
def test_what_only_looks_like_labels_is_named_and_not_taken(forces, tmp_path):
    reference, said = read(tmp_path, labelled(energy="formation_energy", forces=forces))
    assert reference.trajectory is None
    assert any(f"not taken for labels: '{forces}'" in sentence for sentence in said)


def test_two_sets_of_labels_that_differ_are_named(tmp_path):
    members = labelled()
    for atoms in members:
        atoms.new_array("REF_forces", 2 * atoms.calc.results["forces"])
    reference, said = read(tmp_path, members)
    assert reference.trajectory.forces[0, 0, 0] == pytest.approx(0.5)  # ASE's name comes first
    assert any("'REF_forces' (other numbers than 'forces')" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("leave", "sentence"),
    [
        ([0], "1 of 5 frames come without forces (frame 0); the trajectory is of the other 4"),
        (
            [1, 2],
            "2 of 5 frames come without forces (frames 1, 2); the trajectory is of the other 3",
        ),
        ([4], "the last frame has no forces, so that nothing shows whether it is at rest"),
    ],
)
def test_frames_without_labels_are_named_and_the_others_kept(leave, sentence, tmp_path):
    members = labelled(5, leave=leave)
    reference, said = read(tmp_path, members)
    kept = [n for n in range(5) if n not in leave]
    assert len(reference.trajectory) == len(kept)
    expected = np.array([members[n].positions for n in kept])
    assert np.allclose(reference.trajectory.positions, expected, atol=1e-7)
    assert np.allclose(reference.start.positions, members[0].positions, atol=1e-7)
    assert any(sentence in one for one in said)


def test_the_first_frame_without_labels_does_not_silence_the_doubt_about_the_last(tmp_path):
    members = labelled(leave=[0])
    members[-1].calc.results["forces"] = FORCES
    _, said = read(tmp_path, members)
    assert any("still feels 0.50 eV/Å" in sentence for sentence in said)


def test_forces_without_energy_are_forces(tmp_path):
    reference, said = read(tmp_path, labelled(energy=None))
    assert reference.trajectory.energy.isnan().all()
    assert reference.trajectory.forces[0, 0, 0] == pytest.approx(0.5)
    assert any("3 frames have forces but no energy" in sentence for sentence in said)
    assert "energy" not in reference.to_ase()[0].calc.results
    data = bv.RelaxationDataset([reference])
    assert data.has_forces
    assert bv.ForceLoss(2).loss(bv.PaiNN.pretrained(), data).isfinite().all()


def test_energies_without_forces_leave_the_ends_and_are_named(tmp_path):
    reference, said = read(tmp_path, labelled(forces=None))
    assert reference.trajectory is None
    assert any("energies come without forces, so that only start and end" in one for one in said)


def test_what_is_written_comes_back_the_same(tmp_path):
    (reference,) = bv.RelaxationDataset(
        [bv.ReferenceRelaxation.from_ase("r", labelled(), group="vac:Si")]
    )
    ase.io.write(tmp_path / "r.traj", reference.to_ase())
    (again,) = bv.read_relaxations(tmp_path / "r.traj")
    assert (again.name, again.group, again.family) == ("r", "vac:Si", "vac")
    one, two = (bv.RelaxationDataset([r]).fingerprint() for r in (reference, again))
    assert one == two


# --- held atoms ----------------------------------------------------------------------------------


def slab(forces, held=(0, 1)):
    atoms = fcc111("Al", (1, 1, 4), vacuum=8.0)
    atoms.pbc = (1, 1, 0)
    made = [atoms.copy(), atoms.copy()]
    for frame in made:
        frame.set_constraint(FixAtoms(held))
        frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=forces)
    return made


def test_only_free_atoms_have_to_be_at_rest(tmp_path):
    forces = np.zeros((4, 3))
    forces[0, 2] = 3.0  # what a program says of a held atom is no matter
    for suffix in ("traj", "extxyz"):
        reference, said = read(tmp_path, slab(forces), f"slab.{suffix}")
        assert reference.start.fixed.tolist() == [True, True, False, False]
        assert not said
    forces[2, 2] = 3.0
    _, said = read(tmp_path, slab(forces), "moving.traj")
    assert any("still feels 3.00 eV/Å" in sentence for sentence in said)


def test_atoms_that_one_file_of_a_pair_holds_are_held_in_both(tmp_path):
    start, end = slab(np.zeros((4, 3)))
    end.set_constraint()
    for name, atoms in (("POSCAR", start), ("CONTCAR", end)):
        ase.io.write(tmp_path / name, atoms, format="vasp")
    (reference,) = bv.read_pairs((tmp_path / "POSCAR", tmp_path / "CONTCAR"), names="slab")
    assert reference.name == "slab"
    assert (
        reference.start.fixed.tolist() == reference.end.fixed.tolist() == [True, True, False, False]
    )
    end.set_constraint(FixAtoms([3]))
    with pytest.raises(bv.StructureError, match="slab: start and end hold different atoms"):
        bv.ReferenceRelaxation.from_ase("slab", [start, end])


@pytest.mark.parametrize("name", ["POSCAR", "OUTCAR"])
def test_selective_dynamics_hold_atoms_or_are_refused(name, tmp_path):
    (tmp_path / "OUTCAR").write_text(outcar())
    (tmp_path / "POSCAR").write_text(poscar(second="F F F"))
    for frame in read_frames(tmp_path / name):
        (constraint,) = frame.constraints
        assert isinstance(constraint, FixAtoms)
        assert constraint.index.tolist() == [1]
    (tmp_path / "POSCAR").write_text(poscar(first="T T F"))
    with pytest.raises(bv.DataError, match=rf"{name} holds atom 0 in some directions only"):
        read_frames(tmp_path / name)


def test_atoms_held_direction_by_direction_in_extended_xyz(tmp_path):
    atoms = frames(1)[0]
    ase.io.write(tmp_path / "free.extxyz", atoms)
    lines = (tmp_path / "free.extxyz").read_text().splitlines()
    lines[1] = lines[1].replace("pos:R:3", "pos:R:3:move_mask:L:3")
    for flags, outcome in (("F F F", [0]), ("T T T", []), ("T F T", None)):
        first = [*lines[:2], f"{lines[2]} {flags}", *(f"{line} T T T" for line in lines[3:])]
        (tmp_path / "held.extxyz").write_text("\n".join(first) + "\n")
        if outcome is None:
            with pytest.raises(bv.DataError, match="holds atom 0 in some directions only"):
                read_frames(tmp_path / "held.extxyz")
            continue
        (frame,) = read_frames(tmp_path / "held.extxyz")
        assert [i for c in frame.constraints for i in c.index] == outcome


# --- programs that failed quietly ----------------------------------------------------------------


def read_outcar(tmp_path, **options):
    (tmp_path / "OUTCAR").write_text(outcar(**options))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (reference,) = bv.read_relaxations(tmp_path / "OUTCAR", names="run")
    return reference, [str(w.message) for w in said if issubclass(w.category, UserWarning)]


def test_a_plain_outcar_is_read_without_remark(tmp_path):
    reference, said = read_outcar(tmp_path)
    assert len(reference.trajectory) == 3
    assert reference.trajectory.forces[0, 0, 0] == pytest.approx(-0.9)
    assert not said


@pytest.mark.parametrize("how", ["unconverged", "silent"])
def test_ionic_steps_whose_electrons_did_not_converge_are_named(how, tmp_path):
    reference, said = read_outcar(tmp_path, **{how: [3]})
    assert len(reference.trajectory) == 2
    assert any("ionic step 3 (the last) ended without converged electrons" in one for one in said)
    assert any("the end is doubtful" in one for one in said)
    reference, said = read_outcar(tmp_path, **{how: [2]})
    assert len(reference.trajectory) == 2
    assert any("OUTCAR: ionic step 2 ended without converged elec" in one for one in said)
    assert not any("doubtful" in one for one in said)
    reference, said = read_outcar(tmp_path, **{how: [1, 2, 3]})
    assert reference.trajectory is None


def test_steps_of_a_machine_learned_force_field_are_no_labels(tmp_path):
    for learned, count in (([1, 2, 3], 3), ([2], 1)):
        with pytest.raises(
            bv.DataError, match=rf"{count} of 3 ionic steps .* machine-learned .*ML_"
        ):
            read_outcar(tmp_path, learned=learned)


def test_numbers_too_long_for_their_columns_are_named(tmp_path):
    reference, said = read_outcar(tmp_path, overflow=[2])
    assert reference.trajectory.energy.tolist() == pytest.approx([-10.1, -10.3])
    assert any("ionic step 2 had numbers too long" in one for one in said)


def test_an_outcar_without_a_finished_step_says_so(tmp_path):
    (tmp_path / "OUTCAR").write_text(outcar()[:1500])
    with pytest.raises(bv.DataError, match="OUTCAR holds no finished ionic step"):
        bv.read_relaxations(tmp_path / "OUTCAR")


@pytest.mark.parametrize(
    ("options", "cut", "doubt"),
    [
        ({}, None, None),
        ({"at_rest": False}, None, r"OUTCAR: .* without saying 'reached required accuracy'.*NSW"),
        ({"at_rest": False, "ibrion": 0}, None, None),  # dynamics
        ({"at_rest": False, "ibrion": -1, "allowed": 0}, None, None),
        ({}, "EDIFF is reached", "OUTCAR: ionic step 3 was begun and not finished.*no end"),
        ({"ibrion": 0}, "TOTAL-FORCE", "ionic step 3 was begun and not finished"),
        ({}, " Iteration      3(   1)", "without saying 'reached required accuracy'"),
    ],
)
def test_an_outcar_that_was_cut_off_or_stopped_says_so(options, cut, doubt, tmp_path):
    text = outcar(**options)
    (tmp_path / "OUTCAR").write_text(text if cut is None else text[: text.rindex(cut)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read_frames(tmp_path / "OUTCAR")
    told = [str(w.message) for w in said if issubclass(w.category, UserWarning)]
    assert len(told) == (doubt is not None)
    assert doubt is None or re.search(doubt, told[0])


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <kpoints><generation><v type="int" name="divisions">1 1 1</v></generation>
  <varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <atominfo><atoms>2</atoms><types>1</types>
  <array name="atoms"><field type="string">element</field><field type="int">atomtype</field>
   <set><rc><c>Si</c><c>1</c></rc><rc><c>Si</c><c>1</c></rc></set></array></atominfo>
 <structure name="initialpos">{structure}</structure>
{steps}
</modeling>
"""
STRUCTURE = """<crystal><varray name="basis"><v>5.4 0 0</v><v>0 5.4 0</v><v>0 0 5.4</v></varray>
 </crystal><varray name="positions"><v>{x} 0 0</v><v>0.25 0.25 0.25</v></varray>"""
STEP = """ <calculation>
  <scstep><energy><i name="e_fr_energy">-1</i><i name="e_wo_entrp">-1</i>
  <i name="e_0_energy">-1</i></energy></scstep>
  <structure>{structure}</structure>
  <varray name="forces"><v>0.01 0 0</v><v>-0.01 0 0</v></varray>
  <energy><i name="e_fr_energy">-1</i><i name="e_wo_entrp">-1</i>
  <i name="e_0_energy">-1</i></energy>
 </calculation>"""


@pytest.mark.parametrize("cut", [None, "</modeling>", "</calculation>", "<varray name"])
def test_a_vasprun_that_does_not_close_says_so(cut, tmp_path):
    places = [STRUCTURE.format(x=x) for x in (0.02, 0.01, 0.0)]
    steps = "\n".join(STEP.format(structure=one) for one in places)
    text = VASPRUN.format(structure=places[0], steps=steps)
    (tmp_path / "vasprun.xml").write_text(text if cut is None else text[: text.rindex(cut)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frames = read_frames(tmp_path / "vasprun.xml")
    assert len(frames) == (2 if cut == "<varray name" else 3)
    told = [str(w.message) for w in said if "does not close" in str(w.message)]
    assert len(told) == (cut is not None)
    assert all("no end" in one for one in told)


def test_a_vasprun_that_used_all_its_electronic_steps(tmp_path):
    from bpttviz.datasets.vasp import survey_vasprun

    text = """<modeling>
      <parameters><i type="int" name="NELM">     3</i></parameters>
      <calculation>\n<scstep>\n</scstep>\n<scstep>\n</scstep>\n</calculation>
      <calculation>\n<scstep>\n</scstep>\n<scstep>\n</scstep>\n<scstep>\n</scstep>\n</calculation>
    </modeling>"""
    steps, most = survey_vasprun(text.splitlines())
    assert [step.iterations for step in steps] == [2, 3]
    assert most == 3


PACKERS = {"xz": lzma.compress, "gz": gzip.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files_of_any_format_are_read(suffix, tmp_path):
    pack = PACKERS[suffix]
    (tmp_path / f"OUTCAR.{suffix}").write_bytes(pack(outcar().encode()))
    (tmp_path / f"POSCAR.{suffix}").write_bytes(pack(poscar(second="F F F").encode()))
    (reference,) = bv.read_relaxations(tmp_path / f"OUTCAR.{suffix}")
    assert len(reference.trajectory) == 3
    assert reference.start.fixed.tolist() == [False, True]  # the POSCAR beside it says so
    for inner in ("extxyz", "traj", "cif"):
        ase.io.write(tmp_path / f"plain.{inner}", frames())
        packed = tmp_path / f"run.{inner}.{suffix}"
        packed.write_bytes(pack((tmp_path / f"plain.{inner}").read_bytes()))
        assert len(bv.read_relaxations(packed)) == 1


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_small_file_that_unpacks_to_too_much_is_refused(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "ALWAYS", 3_000_000)
    path = tmp_path / f"bomb.extxyz.{suffix}"
    path.write_bytes(PACKERS[suffix](bytes(5_000_000)))
    assert path.stat().st_size < 10_000
    with pytest.raises(bv.DataError, match=r"bomb.* unpacks to more than 3 MB, the most that is"):
        bv.read_relaxations(path)
    assert sum(map(len, compression.pieces(path, limit=5_000_000))) == 5_000_000
    twice = tmp_path / f"run.extxyz.{suffix}.{suffix}"
    twice.write_bytes(PACKERS[suffix](path.read_bytes()))
    with pytest.raises(bv.DataError, match="is compressed twice"):
        bv.read_relaxations(twice)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_partly_occupied_sites_are_refused(share, tmp_path):
    crystal = Structure(Lattice.cubic(5.43), [{"Si": share, "Ge": 1 - share}, "Si"],
                        [[0, 0, 0], [0.25, 0.25, 0.25]])  # fmt: skip
    crystal.to(str(tmp_path / "alloy.cif"))
    vacancies = Structure(Lattice.cubic(5.43), [{"Si": share}, "Si"], [[0, 0, 0], [0.25] * 3])
    vacancies.to(str(tmp_path / "vacancies.cif"))
    for name in ("alloy", "vacancies"):
        with pytest.raises(bv.DataError, match=rf"{name}\.cif has partly occupied sites \(site 0"):
            bv.read_pairs([(tmp_path / f"{name}.cif", tmp_path / f"{name}.cif")])
    with pytest.raises(bv.StructureError, match="occup"):
        bv.ReferenceRelaxation.from_ase("alloy", [crystal, crystal])


# --- names of files, and of relaxations ----------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a[1].extxyz", "a*.extxyz", "a?.extxyz", "run@0.extxyz", "run@2:.extxyz", "-.extxyz",
     "mysql.extxyz", "ä ö.extxyz"],
)  # fmt: skip
def test_a_path_that_exists_is_taken_as_it_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write(tmp_path / "other.extxyz", frames(2))
    with (tmp_path / name).open("w") as file:
        ase.io.write(file, frames(4), format="extxyz")
    for path in (name, str(tmp_path / name), [tmp_path / name]):
        data = bv.read_relaxations(path)
        assert len(data) == 1
        assert len(read_frames(tmp_path / name)) == 4


def test_patterns_in_a_list_are_spelt_out(tmp_path):
    for folder in ("a1", "a2", "b1"):
        (tmp_path / folder).mkdir()
        ase.io.write(tmp_path / folder / "run.traj", frames())
    patterns = [f"{tmp_path}/a*/run.traj", f"{tmp_path}/b*/run.traj"]
    assert bv.read_relaxations(patterns).names == ["a1-run", "a2-run", "b1-run"]
    with pytest.raises(bv.DataError, match="no file matches .*c"):
        bv.read_relaxations([*patterns, f"{tmp_path}/c*/run.traj"])


@pytest.mark.parametrize(
    ("name", "clean"),
    [("vac$_1$", "vac__1_"), ("=1+1", "1+1"), ("@x", "x"), ("a\rb", "a_b"), ("a\nb", "a_b"),
     ("\x1b[31mred", "_[31mred"), (" a ", "a"), ("-x", "x"), ("tet:P", "tet:P"), ("Ünö-2", "Ünö-2"),
     ("a\u2028b", "a_b")],
)  # fmt: skip
def test_names_that_figures_tables_or_terminals_would_misread(name, clean, tmp_path):
    assert clean_name(name) == clean
    assert unique_names([tmp_path / f"{name}.extxyz"]) == [clean]
    start, end = frames(2)
    if name != clean:
        for what in ({"name": name, "group": "g"}, {"name": "n", "group": name}):
            (one,) = (bv.Structures.from_ase(start, ["x"]),)
            with pytest.raises(ValueError, match="must not hold .* unprintable .* call "):
                bv.ReferenceRelaxation(**what, start=one, end=one)
    start.info["defect"] = name
    assert bv.ReferenceRelaxation.from_ase("n", [start, end]).group == clean


# --- several files, some of them bad -------------------------------------------------------------


def three_of_which_two_are_bad(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", frames())
    (tmp_path / "b.extxyz").write_text("no structure\n")
    wrong = frames()
    wrong[-1].symbols[2] = "Ge"
    ase.io.write(tmp_path / "c.extxyz", wrong)
    return tmp_path


def test_all_bad_files_are_named_at_once(tmp_path):
    folder = three_of_which_two_are_bad(tmp_path)
    with pytest.raises(bv.DataError) as raised:
        bv.read_relaxations(folder)
    said = str(raised.value)
    assert "2 of 3 cannot be used (skip_bad=True leaves them out)" in said
    assert "b.extxyz could not be read" in said
    assert "c, frame 2: atom 2 is Si at the start and Ge later" in said


def test_bad_files_are_left_out_where_that_is_asked_for(tmp_path):
    folder = three_of_which_two_are_bad(tmp_path)
    with pytest.warns(UserWarning, match="left out: ") as said:
        data = bv.read_relaxations(folder, group=["x", "y", "z"], skip_bad=True)
    assert data.names == ["a"]
    assert data.groups == ["x"]
    assert sum("left out" in str(w.message) for w in said) == 2
    with pytest.raises(bv.DataError, match="b.extxyz could not be read"):
        bv.read_relaxations(folder / "b.extxyz", skip_bad=True)
    pairs = [(folder / "a.extxyz", folder / f"{x}.extxyz") for x in "abc"]
    with pytest.raises(bv.DataError, match="2 of 3 cannot be used"):
        bv.read_pairs(pairs)
    with pytest.warns(UserWarning, match="left out"):
        assert bv.read_pairs(pairs, skip_bad=True).names == ["pair-000"]


# --- wrong types ---------------------------------------------------------------------------------


def crystal():
    return Structure(Lattice.cubic(5.43), ["Si"] * 8, bulk("Si", cubic=True).get_scaled_positions())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bv.read_relaxations(frames()), "files are named by strings or paths, got Atoms"),
        (lambda: bv.read_relaxations(frames()[0]), "files are named by strings or .* got Atoms"),
        (lambda: bv.read_relaxations(crystal()), "files are named by strings or paths"),
        (lambda: bv.read_relaxations(3), "files are named by strings or paths, got int"),
        (lambda: bv.read_relaxations(None), "files are named by strings or paths, got NoneType"),
        (lambda: bv.read_relaxations([]), "no file was given"),
        (lambda: bv.read_pairs("POSCAR"), r"pairs are \(start file, end file\).*got str"),
        (lambda: bv.read_pairs(["a", "b", "c"]), "pairs are .*among those given is 'a'"),
        (lambda: bv.read_pairs([frames(2)]), "pairs are .*among those given is"),
        (lambda: bv.read_pairs(None), "pairs are .*got NoneType"),
        (lambda: bv.read_pairs([]), "no pair was given"),
        (lambda: bv.RelaxationDataset("runs"), "references must be a list, as .* got .runs"),
        (lambda: bv.RelaxationDataset(frames()), "must be a list.*references.0. is Atoms"),
        (lambda: bv.RelaxationDataset(frames()[0]), "must be a list.*references.0. is Atom"),
        (lambda: bv.RelaxationDataset(None), "references must be a list, as .* got None"),
        (lambda: bv.ReferenceRelaxation.from_ase("r", frames()[0]), "made of its frames.*single"),
        (lambda: bv.ReferenceRelaxation.from_ase("r", []), "r: no frame was given"),
        (lambda: bv.ReferenceRelaxation.from_ase("r", "run.traj"), "frames of r"),
        (lambda: bv.ReferenceRelaxation.from_ase("r", [1, 2]), "frames of r"),
        (lambda: bv.ReferenceRelaxation.from_ase("r", frames(), group=3), "group must be a name"),
        (lambda: bv.ReferenceRelaxation.from_ase(3, frames()), "name must be a string, got 3"),
        (lambda: bv.ReferenceRelaxation("r", "g", *frames(2)), "must be Structures, got Atoms"),
        (
            lambda: as_relaxations(frames()),
            "data must be a RelaxationDataset, got list of Atoms. read_.*from_ase",
        ),
        (lambda: as_relaxations(frames()[0]), "data must be a RelaxationDataset, got Atoms"),
        (lambda: as_relaxations(crystal()), "data must be a RelaxationDataset, got Structure"),
        (lambda: as_relaxations(3), "data must be a RelaxationDataset, got int"),
        (lambda: as_relaxations(bv.load_dataset("si-defects-dense")), "say which part.*data.train"),
    ],
)  # fmt: skip
def test_something_else_is_answered_with_a_sentence(call, sentence):
    with pytest.raises((TypeError, bv.DataError, bv.StructureError), match=sentence):
        call()


def test_what_can_only_mean_one_thing_is_taken(tmp_path):
    ase.io.write(tmp_path / "run.traj", frames())
    ase.io.write(tmp_path / "POSCAR", frames()[0])
    assert bv.read_relaxations(str(tmp_path / "run.traj"), names="mine").names == ["mine"]
    data = as_relaxations(tmp_path / "run.traj")
    assert as_relaxations([tmp_path / "run.traj"]).fingerprint() == data.fingerprint()
    assert as_relaxations(data) is data
    assert as_relaxations(data[0]).fingerprint() == data.fingerprint()
    assert as_relaxations(list(data)).fingerprint() == data.fingerprint()
    assert len(bv.read_pairs((tmp_path / "POSCAR", str(tmp_path / "POSCAR")))) == 1
    relaxed = bv.ReferenceRelaxation.from_ase("r", [crystal(), crystal()])
    assert relaxed.start.numbers.tolist() == [14] * 8


@pytest.mark.parametrize("names", ["abc", b"abc", 3, ["one"], ["a", "b", "c", "d"], [1, 2, 3]])
def test_names_that_are_not_one_a_file_are_refused(names, tmp_path):
    for letter in "abc":
        ase.io.write(tmp_path / f"{letter}.traj", frames())
    with pytest.raises((TypeError, ValueError), match="name"):
        bv.read_relaxations(tmp_path, names=names)
    pairs = [(tmp_path / f"{x}.traj", tmp_path / f"{x}.traj") for x in "abc"]
    with pytest.raises((TypeError, ValueError), match="name"):
        bv.read_pairs(pairs, names=names)


@pytest.mark.parametrize("count", [0, 1, -2, 2.5, float("nan"), "4", None, True])
def test_a_number_of_folds_that_makes_no_sense_is_refused(count):
    data = bv.load_dataset("si-defects-dense").all
    with pytest.raises(
        (TypeError, ValueError), match="number of folds must be a whole number of at"
    ):
        data.folds(count)
    assert len(data.folds(np.int64(2))) == 2


# --- large cells, and what is shipped ------------------------------------------------------------


def test_five_thousand_atoms_are_read_within_a_gigabyte(tmp_path):
    """Start, end and ten frames; two atoms of one kind have traded places in a second file."""
    script = textwrap.dedent("""
        import resource, sys
        import torch
        used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = used()  # 0.2 GB, and 0.5 GB with CUDA in it
        import ase.io, numpy as np
        from ase.build import bulk
        from ase.calculators.singlepoint import SinglePointCalculator
        import bpttviz as bv
        crystal = bulk("Si", cubic=True) * (9, 9, 8)
        kick = np.random.default_rng(0).normal(0, 0.05, crystal.positions.shape)
        frames = []
        for left in np.linspace(1, 0, 10):
            frame = crystal.copy()
            frame.positions += left * kick
            frame.calc = SinglePointCalculator(frame, energy=left, forces=left * kick)
            frames.append(frame)
        ase.io.write(sys.argv[1], frames)
        (reference,) = bv.read_relaxations(sys.argv[1])
        assert len(reference.trajectory) == 10
        frames[-1].positions[[17, 18]] = frames[-1].positions[[18, 17]]
        try:
            bv.ReferenceRelaxation.from_ase("traded", [frames[0], frames[-1]])
        except bv.StructureError as error:
            assert "atoms 17, 18 have traded places" in str(error)
        else:
            raise SystemExit("not noticed")
        print(used() - before)
    """)
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "large.extxyz")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert int(answer.stdout) < 0.75e6  # kB


def test_traded_places_are_those_of_the_assignment_over_all_pairs():
    """Against scipy's dense assignment, in cells with all kinds of periodicity."""
    from ase.geometry import get_distances
    from scipy.optimize import linear_sum_assignment

    draw, flagged = np.random.default_rng(0), 0
    for trial in range(60):
        crystal = bulk("GaAs", "zincblende", a=5.6, cubic=True) * (1 + trial % 3, 1, 2)
        pbc = np.array([(1, 1, 1), (1, 1, 0), (0, 0, 0)][trial % 3], bool)
        start = crystal.positions + draw.normal(0, 0.1, crystal.positions.shape)
        end = crystal.positions + draw.normal(0, [0.05, 0.6][trial % 2], crystal.positions.shape)
        if trial % 4 == 0:
            ring = draw.permutation(len(crystal))[:3]
            end[ring] = end[np.roll(ring, 1)]
        _, way = get_distances(start, end, crystal.cell, pbc)
        alike = crystal.numbers[:, None] == crystal.numbers
        cost = np.where(alike, way**2, 1e6)
        row, partner = linear_sum_assignment(cost)
        saved = cost.trace() - cost[row, partner].sum()
        expected = np.flatnonzero(row != partner).tolist() if saved > 0.1 else []
        assert permuted_atoms(crystal.numbers, start, end, crystal.cell.array, pbc) == expected
        flagged += bool(expected)
    assert 10 < flagged < 50


def test_shipped_sets_are_read_without_the_generator_and_as_any_file_is():
    script = textwrap.dedent("""
        import sys
        import bpttviz as bv
        bv.load_dataset("si-defects")
        print([name for name in sys.modules if name.startswith("bpttviz.datasets.generate")])
    """)
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["si-defects", "si-defects-dense", "crystals"])
def test_the_fast_reader_reads_what_ase_reads(name):
    from importlib.resources import files

    folder = files("bpttviz") / "datasets" / "data" / name
    paths = sorted(folder.glob("*.xz"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slow = bv.read_relaxations(paths)
    assert bv.RelaxationDataset(map(read_packed, paths)).fingerprint() == slow.fingerprint()


@pytest.mark.parametrize(
    "content", ["", "2\nno header\nSi 0 0 0\nSi 1 1 1\n", '1\nLattice="1 0 0"\nSi 0 0 0\n', "x"]
)
def test_the_fast_reader_takes_nothing_else(content, tmp_path):
    path = tmp_path / "odd.extxyz.xz"
    path.write_bytes(lzma.compress(content.encode()))
    with pytest.raises(bv.DataError, match="odd.* is no packed relaxation"):
        read_packed(path)


def test_a_batch_of_frames_is_the_frames():
    reference = bv.ReferenceRelaxation.from_ase("r", labelled(5))
    batch, forces = reference.frames([0, 4])
    assert batch.names == ("r, frame 0", "r, frame 4")
    assert torch.equal(batch.positions, reference.trajectory.positions[[0, 4]].reshape(-1, 3))
    assert torch.equal(forces, reference.trajectory.forces[[0, 4]].reshape(-1, 3))
    batch.check()
    with pytest.raises(ValueError, match="one frame at least"):
        reference.frames([])
    with pytest.raises(ValueError, match="r has no frames with energies and forces"):
        bv.ReferenceRelaxation.from_ase("r", frames()).frames([0])


@pytest.mark.parametrize(
    "shapes", [((2, 8), (2,), (2, 8, 3)), ((2, 8, 3), (3,), (2, 8, 3)), ((2, 8, 3), (2,), (8, 3)),
               ((0, 8, 3), (0,), (0, 8, 3))],
)  # fmt: skip
def test_a_trajectory_of_shapes_that_do_not_fit_is_refused(shapes):
    with pytest.raises(ValueError, match="positions"):
        bv.datasets.relaxations.ReferenceTrajectory(*(torch.zeros(shape) for shape in shapes))


def test_a_link_gives_its_own_name(tmp_path):
    """Stores of files name them after their content, and links say what they are."""
    blob, link = tmp_path / "5f3a.extxyz", tmp_path / "vacancy.extxyz"
    ase.io.write(blob, frames(2))
    link.symlink_to(blob)
    assert bv.read_relaxations(link).names == ["vacancy"]
    assert unique_names([tmp_path / "x" / ".." / "vacancy.extxyz"]) == ["vacancy"]
    with pytest.raises(ValueError, match="5f3a.extxyz is listed twice"):
        bv.read_relaxations([link, blob])


@pytest.mark.parametrize("said", [1.0, "half", {"site": 0.5}, {"0": {"Si": "all"}}, [0.5, 0.5]])
def test_an_occupancy_that_is_not_a_cifs_is_somebodys_own(said, tmp_path):
    start, end = frames(2)
    start.info["occupancy"] = said
    ase.io.write(tmp_path / "occupied.traj", [start, end])
    assert bv.read_relaxations(tmp_path / "occupied.traj").names == ["occupied"]


def test_a_molecule_may_get_a_box_on_the_way():
    start = molecule("H2O")
    end = start.copy()
    end.positions[1, 2] += 0.02
    end.set_cell([10, 10, 10])
    assert len(bv.ReferenceRelaxation.from_ase("water", [start, end]).start) == 1
    end.pbc = start.pbc = (True, False, False)
    start.set_cell([9, 9, 9])
    with pytest.raises(bv.StructureError, match="the cell changes"):
        bv.ReferenceRelaxation.from_ase("water", [start, end])


def test_masses_may_lose_digits_on_the_way():
    start, end = frames(2)
    end.set_masses(start.get_masses() * 1.00005)
    assert not np.array_equal(start.get_masses(), end.get_masses())
    bv.ReferenceRelaxation.from_ase("a", [start, end])
    end.set_masses(start.get_masses() * 1.01)
    with pytest.raises(bv.StructureError, match="atom 0 has mass"):
        bv.ReferenceRelaxation.from_ase("a", [start, end])


def test_what_info_leaves_empty_is_not_said():
    made = labelled()
    for frame in made:
        frame.info |= {"group": None, "defect": None, "settings": None, "family": None}
    made[1].info["settings"] = "not stated"
    reference = bv.ReferenceRelaxation.from_ase("a", made)
    assert (reference.group, reference.family) == ("Si8", "Si8")
    made[0].info["defect"] = "vacancy:P"
    assert bv.ReferenceRelaxation.from_ase("a", made).group == "vacancy:P"


def test_complex_numbers_are_no_labels():
    made = labelled(energy="dft_energy", forces="dft_forces")
    for frame in made:
        frame.info["dft_energy"] += 1j
        frame.arrays["dft_forces"] = frame.arrays["dft_forces"] + 1j
    with pytest.warns(UserWarning, match="not taken for labels: 'dft_forces'"):
        assert bv.ReferenceRelaxation.from_ase("a", made).trajectory is None


@pytest.mark.parametrize(
    "content", [b"not xz", lzma.compress(b"1\n" * 9000)[:60], lzma.compress(b"\xff\xfe")]
)
@pytest.mark.parametrize("reader", [read_packed, read_unlabelled])
def test_a_damaged_file_of_a_shipped_set_is_named(reader, content, tmp_path):
    path = tmp_path / "broken.extxyz.xz"
    path.write_bytes(content)
    with pytest.raises(bv.DataError, match=r"broken.extxyz.xz (is no packed|holds no unlabelled)"):
        reader(path)
    with pytest.raises(bv.DataError, match=r"gone.extxyz.xz (is no packed|holds no unlabelled)"):
        reader(tmp_path / "gone.extxyz.xz")
