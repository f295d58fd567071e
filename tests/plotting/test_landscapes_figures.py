"""Pictures of landscapes: what is drawn, what is said, and what is refused."""

import math
import re

import matplotlib
import numpy as np
import pytest
import torch

import bpttviz as bv
from bpttviz.plotting.landscapes import (
    WalkerPath,
    force_difference,
    plot_force_errors,
    plot_landscapes,
)
from bpttviz.plotting.palette import GREEN
from bpttviz.potentials.landscape import Window, places, walkers

ONE_WELL = bv.Wells([[0.5, 0.25]], [1.0], [0.6], bowl=0.2)
TWO_WELLS = bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.0, 1.0], [0.5, 0.5])
WAY = np.array([[-1.0, 1.0], [-0.5, 0.5], [0.0, 0.25], [0.4, 0.2]])


class Shifted(bv.Landscape):
    """Another landscape with its energy's zero elsewhere, and a constant force added."""

    def __init__(self, inner, zero=0.0, force=(0.0, 0.0)):
        super().__init__()
        self.inner, self.zero, self.force = inner, zero, force

    def surface(self, points):
        return self.inner.surface(points) + self.zero - points @ torch.tensor(self.force).double()


def lines(axes, colour):
    """What was drawn in that colour: arrays (T, 2)."""
    return [
        np.column_stack(line.get_data()) for line in axes.get_lines() if line.get_color() == colour
    ]


def test_one_landscape_with_a_path_a_target_and_words_for_them():
    path = WalkerPath(WAY, GREEN, "BPTT")
    picture = plot_landscapes(ONE_WELL, [path], targets=[(0.45, 0.2)])
    axes, bar = picture.axes
    assert any(np.array_equal(drawn, WAY) for drawn in lines(axes, GREEN))
    assert axes.get_xlabel() == "x / Å"
    assert "eV" in bar.get_ylabel()
    assert [text.get_text() for text in picture.legends[0].get_texts()] == [
        "start", "BPTT", "where they should end"
    ]  # fmt: skip
    for words in ("1 walker, BPTT, to (0.40, 0.20)", "Stars", "(0.45, 0.20)"):
        assert words in picture.alt_text
    assert picture.png()[:4] == b"\x89PNG"


def test_the_lowest_place_is_named():
    start = walkers([[0.5, 0.25]])
    with torch.no_grad():  # the bowl pulls the minimum inwards from the well's centre
        rest = bv.relax(
            ONE_WELL, start, bv.GradientDescent(0.1), bv.StoppingCriterion(500, fmax=1e-6)
        ).final
    pitch = max(3.2, 2.8) / 120
    words = plot_landscapes(ONE_WELL).alt_text
    x, y = map(float, re.search(r"lowest near \((\S+), (\S+)\)", words).groups())
    assert (x, y) == pytest.approx(places(rest.positions)[0].tolist(), abs=pitch)


def test_side_by_side_they_share_one_scale_and_zeros_mean_nothing():
    same = {"a": ONE_WELL, "b": Shifted(ONE_WELL, zero=7.0)}
    picture = plot_landscapes(same)
    left, right, _ = picture.axes
    assert left.get_title(loc="left") == "a"
    assert right.get_title(loc="left") == "b"
    assert left.get_shared_x_axes().joined(left, right)
    surfaces = [axes.collections[0] for axes in (left, right)]
    assert np.array_equal(surfaces[0].levels, surfaces[1].levels)
    for one, two in zip(*(s.get_paths() for s in surfaces), strict=True):
        np.testing.assert_allclose(one.vertices, two.vertices, atol=1e-9)


def test_a_path_ends_where_a_walker_was_lost():
    lost = WAY.copy()
    lost[2:] = np.nan
    assert np.array_equal(WalkerPath(lost).seen(), WAY[:2])
    assert len(WalkerPath(torch.full((3, 2), math.nan)).seen()) == 0
    picture = plot_landscapes(ONE_WELL, [WalkerPath(lost, GREEN), WalkerPath(lost * np.nan, GREEN)])
    assert any(np.array_equal(drawn, WAY[:2]) for drawn in lines(picture.axes[0], GREEN))
    assert picture.png()


def test_basins_are_tinted_from_the_lowest_row_upwards_and_a_line_parts_them():
    basins = np.full((4, 6), -1)
    basins[:, :3], basins[:, 3:] = 0, 1
    basins[3] = -1
    picture = plot_landscapes(TWO_WELLS, basins=basins)
    axes = picture.axes[0]
    (image,) = axes.get_images()
    assert image.origin == "lower"
    assert tuple(image.get_extent()) == Window().extent
    assert image.get_array().mask[3].all()
    assert not image.get_array().mask[:3].any()
    # between columns 2 and 3: the middle of the window
    border = np.concatenate([p.vertices for p in axes.collections[-1].get_paths()])
    assert border[border[:, 1] < 0.5][:, 0] == pytest.approx(0, abs=1e-6)
    assert "38 %, 38 % of the window" in picture.alt_text


def test_basins_of_one_minimum_or_of_none_are_no_special_case():
    for value in (0, -1):
        assert plot_landscapes(ONE_WELL, basins=np.full((3, 3), value)).png()


def test_force_errors_are_differences_of_forces_and_ignore_energies():
    wrong = Shifted(ONE_WELL, zero=3.0, force=(0.3, -0.4))
    points = Window().grid(3)[2]
    np.testing.assert_allclose(
        force_difference(wrong, ONE_WELL, points), [(0.3, -0.4)] * 9, atol=1e-12
    )
    picture = plot_force_errors(
        ONE_WELL, {"right": ONE_WELL, "wrong": wrong}, {"wrong": [WalkerPath(WAY, GREEN)]}
    )
    assert "right: force error 0 eV/Å" in picture.alt_text
    assert "wrong: force error 0.5 eV/Å" in picture.alt_text
    right, wrong_axes, _ = picture.axes
    assert not lines(right, GREEN)
    assert lines(wrong_axes, GREEN)
    (arrows,) = [c for c in wrong_axes.collections if hasattr(c, "U")]
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), [(0.3, -0.4)] * 169)


def test_an_arrow_is_not_longer_than_the_scale():
    wrong = Shifted(ONE_WELL, force=(30.0, -40.0))
    picture = plot_force_errors(ONE_WELL, {"wrong": wrong}, highest=1.0)
    (arrows,) = [c for c in picture.axes[0].collections if hasattr(c, "U")]
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), [(0.6, -0.8)] * 169)


def test_what_cannot_be_shown_is_refused_by_name():
    with pytest.raises(KeyError, match="no landscape 'b' is shown; there are a"):
        plot_landscapes({"a": ONE_WELL}, {"b": []})
    with pytest.raises(KeyError, match="no landscape 'c'"):
        plot_landscapes({"a": ONE_WELL}, basins={"c": np.zeros((2, 2))})
    with pytest.raises(KeyError, match="no model 'b'"):
        plot_force_errors(ONE_WELL, {"a": ONE_WELL}, {"b": []})
    with pytest.raises(ValueError, match="no landscape to show"):
        plot_landscapes({})
    with pytest.raises(ValueError, match="y must go from low to high, got 1 to -1"):
        Window(y=(1.0, -1.0))


def test_no_global_state_is_touched():
    before = dict(matplotlib.rcParams)
    plot_landscapes(ONE_WELL, [WalkerPath(WAY)]).png()
    assert dict(matplotlib.rcParams) == before
