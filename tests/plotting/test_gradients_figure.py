"""The picture of a gradient on its way back shows what was diagnosed."""

import numpy as np
import pytest
import torch

from bpttviz import plotting
from bpttviz.relaxation.diagnose import EXPLODED, VANISHED, GradientDiagnosis


def made_up(factor, steps=10, radius=0.9):
    """A gradient that every step multiplies by ``factor`` on the way back."""
    size = 5.0 * factor ** torch.arange(steps, -1, -1, dtype=torch.float64)
    return GradientDiagnosis("s", 1.0, size, 0.3 * size[1:], radius, 0.01)


THREE = {"short": made_up(0.95), "long": made_up(0.5), "wild": made_up(1.5, 8, radius=1.5)}


def test_sizes_are_relative_to_the_end_on_a_logarithmic_axis():
    size, _ = plotting.plot_gradient(THREE).axes
    assert size.get_yscale() == "log"
    for line, factor, steps in zip(size.lines, (0.95, 0.5, 1.5), (10, 10, 8), strict=True):
        np.testing.assert_allclose(line.get_ydata(), factor ** np.arange(steps, -1, -1.0))
        np.testing.assert_array_equal(line.get_xdata(), np.arange(steps + 1))
    low, high = size.get_ylim()
    assert low < 0.5**10
    assert high > 1.5**8


def test_shares_add_up_to_everything():
    _, share = plotting.plot_gradient(THREE).axes
    for line in share.lines:
        assert sum(line.get_ydata()) == pytest.approx(100)
    assert share.get_ylim()[0] == 0
    assert share.get_ylim()[1] > 50  # the last of steps that each halve the gradient holds half


def test_a_flat_share_looks_flat():
    _, share = plotting.plot_gradient({"even": made_up(0.999)}).axes
    assert share.get_ylim()[1] == pytest.approx(3 * 100 / 10)


def test_the_bands_begin_where_the_verdicts_do():
    size, _ = plotting.plot_gradient({"short": THREE["short"]}).axes
    edges = [(p.get_y(), p.get_y() + p.get_height()) for p in size.patches]
    assert VANISHED in edges[0]
    assert EXPLODED in edges[1]
    assert [t.get_text() for t in size.texts] == ["vanished", "exploded"]
    assert size.get_ylim()[0] < VANISHED < EXPLODED < size.get_ylim()[1]


def test_the_verdict_is_named_and_lines_differ_without_colour():
    picture = plotting.plot_gradient(THREE)
    (legend,) = picture.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["short: healthy", "long: vanishing", "wild: exploding"]
    looks = {(line.get_linestyle(), line.get_marker()) for line in picture.axes[0].lines}
    assert len(looks) == 3
    for said in (*words, "0.6 arrive at the start"):
        assert said in picture.alt_text
    assert "the last 4 steps hold 90 %" in picture.alt_text  # 1/2 + 1/4 + 1/8 < 0.9


def test_factors_are_marks_and_those_that_grow_lie_in_the_shade():
    factors = {"long": [0.5, -0.2], "wild": [-1.5, 0.7]}
    picture = plotting.plot_gradient(THREE, factors)
    axes = picture.axes[2]
    marks = [line for line in axes.lines if line.get_linestyle() == "None"]
    for number, (mark, values) in enumerate(zip(marks, factors.values(), strict=True)):
        np.testing.assert_allclose(mark.get_xdata(), values)
        assert set(mark.get_ydata()) == {number}
    # the look of a label is the same above and below, though the first label has no factors
    assert [m.get_marker() for m in marks] == [x.get_marker() for x in picture.axes[0].lines[1:]]
    shaded = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axes.patches)
    assert sorted(shaded[0])[0] <= -1.5
    assert {-1.0, 1.0} <= {edge for pair in shaded for edge in pair}
    assert "wild: -1.50, 0.70" in picture.alt_text
    with pytest.raises(KeyError, match="'tall'; there are diagnoses of short, long, wild"):
        plotting.plot_gradient(THREE, {"tall": [0.1]})


def test_pictures_to_compare_have_the_same_axes():
    limits = (1e-4, 1e3)
    seen = [plotting.plot_gradient({k: v}, limits=limits).axes for k, v in THREE.items()]
    assert {axes[0].get_ylim() for axes in seen} == {limits}
    assert {axes[1].get_ylim() for axes in seen} == {(0, 100)}


def test_no_gradient_and_an_endless_one_can_be_drawn():
    none = GradientDiagnosis("s", 0.0, torch.zeros(4), torch.zeros(3), 0.9, 0.0)
    lost = torch.tensor([torch.inf, 1e300, 1.0, 1.0])
    endless = GradientDiagnosis("s", 1.0, lost, torch.tensor([torch.inf, 1.0, 1.0]), 2.0, 9.0)
    picture = plotting.plot_gradient({"end": none, "wild": endless})
    assert picture.png()
    assert "end: nothing to learn." in picture.alt_text
    assert "wild: exploding" in picture.alt_text
    with pytest.raises(ValueError, match="no diagnosis"):
        plotting.plot_gradient({})
