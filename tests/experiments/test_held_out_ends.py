"""What moved held-out ends: the committed table is of its folds, and can be made again."""

import pytest

import bpttviz as bv
from bpttviz.experiments.trial import parts_of
from bpttviz.experiments.wrong_ends import RECIPE, SHIPPED, main, stored_origin


def test_what_is_committed_has_every_end_held_out_once():
    found, data = bv.stored_wrong_ends(), bv.load_dataset("si-defects")
    assert stored_origin().data == data.all.fingerprint()
    assert stored_origin().commit
    names = {row.structure for row in found.rows}
    assert names <= set(data.all.names)
    assert len(names) > 55  # all but those from which nothing comes to rest
    titles = list(dict.fromkeys(row.potential for row in found.rows))
    assert titles == ["pretrained", RECIPE, "the paper's way"]
    for row in found.rows:
        length = row.push / row.stiffness
        lightest, heaviest = 10.8**0.5, 121.8**0.5  # of boron and antimony, amu^½
        assert lightest * length <= row.distance <= heaviest * length


def test_a_folder_of_somebodys_is_not_written_over(tmp_path):
    (tmp_path / "chgnet.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"chgnet\.csv is there already"):
        main(["--out", str(tmp_path)])


@pytest.mark.slow
def test_what_is_committed_can_be_made_again():
    stored = {(row.potential, row.structure): row for row in bv.stored_wrong_ends().rows}
    one = parts_of(bv.load_dataset("si-defects"))["fold-1"].held_out[:1]
    tuned = bv.load_run(f"{SHIPPED}-fold-1").potential
    found = bv.push_and_stiffness({RECIPE: tuned}, one)
    for row in found.rows:
        before = stored[RECIPE, row.structure]
        assert row.push == pytest.approx(before.push, rel=0.02)
        assert row.stiffness == pytest.approx(before.stiffness, rel=0.05)
    assert found.rows
