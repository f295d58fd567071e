"""Heat maps: colours and numbers stand where they belong, and the words say the extremes."""

import numpy as np
import pytest

from bpttviz.plotting import Ways, plot_heat_maps
from bpttviz.plotting.heat_maps import format_percent

RATIOS = {"FIRE": np.array([[0.5, 2.0], [np.nan, 4.0]]), "mine $_{": np.ones((2, 2))}


def drawn(**more):
    given = {"ratios": RATIOS, "rows": [0.1, 0.2], "columns": [2, 8], "row_label": "η"}
    given |= {"column_label": "K", "title": "end at rest", "strongest": 4.0}
    return plot_heat_maps(**(given | more))


def test_numbers_and_words():
    picture = drawn()
    texts = [t.get_text() for t in picture.axes[0].texts]
    assert texts == ["−50 %", "×2.0", "×4.0"]
    places = [t.get_position() for t in picture.axes[0].texts]
    assert places == [(0, 0), (1, 0), (1, 1)]
    assert "FIRE: lowest −50 % at 0.1 and 2, highest ×4.0 at 0.2 and 8." in picture.alt_text
    assert picture.png()
    image = picture.axes[0].images[0]
    assert image.norm(np.log(4.0)) == 1
    assert image.norm(0.0) == 0.5, "no change is white"


def test_ways_have_a_panel_of_their_own():
    ways = Ways("one", [np.zeros((3, 2))], [np.ones((3, 2))], np.ones((2, 2)), ("x", "y"),
                ((0, 1), (0, 1)))  # fmt: skip
    picture = drawn(ways=ways)
    assert len(picture.axes) == 3
    assert "1 ways before" in picture.alt_text or "1 way before" in picture.alt_text
    assert picture.png()


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"ratios": {}}, "no heat map"),
        ({"ratios": {"a": np.zeros((2, 2))}}, "must be positive"),
        ({"rows": [0.1]}, "ratios"),
        ({"strongest": 1.0}, "above 1"),
    ],
)
def test_what_makes_no_sense_is_refused(more, match):
    with pytest.raises(ValueError, match=match):
        drawn(**more)


def test_percent():
    assert [format_percent(x) for x in (0.03, 1.0, 1.99, 3.0, 12.0)] == [
        "−97 %", "+0 %", "+99 %", "×3.0", "×12",
    ]  # fmt: skip
