import pytest

from bpttviz.packing import packed


@pytest.mark.parametrize(
    ("atoms", "groups"),
    [
        ([4, 4, 4], [[0, 1], [2]]),
        ([9, 4, 4, 64, 1], [[0], [1, 2], [3], [4]]),
        ([8], [[0]]),
        ([], []),
    ],
)
def test_groups_have_no_more_atoms_than_allowed_or_one_member(atoms, groups):
    assert list(packed(atoms, most=8)) == groups


def test_a_size_counts_structures_and_no_atoms():
    assert list(packed([9, 1, 1], most=5, size=2)) == [[0, 1], [2]]


def test_the_first_group_asks_for_no_more_than_it_needs():
    def counts():
        yield from (3, 3, 3)
        raise AssertionError("asked for a fourth")

    assert next(packed(counts(), most=7)) == [0, 1]
