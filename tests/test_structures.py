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


def test_no_structures_at_all():
    with pytest.raises(StructureError, match="no structures given"):
        Structures.from_ase([])
