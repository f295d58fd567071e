"""Where the defect is: known for the shipped ones, absent in perfect crystals."""

import numpy as np
import pytest
from ase.build import bulk

import bpttviz as bv
from bpttviz.evaluation.defects import distance_from_defect, vacant_sites

# atoms with a bond too few or too many, or of another element, by family; a foreign atom in a split
# interstitial has bonds of another length, and may take in a third
IRREGULAR = {"vac": 4, "divac": 6, "sub": 1, "subsub": 2, "subvac": 4, "split:Si": 2}


@pytest.mark.parametrize("reference", bv.load_dataset("si-defects").all, ids=lambda r: r.name)
def test_shipped_defects_are_found(reference):
    distance = distance_from_defect(reference.end)
    family = reference.group.split(":")[0]
    at_it = np.flatnonzero(distance == 0)
    expected = IRREGULAR.get(reference.group, IRREGULAR.get(family, len(at_it)))
    assert len(at_it) == expected
    assert 0 < len(at_it) <= 11  # a tetrahedral place has 4 + 6 neighbours
    if family == "split":
        assert len(at_it) <= 3
    foreign = np.flatnonzero(reference.end.numbers.numpy() != 14)
    assert set(foreign.tolist()) <= set(at_it.tolist())
    assert 5 < distance.max() < 10


def test_distances_cross_the_cell_boundary():
    crystal = bulk("Si", cubic=True) * (2, 2, 2)
    crystal.symbols[0] = "Ge"  # in the corner of the cell
    distance = distance_from_defect(bv.Structures.from_ase(crystal))
    assert (distance == 0).tolist() == [True] + 63 * [False]
    assert np.isclose(distance, 5.43 * np.sqrt(3) / 4).sum() == 4


@pytest.mark.parametrize("crystal", bv.load_dataset("crystals").all, ids=lambda r: r.name)
def test_a_perfect_crystal_has_none(crystal):
    assert distance_from_defect(crystal.end) is None


def test_empty_sites_are_those_of_the_vacancies_and_no_others():
    for reference in bv.load_dataset("si-defects").all[:12]:
        kind = reference.name.split("_")[1]
        expected = {"vac": 1, "subvac": 1, "divac": 2}.get(kind, 0)
        assert len(vacant_sites(reference.end)) == expected, reference.name
