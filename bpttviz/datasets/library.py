"""The data sets that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bpttviz.datasets.extxyz import read_packed, read_unlabelled
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits

# Choices of method were made while looking at the relaxations with these numbers.
_DEVELOPMENT = dict.fromkeys(
    ("si-defects", "si-defects-dense"), tuple(f"00{digit}_" for digit in range(8))
)

# How far ends still are from rest (median, see the cards); amu^½ Å. Of defects what lies below
# 0.01 eV/Å was measured; of crystals it is what the way from 0.03 to 0.01 eV/Å moved.
_NOISE_FLOOR = {"si-defects": 0.08, "crystals": 0.04}


def load_dataset(name: str = "si-defects") -> DatasetSplits:
    """A shipped data set, divided into training, validation and test.

    "si-defects": relaxations of point defects in 64-site silicon cells, PBE. "si-defects-dense":
    some of their ends, relaxed further with more k-points and plane waves; see
    `RelaxationDataset.with_ends_of`. "crystals": relaxations of small ordered crystals of one to
    three elements, PBE. ``.card`` tells how they were made and how far they can be trusted.

    Raises:
        ValueError: no such data set.
    """
    shelf = Path(str(files("bpttviz") / "datasets" / "data"))
    available = sorted(p.name for p in shelf.iterdir() if p.is_dir())
    if not isinstance(name, str) or name not in available:
        raise ValueError(f"no data set {name!r}; shipped are {', '.join(available)}")
    folder = shelf / name
    everything = RelaxationDataset(map(read_packed, sorted(folder.glob("*.extxyz.xz"))))
    development_groups = {
        reference.group
        for reference in everything
        if reference.name.startswith(_DEVELOPMENT.get(name, ()))
    }
    unlabelled = shelf.parent / "unlabelled" / f"{name}.xz"
    return DatasetSplits(
        everything,
        frozenset(development_groups),
        card=(folder / "README.md").read_text(encoding="utf-8"),
        noise_floor=_NOISE_FLOOR.get(name),
        unlabelled=read_unlabelled(unlabelled) if unlabelled.exists() else None,
    )
