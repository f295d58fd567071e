"""Relaxations divided into training, validation and test by their groups."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from bpttviz._checks import instance_of, positive_or_none, sequence_of, text, whole
from bpttviz.datasets.groups import deal_singly
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.structures import Structures

SMALLEST_SET_WITH_TEST = 24


@dataclass(frozen=True, eq=False)
class DatasetSplits:
    """A `RelaxationDataset` divided into training, validation and test by its groups' names.

    Each group goes where the hash of its name says (60 % training, 15 % validation, 25 % test), so
    that adding relaxations never moves one that is already there.

    Attributes:
        all: all relaxations.
        development_groups: those that choices of method were made on; they never enter the test.
        card: the data card, Markdown.
        noise_floor: ΔQ (amu^½ Å) within which the ends themselves are uncertain, where known.
        unlabelled: structures of kinds that ``all`` has none of, without labels, on which a
            potential is to stay as it is (see `bpttviz.Recipe`); None where there are none.

    Raises:
        TypeError: ``all`` is no `RelaxationDataset`, the groups are no names, the noise floor no
            number, or the unlabelled structures no `Structures`.
        ValueError: a noise floor that is not positive and finite.
    """

    all: RelaxationDataset
    development_groups: frozenset[str] = field(default_factory=frozenset)
    card: str = ""
    noise_floor: float | None = None
    unlabelled: Structures | None = None

    def __post_init__(self) -> None:
        hint = "read_relaxations(files)"
        instance_of("all", self.all, RelaxationDataset, hint)
        if self.unlabelled is not None:
            instance_of("unlabelled", self.unlabelled, Structures, "Structures.from_ase(atoms)")
        groups = sequence_of("development_groups", self.development_groups, str, '["vac:Si"]')
        object.__setattr__(self, "development_groups", frozenset(groups))
        object.__setattr__(self, "noise_floor", positive_or_none("noise_floor", self.noise_floor))

    @property
    def train(self) -> RelaxationDataset:
        """To learn from."""
        return self._part("train")

    @property
    def val(self) -> RelaxationDataset:
        """To make choices on."""
        return self._part("val")

    @property
    def test(self) -> RelaxationDataset:
        """The test part.

        Raises:
            ValueError: fewer than 24 relaxations in all.
        """
        if len(self.all) < SMALLEST_SET_WITH_TEST:
            raise ValueError(
                f"{len(self.all)} relaxations are too few for a test split (it takes "
                f"{SMALLEST_SET_WITH_TEST}); cross-validate instead: data.folds(4) gives "
                "(training, held-out) pairs"
            )
        return self._part("test")

    def folds(self, count: int = 4) -> list[tuple[RelaxationDataset, RelaxationDataset]]:
        """See `RelaxationDataset.folds`."""
        return self.all.folds(count)

    def split_of(self, group: str) -> str:
        """ "train", "val" or "test" for a group's name. Raises TypeError where it is no string."""
        text("group", group)
        digest = hashlib.sha256(group.encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if group in self.development_groups:
            return "train" if place < 0.8 else "val"
        return "train" if place < 0.6 else "val" if place < 0.75 else "test"

    def _part(self, part: str) -> RelaxationDataset:
        return RelaxationDataset([r for r in self.all if self.split_of(r.group) == part])

    def __len__(self) -> int:
        return len(self.all)

    def __repr__(self) -> str:
        parts = Counter(self.split_of(r.group) for r in self.all)
        return (
            f"<DatasetSplits: {len(self)} relaxations in {len(set(self.all.groups))} groups; "
            f"train {parts['train']}, val {parts['val']}, test {parts['test']}>"
        )


def random_folds(
    references: RelaxationDataset, count: int = 5, seed: int = 0
) -> list[tuple[RelaxationDataset, RelaxationDataset]]:
    """(training, held-out) pairs for cross-validation *across* groups.

    Other starts of a held-out end may be trained on; such an end is then remembered rather than
    predicted. `bpttviz.experiments.protocol.question_of` says for which ones that is so.

    Args:
        references: to be dealt out.
        count: folds, which differ by one relaxation at most.
        seed: of the order in which relaxations are dealt out.

    Raises:
        TypeError, ValueError: ``count`` is no whole number of at least 2, the seed is none of at
            least 0, or there are fewer relaxations than folds.
    """
    instance_of("references", references, RelaxationDataset, "read_relaxations(files)")
    count = whole("the number of folds", count, least=2)
    homes = deal_singly(references.names, count, whole("seed", seed, least=0))
    pairs = list(zip(references, homes, strict=True))
    return [
        (
            RelaxationDataset([r for r, home in pairs if home != fold]),
            RelaxationDataset([r for r, home in pairs if home == fold]),
        )
        for fold in range(count)
    ]
