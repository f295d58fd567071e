import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixBondLength

from bpttviz import StructureError, Structures
from bpttviz.structures import concatenate


def silicon(**changes):
    atoms = bulk("Si", cubic=True)
    for key, value in changes.items():
        setattr(atoms, key, value)
    return atoms


def test_ase_round_trip_keeps_everything():
    atoms = bulk("GaAs", "zincblende", a=5.6)
    atoms.set_constraint(FixAtoms([1]))
    other = molecule("H2O")
    back = Structures.from_ase([atoms, other], ["a", "b"]).to_ase()
    for one, two in zip([atoms, other], back, strict=True):
        assert (one.numbers == two.numbers).all()
        assert np.allclose(one.positions, two.positions, atol=1e-12)
        assert np.allclose(one.get_masses(), two.get_masses())
        assert (one.pbc == two.pbc).all()
    assert np.allclose(back[0].cell, atoms.cell)
    assert not back[1].cell.any()  # a molecule has no cell, and is given none
    assert back[0].constraints[0].index.tolist() == [1]


@pytest.mark.parametrize(
    ("index", "names"),
    [
        ([True, False, True], ("a", "c")),
        (np.array([False, True, False]), ("b",)),
        (torch.tensor([True, True, False]), ("a", "b")),
        (torch.tensor([2, 0]), ("c", "a")),
        (torch.tensor(1), ("b",)),
        (np.int64(-1), ("c",)),
        (range(2), ("a", "b")),
    ],
)
def test_places_and_masks_choose_structures(index, names):
    batch = Structures.from_ase([silicon()] * 3, ["a", "b", "c"], check=False)
    assert batch[index].names == names


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([], StructureError, "none of the 3 structures is chosen"),
        (slice(0, 0), StructureError, "none of the 3 structures is chosen"),
        ([False] * 3, StructureError, "none of the 3 structures is chosen"),
        ([True], IndexError, "a mask of structures needs a True or False for each of the 3, got 1"),
        ([True, 0, 1], TypeError, "chosen by whole numbers, or all by one True or False each"),
        (True, TypeError, "chosen by whole numbers"),
        (1.0, TypeError, "chosen by whole numbers.*got 1.0"),
        ("a", TypeError, "chosen by whole numbers.*got 'a'"),
        ([3], IndexError, "there are 3 structures, counted from 0; got 3"),
    ],
)
def test_what_chooses_no_structure_is_named(index, error, message):
    batch = Structures.from_ase([silicon()] * 3, ["a", "b", "c"], check=False)
    with pytest.raises(error, match=message):
        batch[index]


def test_selecting_and_joining():
    batch = Structures.from_ase([silicon(), molecule("H2O"), bulk("Cu")], ["si", "water", "cu"])
    chosen = batch[[2, 0]]
    assert chosen.names == ("cu", "si")
    assert chosen.counts == [1, 8]
    assert chosen.structure_index.tolist() == [0] + [1] * 8
    assert batch[-1].names == ("cu",)
    assert batch[0:2].names == ("si", "water")
    joined = concatenate([batch[0], batch[[1, 2]]])
    assert joined.counts == batch.counts
    assert torch.equal(joined.positions, batch.positions)
    assert torch.equal(joined.structure_index, batch.structure_index)


def bad_nan():
    atoms = silicon()
    atoms.positions[3, 1] = np.nan
    return atoms


def bad_overlap():
    atoms = silicon()
    atoms.positions[5] = atoms.positions[2] + [0.1, 0, 0]
    return atoms


def bad_overlap_through_the_boundary():
    atoms = silicon()
    atoms.positions[0] = [0.05, 0, 0]
    atoms.positions[1] = [atoms.cell[0, 0] - 0.05, 0, 0]
    return atoms


def bad_mass():
    atoms = silicon()
    masses = atoms.get_masses()
    masses[2] = np.inf
    atoms.set_masses(masses)
    return atoms


def bad_bond():
    atoms = silicon()
    atoms.set_constraint(FixBondLength(0, 1))
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (bad_nan(), "position of atom 3 is not finite"),
        (bad_overlap(), "atoms 2 and 5 are 0.100 Å apart.*overlap"),
        (bad_overlap_through_the_boundary(), "atoms 0 and 1 are 0.100 Å apart"),
        (Atoms("XSi", [[0, 0, 0], [2, 0, 0]]), "atom 0 has atomic number 0, which is no element"),
        (
            Atoms(numbers=[14, 119], positions=[[0, 0, 0], [2, 0, 0]]),
            "atom 1 has atomic number 119",
        ),
        (bad_mass(), "atom 2 has mass inf"),
        (silicon(cell=[0.002, 5, 5]), "repeats itself within less than 0.5 Å"),
        (silicon(cell=[[5, 0, 0], [5, 0.1, 0], [0, 0, 5]]), "repeats itself within less than"),
        (silicon(cell=[[5, 0, 0], [5, 0, 0], [0, 0, 5]]), "zero volume"),
        (silicon(cell=[0, 5, 5]), "zero volume"),
        (silicon(cell=[[5, 0, 0], [5, 0, 0], [0, 0, 5]], pbc=[1, 1, 0]), "zero volume"),
        (silicon(cell=[np.nan, 5, 5]), "cell is not finite"),
        (bad_bond(), "FixBondLength.*only FixAtoms"),
        (Atoms(), "has no atoms"),
    ],
)
def test_unusable_structures_are_named(atoms, message):
    good = silicon()
    with pytest.raises(StructureError, match=f"structure 1.*{message}") as caught:
        Structures.from_ase([good, atoms])
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structure_index": torch.tensor([0, 1, 0, 1])}, "structure_index must be ascending"),
        ({"structure_index": torch.tensor([0, 0, 0, 0])}, "must name each of the 2 structures"),
        ({"structure_index": torch.tensor([0, 0, 2, 2])}, "must name each of the 2 structures"),
        ({"structure_index": torch.tensor([0, 0, 1])}, r"structure_index of 2.*\(4,\), got \(3,\)"),
        ({"fixed": torch.zeros(3, dtype=torch.bool)}, r"fixed of .* \(4,\), got \(3,\)"),
        ({"numbers": torch.tensor([14, 14, 32])}, r"numbers of .* \(4,\), got \(3,\)"),
        ({"masses": torch.ones(4, 1)}, r"masses of .* \(4,\), got \(4, 1\)"),
        ({"positions": torch.zeros(4, 2)}, r"positions of .* \(4, 3\), got \(4, 2\)"),
        ({"cell": torch.eye(3)[None]}, r"cell of 2 .* \(2, 3, 3\), got \(1, 3, 3\)"),
        ({"pbc": torch.ones(2, dtype=torch.bool)}, r"pbc of 2 .* \(2, 3\), got \(2,\)"),
        ({"names": ("a",)}, r"cell of 1 structures .*\(1, 3, 3\), got \(2, 3, 3\)"),
    ],
)
def test_tensors_that_do_not_belong_together_are_named(changes, message):
    batch = Structures.from_ase([bulk("Si"), bulk("Ge")])
    with pytest.raises(StructureError, match=message):
        replace(batch, **changes).check()


def test_holding_an_atom_that_is_not_there_is_named():
    atoms = silicon()
    atoms.set_constraint(FixAtoms([3, 20]))
    with pytest.raises(StructureError, match=r"\(Si8\): holds atoms \[3, 20\].*and has 8, counted"):
        Structures.from_ase(atoms)


def test_no_name_is_none():
    atoms = silicon()
    atoms.info["name"] = None
    assert Structures.from_ase(atoms).names == ("Si8",)


def overlap_by_hand(atoms):
    """The closest two atoms, over all pairs and images."""
    images = np.array(list(itertools.product(*[range(-4, 5) if on else (0,) for on in atoms.pbc])))
    apart = atoms.positions[:, None] - atoms.positions[None]
    distance = np.linalg.norm(apart[:, :, None] + images @ atoms.cell.array, axis=3).min(2)
    return np.where(np.eye(len(atoms), dtype=bool), np.inf, distance).min()


@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)), ids=str)
def test_overlaps_are_found_wherever_the_atoms_and_the_boundaries_are(pbc):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        cell = rng.normal(scale=0.5, size=(3, 3)) + 2.5 * np.eye(3)
        atoms = Atoms("H6", rng.normal(scale=0.8, size=(6, 3)), cell=cell, pbc=pbc)
        expected = overlap_by_hand(atoms)
        found.append(expected < 0.5)
        if found[-1]:
            with pytest.raises(StructureError, match=f"are {expected:.3f} Å apart"):
                Structures.from_ase(atoms)
        else:
            Structures.from_ase(atoms)
    assert 5 < sum(found) < 55


def test_large_cells_are_checked_in_little_memory():
    program = """
from ase.build import bulk
from bpttviz import Meter, Structures
atoms = bulk("Si", cubic=True) * (9, 9, 8)
Structures.from_ase(bulk("Si"))
with Meter() as meter:
    Structures.from_ase(atoms)
print(len(atoms), meter.growth_bytes / 2**20, meter.peak_bytes / 2**20)
"""
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    count, growth, peak = (float(word) for word in printed.split())
    assert count > 5000
    assert growth < 50
    assert peak < 1000


def test_what_is_one_structure_is_taken_and_the_rest_refused():
    from pymatgen.core import Lattice, Structure

    atoms = silicon()
    expected = Structures.from_ase(atoms)
    crystal = Structure(atoms.cell.array, ["Si"] * 8, atoms.get_scaled_positions())
    for given in (crystal, [crystal], (atoms,), iter([atoms]), expected, [expected]):
        found = Structures.from_ase(given)
        assert len(found) == 1
        torch.testing.assert_close(found.positions, expected.positions)
        assert torch.equal(found.numbers, expected.numbers)
    assert Structures.from_ase([crystal, atoms], ["a", "b"]).names == ("a", "b")
    assert Structures.from_ase(atoms, "a crystal").names == ("a crystal",)
    alloy = Structure(Lattice.cubic(4), [{"Al": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError, match="occupancies must be whole"):
        Structures.from_ase(alloy)
    for wrong in ("POSCAR", Path("POSCAR"), b"x", 3, None, {}, [atoms, "POSCAR"], [3], Atoms):
        with pytest.raises(TypeError, match=r"^atoms(\[\d\])? must be an ase.Atoms, a pymatgen"):
            Structures.from_ase(wrong)
    with pytest.raises(TypeError, match="a file is read with"):
        Structures.from_ase("POSCAR")
    with pytest.raises(ValueError, match="1 names were given for 2 structures"):
        Structures.from_ase([atoms, atoms], "two")


def test_no_structures_at_all():
    with pytest.raises(StructureError, match="no structures given"):
        Structures.from_ase([])
