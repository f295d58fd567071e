"""The generator: its starts, its files, its refusals; cheap engines stand in for DFT."""

import copy
import subprocess
import sys
import types
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS as AseBFGS

import bpttviz as bv
from bpttviz.datasets import generate, labels
from bpttviz.datasets.generate import defects, engines, files, mpi, production, silicon
from bpttviz.datasets.generate.__main__ import main, take_slice
from bpttviz.datasets.generate.hessians import scaled_identity, spring_hessian

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "bpttviz" / "datasets" / "data"
BOTH = generate.SILICON_DEFECTS + generate.CRYSTALS


@dataclass(frozen=True)
class Copper:
    """Eight copper atoms, well displaced: a relaxation of milliseconds."""

    seed: int = 1
    name: str = "copper"

    def start(self) -> Atoms:
        atoms = bulk("Cu", "fcc", a=3.65, cubic=True) * (2, 1, 1)
        atoms.positions += np.random.RandomState(self.seed).normal(0, 0.15, (len(atoms), 3))
        return atoms


def make(folder: Path, engine=None, **options):
    task = Copper()
    return generate.produce(
        task.name, task.start, {"seed": 1}, engine or generate.EMTEngine(), folder, **options
    )


# --- starts ---


@pytest.mark.parametrize("task", BOTH[::7], ids=lambda task: task.name)
def test_a_start_follows_from_its_task_alone(task):
    first = task.start()
    np.random.rand(3)  # noqa: NPY002 - numpy's shared generator has no say
    second = task.start()
    assert np.array_equal(first.positions, second.positions)
    assert np.array_equal(first.numbers, second.numbers)
    assert np.array_equal(first.cell, second.cell)
    other = replace(task, number=task.number + 1000).start()
    assert np.abs(first.positions - other.positions).max() > 0.05


def test_starts_are_those_of_the_shipped_files():
    """Made with ASE 3.22.1 and numpy 1.24: other versions must make the same starts."""
    tasks = {task.name: task for task in BOTH}
    made_anew = 0
    for name in ("si-defects", "crystals"):
        for reference in bv.load_dataset(name).all:
            task = tasks.get(reference.name)  # si-defects' 0xx and 1xx are older than the generator
            assert task or reference.name.startswith(("0", "1"))
            if task:
                assert labels.same_structure(task.start(), reference.to_ase()[0]), task.name
                made_anew += 1
    assert made_anew >= 89
    defect, crystal = generate.SILICON_DEFECTS[0].start(), generate.CRYSTALS[0].start()
    assert defect.positions[10] == pytest.approx(
        [-0.0022403019382, 2.7871532491255, 8.1991683324306], abs=1e-9
    )
    assert crystal.positions[2] == pytest.approx(
        [1.4945108353078, 2.8519313379609, 0.0025797397132], abs=1e-9
    )


def test_defect_starts_hold_what_their_family_says_and_no_overlap():
    atoms_in = {
        defects.vac: 63,
        defects.divac: 62,
        defects.sub: 64,
        defects.subvac: 63,
        defects.subsub: 64,
    }
    for task in generate.SILICON_DEFECTS:
        atoms = task.start()
        foreign = 2 if task.family is defects.subsub else 1
        if task.species == "Si":
            foreign = 0
        assert len(atoms) == atoms_in.get(task.family, 65), task.name
        assert sum(symbol != "Si" for symbol in atoms.symbols) == foreign, task.name
        assert min(neighbor_list("d", atoms, 3.0)) >= silicon.SHORTEST_PAIR, task.name


def test_interstitials_and_pairs_start_where_their_names_say():
    host = bulk("Si", "diamond", a=silicon.SILICON_A, cubic=True) * (2, 2, 2)
    bond = silicon.SILICON_A * np.sqrt(3) / 4
    expected = {defects.tet: (4, bond), defects.hex: (6, silicon.SILICON_A * np.sqrt(11) / 8)}
    for family, (count, length) in expected.items():
        atoms = host.copy()
        family(atoms, defects.random_site(atoms, np.random.RandomState(3)), "Ge")
        distances = np.sort(atoms.get_distances(64, range(64), mic=True))
        assert distances[:count] == pytest.approx(length)
        assert distances[count] > 1.1 * length
    for family in (defects.subvac, defects.subsub, defects.divac):
        atoms = host.copy()
        site = defects.random_site(atoms, np.random.RandomState(3))
        assert np.linalg.norm(site.bond) == pytest.approx(bond)
        centres = family(atoms, site, "Ge")
        assert np.linalg.norm(centres[1] - centres[0]) == pytest.approx(bond)


def test_names_and_seeds_are_used_once():
    assert len({task.seed for task in BOTH}) == len(BOTH)
    assert len({task.name for task in BOTH}) == len(BOTH)


def test_crystals_are_small_and_displaced():
    for task in generate.CRYSTALS:
        atoms, ideal = task.start(), task.ideal()
        assert 2 <= len(atoms) <= 16, task.name
        assert len(set(atoms.symbols)) <= 3, task.name
        shortest = [min(neighbor_list("d", either, 4.0)) for either in (atoms, ideal)]
        assert shortest[0] >= 0.75 * shortest[1], task.name
        forced = ideal.copy()
        forced.set_cell(atoms.cell, scale_atoms=True)
        assert labels.delta_q(forced, atoms) > 0.1, task.name


# --- slices ---


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
def test_slices_cover_each_task_once(n):
    pieces = [task.number for i in range(n) for task in take_slice(BOTH, f"{i}/{n}")]
    assert sorted(pieces) == [task.number for task in BOTH]


@pytest.mark.parametrize("index", ["4/4", "-1/4", "0/0", "2", "a/b", "1/2/3"])
def test_a_slice_that_does_not_exist_is_refused(index):
    with pytest.raises(ValueError, match="--index"):
        take_slice(BOTH, index)


@pytest.mark.parametrize(
    "given",
    [
        ("--limit", "-1"),
        ("--max-steps", "-1"),
        ("--max-steps", "many"),
        ("--cutoff", "0"),
        ("--cutoff", "nan"),
        ("--kpts", "0"),
        ("--kpts", "-2"),
        ("--kpts-density", "inf"),
    ],
)
def test_numbers_without_a_meaning_are_refused(given, tmp_path, capsys):
    """A limit of -1 left out the last one."""
    with pytest.raises(SystemExit):
        main(["crystals", "--engine", "emt", "--out", str(tmp_path), "--list", *given])
    assert f"argument {given[0]}: " in capsys.readouterr().err


# --- relaxations and files ---


def test_a_relaxation_end_to_end(tmp_path):
    path = make(tmp_path)
    frames = files.read_frames(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copper.extxyz"]
    assert np.abs(frames[0].positions - Copper().start().positions).max() < 1e-8
    assert labels.largest_force(frames[-1]) <= 0.01 < labels.largest_force(frames[-2])
    for frame in frames:
        again = frame.copy()
        again.calc = EMT()
        assert frame.get_potential_energy() == pytest.approx(again.get_potential_energy(), abs=1e-6)
        assert np.abs(frame.get_forces() - again.get_forces()).max() < 1e-5
        assert frame.info["settings"] == "EMT (ASE)"
        assert frame.info["seed"] == 1
    # so that a file cut short between two frames does not pass for a whole one
    assert [bool(frame.info["converged"]) for frame in frames] == [False] * (len(frames) - 1) + [
        True
    ]
    assert min(np.abs(a.positions - b.positions).max() for a, b in pairwise(frames)) > 1e-6


def test_steps_are_those_of_ases_bfgs():
    atoms = Copper().start()
    atoms.calc = EMT()
    visited = []
    optimiser = AseBFGS(atoms, logfile=None, alpha=45.0, maxstep=0.15)
    optimiser.attach(lambda: visited.append(atoms.positions.copy()))
    optimiser.run(fmax=0.01)
    ours = generate.relax(Copper().start(), generate.EMTEngine())
    assert len(ours) == len(visited) > 5
    assert max(np.abs(a.positions - b).max() for a, b in zip(ours, visited, strict=True)) < 1e-6


@pytest.mark.parametrize("hessian", [scaled_identity, spring_hessian])
def test_a_relaxation_that_goes_on_makes_the_steps_it_would_have_made(hessian):
    """Bit by bit: the Hessian has learnt from the known frames all that it would have."""
    engine, start = TwoStages(), Copper().start()
    whole = generate.relax(start, engine, initial_hessian=hessian)
    known = [copy.deepcopy(frame) for frame in whole[:6]]
    resumed = generate.relax(known[-1], engine, known, initial_hessian=hessian)
    assert len(resumed) == len(whole) > 8
    for one, other in zip(resumed, whole, strict=True):
        assert np.array_equal(one.positions, other.positions)


def test_a_hessian_that_knows_bonds_saves_steps_and_changes_no_end():
    atoms = bulk("Si", a=5.469, cubic=True) * (2, 1, 1)
    atoms.symbols[3] = "Sn"
    atoms.rattle(0.1, seed=3)
    engine = generate.CHGNetEngine()
    plain, quick = (
        generate.relax(atoms, engine, initial_hessian=hessian)
        for hessian in (scaled_identity, spring_hessian)
    )
    assert len(quick) < 0.8 * len(plain)
    assert labels.delta_q(plain[-1], quick[-1]) < 0.2
    hessian = spring_hessian(atoms)
    assert np.array_equal(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian)[0] > 0


class CountingEMT(EMT):
    calls = 0

    def calculate(self, *arguments, **keywords):
        CountingEMT.calls += 1
        super().calculate(*arguments, **keywords)


class CountingEngine(generate.EMTEngine):
    def calculator(self, log_file=None):
        return CountingEMT()


def test_finished_files_are_left_alone(tmp_path):
    path = make(tmp_path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    CountingEMT.calls = 0
    assert make(tmp_path, CountingEngine()) is None
    assert CountingEMT.calls == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_interrupted_relaxation_goes_on_from_its_last_frame(tmp_path):
    whole = files.read_frames(make(tmp_path))
    (tmp_path / "parts").mkdir()
    with pytest.raises(generate.NotAtRest):
        make(tmp_path / "parts", max_steps=4)
    partial = tmp_path / "parts" / f"copper{production.PARTIAL}"
    assert [p.name for p in (tmp_path / "parts").iterdir()] == [partial.name]
    assert len(files.read_frames(partial)) == 5
    assert not files.read_frames(partial)[0].info["converged"]
    CountingEMT.calls = 0
    frames = files.read_frames(make(tmp_path / "parts", CountingEngine()))
    assert not partial.exists()
    assert CountingEMT.calls == len(frames) - 4  # the last known frame once more, then new ones
    assert len(frames) == len(whole)
    assert np.abs(frames[-1].positions - whole[-1].positions).max() < 1e-4


class Loose(Calculator):
    """EMT whose forces are off by a constant until it is told to be tight."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        exact = atoms.copy()
        exact.calc = EMT()
        push = np.zeros((len(atoms), 3))
        push[0], push[1] = self.parameters["error"], -self.parameters["error"]
        self.results = {"energy": exact.get_potential_energy(), "forces": exact.get_forces() + push}

    def set(self, **parameters):
        changed = super().set(**parameters)
        if changed:
            self.reset()
        return changed


class TwoStages:
    stages = (generate.Stage(0.05, {"error": 0.02}), generate.Stage(0.005, {"error": 0.0}))
    settings = "EMT in two stages"

    def calculator(self, log_file=None):
        return Loose(error=0.02)


def test_the_last_stage_labels_the_end_and_no_frame_is_there_twice(tmp_path):
    frames = files.read_frames(make(tmp_path, TwoStages()))
    stages = [frame.info["stage"] for frame in frames]
    assert stages == sorted(stages)
    assert set(stages) == {0, 1}
    end = frames[-1].copy()
    end.calc = EMT()
    assert np.linalg.norm(end.get_forces(), axis=1).max() <= 0.005
    steps = [np.abs(a.positions - b.positions).max() for a, b in pairwise(frames)]
    assert min(steps) > 1e-6


def test_other_settings_are_refused(tmp_path):
    make(tmp_path)
    files.refuse_mixed_settings(tmp_path, "EMT (ASE)")
    with pytest.raises(generate.SettingsMismatch, match=r"copper\.extxyz"):
        files.refuse_mixed_settings(tmp_path, "GPAW")
    ase.io.write(tmp_path / "silent.extxyz", Copper().start())
    with pytest.raises(generate.SettingsMismatch, match=r"silent\.extxyz.*not stated"):
        files.refuse_mixed_settings(tmp_path, "EMT (ASE)")


def test_frames_known_from_another_engine_are_not_taken_for_this_one(tmp_path):
    with pytest.raises(generate.NotAtRest, match="--max-steps"):
        make(tmp_path, max_steps=3)
    with pytest.raises(generate.SettingsMismatch, match=r"copper\.partial.*EMT \(ASE\).*two sta"):
        make(tmp_path, TwoStages())


def test_two_engines_never_share_a_folder(tmp_path, monkeypatch):
    make(tmp_path)
    task = Copper(seed=2, name="other")
    with pytest.raises(generate.SettingsMismatch, match=r"copper\.extxyz.*EMT \(ASE\).*two stages"):
        generate.produce(task.name, task.start, {}, TwoStages(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["copper.extxyz"]

    # nor where both found it empty, in one moment
    empty, look = tmp_path / "empty", production.refuse_mixed_settings
    empty.mkdir()

    def looks_and_is_overtaken(folder, settings):
        look(folder, settings)
        if not list(folder.iterdir()):
            monkeypatch.setattr(production, "refuse_mixed_settings", look)
            make(folder)

    monkeypatch.setattr(production, "refuse_mixed_settings", looks_and_is_overtaken)
    with pytest.raises(generate.SettingsMismatch, match=r"copper\.extxyz"):
        generate.produce(task.name, task.start, {}, TwoStages(), empty)
    assert len(files.read_frames(empty / "other.partial.extxyz")) == 1


def test_frames_of_another_relaxation_of_the_same_name_are_not_taken_up(tmp_path):
    out = tmp_path / "out"
    for seed in (1, 2):
        (tmp_path / f"{seed}").mkdir()
        ase.io.write(tmp_path / f"{seed}" / "mine.extxyz", Copper(seed).start())
    call = ["--engine", "emt", "--out", str(out)]
    one, two = (str(tmp_path / f"{seed}" / "mine.extxyz") for seed in (1, 2))
    assert main(["restart", one, *call, "--max-steps", "2"]) == 1
    before = (out / "mine.partial.extxyz").read_text()
    assert main(["restart", two, *call]) == 1
    assert [path.name for path in out.iterdir()] == ["mine.partial.extxyz"]
    assert (out / "mine.partial.extxyz").read_text() == before
    assert main(["restart", one, *call]) == 0


def test_an_unfinished_file_has_no_end_to_start_from(tmp_path, capsys):
    with pytest.raises(generate.NotAtRest):
        make(tmp_path, max_steps=3)
    partial = str(tmp_path / "copper.partial.extxyz")
    for command in ("continue", "restart"):
        assert main([command, partial, "--engine", "emt", "--out", str(tmp_path / "out")]) == 1
        assert "copper.partial.extxyz says that its relaxation is not" in capsys.readouterr().out
    assert list((tmp_path / "out").iterdir()) == []


def test_files_are_told_apart_by_all_of_their_names(tmp_path):
    for seed in (1, 2):
        ase.io.write(tmp_path / f"mine.{seed}.extxyz", Copper(seed).start())
    sources = sorted(map(str, tmp_path.glob("*.extxyz")))
    out = tmp_path / "out"
    assert main(["restart", *sources, "--engine", "emt", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["mine.1.extxyz", "mine.2.extxyz"]


def test_a_shipped_file_restarts_as_it_is(tmp_path):
    shipped = SHIPPED / "crystals" / "345_fcc_Al.extxyz.xz"
    assert main(["restart", str(shipped), "--engine", "emt", "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["345_fcc_Al.extxyz"]


def test_a_users_file_restarts_and_can_be_interrupted(tmp_path):
    """It says neither defect nor family."""
    mine, out = tmp_path / "mine.extxyz", tmp_path / "out"
    ase.io.write(mine, Copper().start())
    call = ["restart", str(mine), "--engine", "emt", "--out", str(out)]
    assert main([*call, "--max-steps", "2"]) == 1
    assert main(call) == 0
    frames = files.read_frames(out / "mine.extxyz")
    assert {frame.info["settings"] for frame in frames} == {"EMT (ASE)"}
    assert not {"family", "species", "defect"} & frames[0].info.keys()


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(ValueError, match=r"empty\.extxyz could not be read.*no frame"):
        make(tmp_path)


def test_a_truncated_file_is_named(tmp_path, capsys):
    whole = make(tmp_path).read_text()
    (tmp_path / "cut.extxyz").write_text(whole[: int(len(whole) * 0.9)])
    call = [
        "restart",
        str(tmp_path / "cut.extxyz"),
        "--engine",
        "emt",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(call) == 1
    assert "cut.extxyz could not be read" in capsys.readouterr().out


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = make(tmp_path)
    before = path.read_bytes()

    def half_a_file(name, *arguments, **keywords):
        Path(name).write_text("8\nhalf")
        raise OSError("disk full")

    monkeypatch.setattr(files.ase.io, "write", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        files.write_frames(path, [Copper().start()])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


class Rank:
    """One of two processes: what rank 0 broadcasts is kept, and given to rank 1 when it asks.

    It has no barrier and no other call, so that nothing else can be waited for.
    """

    size = 2

    def __init__(self, rank, sent):
        self.rank, self.sent = rank, sent

    def broadcast(self, array, root):
        assert root == 0
        if self.rank == 0:
            self.sent.append(array.copy())
        else:
            array[:] = self.sent.pop(0)


def on_both_ranks(monkeypatch, do):
    """What comes of `do` on rank 0 and then on rank 1: results or errors."""
    outcomes, sent = [], []
    for rank in (0, 1):
        monkeypatch.setattr(mpi, "world", lambda rank=rank: Rank(rank, sent))
        try:
            outcomes.append(do(rank))
        except Exception as error:
            outcomes.append(error)
    assert sent == []  # nobody waits for something that was never sent, or leaves something behind
    return outcomes


def test_under_mpi_rank_0_alone_writes_and_all_read_the_same(tmp_path, monkeypatch):
    path = tmp_path / "copper.extxyz"

    def write_and_read(rank):
        atoms = Copper().start()
        atoms.positions += rank  # what rank 1 would write is never seen
        atoms.info["settings"] = "none"
        files.write_frames(path, [atoms])
        return files.exists(path), files.read_frames(path)[0].positions[0, 0]

    first, second = on_both_ranks(monkeypatch, write_and_read)
    assert first == second == (True, pytest.approx(Copper().start().positions[0, 0]))
    on_both_ranks(monkeypatch, lambda rank: files.remove(path))
    assert list(tmp_path.iterdir()) == []


def test_under_mpi_an_error_of_rank_0_is_everyones(tmp_path, monkeypatch):
    nowhere = tmp_path / "missing" / "copper.extxyz"
    errors = on_both_ranks(
        monkeypatch, lambda rank: files.write_frames(nowhere, [Copper().start()])
    )
    assert [type(error) for error in errors] == [FileNotFoundError, FileNotFoundError]
    broken = tmp_path / "broken.extxyz"
    broken.write_text("8\nLattice")
    errors = on_both_ranks(monkeypatch, lambda rank: files.read_frames(broken))
    assert all(isinstance(error, ValueError) for error in errors)
    assert str(errors[0]) == str(errors[1])


def test_under_mpi_an_error_of_one_rank_stops_all(monkeypatch):
    """A calculator's log on a full disk, say; the other ranks wait in the calculator."""

    def fails():
        raise OSError("disk full")

    monkeypatch.setattr(mpi, "world", lambda: Rank(0, []))
    with pytest.raises(OSError, match="disk full"):
        production.run([fails])
    shared = on_both_ranks(
        monkeypatch, lambda rank: production.run([lambda: mpi.on_rank_zero(fails)])
    )
    assert shared == [1, 1]


def test_one_failure_does_not_stop_the_others(capsys):
    done = []

    def fails():
        raise RuntimeError("did not converge")

    assert production.run([fails, lambda: done.append(1)]) == 1
    assert done == [1]
    assert "did not converge" in capsys.readouterr().out


def test_delta_q_against_a_hand_calculation():
    a = Atoms("CuAl", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
    b = a.copy()
    b.positions[0, 0] += 4 - 0.3  # three tenths of an Å to the left, through the wall
    m, n = a.get_masses()
    assert labels.delta_q(a, b) == pytest.approx(0.3 * np.sqrt(m * n / (m + n)))
    b.positions += 0.7  # drift
    assert labels.delta_q(a, b) == pytest.approx(0.3 * np.sqrt(m * n / (m + n)))


# --- command line ---


def test_the_command_line_makes_continues_and_refuses(tmp_path, capsys):
    def refused(call, sentence):
        with pytest.raises(SystemExit):
            main([*call, "--engine", "emt"])
        assert sentence in capsys.readouterr().err

    crystals, on = tmp_path / "crystals", tmp_path / "on"
    names = [task.name for task in generate.CRYSTALS]
    index = f"{names.index('345_fcc_Al')}/{len(names)}"
    command = ["crystals", "--engine", "emt", "--out", str(crystals), "--index", index]
    assert main(command) == 0
    made = crystals / "345_fcc_Al.extxyz"
    frames = files.read_frames(made)
    assert frames[0].info["family"] == "fcc"
    assert frames[0].info["species"] == "Al"

    # a crystal's own words for what it is are kept
    assert main(["restart", str(made), "--engine", "emt", "--out", str(tmp_path / "copy")]) == 0
    copied = files.read_frames(tmp_path / "copy" / made.name)
    assert (copied[0].info["family"], copied[0].info["species"]) == ("fcc", "Al")
    capsys.readouterr()

    # a file that stopped early, as the first nineteen did, is taken to the end
    early = tmp_path / "early.extxyz"
    for frame in frames:
        frame.info = {"defect": "fcc:Al", "seed": 7, "settings": "EMT (ASE)"}
    files.write_frames(early, frames[:4])
    assert main(["continue", str(early), "--engine", "emt", "--out", str(on)]) == 0
    further = files.read_frames(on / "early.extxyz")
    assert labels.largest_force(further[-1]) <= 0.01
    assert further[0].info["species"] == "Al"
    assert np.array_equal(further[3].positions, frames[3].positions)
    moved = labels.delta_q(frames[3], further[-1])
    assert f"moved Delta Q {moved:.3f}" in capsys.readouterr().out
    assert moved > 0.01

    # once more, nothing is done and said so
    assert main(["continue", str(early), "--engine", "emt", "--out", str(on)]) == 0
    assert "early.extxyz exists already" in capsys.readouterr().out

    # settings that one frame does not state are not these
    del frames[1].info["settings"]
    files.write_frames(early, frames[:4])
    again = tmp_path / "again"
    refused(["continue", str(early), "--out", str(again)], "frame 1 has settings 'not stated'")

    # other settings: `continue` refuses, `restart` makes a trajectory of its own
    for frame in frames:
        frame.info["settings"] = "another code"
    files.write_frames(early, frames[:4])
    refused(["continue", str(early), "--out", str(again)], "another code")
    assert main(["restart", str(early), "--engine", "emt", "--out", str(again)]) == 0
    fresh = files.read_frames(again / "early.extxyz")
    assert np.abs(fresh[0].positions - frames[3].positions).max() < 1e-7
    refused(["restart", str(early), "--out", str(tmp_path)], "choose another --out")


@pytest.fixture
def gpaw(monkeypatch):
    """GPAW's face with nothing behind it: what it was asked for is in `asked`."""
    face, data_sets = types.ModuleType("gpaw"), types.ModuleType("gpaw.setup_data")
    face.__version__, face.asked = "22.8.0", {}
    face.GPAW = lambda **keywords: face.asked.update(keywords)
    for name in ("PW", "FermiDirac", "Davidson", "Mixer"):
        setattr(face, name, lambda *numbers, name=name: (name, *numbers))
    face.fingerprint = engines.SILICON_OF_0_9_20000
    data_sets.SetupData = lambda symbol, xc: types.SimpleNamespace(fingerprint=face.fingerprint)
    monkeypatch.setitem(sys.modules, "gpaw", face)
    monkeypatch.setitem(sys.modules, "gpaw.setup_data", data_sets)
    return face


def test_a_restart_leaves_no_setting_to_chance(tmp_path, gpaw, capsys):
    ase.io.write(tmp_path / "mine.extxyz", Copper().start())
    for given in ([], ["--cutoff", "350"], ["--kpts", "2"]):
        with pytest.raises(SystemExit):
            main(["restart", str(tmp_path / "mine.extxyz"), "--out", str(tmp_path / "o"), *given])
        assert "--cutoff, and --kpts" in capsys.readouterr().err


def test_without_gpaw_it_says_where_to_find_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(SystemExit):
        main(["crystals", "--out", str(tmp_path)])
    assert "has no GPAW. Debian's package gpaw" in capsys.readouterr().err


def test_labels_of_other_paw_data_sets_are_another_kind(gpaw):
    ours = generate.GPAWEngine().settings
    gpaw.fingerprint = "0123456789abcdef"
    assert generate.GPAWEngine().settings == f"{ours}, PAW data sets with Si 01234567"


def test_gpaw_is_asked_for_what_the_cards_say(gpaw):
    for name, engine, mesh in (
        ("si-defects", generate.GPAWEngine(), (1, 1, 1)),
        ("si-defects-dense", generate.GPAWEngine(350, (2, 2, 2)), (2, 2, 2)),
        ("crystals", generate.GPAWEngine(400, 3.0), {"density": 3.0, "gamma": True}),
    ):
        shipped = files.read_frames(sorted((SHIPPED / name).glob("*.xz"))[0])
        assert engine.settings == labels.settings_of(shipped[0])
        engine.calculator()
        assert (gpaw.asked["mode"], gpaw.asked["kpts"]) == (("PW", engine.cutoff), mesh)
    assert gpaw.asked["xc"] == "PBE"
    assert gpaw.asked["occupations"] == ("FermiDirac", 0.1)
    assert "spinpol" not in gpaw.asked
    assert gpaw.asked["symmetry"] == {"point_group": False}
    assert gpaw.asked["convergence"]["density"] == 1e-4
    assert [stage.fmax for stage in engine.stages] == [0.03, 0.01]
    assert engine.stages[1].parameters["convergence"]["density"] == 1e-5


def test_it_imports_and_lists_without_torch():
    code = (
        "import sys\n"
        "for name in ('torch', 'chgnet', 'gpaw', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from bpttviz.datasets.generate.__main__ import main\n"
        "main(['si-defects', '--out', 'unused', '--list', '--index', '1/3', '--limit', '2'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [task.name for task in generate.SILICON_DEFECTS[1:5:3]]
    assert not (ROOT / "unused").exists()
