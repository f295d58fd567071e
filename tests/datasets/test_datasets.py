"""Reading, checking and dividing reference relaxations."""

from collections import Counter
from importlib.resources import files

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

import bpttviz as bv
from bpttviz.datasets.generate import CRYSTALS, SILICON_DEFECTS
from bpttviz.datasets.generate.crystals import UNLABELLED_CRYSTALS
from bpttviz.datasets.generate.silicon import UNLABELLED_DEFECTS
from bpttviz.datasets.groups import default_group
from bpttviz.datasets.labels import delta_q, largest_force
from bpttviz.datasets.matching import same_minimum
from bpttviz.datasets.pack import pack
from bpttviz.datasets.read import read_frames
from bpttviz.datasets.splits import random_folds
from bpttviz.structures import concatenate


def frames(count=3, labels=True, seed=0):
    rng = np.random.default_rng(seed)
    result = []
    for number in range(count):
        atoms = bulk("GaAs", "zincblende", a=5.6, cubic=True)
        atoms.positions += rng.normal(scale=0.05 / (number + 1), size=atoms.positions.shape)
        if labels:
            atoms.calc = SinglePointCalculator(
                atoms, energy=-1.5 * number, forces=rng.normal(size=(8, 3))
            )
        result.append(atoms)
    return result


def packed(name, reference):
    """The frames of a shipped relaxation as ASE reads them."""
    folder = files("bpttviz") / "datasets" / "data" / name
    return read_frames(folder / f"{reference.name}.extxyz.xz")


def atoms_of(structures):
    (atoms,) = structures.to_ase()
    return atoms


@pytest.fixture(scope="module")
def shipped():
    return bv.load_dataset("si-defects")


def small_set():
    references = [
        bv.ReferenceRelaxation.from_ase(name, frames(2, labels=False), group)
        for name, group in (("a", "x"), ("b", "y"), ("c", "x"))
    ]
    return bv.RelaxationDataset(references)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ([True, False, True], ["a", "c"]),
        (np.array(["x", "y", "x"]) == "y", ["b"]),
        (torch.tensor([True, True, False]), ["a", "b"]),
        ([False] * 3, []),
        (np.array([2, 0]), ["c", "a"]),
        (torch.tensor([-1]), ["c"]),
        (np.array(["c", "b"]), ["c", "b"]),
        (["c", 0], ["c", "a"]),
        (slice(1, None), ["b", "c"]),
        ([], []),
    ],
)
def test_places_names_and_masks_choose_relaxations(key, names):
    assert small_set()[key].names == names


@pytest.mark.parametrize("key", [1, np.int64(1), torch.tensor(1), -2, "b", np.array("b")])
def test_a_place_or_a_name_is_one_relaxation(key):
    assert small_set()[key].name == "b"


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (
            [True, False],
            IndexError,
            "a mask of relaxations needs a True or False for each of the 3",
        ),
        ([True, 0, 1], TypeError, "relaxations are chosen by whole numbers, or all by one True or"),
        (True, TypeError, "chosen by whole numbers"),
        (np.bool_(False), TypeError, "chosen by whole numbers"),
        (1.5, TypeError, "chosen by whole numbers.*got 1.5"),
        (3, IndexError, "there are 3 relaxations, counted from 0; got 3"),
        ("d", KeyError, "no relaxation named 'd'; there are a, b, c"),
        (["a", "d"], KeyError, "no relaxation named 'd'"),
    ],
)
def test_what_chooses_no_relaxation_is_named(key, error, message):
    with pytest.raises(error, match=message):
        small_set()[key]


def test_a_trajectory_keeps_numbers_of_its_own():
    positions, energy, forces = np.zeros((2, 2, 3)), np.zeros(2), np.zeros((2, 2, 3))
    trajectory = bv.ReferenceTrajectory(positions, energy, forces)
    for array in (positions, energy, forces):
        array += 1
    assert all(not part.any() for part in trajectory.parts)


def test_shipped_set_is_whole(shipped):
    everything = shipped.all
    assert len(everything) >= 60
    assert everything.has_forces
    assert "CC0" in shipped.card
    for reference in everything:
        forces = reference.trajectory.forces[-1]
        assert forces.norm(dim=1).max() <= 0.01, f"{reference.name} is not at rest"
    vacancy = everything["000_vac_Si"]
    q = bv.delta_q(vacancy.start, vacancy.end)
    assert float(q) == pytest.approx(4.18, abs=0.01)


def test_the_noise_floor_is_what_the_last_stage_would_still_have_moved(shipped):
    """From its first frame to its last, 0.03 to 0.01 eV/Å; distance falls as the force does.

    But where it rose again on the way, the stage had begun on a saddle.
    """
    moved, left = [], []
    for reference in shipped.all:
        stage = [frame for frame in packed("si-defects", reference) if frame.info["stage"] == 1]
        taken_over = stage[0]
        if max(map(largest_force, stage)) > 0.1:
            assert f"`{reference.name}`" in shipped.card
            continue
        moved.append(float(bv.delta_q(bv.Structures.from_ase(taken_over), reference.end)))
        before, after = largest_force(taken_over), largest_force(stage[-1])
        left.append(moved[-1] * after / (before - after))
    assert shipped.noise_floor == pytest.approx(np.median(left), abs=0.005)
    for found in (moved, left):
        assert f"{min(found):.2f} to {max(found):.2f}" in shipped.card
        assert f"median {np.median(found):.2f}" in shipped.card


def test_the_card_counts_families_and_parts(shipped):
    everything = shipped.all
    counts = Counter((r.family, shipped.split_of(r.group)) for r in everything)
    for family in {r.family for r in everything}:
        numbers = [counts[family, part] for part in ("train", "val", "test")]
        assert f"| `{family}` | {' | '.join(map(str, numbers))} |" in shipped.card
    parts = [len(part) for part in (shipped.train, shipped.val, shipped.test)]
    assert f"| all {len(everything)} | {' | '.join(map(str, parts))} |" in shipped.card
    variants = [t.name for t in SILICON_DEFECTS if t.variant and t.name in everything.names]
    assert bool(variants) == ("further starts of a defect: half of its nearest" in shipped.card)
    frames = sum(len(r.trajectory) for r in everything)
    assert f"{len(set(everything.groups))} groups, {frames} frames." in shipped.card


@pytest.mark.parametrize("name", ["si-defects", "si-defects-dense", "crystals"])
def test_a_set_is_small_and_of_one_kind_of_label(name):
    folder = files("bpttviz") / "datasets" / "data" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4e6  # all three: 12 MB
    everything = bv.load_dataset(name).all
    kinds = {str(frame.info["settings"]) for r in everything for frame in packed(name, r)}
    assert len(kinds) == 1


def test_no_group_is_divided_and_no_end_is_in_two_groups(shipped):
    """Two relaxations with the same end, up to symmetry, must share a group."""
    members = list(shipped.all)
    ends = {reference.name: reference.to_ase()[-1] for reference in members}
    for i, one in enumerate(members):
        for two in members[i + 1 :]:
            if one.group != two.group:
                assert not same_minimum(ends[one.name], ends[two.name]), (
                    f"{one.name} and {two.name} end alike"
                )
    # both started where their names say, and fell into one minimum
    assert same_minimum(*(ends[name] for name in ("114_tet_P", "206_hex_P")))
    assert shipped.all["206_hex_P"].group == "tet:P"
    for training, held_out in shipped.folds(4):
        assert not set(training.groups) & set(held_out.groups)
        assert len(training) + len(held_out) == len(members)
    held = [name for _, part in shipped.folds(4) for name in part.names]
    assert sorted(held) == sorted(shipped.all.names)


def test_dense_ends_begin_where_the_shipped_ones_end(shipped):
    dense = bv.load_dataset("si-defects-dense")
    parts = {r.name: shipped.split_of(r.group) for r in dense.all}
    assert list(parts.values()).count("test") >= 6
    for reference in dense.all:
        ours = shipped.all[reference.name]
        assert reference.group == ours.group
        assert dense.split_of(reference.group) == shipped.split_of(ours.group)
        np.testing.assert_allclose(reference.start.positions, ours.end.positions, atol=1e-6)
        (settings,) = {f.info["settings"] for f in packed("si-defects-dense", reference)}
        assert "350 eV, kpts (2, 2, 2)" in settings
        assert reference.trajectory.forces[-1].norm(dim=1).max() <= 0.01
        # what the card says of each
        change = reference.trajectory.forces[0] - ours.trajectory.forces[-1]
        changed = change.norm(dim=1).max()
        moved = float(bv.delta_q(ours.end, reference.end))
        assert f"| `{reference.name}` | {changed:.3f} | {moved:.2f} |" in dense.card
    judged = shipped.all.with_ends_of(dense.all)
    assert judged.names == dense.all.names


def test_a_relaxation_joins_the_group_of_the_place_it_ended_in(shipped, tmp_path):
    ours = packed("si-defects", shipped.all["208_sub_Al"])[-3:]
    turned = []  # about an axis of the host, and called otherwise
    for frame in ours:
        atoms = frame.copy()
        atoms.positions = frame.positions[:, [1, 2, 0]]
        atoms.calc = SinglePointCalculator(
            atoms, energy=frame.get_potential_energy(), forces=frame.get_forces()[:, [1, 2, 0]]
        )
        turned.append(atoms)
        atoms.info["defect"] = "place:Al"
    elsewhere = packed("si-defects", shipped.all["220_sub_In"])[-3:]
    for name, members in (("a", ours), ("b", turned), ("c", elsewhere)):
        ase.io.write(tmp_path / f"{name}.extxyz", list(members))
        pack(tmp_path / f"{name}.extxyz", tmp_path)
    joined = bv.read_relaxations(sorted(tmp_path.glob("*.xz")))
    assert joined.groups == ["sub:Al", "sub:Al", "sub:In"]


def test_development_groups_never_reach_the_test_part(shipped):
    for reference in shipped.all:
        if reference.name[:3] in {f"{n:03d}" for n in range(8)}:
            assert shipped.split_of(reference.group) in ("train", "val")
    assert len(shipped.test) >= 9
    small = bv.DatasetSplits(shipped.all[:23], shipped.development_groups)
    with pytest.raises(ValueError, match="too few for a test split.*folds"):
        _ = small.test


def test_growth_moves_no_group():
    def dataset(count):
        references = [
            bv.ReferenceRelaxation.from_ase(f"r{i}", frames(seed=i), group=f"defect {i}")
            for i in range(count)
        ]
        return bv.DatasetSplits(bv.RelaxationDataset(references))

    small, large = dataset(10), dataset(40)
    assert small.train.names == [n for n in large.train.names if n in small.all.names]
    assert len(large.test)
    assert len(large.val)
    parts = [*large.train.names, *large.val.names, *large.test.names]
    assert sorted(parts) == sorted(large.all.names)


def test_relaxations_are_judged_by_other_ends(shipped):
    ours = shipped.all[["001_sub_P", "000_vac_Si", "002_split_Si"]]
    kick = torch.zeros(65, 3, dtype=torch.float64)
    kick[3] = 0.1
    moved = [r.end.with_positions(r.end.positions + kick[: len(r.end.numbers)]) for r in ours]
    theirs = [
        bv.ReferenceRelaxation(name, "other", end, end)
        for name, end in zip(("else", *ours.names[1:]), moved, strict=True)
    ]
    judged = ours.with_ends_of(bv.RelaxationDataset(theirs))
    assert judged.names == ["000_vac_Si", "002_split_Si"]
    assert judged.groups == ours[1:].groups
    assert torch.equal(judged[0].start.positions, ours[1].start.positions)
    assert torch.equal(judged[0].end.positions, moved[1].positions)
    assert not judged.has_forces
    with pytest.raises(ValueError, match="no relaxation is in both sets: one has 001_sub_P; the"):
        ours[:1].with_ends_of(bv.RelaxationDataset(theirs))
    wrong = bv.RelaxationDataset([bv.ReferenceRelaxation("001_sub_P", "other", moved[1], moved[1])])
    with pytest.raises(bv.StructureError, match="001_sub_P.*64 atoms"):
        ours.with_ends_of(wrong)


def test_selection_and_its_errors(shipped):
    data = shipped.all
    assert data[:3].names == data.names[:3]
    assert data[["001_sub_P"]][0].name == "001_sub_P"
    with pytest.raises(KeyError, match="no relaxation named 'x'"):
        data["x"]
    with pytest.raises(ValueError, match="names must be unique"):
        bv.RelaxationDataset([data[0], data[0]])
    with pytest.raises(ValueError, match="names must be unique"):
        bv.RelaxationDataset(iter([data[0], data[0]]))  # that can be gone through once only
    with pytest.raises(ValueError, match="3 folds need at least 3 groups"):
        data[:2].folds(3)


def test_what_a_training_part_does_not_know(shipped):
    known = shipped.all[["000_vac_Si", "001_sub_P", "112_subvac_As"]]
    others = shipped.all[["006_sub_As", "119_sub_Ge", "005_tet_Si", "109_vac_Si"]]
    assert known.out_of_distribution(others) == ["119_sub_Ge", "005_tet_Si"]  # an element, a family
    crystals = bv.load_dataset("crystals").all
    assert crystals["342_rocksalt_MgO"].family == "rocksalt"  # though its group is a formula


def test_packing_round_trip(tmp_path):
    source = tmp_path / "one.extxyz"
    ase.io.write(source, frames())
    pack(source, tmp_path, at_rest=10)
    read = bv.read_relaxations(tmp_path / "one.extxyz.xz")[0]
    for a, b in zip(frames(), read.to_ase(), strict=True):
        assert np.abs(a.positions - b.positions).max() < 1e-6
        assert np.abs(a.get_forces() - b.calc.results["forces"]).max() < 1e-5
        assert b.calc.results["energy"] == pytest.approx(a.get_potential_energy(), abs=1e-6)
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize("suffix", ["vasp", "cif", "extxyz"])
def test_pairs_without_energies_load_from(suffix, tmp_path):
    start, end = frames(2, labels=False)
    names = [tmp_path / f"{which}.{suffix}" for which in ("start", "end")]
    for name, atoms in zip(names, (start, end), strict=True):
        ase.io.write(name, atoms)
    data = bv.read_pairs([names])
    assert not data.has_forces
    expected = bv.Structures.from_ase([start, end])  # CIF readers wrap atoms into the cell
    found = concatenate([data[0].start, data[0].end])
    assert bv.rmsd(found, expected).max() < 1e-4
    assert len(data.starts()) == len(data.ends()) == 1


def test_a_folder_of_poscar_and_contcar_pairs(tmp_path):
    start, end = frames(2, labels=False)
    ase.io.write(tmp_path / "POSCAR", start, format="vasp")
    ase.io.write(tmp_path / "CONTCAR", end, format="vasp")
    data = bv.read_pairs([(tmp_path / "POSCAR", tmp_path / "CONTCAR")], names=["gaas"])
    assert data.names == ["gaas"]


def damaged_empty(path):
    path.write_text("")


def damaged_truncated(path):
    ase.io.write(path, frames())
    text = path.read_text()
    path.write_text(text[: int(len(text) * 0.9)])


def damaged_single(path):
    ase.io.write(path, frames(1))


def damaged_garbage(path):
    path.write_text("this is no structure\n" * 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_empty, "is empty"),
        (damaged_truncated, "could not be read.*truncated"),
        (damaged_single, "single structure; a relaxation needs a start and an end"),
        (damaged_garbage, "could not be read"),
    ],
)
def test_bad_files_are_named(damage, message, tmp_path):
    path = tmp_path / "bad.extxyz"
    damage(path)
    with pytest.raises(bv.DataError, match=f"bad.extxyz.*{message}"):
        bv.read_relaxations(path)


def test_missing_and_truncated_compressed_files(tmp_path, shipped):
    with pytest.raises(bv.DataError, match="does not exist"):
        bv.read_relaxations(tmp_path / "nowhere.extxyz")
    with pytest.raises(bv.DataError, match="holds no data files"):
        bv.read_relaxations(tmp_path)
    source = tmp_path / "one.extxyz"
    ase.io.write(source, frames())
    packed = pack(source, tmp_path, at_rest=10)
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(bv.DataError, match="one.extxyz.xz could not be read"):
        bv.read_relaxations(packed)
    with pytest.raises(ValueError, match="no data set 'si-defekts'; shipped are .*si-defects"):
        bv.load_dataset("si-defekts")


def spoiled(kind):
    a, b = frames(2)
    if kind == "order":
        b = b[[1, 0, *range(2, 8)]]
    elif kind == "atoms missing":
        b = b[:7]
    elif kind == "cell":
        b.set_cell(b.cell * 1.02)
    elif kind == "periodicity":
        b.pbc = (True, False, False)
    elif kind == "swapped twins":
        b.positions[[0, 6]] = b.positions[[6, 0]]  # both Ga
    elif kind == "nan":
        b.positions[2] = np.nan
    elif kind == "nan forces":
        b.calc.results["forces"][1, 1] = np.nan
    elif kind == "nan energy":
        b.calc.results["energy"] = np.nan
    return [a, b]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("order", "atom 0 is Ga at the start and As later.*same order"),
        ("atoms missing", "start has 8 atoms, end has 7"),
        ("cell", "the cell changes"),
        ("periodicity", "the start is periodic in a and b and c, a later frame in a; give both"),
        ("swapped twins", "atoms 0, 6 have traded places with their own kind"),
        ("nan", "end.*position of atom 2 is not finite"),
        ("nan forces", "energy or forces of frame 1 are not finite"),
        ("nan energy", "energy or forces of frame 1 are not finite"),
    ],
)
def test_frames_that_do_not_fit_together(kind, message):
    with pytest.raises(bv.StructureError, match=f"sample.*{message}"):
        bv.ReferenceRelaxation.from_ase("sample", spoiled(kind))


def test_frames_of_different_settings_are_refused():
    mixed = frames()
    for frame, cutoff in zip(mixed, (250, 250, 400), strict=True):
        frame.info["settings"] = f"PW {cutoff} eV"
    with pytest.raises(bv.DataError, match="sample: .* different settings .*250 eV; PW 400 eV"):
        bv.ReferenceRelaxation.from_ase("sample", mixed)
    mixed[-1].info["settings"] = mixed[0].info["settings"]
    assert bv.ReferenceRelaxation.from_ase("sample", mixed).trajectory
    del mixed[-1].info["settings"]  # whose labels are these?
    with pytest.raises(bv.DataError, match=r"PW 250 eV; not stated"):
        bv.ReferenceRelaxation.from_ase("sample", mixed)
    mixed[-1].calc = None  # none: an end from elsewhere
    with pytest.warns(UserWarning, match="last frame has no forces"):
        assert len(bv.ReferenceRelaxation.from_ase("sample", mixed).trajectory) == 2
    two = frames(2)
    two[-1].info["settings"] = "PW 250 eV"
    ends_only = bv.ReferenceRelaxation.from_ase("sample", two, trajectory=False)
    assert ends_only.trajectory is None  # labels are left aside


def test_twins_that_pass_each_other_frame_by_frame_are_no_error():
    """A kick-out is a real path; only the frames between tell it from a disordered file."""
    start = bulk("Si", cubic=True) * (2, 2, 2)
    path = []
    for turn in np.linspace(0, np.pi, 12):  # about their common middle
        atoms = start.copy()
        middle = start.positions[:2].mean(0)
        arm = start.positions[0] - middle
        across = np.cross(arm, [0, 0, 1.0])
        across *= np.linalg.norm(arm) / np.linalg.norm(across)
        atoms.positions[0] = middle + np.cos(turn) * arm + np.sin(turn) * across
        atoms.positions[1] = 2 * middle - atoms.positions[0]
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((64, 3)))
        path.append(atoms)
    assert len(bv.ReferenceRelaxation.from_ase("kick-out", path).trajectory) == 12
    with pytest.raises(bv.StructureError, match="kick-out.*atoms 0, 1 have traded places"):
        bv.ReferenceRelaxation.from_ase("kick-out", [path[0], path[-1]], trajectory=False)


def test_a_relaxation_that_says_it_is_not_finished_is_refused(tmp_path):
    members = frames()
    members[-1].info["converged"] = False
    ase.io.write(tmp_path / "slow.partial.extxyz", members)
    with pytest.raises(bv.DataError, match=r"slow\.partial\.extxyz says .* not finished.*leave it"):
        bv.read_relaxations(tmp_path)
    ase.io.write(tmp_path / "start.extxyz", members[0])
    with pytest.raises(bv.DataError, match="slow.partial.extxyz says"):
        bv.read_pairs([(tmp_path / "start.extxyz", tmp_path / "slow.partial.extxyz")])


def test_files_are_named_in_the_complaint(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        ase.io.write(tmp_path / folder / "run.extxyz", frames())
        (tmp_path / folder / "run.log").write_text("of the calculator, and no structure")
    assert bv.read_relaxations(tmp_path / "a").names == ["run"]
    assert bv.read_relaxations(str(tmp_path / "*" / "run.extxyz")).names == ["a-run", "b-run"]
    ase.io.write(tmp_path / "b" / "run.extxyz", spoiled("order"))
    with pytest.raises(bv.StructureError, match=r"^b-run, frame 1: .*order \(.*b.run\.extxyz\)"):
        bv.read_relaxations(str(tmp_path / "*" / "run.extxyz"))
    start, end = spoiled("order")
    ase.io.write(tmp_path / "start.extxyz", start)
    ase.io.write(tmp_path / "end.extxyz", end)
    with pytest.raises(bv.StructureError, match=r"same order \(.*start\.extxyz and .*end\.extxyz"):
        bv.read_pairs([(tmp_path / "start.extxyz", tmp_path / "end.extxyz")])


def test_an_end_that_still_feels_a_force_is_doubted(tmp_path, recwarn):
    members = frames()
    members[-1].calc.results["forces"][:] = 0.05
    ase.io.write(tmp_path / "rest.traj", members)
    bv.read_relaxations(tmp_path / "rest.traj")
    assert not [w for w in recwarn if "still feels" in str(w.message)]
    members[-1].calc.results["forces"][3] = (0, -2.15, 0)
    ase.io.write(tmp_path / "cut.traj", members)
    with pytest.warns(UserWarning, match=r"cut\.traj: an atom .* still feels 2\.15 eV/Å"):
        bv.read_relaxations(tmp_path / "cut.traj")
    members[-1].set_constraint(FixAtoms([3]))
    for frame in members[:-1]:
        frame.set_constraint(FixAtoms([3]))
        frame.positions[3] = members[-1].positions[3]
    ase.io.write(tmp_path / "fixed.traj", members)
    recwarn.clear()
    bv.read_relaxations(tmp_path / "fixed.traj")
    assert not [w for w in recwarn if "still feels" in str(w.message)]


def test_groups_can_be_given_one_a_file(tmp_path):
    paths = [tmp_path / f"{n}.traj" for n in range(4)]
    for number, path in enumerate(paths):
        ase.io.write(path, frames(seed=number))
    alike = bv.read_relaxations(paths)
    with pytest.raises(ValueError, match="2 groups; this set has 1. Groups are compositions"):
        alike.folds(2)
    told = bv.read_relaxations(paths, group=["a", "b", "a", "b"])
    assert told.groups == ["a", "b", "a", "b"]
    assert [held_out.names for _, held_out in told.folds(2)] == [["0", "2"], ["1", "3"]]
    assert bv.read_pairs([paths[:2], paths[2:]], group=["c", "d"]).groups == ["c", "d"]
    for wrong in (["a"], "abcd"):
        with pytest.raises(bv.DataError, match="one name for each of the 4 relaxations"):
            bv.read_relaxations(paths, group=wrong)


def test_a_fingerprint_is_of_all_that_a_set_is():
    def held(frame):
        frame.set_constraint(FixAtoms([1]))

    def another_family(frame):
        frame.info["family"] = "salt"

    def marked(change=lambda frame: None, **other):
        members = frames()
        for frame in members:
            frame.positions[1] = members[0].positions[1]  # so that it can be held
            change(frame)
        made = bv.ReferenceRelaxation.from_ase(
            **({"name": "r", "group": "g"} | other), frames=members
        )
        return bv.RelaxationDataset([made]).fingerprint()

    def relabelled(frame):
        frame.calc.results["forces"] = frame.calc.results["forces"] * (1 + 1e-14)

    def shifted(frame):
        frame.calc.results["energy"] += 1e-13

    def stretched(frame):
        frame.set_cell(frame.cell * (1 + 1e-14))

    def moved(frame):
        frame.positions[3] *= 1 + 1e-14

    def heavier(frame):
        frame.set_masses([28.0, *frame.get_masses()[1:]])

    def slab(frame):
        frame.pbc = (True, True, False)

    changes = (relabelled, shifted, stretched, moved, heavier, slab, held, another_family)
    marks = [marked(), *map(marked, changes), marked(group="h"), marked(name="s")]
    assert len(set(marks)) == len(marks)
    assert marked() == marks[0]


def test_swapped_twins_in_a_large_cell_are_noticed():
    a = bulk("Si", cubic=True) * (2, 2, 2)
    b = a.copy()
    b.positions[[0, 30]] = b.positions[[30, 0]]
    with pytest.raises(bv.StructureError, match=r"atom 0 \(Si\) moves .* another order"):
        bv.ReferenceRelaxation.from_ase("sample", [a, b])


def test_crystals_are_at_rest_and_have_a_test_part():
    crystals = bv.load_dataset("crystals")
    assert len(crystals) == len(set(crystals.all.groups)) >= 40
    assert crystals.all.has_forces
    for reference in crystals.all:
        assert 2 <= len(reference.end.numbers) <= 16
        assert reference.trajectory.forces[-1].norm(dim=1).max() < 0.01
        frames = packed("crystals", reference)
        assert frames[-1].info["converged"]
        assert len({frame.info["settings"] for frame in frames}) == 1
    parts = (crystals.train, crystals.val, crystals.test)
    assert sum(len(part) for part in parts) == len(crystals)
    assert all(len(part) for part in parts)
    assert "CC0" in crystals.card
    moved = []
    for reference in crystals.all:
        frames = packed("crystals", reference)
        taken_over = next(frame for frame in frames if frame.info["stage"] == 1)
        moved.append(delta_q(taken_over, frames[-1]))
    assert f"{np.median(moved):.3f} amu^½ Å (median)" in crystals.card
    assert f"{max(moved):.1f} at worst" in crystals.card
    assert crystals.noise_floor == pytest.approx(np.median(moved), abs=0.005)


def test_crystals_that_came_later_are_for_the_test_part():
    crystals = bv.load_dataset("crystals")
    later = [one.name for one in crystals.all if int(one.name[:3]) >= 348]
    assert set(later) <= set(crystals.test.names)
    assert not {"O", "F"} & {s for name in later for s in crystals.all[name].to_ase()[0].symbols}
    planned = [task.name for task in CRYSTALS]
    assert all(name in crystals.card for name in set(planned[48:]) - set(later))


def test_random_folds_hold_every_relaxation_out_once_and_divide_groups():
    data = bv.load_dataset("si-defects").all
    folds = random_folds(data, 5)
    held = [name for _, part in folds for name in part.names]
    assert sorted(held) == sorted(data.names)
    assert [len(part) for _, part in folds] == [12] * 5
    for training, part in folds:
        assert set(training.names) == set(data.names) - set(part.names)
    assert any(set(training.groups) & set(part.groups) for training, part in folds)
    again, other = random_folds(data, 5), random_folds(data, 5, seed=1)
    assert [part.names for _, part in again] == [part.names for _, part in folds]
    assert [part.names for _, part in other] != [part.names for _, part in folds]
    # The order of the relaxations does not matter, nor what else is in the set to their order.
    backwards = random_folds(bv.RelaxationDataset(list(data)[::-1]), 5)
    assert [set(p.names) for _, p in backwards] == [set(p.names) for _, p in folds]


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (61, 0), (5, -1), (2.5, 0), (5, "a")])
def test_random_folds_that_make_no_sense(count, seed):
    with pytest.raises((TypeError, ValueError), match="folds|seed"):
        random_folds(bv.load_dataset("si-defects").all, count, seed)


def test_unlabelled_structures_are_of_kinds_that_the_set_does_not_have():
    data = bv.load_dataset("si-defects")
    names = data.unlabelled.names  # 600_hex_B-start
    kinds = {name.split("_", 1)[1].split("-")[0].replace("_", ":") for name in names}
    planned = {task.info["defect"] for task in SILICON_DEFECTS}
    assert kinds == {task.info["defect"] for task in UNLABELLED_DEFECTS}
    assert len(kinds) == 28
    assert not kinds & (set(data.all.groups) | planned)
    task = UNLABELLED_DEFECTS[3]
    start = data.unlabelled[names.index(f"{task.name}-start")]
    assert float((start.positions - torch.tensor(task.start().positions)).abs().max()) < 1e-6


def test_unlabelled_crystals_are_what_the_generator_and_chgnet_make_of_crystals_not_in_the_set():
    data, potential = bv.load_dataset("crystals"), bv.CHGNet()
    frames = data.unlabelled  # 700_layer_PtS2-start
    kinds = {default_group(atoms) for atoms in frames.to_ase()}  # As8
    assert kinds == {default_group(task.start()) for task in UNLABELLED_CRYSTALS}
    assert len(kinds) == len(UNLABELLED_CRYSTALS) == len(frames) // 4
    assert not kinds & (set(data.all.groups) | {default_group(task.start()) for task in CRYSTALS})
    tasks = [UNLABELLED_CRYSTALS[place] for place in (0, 19, 47)]
    starts = bv.Structures.from_ase([t.start() for t in tasks], [t.name for t in tasks])
    again = bv.unlabelled_frames(potential, starts)
    shipped = [frames[frames.names.index(name)].positions for name in again.names]
    assert torch.allclose(torch.cat(shipped), again.positions, atol=1e-3)
