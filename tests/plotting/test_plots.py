import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from made_up import WAYS
from made_up import errors as made_up
from matplotlib.text import Annotation
from PIL import Image

from bpttviz import plotting
from bpttviz.distances import delta_q
from bpttviz.evaluation.report import Report
from bpttviz.plotting import error_plane, trajectory
from bpttviz.plotting.scene import COLOURS
from bpttviz.relaxation.relax import Relaxation

FOUR = [
    ((0.05, 1.0), (0.04, 0.5)),  # both better
    ((0.05, 1.0), (0.08, 0.4)),  # the paradox
    ((0.06, 0.8), (0.05, 1.2)),  # endpoint worse, forces better
    ((0.06, 0.8), (0.09, 0.9)),  # both worse
]


def arrows(axes):
    return [t for t in axes.texts if isinstance(t, Annotation) and t.arrow_patch is not None]


def in_margins(axes):
    """Lines of the rows along the frame's edges."""
    return [line for line in axes.lines if not line.get_clip_on()]


def words(picture):
    return " ".join(t.get_text() for axes in picture.axes for t in axes.texts)


@pytest.fixture(autouse=True)
def untouched_settings():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before


def test_no_plot_imports_pyplot():
    code = "import sys, bpttviz.plotting.results; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestErrorPlane:
    def test_one_arrow_a_structure_and_one_for_the_mean(self):
        picture = plotting.plot_error_plane(made_up(FOUR))
        found = arrows(picture.axes[0])
        assert len(found) == 5
        starts_and_ends = [(tuple(a.xyann), tuple(a.xy)) for a in found[:4]]
        assert starts_and_ends == FOUR
        np.testing.assert_allclose(found[4].xyann, (0.055, 0.9))
        np.testing.assert_allclose(found[4].xy, (0.065, 0.75))

    def test_each_kind_of_change_has_its_colour_and_is_counted(self):
        picture = plotting.plot_error_plane(made_up(FOUR))
        colours = {a.arrow_patch.get_edgecolor() for a in arrows(picture.axes[0])[:4]}
        assert len(colours) == 4
        labels = [t.get_text() for t in picture.axes[0].get_legend().get_texts()]
        for meaning in error_plane.QUADRANTS.values():
            assert f"{meaning}: 1" in labels
            assert f"{meaning}: 1" in picture.alt_text

    def test_the_paradox_is_named_in_words(self):
        said = words(plotting.plot_error_plane(made_up(FOUR))).replace("\n", " ")
        assert "the paradox: endpoint better, forces worse" in said

    def test_the_paradoxs_name_hides_no_arrow_head(self):
        low_heads = [((0.05, 2.0), (0.08, 0.4))] * 3  # and through the top of the quarter
        high_heads = [((0.05, 2.0), (0.08, 1.8)), ((0.05, 2.0), (0.09, 1.7)), FOUR[0]]
        for ways in (low_heads, high_heads):
            axes = plotting.plot_error_plane(made_up(ways)).axes[0]
            (name,) = (t for t in axes.texts if "the paradox" in t.get_text())
            axes.figure.canvas.draw()
            box = name.get_window_extent()
            heads = axes.transData.transform([end for _, end in ways])
            assert not any(box.contains(*head) for head in heads)

    def test_the_paradoxs_name_hangs_over_no_noise(self):
        """The quarter is narrow and low: words that fit it, above the band."""
        low = [((0.02, 1.0), (0.03, 1.1)), ((0.09, 1.0), (0.08, 0.9)), ((0.09, 0.12), (0.1, 0.11))]
        for ways in (low, [*low, ((0.001, 1.0), (0.002, 0.9))]):
            axes = plotting.plot_error_plane(made_up(ways, noise_floor=0.1)).axes[0]
            (name,) = (t for t in axes.texts if "the paradox" in t.get_text())
            axes.figure.canvas.draw()
            box = axes.transData.inverted().transform(name.get_window_extent())
            assert box[0, 1] > 0.1
            assert (box > [axes.get_xlim()[0], 0.1]).all()
            assert (box < [axes.get_xlim()[1], axes.get_ylim()[1]]).all()

    def test_the_axis_fits_the_data_and_a_far_noise_floor_is_a_hint(self):
        near, far = (
            plotting.plot_error_plane(made_up(FOUR * 2, noise_floor=floor)).axes[0]
            for floor in (0.3, 0.001)
        )
        assert near.get_ylim()[0] < 0.3
        assert "within the noise floor" in words(near.figure)
        assert far.get_ylim()[0] > 0.2
        assert "↓ noise floor: 0.001" in words(far.figure)

    def test_an_interval_beyond_the_axis_ends_in_a_head(self):
        wild = [((0.05, 1.0), (0.05, 1.0))] * 7 + [((0.05, 1.0), (0.06, 9.0))]
        report = made_up(wild)
        (layer,) = error_plane.error_plane_data(report).layers
        axes = plotting.plot_error_plane(report).axes[0]
        heads = [line for line in in_margins(axes) if line.get_marker() in "v^<>"]
        assert layer.interval[1, 1, 0] < axes.get_ylim()[0]
        assert [(h.get_marker(), h.get_ydata()[0]) for h in heads] == [("v", axes.get_ylim()[0])]

    def test_everything_lies_within_the_axes(self):
        axes = plotting.plot_error_plane(made_up(FOUR, noise_floor=0.1)).axes[0]
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        for pair in FOUR:
            for x, y in pair:
                assert x0 < x < x1
                assert y0 < y < y1
        assert all(x0 <= tick <= x1 for tick in axes.get_xticks())
        assert len(axes.get_xticks()) >= 3

    def test_the_noise_floor_is_drawn_where_it_is_known(self):
        assert "noise floor" in words(plotting.plot_error_plane(made_up(FOUR, noise_floor=0.1)))
        assert "noise floor" not in words(plotting.plot_error_plane(made_up(FOUR)))

    def test_without_forces_it_says_so(self):
        nan = float("nan")
        picture = plotting.plot_error_plane(made_up([((nan, 1.0), (nan, 0.5))]))
        assert "no reference forces" in words(picture)
        assert "s0" in picture.alt_text
        some = plotting.plot_error_plane(made_up([*FOUR, ((nan, 1.0), (nan, 0.5))]))
        assert len(arrows(some.axes[0])) == 5
        assert "Not shown (no reference forces): s4" in some.get_supxlabel()

    def test_the_interval_holds_the_mean_and_narrows_with_agreement(self):
        data = error_plane.error_plane_data(made_up(FOUR * 2))
        (layer,) = data.layers
        assert (layer.interval[..., 0] <= layer.mean).all()
        assert (layer.mean <= layer.interval[..., 1]).all()
        (same,) = error_plane.error_plane_data(made_up([FOUR[0]] * 8)).layers
        np.testing.assert_allclose(same.interval[..., 0], same.interval[..., 1])
        # The mean of eight spreads 1/√8 as much as one; t with 7 degrees of freedom is 2.36.
        spread = np.std([0.04, 0.08, 0.05, 0.09] * 2, ddof=1) / np.sqrt(8)
        width = np.diff(layer.interval[1, 0])[0]
        assert width == pytest.approx(2 * 2.36 * spread, rel=0.05)

    def test_several_starts_of_one_defect_are_taken_together(self):
        report = made_up([FOUR[n % 4] for n in range(24)])
        alone = error_plane.error_plane_data(report).layers[0].interval
        rows = [replace(row, group=f"g{int(row.structure[1:]) % 8}") for row in report.rows]
        whole = error_plane.error_plane_data(Report(rows)).layers[0].interval
        assert (np.diff(whole) > 1.2 * np.diff(alone)).all()
        few = [replace(row, group=f"g{int(row.structure[1:]) % 4}") for row in report.rows]
        assert error_plane.error_plane_data(Report(few)).layers[0].interval is None

    def test_ends_right_before_and_after_are_neither_better_nor_worse(self):
        right = [((0.05, 0.05), (0.06, 0.02)), ((0.05, 1e-9), (0.04, 0.0))]
        report = made_up([*FOUR, *right], noise_floor=0.1)
        (layer,) = error_plane.error_plane_data(report).layers
        assert [arrow.meaning for arrow in layer.arrows[4:]] == [error_plane.KEPT_RIGHT] * 2
        assert layer.describe_better() == "endpoint better in 2 of 6, kept right in 2"
        assert "endpoint kept right: 2" in plotting.plot_error_plane(report).alt_text
        # Rounding errors do not stretch the axis to where nothing is known.
        assert layer.arrows[5].points[0][1] == 1e-3
        assert not error_plane.error_plane_data(made_up(right)).layers[0].left_out

    def test_a_few_structures_get_a_mean_but_no_interval(self):
        assert error_plane.error_plane_data(made_up(FOUR)).layers[0].interval is None
        few, more = (plotting.plot_error_plane(made_up(FOUR * n)) for n in (1, 2))
        # Where intervals are known, a line and a diamond before and after along each edge.
        assert [len(in_margins(picture.axes[0])) for picture in (few, more)] == [0, 8]
        assert "95 %" in more.alt_text
        assert "95 %" not in few.alt_text

    def test_the_edges_show_means_and_intervals(self):
        report = made_up(FOUR * 2)
        (layer,) = error_plane.error_plane_data(report).layers
        above = [line for line in in_margins(plotting.plot_error_plane(report).axes[0])
                 if len(set(line.get_ydata())) == 1 and line.get_ydata()[0] == 1]  # fmt: skip
        spans = [line.get_xdata() for line in above if len(line.get_xdata()) == 2]
        np.testing.assert_allclose(spans, layer.interval[:, 0])
        means = [line.get_xdata()[0] for line in above if len(line.get_xdata()) == 1]
        np.testing.assert_allclose(means, layer.mean[:, 0])

    def test_what_did_not_come_to_rest_is_named(self):
        picture = plotting.plot_error_plane(made_up([*FOUR, ((0.1, 1.0), (0.1, float("nan")))]))
        assert "Not shown (did not come to rest): s4" in picture.alt_text

    def test_real_results(self, tiny_report):
        picture = plotting.plot_error_plane(tiny_report)
        assert len(arrows(picture.axes[0])) == 3
        assert "pretrained" in picture.alt_text


AFTER = {"force-matched": "forces", "BPTT": ("epoch 1", "epoch 2")}


class TestLayers:
    """Several potentials, and training epochs, on one error plane."""

    def test_a_layer_a_name_and_a_way_through_epochs(self):
        forces, bptt = error_plane.error_plane_data(made_up(WAYS), after=AFTER).layers
        assert forces.potentials == ("forces",)
        assert bptt.potentials == ("epoch 1", "epoch 2")
        assert [arrow.points for arrow in bptt.arrows] == [(w[0], *w[2:]) for w in WAYS]
        assert [arrow.points for arrow in forces.arrows] == [w[:2] for w in WAYS]
        assert bptt.count(error_plane.PARADOX) == 3
        assert forces.count("endpoint and forces better") == 2
        np.testing.assert_allclose(bptt.mean[0], forces.mean[0])
        np.testing.assert_allclose(bptt.mean[-1], np.mean([w[3] for w in WAYS], axis=0))

    def test_names_alone_are_layers_and_nothing_is_the_last(self):
        report = made_up(WAYS)

        def titles(after):
            return [
                layer.title for layer in error_plane.error_plane_data(report, after=after).layers
            ]

        assert titles(["forces", "epoch 2"]) == ["forces", "epoch 2"]
        assert titles("forces") == ["forces"]
        assert titles(None) == ["epoch 2"]

    def test_means_are_over_structures_that_all_layers_have(self):
        nan = float("nan")
        report = made_up([*WAYS, ((0.1, 5.0), (0.1, nan), (0.1, 4.0), (0.1, 3.0))])
        data = error_plane.error_plane_data(report, after=AFTER)
        assert [len(layer.arrows) for layer in data.layers] == [3, 4]
        np.testing.assert_allclose(data.mean, np.mean([w[0] for w in WAYS], axis=0))
        assert data.describe_left_out() == [
            "Not shown (did not come to rest under force-matched): s3"
        ]
        alone = error_plane.error_plane_data(report, after="epoch 2")
        np.testing.assert_allclose(alone.mean[1], (1.0 + 0.8 + 2.0 + 5.0) / 4)

    def test_layers_without_a_common_structure_have_no_means(self):
        nan = float("nan")
        here, there = ((0.1, 1.0), (0.1, nan), (0.1, 1.0), (0.1, 2.0)), WAYS[0]
        report = made_up([here, (*there[:3], (0.1, nan))])
        data = error_plane.error_plane_data(report, after=["forces", "epoch 2"])
        assert data.mean is None
        assert "no means" in data.describe()
        assert plotting.plot_error_plane(report, after=["forces", "epoch 2"]).png()

    def test_the_figure_tells_layers_apart_and_shows_the_way(self):
        axes = plotting.plot_error_plane(made_up(WAYS), after=AFTER).axes[0]
        found = arrows(axes)
        assert len(found) == 6 + 2  # and their means
        colours = [arrow.arrow_patch.get_edgecolor() for arrow in found[:6]]
        assert len(set(colours[:3])) == len(set(colours[3:])) == 1
        assert colours[0] != colours[3]
        turns = [arrow.xyann for arrow in found[3:6]]  # the last part of each way
        assert turns == [way[2] for way in WAYS]
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert "force-matched: endpoint better in 2 of 3" in labels
        assert "BPTT: endpoint better in 3 of 3" in labels

    def test_unknown_names_are_refused(self):
        report = made_up(WAYS)
        with pytest.raises(KeyError, match="no potential 'no-such' in the report; there are"):
            error_plane.error_plane_data(report, after={"BPTT": ["epoch 1", "no-such"]})
        with pytest.raises(ValueError, match="at least one potential after"):
            error_plane.error_plane_data(report, after=[])


@pytest.mark.parametrize(("low", "high"), [(0.03, 0.2), (1.0, 1.31), (0.01, 90.0), (0.95, 1.05)])
def test_ticks_are_few_round_and_inside(low, high):
    places = error_plane.ticks(low, high)
    assert 3 <= len(places) <= 13
    assert all(low <= place <= high for place in places)
    assert all(len(f"{place:g}") <= 6 for place in places)


class TestEndpointBars:
    def test_a_bar_for_each_structure_and_potential(self):
        picture = plotting.plot_endpoint_errors(made_up(FOUR, noise_floor=0.1))
        for axes, extra in zip(picture.axes, (0.1, 0.0), strict=True):
            widths = sorted(bar.get_width() for bar in axes.patches)
            expected = sorted(endpoint + extra for pair in FOUR for _, endpoint in pair)
            np.testing.assert_allclose(widths, expected)
        assert [t.get_text() for t in picture.axes[0].get_yticklabels()] == ["s0", "s1", "s2", "s3"]

    def test_what_was_not_reached_is_written_not_drawn(self, diverged_report):
        picture = plotting.plot_endpoint_errors(made_up([*FOUR, ((0.1, 1.0), (0.1, float("nan")))]))
        assert words(picture).split("  ") == [" did not come to rest", "did not come to rest"]
        assert words(plotting.plot_endpoint_errors(diverged_report)).split() == [
            "diverged",
            "diverged",
        ]


class TestFrames:
    def test_path_delta_q_is_that_of_the_table(self, tiny_report):
        for potential in tiny_report.potentials:
            for name in tiny_report.structures:
                path = trajectory.aligned_trajectory(tiny_report, potential, name)
                row = tiny_report.row(potential, name)
                assert path.delta_q.shape == (4,)
                assert path.delta_q[0] == pytest.approx(row.dq_start)
                assert path.delta_q[-1] == pytest.approx(row.dq_k)

    def test_drift_and_lattice_translations_do_not_show(self, tiny_report):
        relaxation = tiny_report.relaxation("pretrained", 0)
        reference = tiny_report.reference(0)
        shift = torch.tensor([0.3, -0.2, 0.1]) + reference.cell[0, 0]
        moved = reference.with_positions(reference.positions + shift)
        np.testing.assert_allclose(
            trajectory.displacement_from_reference(relaxation, moved),
            trajectory.displacement_from_reference(relaxation, reference),
            atol=1e-9,
        )

    def test_the_defect_is_in_the_middle_and_no_atom_is_torn_off(self, tiny_report):
        impurity = trajectory.aligned_trajectory(tiny_report, "pretrained", "001_sub_P")
        (phosphorus,) = [i for i, s in enumerate(impurity.symbols) if s == "P"]
        np.testing.assert_allclose(impurity.reference[phosphorus], impurity.cell.sum(0) / 2)
        path = trajectory.aligned_trajectory(tiny_report, "pretrained", "000_vac_Si")
        middle = path.cell.sum(0) / 2
        # A vacancy: nobody at the middle, its four neighbours around it.
        apart = np.sort(np.linalg.norm(path.reference - middle, axis=1))
        assert apart[0] > 1.5
        assert apart[3] < 2.7 < 3.0 < apart[4]
        fractional = path.reference @ np.linalg.inv(path.cell)
        assert fractional.min() > -1e-9
        assert fractional.max() < 1 + 1e-9
        np.testing.assert_allclose(
            np.linalg.norm(path.positions - path.reference, axis=2), path.distance, atol=1e-9
        )
        # Up to drift, the picture's atoms are the relaxation's: same ΔQ measured anew.
        drawn, reference = (
            tiny_report.reference(0).with_positions(torch.as_tensor(x))
            for x in (path.positions[-1], path.reference)
        )
        measured = delta_q(drawn, reference)
        assert float(measured) == pytest.approx(path.delta_q[-1])

    def test_several_structures_at_once_are_refused(self, tiny_report):
        from bpttviz.structures import concatenate

        relaxation = tiny_report.relaxation("pretrained", 0)
        two = replace(relaxation, start=concatenate([relaxation.start] * 2))
        with pytest.raises(ValueError, match="one structure is needed, not of 2"):
            trajectory.path_delta_q(two, tiny_report.reference(0))


def circles(axes):
    """The spheres' collection: ghost, atom and highlight for every atom."""
    return axes.collections[-1]


class TestCompareFrames:
    def test_two_panels_with_every_atom_and_a_colour_bar(self, tiny_report):
        picture = plotting.plot_frames(tiny_report, 0)
        before, after, bar = picture.axes
        count = len(tiny_report.reference(0).numbers)
        assert len(circles(before).get_offsets()) == len(circles(after).get_offsets()) == 3 * count
        assert "Å" in bar.get_ylabel()
        assert "step 3" in before.get_title()
        assert f"{tiny_report.row('disturbed', 0).dq_k:.2f}" in after.get_title()
        assert tiny_report.structures[0] in picture.alt_text

    def test_an_impurity_is_named(self, tiny_report):
        assert words(plotting.plot_frames(tiny_report, "001_sub_P")).split() == ["P", "P"]

    def test_colours_are_distances(self, tiny_report):
        picture = plotting.plot_frames(tiny_report, 0, step=0)
        path = trajectory.aligned_trajectory(tiny_report, "pretrained", 0)
        scene_order = circles(picture.axes[0]).get_facecolor()[1::3]
        brightness = scene_order[:, :3] @ (0.3, 0.59, 0.11)
        limit = trajectory.colour_limit(trajectory.trajectory_pair(tiny_report, 0))
        expected = COLOURS(np.sort(path.distance[0]) / limit)[:, :3] @ (0.3, 0.59, 0.11)
        np.testing.assert_allclose(np.sort(brightness), np.sort(expected), atol=0.02)

    def test_no_such_step(self, tiny_report):
        with pytest.raises(IndexError, match="steps 0 to 3"):
            plotting.plot_frames(tiny_report, 0, step=4)


def test_relaxation_path_shows_both(tiny_report):
    picture = plotting.plot_relaxation(tiny_report, 0)
    energy, fmax, endpoint = picture.axes
    path = trajectory.aligned_trajectory(tiny_report, "disturbed", 0)
    np.testing.assert_allclose(energy.lines[1].get_ydata(), path.energy - path.energy[0])
    np.testing.assert_allclose(fmax.lines[1].get_ydata(), path.fmax)
    curves = [line for line in endpoint.lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(curves[1].get_ydata(), path.delta_q)
    assert "reference" in picture.alt_text


def test_animation_is_small_and_moves(tiny_report, tmp_path):
    file = tmp_path / "both.gif"
    began = time.process_time()
    text = plotting.animate_relaxations(tiny_report, 0, file)
    spent = time.process_time() - began
    assert file.stat().st_size < 400_000
    assert spent < 15
    with Image.open(file) as gif:
        assert gif.n_frames == 4
        assert gif.info.get("loop") == 0
        first = np.array(gif.convert("RGB"), int)
        gif.seek(3)
        last = np.array(gif.convert("RGB"), int)
    assert (np.abs(first - last).sum(2) > 60).mean() > 0.002
    assert "left" in text


def test_training_shows_what_the_run_recorded():
    history = [
        {"update": n, "epoch": 0, "loss": 1 / n, "gradient_norm": 2 / n, "seconds": 1.0}
        for n in range(1, 9)
    ]
    validations = [{"update": n, "epoch": 0, "value": v} for n, v in ((0, 1), (4, 0.5), (8, 0.7))]
    run = SimpleNamespace(history=history, validations=validations, settings={})
    picture = plotting.plot_training(run)
    loss, gradient = picture.axes
    np.testing.assert_allclose(loss.lines[0].get_ydata(), [h["loss"] for h in history])
    np.testing.assert_allclose(loss.lines[1].get_xdata(), [0, 4, 8])
    np.testing.assert_allclose(gradient.lines[0].get_ydata(), [h["gradient_norm"] for h in history])
    assert "best 0.5 at update 4" in picture.alt_text


def test_training_before_it_began():
    nothing = SimpleNamespace(history=[], validations=[], settings={})
    assert plotting.plot_training(nothing).png()


class TestDivergence:
    """A relaxation that was given up is shown as such, up to where it got."""

    def test_marked_in_the_title_the_message_and_the_text(self, diverged_report):
        path = trajectory.aligned_trajectory(diverged_report, "disturbed", 0)
        assert path.last == 1
        assert path.clamp_step(3) == 1
        assert path.lost == "diverged at step 1: the step is not finite"
        picture = plotting.plot_frames(diverged_report, 0)
        assert "diverged" in words(picture)
        assert "diverged at step 1" in picture.alt_text
        assert picture.png()

    def test_every_other_picture_works_too(self, diverged_report, tmp_path):
        assert "Not shown (diverged)" in plotting.plot_error_plane(diverged_report).alt_text
        assert "diverged" in words(plotting.plot_endpoint_errors(diverged_report))
        assert "diverged" in words(plotting.plot_relaxation(diverged_report, 0))
        assert "diverged" in plotting.animate_relaxations(diverged_report, 0, tmp_path / "lost.gif")


def test_one_frame_and_one_atom(single_atom_report, tmp_path):
    assert isinstance(single_atom_report.relaxation("before", 0), Relaxation)
    assert plotting.plot_frames(single_atom_report, 0).png()
    assert plotting.plot_relaxation(single_atom_report, 0).png()
    plotting.animate_relaxations(single_atom_report, 0, tmp_path / "one.gif")
    with Image.open(tmp_path / "one.gif") as gif:
        assert gif.n_frames == 1


def test_a_picture_displays_with_its_description():
    picture = plotting.plot_error_plane(made_up(FOUR))
    bundle = picture._repr_mimebundle_()
    assert bundle["text/plain"] == repr(picture) == picture.alt_text
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert 'alt="Error plane, 4 structures' in bundle["text/html"]


def test_a_root_is_raised_in_a_figure_and_written_in_words():
    picture = plotting.plot_curves({"a": ([0, 1], [2, 3])}, "step", "ΔQ / amu^½ Å")
    assert picture.axes[0].get_ylabel() == "ΔQ / amu$^{½}$ Å"
    assert picture.alt_text.startswith("ΔQ / amu^½ Å against step")


def test_curves_show_what_they_were_given():
    x, y = np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.5, 0.2])
    picture = plotting.plot_curves(
        {"a": (x, y), "b": (x, 2 * y)}, "x / Å", "y / eV", "y", (0.3, "floor")
    )
    (axes,) = picture.axes
    assert axes.get_xscale() == "linear"
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), 2 * y)
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 2
    assert "floor" in words(picture)
    assert "a: lowest 0.1 at 1, highest 0.5 at 2" in picture.alt_text
    assert "shaded below 0.3: floor" in picture.alt_text
    with pytest.raises(ValueError, match="no curve"):
        plotting.plot_curves({}, "x", "y")
