"""`bpttviz relax`: what is written, resumed, refused and left out."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from measured import Explodes
from taught import references

import bpttviz as bv
from bpttviz._files import FolderLock
from bpttviz.cli.main import main
from bpttviz.cli.relax import file_names
from bpttviz.evaluation.tables import read_csv
from bpttviz.experiments import registry as named


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_relax_writes_what_ase_reads(springs, tmp_path):
    starts = [r.start.to_ase()[0] for r in references(3)]
    ase.io.write(tmp_path / "two.extxyz", starts[:2])
    ase.io.write(tmp_path / "one.traj", starts[2])
    files, out = [tmp_path / "two.extxyz", tmp_path / "one.traj"], tmp_path / "out"
    call = ["relax", *files, "--potential", springs, "--fmax", "1e-3", "--out", out]
    assert run(*call) == 0
    potential = bv.load_run(springs).potential
    for name, start in zip(("two-0000", "two-0001", "one"), starts, strict=True):
        path = ase.io.read(out / f"{name}.extxyz", ":")
        assert np.allclose(path[0].positions, start.positions)
        for frame in (path[0], path[-1]):
            atoms = frame.copy()
            atoms.calc = potential.calculator()
            assert frame.get_potential_energy() == pytest.approx(atoms.get_potential_energy())
            assert np.allclose(frame.get_forces(), atoms.get_forces(), atol=1e-6)
        assert np.linalg.norm(path[-1].get_forces(), axis=1).max() < 1e-3
    assert len(ase.io.read(out / "ends.extxyz", ":")) == 3
    table = (out / "relax.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["name", "two-0000", "two-0001", "one"]
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
    # resumed: what is there is not made again, what is missing is
    made = (out / "one.extxyz").stat().st_mtime_ns
    (out / "two-0001.extxyz").unlink()
    assert run(*call) == 0
    assert (out / "one.extxyz").stat().st_mtime_ns == made
    assert (out / "two-0001.extxyz").exists()
    assert (out / "relax.csv").read_text().splitlines() == table


def test_relax_refuses_a_folder_of_other_results(springs, tmp_path, capsys):
    file, out = tmp_path / "x.traj", tmp_path / "out"
    one, two = (r.start.to_ase()[0] for r in references(2))
    ase.io.write(file, one)
    call = ["relax", file, "--potential", springs, "--steps", "3", "--out", out]
    assert run(*call) == 1  # three steps do not bring it to rest
    assert "converged False" in capsys.readouterr().out
    ase.io.write(file, two)
    assert run(*call) == 1
    assert "another structure of that name" in capsys.readouterr().err
    assert run(*call, "--rule", "gradient-descent") == 1
    assert (
        "other settings (rule.class: saved 'FIRE', now 'GradientDescent'" in capsys.readouterr().err
    )


def test_relax_takes_the_frames_asked_for(springs, trajectories, tmp_path, capsys):
    call = ["relax", trajectories[0], "--potential", springs, "--steps", "1"]
    run(*call, "--index", "-1", "--out", tmp_path / "a")
    first = ase.io.read(tmp_path / "a" / "r0.extxyz", 0)
    assert np.allclose(first.positions, ase.io.read(trajectories[0], -1).positions)
    assert run(*call, "--index", "9", "--out", tmp_path / "b") == 1
    assert "has 4 structures; there is no 9" in capsys.readouterr().err


def test_relax_says_what_was_given_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(named, "load_potential", lambda *_, **__: named.PotentialEntry(Explodes()))
    file, out = tmp_path / "x.traj", tmp_path / "out"
    ase.io.write(file, references(1)[0].start.to_ase()[0])
    call = ["relax", file, "--potential", "any", "--rule", "gradient-descent"]
    with pytest.warns(bv.DivergenceWarning):
        assert run(*call, "--out", out) == 1
    assert "given up at step" in capsys.readouterr().out
    frames = ase.io.read(out / "x.extxyz", ":")
    assert all(np.isfinite(frame.positions).all() for frame in frames)


# --- a result is filed under all that it depends on ----------------------------------------------

POSCAR = """Si
1.0
5.43 0 0
0 5.43 0
0 0 5.43
Si
8
Cartesian
0.05 0 0
1.3575 1.3575 1.3575
0 2.715 2.715
1.3575 4.0725 4.0725
2.715 0 2.715
4.0725 1.3575 4.0725
2.715 2.715 0
4.0725 4.0725 1.3575
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [("\nSi\n8", "\nGe\n8"), ("0 0 5.43\n", "0 0 5.44\n"), ("0.05 0 0", "0.050000001 0 0")],
    ids=["element", "cell", "ninth digit"],
)
def test_another_material_at_the_same_places_is_another(tmp_path, capsys, old, new):
    file = tmp_path / "POSCAR"
    file.write_text(POSCAR)
    call = ["relax", file, "--potential", "painn", "--steps", "3", "--out", tmp_path / "out"]
    run(*call)
    before = (tmp_path / "out" / "relax.csv").read_text()
    run(*call)  # the same goes on
    assert (tmp_path / "out" / "relax.csv").read_text() == before
    capsys.readouterr()
    file.write_text(POSCAR.replace(old, new, 1))
    assert run(*call) == 1
    assert "the relaxation of another structure" in capsys.readouterr().err
    assert (tmp_path / "out" / "relax.csv").read_text() == before


def test_held_atoms_and_masses_count(springs, tmp_path, capsys):
    file = tmp_path / "x.traj"
    atoms = references(1)[0].start.to_ase()[0]
    ase.io.write(file, atoms)
    call = ["relax", file, "--potential", springs, "--steps", "3", "--out", tmp_path / "out"]
    run(*call)
    held, heavy = atoms.copy(), atoms.copy()
    held.set_constraint(FixAtoms([0]))
    heavy.set_masses([1, 2, 3, 4])
    for other in (held, heavy):
        ase.io.write(file, other)
        assert run(*call) == 1
        assert "masses or held atoms" in capsys.readouterr().err


def test_the_last_digits_of_settings_count(springs, tmp_path, capsys):
    file = tmp_path / "x.traj"
    ase.io.write(file, references(1)[0].start.to_ase()[0])
    call = ["relax", file, "--potential", springs, "--rule", "gradient-descent", "--steps", "3"]
    call += ["--out", tmp_path / "out", "--step-size"]
    run(*call, "0.06")
    capsys.readouterr()
    assert run(*call, "0.0600004") == 1
    assert "rule.config.step_size: saved 0.06, now 0.06000" in capsys.readouterr().err


# --- names, and structures that cannot be described ----------------------------------------------


def test_a_structure_may_have_any_name(springs, tmp_path):
    files = []
    for name, reference in zip(("ends", "ends_", "=cmd"), references(3), strict=True):
        files.append(tmp_path / f"{name}.traj")
        ase.io.write(files[-1], reference.start.to_ase()[0])
    out = tmp_path / "out"
    call = ["relax", *files, "--potential", springs, "--steps", "2", "--out", out]
    for _ in range(2):
        run(*call)
        assert len(ase.io.read(out / "ends.extxyz", ":")) == 3
        for place, file in enumerate(("ends_", "ends__", "cmd")):
            first = ase.io.read(out / f"{file}.extxyz", 0)
            assert np.allclose(first.positions, ase.io.read(files[place]).positions)
    table = (out / "relax.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["name", "ends", "ends_", "cmd"]


def test_a_file_that_is_called_like_a_frame_of_another_loses_neither(springs, tmp_path):
    starts = [r.start.to_ase()[0] for r in references(3)]
    ase.io.write(tmp_path / "x.extxyz", starts[:2])
    ase.io.write(tmp_path / "x-0001.traj", starts[2])
    files, out = [tmp_path / "x.extxyz", tmp_path / "x-0001.traj"], tmp_path / "out"
    run("relax", *files, "--potential", springs, "--steps", "1", "--out", out)
    assert len(ase.io.read(out / "ends.extxyz", ":")) == 3


def test_files_of_names_that_differ_in_capitals_only_are_told_apart():
    found = file_names(["a", "A", "ends", "Ends"])
    assert len({file.lower() for file in found.values()}) == 4
    assert "ends.extxyz" not in {file.lower() for file in found.values()}


def test_one_that_cannot_be_described_is_named_and_the_others_are_relaxed(tmp_path, capsys):
    silicon, lonely = bulk("Si"), Atoms("Si", cell=[30] * 3, pbc=True)
    silicon.positions[1] += 0.05
    overlapping = silicon.copy()
    overlapping.positions[1] = overlapping.positions[0] + 0.1
    file, out = tmp_path / "x.extxyz", tmp_path / "out"
    ase.io.write(file, [silicon, overlapping, lonely, silicon])
    assert run("relax", file, "--potential", "painn", "--steps", "40", "--out", out) == 1
    shown = capsys.readouterr().out
    assert "x-0001" in shown
    table = read_csv(out / "relax.csv")
    assert [line["name"] for line in table] == [f"x-000{i}" for i in range(4)]
    assert "overlap" in table[1]["note"]
    assert table[1]["energy"] == ""
    assert [float(line["energy"]) for line in (table[0], table[3])] == pytest.approx(
        [float(table[0]["energy"])] * 2
    )
    assert table[1]["converged"] == "False"
    described = [line for line in table if line["energy"]]
    assert len(ase.io.read(out / "ends.extxyz", ":")) == len(described) < 4


def test_the_second_process_in_a_folder_is_told_of_the_first(springs, tmp_path, capsys):
    file, out = tmp_path / "x.traj", tmp_path / "out"
    ase.io.write(file, references(1)[0].start.to_ase()[0])
    call = ["relax", file, "--potential", springs, "--steps", "2", "--out", out]
    with FolderLock(out):
        assert run(*call) == 1
    assert "is in use by this process itself, since" in capsys.readouterr().err
    run(*call)
    assert (out / "relax.csv").exists()


@pytest.mark.parametrize("name", ["ends.extxyz", "relax.csv"])
def test_files_of_the_user_are_not_written_over(springs, tmp_path, capsys, name):
    (start,) = (r.start.to_ase()[0] for r in references(1))
    ase.io.write(tmp_path / "x.extxyz", start)
    mine = tmp_path / name
    mine.write_text((tmp_path / "x.extxyz").read_text())
    call = ["relax", tmp_path / "x.extxyz", "--potential", springs, "--steps", "2"]
    assert run(*call, "--out", tmp_path) == 1
    assert f"{name} is there already" in capsys.readouterr().err
    assert mine.read_text() == (tmp_path / "x.extxyz").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["x.extxyz", name])


def test_one_bad_file_does_not_keep_the_others_from_being_relaxed(springs, tmp_path, capsys):
    one, two = (r.start.to_ase()[0] for r in references(2))
    ase.io.write(tmp_path / "one.extxyz", one)
    ase.io.write(tmp_path / "two.traj", two)
    (tmp_path / "junk.extxyz").write_text("no structure\n")
    (tmp_path / "empty.traj").touch()
    files = [tmp_path / n for n in ("junk.extxyz", "one.extxyz", "gone.cif", "empty.traj")]
    out = tmp_path / "out"
    call = ["relax", *files, tmp_path / "two.traj", "--potential", springs, "--fmax", "1e-3"]
    assert run(*call, "--out", out) == 1
    table = {line["name"]: line for line in read_csv(out / "relax.csv")}
    assert set(table) == {"junk", "one", "gone", "empty", "two"}
    assert [table[name]["converged"] for name in ("one", "two")] == ["True", "True"]
    assert "does not exist" in table["gone"]["note"]
    assert "is empty" in table["empty"]["note"]
    assert "could not be read" in table["junk"]["note"]
    assert len(ase.io.read(out / "ends.extxyz", ":")) == 2
    assert "gone.cif does not exist" in capsys.readouterr().out


def test_ends_of_an_earlier_call_are_not_taken_for_those_of_this_one(springs, tmp_path):
    (start,) = (r.start.to_ase()[0] for r in references(1))
    ase.io.write(tmp_path / "x.extxyz", start)
    ase.io.write(tmp_path / "y.extxyz", Atoms("H2", [[0, 0, 0], [0, 0, 0.1]]))
    out = tmp_path / "out"
    settings = ["--potential", springs, "--fmax", "1e-3", "--out", out]
    assert run("relax", tmp_path / "x.extxyz", *settings) == 0
    assert (out / "ends.extxyz").exists()
    assert run("relax", tmp_path / "y.extxyz", *settings) == 1
    assert not (out / "ends.extxyz").exists()


def test_a_result_that_was_cut_short_is_not_believed(springs, tmp_path, capsys):
    (start,) = (r.start.to_ase()[0] for r in references(1))
    ase.io.write(tmp_path / "x.extxyz", start)
    call = ["relax", tmp_path / "x.extxyz", "--potential", springs, "--out", tmp_path / "out"]
    run(*call)
    path = tmp_path / "out" / "x.extxyz"
    frames = ase.io.read(path, ":")
    ase.io.write(path, frames[:2])
    assert run(*call) == 1
    assert "is damaged" in capsys.readouterr().err


def test_the_format_can_be_told(springs, tmp_path, capsys):
    (start,) = (r.start.to_ase()[0] for r in references(1))
    file = tmp_path / "nameless"
    ase.io.write(file, start, format="extxyz")
    call = ["relax", file, "--potential", springs, "--fmax", "1e-3", "--out", tmp_path / "out"]
    assert run(*call, "--format", "extxyz") == 0
