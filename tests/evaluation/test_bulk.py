"""Bulk properties against closed forms, and what a pretrained potential says of silicon."""

import math

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk

import bpttviz as bv
from bpttviz.evaluation.bulk import simple_crystals


class NearestNeighbours(torch.nn.Module):
    """½ k Σ (r - r0)² over the four bonds of each atom of a diamond crystal, by image."""

    def __init__(self, stiffness, length):
        super().__init__()
        self.stiffness, self.length = stiffness, length

    def forward(self, positions, numbers, cell, pbc):
        """Energy of one structure."""
        images = torch.cartesian_prod(*[torch.arange(-2, 3, dtype=cell.dtype)] * 3)
        far = positions[None, :, None] - positions[:, None, None] + (images @ cell)
        lengths = far.reshape(-1, 3).norm(dim=1)
        bonds = lengths[(lengths > 0.1) & (lengths < 1.3 * self.length)]
        return 0.25 * self.stiffness * ((bonds - self.length) ** 2).sum()


def bonded(stiffness=10.0, length=2.37):
    module = NearestNeighbours(stiffness, length)

    def energy(structures, positions):
        parts = zip(structures.split(positions), structures.cell, strict=True)
        return torch.stack([module(x, None, cell, None) for x, cell in parts])

    return bv.EnergyFunction(energy, module)


def test_springs_between_neighbours_have_the_bulk_modulus_and_frequency_of_the_closed_form():
    stiffness, length = 10.0, 2.37
    found = bv.bulk_properties(
        bonded(stiffness, length), bv.Structures.from_ase(bulk("Si", "diamond", 5.50))
    )
    constant = 4 * length / math.sqrt(3)
    assert 5.50 * (1 + found.strain) == pytest.approx(constant, rel=1e-4)
    assert found.volume == pytest.approx(constant**3 / 8, rel=3e-4)
    # Two bonds an atom: E = k (r - r0)², and r goes with the cube root of the volume.
    volume = constant**3 / 8
    modulus = 2 * stiffness * (length / 3) ** 2 / volume  # V d²E/dV², eV/Å³
    assert found.bulk_modulus == pytest.approx(modulus / units.GPa, rel=1e-2)
    # Two atoms against each other: four bonds, a third of each along any direction.
    mass = 28.085
    frequency = math.sqrt(4 / 3 * stiffness * 2 / mass) * units.second * 1e-12 / (2 * math.pi)
    assert found.highest_frequency == pytest.approx(frequency, rel=1e-3)
    assert found.lowest_frequency == pytest.approx(frequency, rel=1e-3)


def test_what_was_fine_tuned_can_be_laid_beside_what_was_there():
    table = bv.compare_bulk(
        {"soft": bonded(8.0), "hard": bonded(10.0)},
        {"Si": bv.Structures.from_ase(bulk("Si", "diamond", 5.47))},
    )
    assert list(table.potential) == ["soft", "hard"]
    assert table.bulk_modulus[1] / table.bulk_modulus[0] == pytest.approx(1.25, rel=1e-3)
    assert table.highest_frequency[1] / table.highest_frequency[0] == pytest.approx(
        math.sqrt(1.25), rel=1e-3
    )


def test_an_unstable_crystal_shows_an_imaginary_frequency():
    pushed = bonded(10.0, 2.37)
    found = bv.bulk_properties(
        bv.EnergyFunction(
            lambda s, x: pushed.energy(s.with_positions(x)) - 40 * _square_of_offset(s, x),
            torch.nn.Linear(1, 1).double(),
        ),
        bv.Structures.from_ase(bulk("Si", "diamond", 5.47)),
    )
    assert found.lowest_frequency < 0


def _square_of_offset(structures, positions):
    """Squared distance (B,) of the second atom from where it belongs in the cell."""
    parts = zip(structures.split(positions), structures.cell, strict=True)
    return torch.stack([(x[1] - x[0] - cell.sum(0) / 4).square().sum() for x, cell in parts])


def test_a_crystal_too_far_from_rest_or_none_at_all_is_refused():
    with pytest.raises(ValueError, match="no minimum within 3%"):
        bv.bulk_properties(bonded(), bv.Structures.from_ase(bulk("Si", "diamond", 6.2)))
    with pytest.raises(ValueError, match="CoordinateTransformer is the same at every volume"):
        bv.bulk_properties(bv.CoordinateTransformer.pretrained(), simple_crystals()["Si"])
    with pytest.raises(ValueError, match="one crystal at a time"):
        bv.bulk_properties(bonded(), bv.Structures.from_ase([bulk("Si"), bulk("Si")]))
    loose = bulk("Si")
    loose.pbc = (True, True, False)
    with pytest.raises(bv.StructureError, match="periodic in all three"):
        bv.bulk_properties(bonded(), bv.Structures.from_ase(loose))


def test_chgnet_knows_silicon_and_magnesium_oxide():
    crystals = simple_crystals()
    table = bv.compare_bulk({"pretrained": bv.CHGNet()}, {k: crystals[k] for k in ("Si", "MgO")})
    silicon_row, oxide = table.iloc[0], table.iloc[1]
    assert abs(silicon_row.strain) < 0.01
    assert 60 < silicon_row.bulk_modulus < 130  # PBE: 89
    assert 9 < silicon_row.highest_frequency < 17  # PBE: 15.2
    assert 100 < oxide.bulk_modulus < 190  # PBE: 150
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
