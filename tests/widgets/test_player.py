"""The self-contained player: its numbers, its modules in a real browser, and the pages it is in."""

import base64
import json
from io import BytesIO

import browser
import ipywidgets
import made_up
import nbformat
import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from pages import Opened, notebook_with
from PIL import Image

from bpttviz import widgets
from bpttviz.plotting import trajectory
from bpttviz.plotting.scene import RADIUS, Scene
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.teaching.examples import finetune_landscape, landscape_examples
from bpttviz.widgets import Canvas, CompareRelaxations, ErrorPlane, FoggyValley, TrainingMonitor
from bpttviz.widgets.bundle import bundle
from bpttviz.widgets.payload import (
    MARGIN,
    MOST,
    comparison_payload,
    images,
    magnification,
    with_text_for_bytes,
)
from bpttviz.widgets.player import ENTRY


@pytest.fixture(scope="module")
def report():
    """64 atoms × 60 steps: what the limits of speed and weight are for."""
    return made_up.report()


@pytest.fixture(scope="module")
def paths(report):
    return trajectory.trajectory_pair(report, 0)


def compare(report, **options):
    return CompareRelaxations(report, viewer=Canvas(), **options)


def decoded(payload, number):
    """Positions (frames, N, 3) Å of one path, as comparison.js must understand them."""
    path = payload["paths"][number]
    reference = np.frombuffer(payload["reference"], "<f4").reshape(-1, 3)
    moved = np.frombuffer(path["moved"], "<i2").reshape(-1, *reference.shape)
    return reference + moved * path["scale"]


class TestPayload:
    def test_positions_survive_packing(self, report, paths):
        payload = comparison_payload(paths, report)
        for number, path in enumerate(paths):
            np.testing.assert_allclose(decoded(payload, number), path.positions, atol=2e-5)

    def test_frames_are_thinned_and_ends_kept(self):
        report = made_up.report(cells=4, steps=200, lost=100)
        payload = comparison_payload(trajectory.trajectory_pair(report, 0), report)
        kept = payload["kept"]
        assert kept[0] == 0
        assert {100, 200} <= set(kept)
        assert len(kept) * 512 <= MOST + 2 * 512
        assert "one step in 3 is shown" in " ".join(payload["notes"])
        assert len(payload["paths"][0]["energy"]) == 201
        assert len(decoded(payload, 1)) == kept.index(100) + 1

    def test_a_path_given_up_has_no_numbers_after_its_end(self):
        report = made_up.report(lost=20)
        path = comparison_payload(trajectory.trajectory_pair(report, 0), report)["paths"][1]
        assert (path["last"], path["deltaQAtRest"]) == (20, None)
        assert path["lost"] == "diverged at step 20: the step is not finite"
        assert path["energy"][19] is not None
        assert path["energy"][20:] == [None] * 41

    def test_json_holds_no_nan_and_all_bytes(self):
        report = made_up.report(lost=20)
        payload = comparison_payload(trajectory.trajectory_pair(report, 0), report)
        path = json.loads(json.dumps(with_text_for_bytes(payload), allow_nan=False))["paths"][1]
        assert base64.b64decode(path["moved"]) == payload["paths"][1]["moved"]

    def test_images_are_whole_translations_near_the_cell(self, paths):
        atoms, shifts = images(paths[0])
        whole = shifts @ np.linalg.inv(paths[0].cell)
        np.testing.assert_allclose(whole, whole.round(), atol=1e-9)
        assert (np.abs(whole).max(1) > 0.5).all()
        # The cell is a cube: outside it, but by no more than the margin.
        edge = paths[0].cell[0, 0]
        places = paths[0].reference[atoms] + shifts
        outside = np.maximum(-places, places - edge).max(1)
        assert outside.min() >= -1e-9
        assert outside.max() <= MARGIN
        reached = paths[0].reference[:, 0] < MARGIN - 1e-6  # these reappear beyond the far face
        assert set(np.flatnonzero(reached)) <= set(atoms.tolist())

    def test_no_images_where_nothing_is_periodic(self, paths):
        from dataclasses import replace

        single = replace(paths[0], pbc=np.zeros(3, bool))
        assert len(images(single)[0]) == 0

    def test_arrows_are_magnified_as_far_as_they_stay_readable(self, paths):
        largest = max(path.distance.max() for path in paths)
        assert magnification(paths) * largest <= 3
        assert magnification(paths) == 5

    def test_another_cell_at_the_end_is_said(self):
        report = made_up.report(strain=0.01)
        payload = comparison_payload(trajectory.trajectory_pair(report, 0), report)
        (note,) = payload["notes"]
        assert "another cell (volume +3.0 %)" in note
        # A strain moves no atom: distances are as without it.
        plain = trajectory.aligned_trajectory(made_up.report(), "pretrained", 0)
        strained = trajectory.aligned_trajectory(report, "pretrained", 0)
        np.testing.assert_allclose(strained.distance, plain.distance, atol=1e-9)


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def module(chromium):
    """Evaluates JavaScript with the player's module as `m` and one argument as `given`."""
    with browser.javascript(chromium, bundle(ENTRY)) as evaluate:
        yield evaluate


@pytest.mark.browser
class TestModules:
    def test_the_browser_decodes_what_python_packed(self, module, report, paths):
        payload = with_text_for_bytes(comparison_payload(paths, report))
        got = module(
            "const { positions, distances } = new m.Comparison(given).paths[1].at(7);"
            "return [Array.from(positions), Array.from(distances)]",
            payload,
        )
        np.testing.assert_allclose(np.reshape(got[0], (-1, 3)), paths[1].positions[7], atol=2e-5)
        np.testing.assert_allclose(got[1], paths[1].distance[7], atol=4e-5)

    def test_bytes_from_a_kernel_are_understood_too(self, module):
        numbers = module(
            "const all = new Uint8Array([9, 1, 0, 255, 255]);"
            "return Array.from(new Int16Array(m.unpack(new DataView(all.buffer, 1, 4))))"
        )
        assert numbers == [1, -1]

    def test_a_path_that_ended_is_held_and_one_given_up_is_gone(self, module):
        report = made_up.report(lost=20)
        payload = with_text_for_bytes(
            comparison_payload(trajectory.trajectory_pair(report, 0), report)
        )
        assert module(
            "const [one, two] = new m.Comparison(given).paths;"
            "return [one.held(60), one.gone(60), two.held(60), two.gone(20), two.gone(21),"
            " two.at(60).positions.every(Number.isFinite)]",
            payload,
        ) == [60, False, 20, False, True, True]

    def test_thinned_steps_show_the_frame_before_them(self, module):
        assert module("return [0, 2, 3, 5, 99].map((k) => m.lastNotAfter([0, 3, 6], k))") == [
            0, 0, 1, 1, 2,
        ]  # fmt: skip
        got = module(
            "const { neighbour } = m.Comparison.prototype; const shown = { kept: [0, 3, 6] };"
            "return [[0, 1], [3, 1], [6, 1], [5, -1], [3, -1], [0, -1]]"
            ".map(([step, sign]) => neighbour.call(shown, step, sign))"
        )
        assert got == [3, 6, 6, 3, 0, 0]

    def test_images_move_with_their_atoms(self, module, report, paths):
        got = module(
            "const both = new m.Comparison(given);"
            "return Array.from(both.withImages(both.paths[0].at(0).positions, 3))",
            with_text_for_bytes(comparison_payload(paths, report)),
        )
        atoms, shifts = images(paths[0])
        expected = paths[0].positions[0][atoms] + shifts
        np.testing.assert_allclose(np.reshape(got, (-1, 3))[64:], expected, atol=1e-4)

    def test_the_projection_is_that_of_the_figures(self, module, report, paths):
        axes = Figure().subplots()
        scene = Scene(axes, paths[0], 0.1)
        payload = with_text_for_bytes(comparison_payload(paths, report)) | {
            "middle": scene.middle.tolist()
        }
        got = module(
            "const both = new m.Comparison(given); const camera = new m.Camera(both.view);"
            "return Array.from(camera.project(both.reference, both.middle, both.perspective))",
            payload,
        )
        places, depth = scene._project(paths[0].reference)
        np.testing.assert_allclose(
            np.reshape(got, (-1, 3)), np.column_stack([places, depth]), atol=1e-4
        )

    def test_turning_is_a_rotation_that_follows_the_pointer(self, module):
        rotation, front = module(
            "const camera = new m.Camera([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);"
            "camera.turn(0.1, 0.2);"
            "const front = camera.project(new Float32Array([0, 0, 1]), [0, 0, 0], 0);"
            "for (let k = 0; k < 1000; k++) camera.turn(0.3, -0.17);"
            "return [camera.rotation, Array.from(front)]"
        )
        rotation = np.array(rotation)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert front[0] == pytest.approx(np.sin(0.1), abs=1e-6)  # what is in front goes right
        assert front[1] > 0.19  # and up

    @pytest.mark.parametrize(
        ("start", "loop", "milliseconds", "expected"),
        [
            (0, True, [100, 99], [0, False]),  # 5 a second: the next is due after 200 ms
            (0, True, [100, 100], [1, True]),
            (0, True, [1000, 1, 1], [2, False]),  # late: no step is left out, and none rushed after
            (10, True, [200, 200], [10, False]),  # rests at the end
            (10, True, [600, 400], [0, True]),
            (10, False, [10], [10, True]),  # stops
        ],
    )
    def test_the_clock(self, module, start, loop, milliseconds, expected):
        step, changed = module(
            "const clock = new m.Clock((step, sign) => step + sign, 10);"
            "clock.playing = true; clock.loop = given.loop; clock.step = given.start;"
            "let changed; for (const time of given.times) changed = clock.advance(time);"
            "return [clock.step, changed]",
            {"start": start, "loop": loop, "times": milliseconds},
        )
        assert [step, changed] == expected

    def test_play_at_the_end_begins_again(self, module):
        code = (
            "const clock = new m.Clock((step, sign) => step + sign, given); clock.go(99);"
            "clock.toggle(); return [clock.step, clock.playing]"
        )
        assert module(code, 10) == [0, True]
        assert module(code, 0) == [0, False]  # one frame: nothing to play

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([0, -3.2], {}),
            ([2.0, 0.013], {"logarithmic": True}),
            ([0.31, 0.29], {"logarithmic": True}),
            ([0.0, 0.2], {"logarithmic": True}),  # nothing has no logarithm: an even axis
            ([8.0, 7.0], {"fromZero": True}),
            ([1.5], {}),
            ([0.0], {}),
            ([], {}),
        ],
    )
    def test_scales_hold_their_values_and_a_few_ticks(self, module, values, kind):
        places, ticks, at = module(
            "const { y, ticks } = m.scaleOf(given.values, given.kind);"
            "return [given.values.map(y), ticks, ticks.map(y)]",
            {"values": values, "kind": kind},
        )
        assert all(22 - 1e-6 <= place <= 112 + 1e-6 for place in [*places, *at])
        assert 1 <= len(ticks) <= 6
        assert at == sorted(at, reverse=True)

    def test_a_curve_has_a_gap_where_a_value_is_missing(self, module):
        assert module("return m.pathData([1, 2, null, 4], (s) => s, (v) => v)") == (
            "M0.0 1.0L1.0 2.0M3.0 4.0"
        )

    def test_a_clock_set_going_twice_runs_once(self, module):
        """Paused and set going again before the next frame."""
        frames = module(
            "const clock = Object.assign(new m.Clock((at, sign) => at + sign, 50), { rate: 60 });"
            "let shown = 0;"
            "const go = () => { clock.toggle(); m.run(clock, document.body, () => { shown++; }); };"
            "go(); clock.toggle(); go();"
            "let frames = 0;"
            "return new Promise((done) => { const count = () => { if (++frames < 20)"
            " requestAnimationFrame(count); else done([frames, shown, clock.step]); };"
            " requestAnimationFrame(count); });"
        )
        assert 3 < frames[1] <= frames[0]
        assert frames[1] == frames[2]

    def test_bonds(self, module):
        positions = np.random.default_rng(0).uniform(0, 5, (30, 3))
        pairs = module(
            "return m.bondsBetween(new Float32Array(given), new Float32Array(30).fill(0.8))",
            positions.ravel().tolist(),
        )
        apart = np.linalg.norm(positions[:, None] - positions, axis=2)
        expected = np.argwhere(np.triu(apart < 1.6, 1))
        assert len(expected) > 5
        np.testing.assert_array_equal(np.reshape(pairs, (-1, 2)), expected)

    def test_bonds_that_leave_the_cell_end_halfway_or_at_an_image(self, module, report):
        """Against the nearest images of a crystal with one other atom, worked out here."""
        payload = with_text_for_bytes(compare(report).player.payload)
        path = compare(report).paths[0]
        atoms = Atoms(path.symbols, path.positions[0], cell=path.cell, pbc=True)
        reach = covalent_radii[atoms.numbers]
        pairs, vectors = {True: [], False: []}, {True: [], False: []}
        for i, j, shift, way in zip(*neighbor_list("ijSD", atoms, 3.2), strict=True):
            if np.linalg.norm(way) < 1.25 * (reach[i] + reach[j]) and (shift.any() or i < j):
                pairs[shift.any()].append((i, j))
                vectors[shift.any()].append(way)
        ends = module(
            "const c = new m.Comparison(given), at = c.paths[0].at(0).positions;"
            "const { ends, pale } = m.bondsOf(c, at, at, false);"
            "return [Array.from(ends), pale]",
            payload,
        )
        segments, halves = np.reshape(ends[0], (-1, 2, 3)), np.array(ends[1])
        assert min(len(pairs[False]), len(pairs[True])) > 10
        for crossing in (False, True):
            first, last = np.transpose(pairs[crossing])
            ways, radii = np.array(vectors[crossing]), 0.9 * RADIUS * reach
            length = np.linalg.norm(ways, axis=1, keepdims=True)
            begin = path.positions[0][first] + radii[first, None] * ways / length
            stop = 0.5 if crossing else 1 - radii[last, None] / length
            expected = np.stack([begin, path.positions[0][first] + stop * ways], axis=1)
            found = segments[halves == crossing]
            assert len(found) == len(expected)
            apart = np.abs(found[:, None] - expected[None]).max((2, 3))
            assert apart.min(1).max() < 1e-3
            assert apart.min(0).max() < 1e-3

    def test_rods_are_round_and_reach_from_end_to_end(self, module):
        mesh = module(
            "const { position, normal } = m.rodMesh(given, 0.1);"
            "return [Array.from(position), Array.from(normal)]",
            [0, 0, 1, 0, 0, 4],
        )
        position, normal = (np.reshape(x, (-1, 3)) for x in mesh)
        assert set(position[:, 2].tolist()) == {1, 4}
        np.testing.assert_allclose(position[:, :2], 0.1 * normal[:, :2], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-6)

    def test_arrows_for_nglview_have_their_tips_where_they_point(self, module):
        tails, tips = [0, 0, 0, 1, 1, 1], [2, 0, 0, 1, 1, 1]  # the second has no length
        mesh = module(
            "const { position, normal } = m.arrowMesh(...given.map((x) => new Float32Array(x)));"
            "return [Array.from(position), Array.from(normal)]",
            [tails, tips],
        )
        position, normal = (np.reshape(x, (2, -1, 3)) for x in mesh)
        assert position[0, :, 0].max() == pytest.approx(2)
        assert position[0, :, 0].min() == pytest.approx(0)
        assert np.abs(position[0, :, 1:]).max() < 0.3
        np.testing.assert_allclose(np.linalg.norm(normal[0], axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(position[1], 1, atol=1e-6)


@pytest.fixture(scope="module")
def saved(chromium, report, tmp_path_factory):
    """The standalone page, open."""
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    compare(report).save_html(path)
    opened = Opened(chromium, path)
    yield opened
    opened.context.close()


@pytest.mark.browser
class TestPage:
    def test_both_panes_show_atoms_and_three_curves_are_there(self, saved):
        for number in (0, 1):
            assert browser.colours(saved.page.locator("canvas").nth(number).screenshot()) > 200
        assert saved.page.locator(".curves svg").count() == 3
        assert saved.page.locator("img").count() == 0  # the picture has given way

    def test_the_clock_goes_on_to_rest(self, chromium, tiny_report, tmp_path):
        path = tmp_path / "on_to_rest.html"
        widget = compare(tiny_report)
        widget.save_html(path)
        opened = Opened(chromium, path)
        count = opened.page.locator(".count")
        opened.page.locator(".transport input").focus()
        opened.page.keyboard.press("k")
        assert count.inner_text() == "3 / 3"
        opened.page.keyboard.press("End")
        assert count.inner_text() == f"K + {widget.steps - 3}"
        shown = opened.player("p.comparison.paths.map((a) => [...a.at(p.clock.step).positions])")
        for places, trajectory_ in zip(shown, widget.paths, strict=True):
            expected = trajectory_.rest.positions[-1]
            np.testing.assert_allclose(np.reshape(places, (-1, 3)), expected, atol=1e-3)
        words = [text.inner_text() for text in opened.page.locator(".readout").all()]
        for text, row in zip(words, tiny_report.rows[:2], strict=True):
            assert f"ΔQ {row.dq_rest:.2f}" in text
        assert opened.errors == []
        opened.context.close()

    def test_displacements_are_drawn_larger_by_keyboard_and_it_is_said(self, saved):
        before = saved.panes()
        saved.page.locator(".exaggeration").focus()
        saved.page.keyboard.press("End")
        assert saved.player("p.options.exaggeration") == 20
        assert all(
            np.abs(old - new).mean() > 1 for old, new in zip(before, saved.panes(), strict=True)
        )
        assert "20 times as far" in saved.page.locator(".legend").inner_text()
        saved.page.keyboard.press("Home")
        assert saved.player("p.options.exaggeration") == 1

    def test_the_slider_moves_panes_and_markers(self, saved):
        before = saved.panes()
        markers = saved.page.locator(".mark")
        places = [markers.nth(k).bounding_box()["x"] for k in range(6)]
        saved.page.locator(".transport input").focus()
        saved.page.keyboard.press("End")
        assert saved.player("p.clock.step") == 60
        after = saved.panes()
        assert all(np.abs(old - new).mean() > 1 for old, new in zip(before, after, strict=True))
        assert all(markers.nth(k).bounding_box()["x"] > places[k] + 200 for k in range(6))
        assert "step 60 · ΔQ 2.12" in saved.page.locator(".readout").first.inner_text()
        clock = saved.page.get_by_role("slider", name="step", exact=True)
        assert clock.get_attribute("aria-valuetext").startswith("step 60 / 60: pretrained step 60")
        saved.page.keyboard.press("ArrowLeft")
        assert saved.player("p.clock.step") == 59
        saved.page.keyboard.press("Home")
        assert saved.player("p.clock.step") == 0

    def test_play_goes_through_every_step_and_pauses(self, saved):
        saved.player("(p.seen = [], p.tell.step = (step) => p.seen.push(step), p.choose(0))")
        saved.page.get_by_role("combobox", name="speed").select_option("20")
        saved.page.get_by_role("button", name="Play").click()
        saved.page.wait_for_function(
            "document.querySelector('.bpttviz-player').bpttvizPlayer.clock.step >= 8"
        )
        saved.page.get_by_role("button", name="Pause").click()
        seen = saved.player("p.seen")
        assert seen[:9] == [0, 0, 1, 2, 3, 4, 5, 6, 7]
        assert not saved.player("p.clock.playing")

    def test_without_repetition_it_stops_at_the_end(self, saved):
        saved.page.get_by_role("button", name="Begin again").click()
        saved.player("p.choose(57)")
        saved.page.locator("canvas").first.focus()
        saved.page.keyboard.press("Space")
        saved.page.wait_for_function(
            "(p => p.clock.step === 60 && !p.clock.playing)"
            "(document.querySelector('.bpttviz-player').bpttvizPlayer)"
        )
        saved.page.get_by_role("button", name="Begin again").click()

    def test_dragging_turns_both_panes_alike(self, saved):
        saved.player("p.choose(0)")
        before = saved.panes()
        box = saved.page.locator("canvas").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        saved.page.mouse.move(x, y)
        saved.page.mouse.down()
        saved.page.mouse.move(x + 60, y + 20)
        saved.page.mouse.up()
        after = saved.panes()
        # At step 0 both show the same atoms.
        assert np.abs(before[0] - before[1]).mean() < 0.01
        assert np.abs(after[0] - after[1]).mean() < 0.01
        assert np.abs(after[0] - before[0]).mean() > 5
        saved.page.keyboard.press("0")
        assert np.abs(saved.panes()[0] - before[0]).mean() < 2  # but for the focus ring

    def test_arrows_and_images_appear_on_demand(self, saved):
        saved.player("p.choose(0)")
        plain = saved.panes()[0]
        for name in ("Arrows", "Repeat atoms"):
            button = saved.page.get_by_role("button", name=name)
            button.click()
            assert button.get_attribute("aria-pressed") == "true"
            shown = saved.panes()[0]
            assert np.abs(shown - plain).mean() > 1
            button.click()
            assert np.abs(saved.panes()[0] - plain).mean() < 0.01

    def test_a_place_on_a_curve_is_a_step(self, saved):
        curve = saved.page.locator("[data-quantity=fmax]")
        box = curve.bounding_box()
        # The plot begins at 40 and ends at 252 of 260 units.
        curve.click(position={"x": (40 + 0.5 * 212) / 260 * box["width"], "y": 60})
        assert saved.player("p.clock.step") == 30

    def test_it_is_light_complete_and_quiet(self, saved, report, tmp_path):
        path = compare(report).save_html(tmp_path / "page.html")
        assert path.stat().st_size < 1_000_000
        assert saved.outside == []
        assert saved.errors == []

    def test_without_scripts_the_picture_is_shown(self, chromium, report, tmp_path):
        path = compare(report).save_html(tmp_path / "page.html")
        opened = Opened(chromium, path, java_script_enabled=False)
        picture = opened.page.locator("img[alt*='made-up at step 60']")
        assert picture.is_visible()
        opened.context.close()

    def test_dark_and_narrow(self, chromium, report, tmp_path):
        path = compare(report).save_html(tmp_path / "page.html")
        opened = Opened(chromium, path, color_scheme="dark")
        opened.page.set_viewport_size({"width": 420, "height": 900})
        assert max(np.median(pane, axis=(0, 1)).max() for pane in opened.panes()) < 60
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert opened.page.evaluate(overflow) <= 0
        opened.context.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("made", "note"),
    [
        ({"lost": 20}, "fine-tuned diverged at step 20"),
        ({"strain": 0.01}, "another cell (volume +3.0 %)"),
        ({"steps": 0}, "nothing to play"),
        ({"cells": 4, "steps": 200}, "one step in 3 is shown"),
    ],
    ids=["diverged", "other cell", "one frame", "large"],
)
def test_hard_cases_are_shown_and_said(chromium, tmp_path, made, note):
    path = compare(made_up.report(**made)).save_html(tmp_path / "page.html")
    opened = Opened(chromium, path)
    assert note in opened.page.locator(".notes").inner_text()
    opened.player(f"p.choose({made.get('steps', 60)})")
    for pane in opened.panes():
        assert len(np.unique(pane.reshape(-1, 3), axis=0)) > 200
    left, right = opened.page.locator(".readout").all_inner_texts()
    if "lost" in made:
        assert "diverged at step 20: the step is not finite (shown: step 20)" in right
        assert "diverged" not in left
        saturation = [np.ptp(pane, axis=2).mean() for pane in opened.panes()]
        assert saturation[1] < 0.5 * saturation[0]  # grey: nothing there is measured
    if made.get("steps") == 0:
        assert opened.page.locator(".transport input").is_disabled()
        assert opened.page.get_by_role("button", name="Play").is_disabled()
    if "cells" in made:
        assert path.stat().st_size < 1_500_000
        opened.player("(p.choose(100), p.began = performance.now(), p.stage.drawNow())")
        assert opened.player("performance.now() - p.began") < 3000
    assert opened.errors == []
    opened.context.close()


@pytest.mark.browser
def test_one_atom(chromium, single_atom_report, tmp_path):
    path = compare(single_atom_report).save_html(tmp_path / "page.html")
    opened = Opened(chromium, path)
    for number in (0, 1):
        assert browser.colours(opened.page.locator("canvas").nth(number).screenshot()) > 20
    assert opened.errors == []
    opened.context.close()


# --- what is saved -------------------------------------------------------------------------------


def a_training(report):
    """The view of a run of sixty updates."""
    valley = landscape_examples()["two valleys"]
    run = finetune_landscape(
        valley.landscape,
        valley.start,
        valley.target,
        GradientDescent(0.1),
        StoppingCriterion(max_steps=12),
        60,
    )
    return TrainingMonitor.of(run)


# Each of its largest sort: 64 atoms and 60 steps, sixteen structures in three layers, four valleys.
WIDGETS = {
    "CompareRelaxations": CompareRelaxations,
    "ErrorPlane": lambda report: ErrorPlane(made_up.errors(made_up.WAYS * 5)),
    "FoggyValley": lambda report: FoggyValley(),
    "TrainingMonitor": a_training,
}


def test_a_notebook_with_all_widgets_is_light(report, monkeypatch):
    sizes = {}
    for name, make in WIDGETS.items():
        ipywidgets.Widget.close_all()
        notebook = notebook_with([make(report)], monkeypatch)
        sizes[name] = len(nbformat.writes(notebook).encode())
    print(sizes)
    # A playground is made of three of the others, and is no notebook's companion to them; how a
    # comparison draws is no widget.
    assert set(sizes) == set(widgets.__all__) - {"Canvas", "NGLPanes", "Playground"}
    assert sum(sizes.values()) < 2_000_000, sizes


@pytest.mark.browser
def test_nbconvert_shows_the_player(chromium, report, monkeypatch, tmp_path):
    notebook = notebook_with([compare(report)], monkeypatch)
    notebook.metadata.pop("widgets")  # as executed without a browser
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    path = tmp_path / "notebook.html"
    path.write_text(html, encoding="utf-8")
    opened = Opened(chromium, path)
    opened.page.wait_for_selector(".bpttviz-player canvas")
    assert browser.colours(opened.page.locator("canvas").first.screenshot()) > 200
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()


# --- the error plane without a kernel ------------------------------------------------------------


@pytest.fixture
def plane_page(chromium, tmp_path):
    """Opens a standalone page of the made-up error plane."""
    ways = {"force-matched": "forces", "BPTT": ("epoch 1", "epoch 2")}
    made = ErrorPlane(made_up.errors(made_up.WAYS, noise_floor=0.1), after=ways)
    path = made.save_html(tmp_path / "plane.html")
    assert path.stat().st_size < 300_000
    pages = []

    def opened(**options):
        pages.append(Opened(chromium, path, **options))
        return pages[-1]

    yield opened
    for one in pages:
        assert one.errors == []
        assert one.outside == []
        one.context.close()


@pytest.mark.browser
class TestErrorPlanePage:
    def test_hovering_names_and_a_click_selects(self, plane_page):
        page = plane_page().page
        plane, status = page.locator(".bpttviz-error-plane"), page.locator("[role=status]")
        assert browser.colours(plane.screenshot()) > 20
        assert page.locator("img").count() == 0  # the picture has given way
        assert "Point at an arrow" in status.inner_text()
        option = page.locator("[data-structure=s1]")
        option.locator(".origin").first.hover(force=True)
        assert status.inner_text().startswith("s1: force-matched: endpoint error 0.800 → 0.900")
        assert "BPTT: endpoint error 0.800 → 0.600 → 0.300" in status.inner_text()
        option.locator(".way").hover(force=True)
        assert status.inner_text().startswith("s1 under epoch 1: endpoint error 0.600")
        option.locator(".origin").first.click(force=True)
        page.mouse.move(5, 5)
        assert option.get_attribute("aria-selected") == "true"
        assert status.inner_text().startswith("s1: ")

    def test_the_keyboard_does_it_too(self, plane_page):
        page = plane_page().page
        page.locator("[role=option][tabindex='0']").focus()
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        assert page.locator("[aria-selected=true]").get_attribute("data-structure") == "s2"
        page.keyboard.press("Escape")
        assert page.locator("[aria-selected=true]").count() == 0

    def test_layers_are_chosen_and_one_always_stays(self, plane_page):
        page = plane_page().page
        heads = page.locator(".arrow .head")
        assert heads.count() == 6
        page.get_by_role("button", name="force-matched").press("Enter")
        assert heads.count() == 3
        pressed = page.locator("button[aria-pressed=true]")
        assert pressed.inner_text().strip() == "BPTT"
        assert page.locator(".title").text_content() == "before → BPTT"
        # One layer is coloured by what its arrows say, and counted.
        assert "endpoint better, forces worse: 3" in page.locator(".legend").inner_text()
        focused = page.evaluate("document.activeElement.textContent.trim()")
        assert focused == "force-matched"
        page.get_by_role("button", name="BPTT").click()
        assert heads.count() == 3
        page.get_by_role("button", name="force-matched").click()
        assert "force-matched: endpoint better in 2 of 3" in page.locator(".legend").inner_text()

    def test_near_arrows_are_told_apart_and_a_second_click_takes_the_next(self, plane_page):
        page = plane_page().page
        status = page.locator("[role=status]")
        spot = page.locator("svg[role=listbox]").evaluate(
            """(svg) => {
                const at = (name) => {
                    const dot = svg.querySelector(`[data-structure=${name}] .origin`);
                    return [dot.cx.baseVal.value, dot.cy.baseVal.value];
                };
                const [a, b] = [at("s0"), at("s1")];
                const place = new DOMPoint(a[0] + 3, a[1] + 2).matrixTransform(svg.getScreenCTM());
                return [place.x, place.y, Math.hypot(a[0] - b[0], a[1] - b[1])];
            }"""
        )
        page.mouse.move(spot[0], spot[1])
        assert status.inner_text().startswith("s0: ")
        assert page.locator(".arrow.pointed").get_attribute("data-structure") == "s0"
        more = "more here: click again" in status.inner_text()
        chosen = []
        for _ in range(2):
            page.mouse.click(spot[0], spot[1])
            chosen.append(page.locator("[aria-selected=true]").get_attribute("data-structure"))
        assert chosen[0] == "s0"
        assert (chosen[1] != "s0") == more
        page.mouse.move(2, 2)
        assert page.locator(".arrow.pointed").count() == 0

    def test_a_slider_moves_the_arrows_from_one_measurement_to_the_next(self, plane_page):
        page = plane_page().page
        slider = page.get_by_role("slider")
        assert page.locator(".stages output").inner_text() == "epoch 2"
        head = "[data-structure=s2] g:last-child .head"
        before = page.locator(head).get_attribute("points")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert page.locator(".stages output").inner_text() == "epoch 1"
        assert page.locator(head).get_attribute("points") != before
        # The way that is not gone yet is dotted, from where the arrow ends.
        ahead = page.locator("[data-structure=s2] g:last-child path.ahead").get_attribute("d")
        assert ahead.count("L") == 1
        label = page.locator("[data-structure=s2]").get_attribute("aria-label")
        assert "BPTT: endpoint error 2.000 → 1.200 amu" in label
        assert slider.evaluate("e => e === document.activeElement")
        page.keyboard.press("ArrowRight")
        assert page.locator(head).get_attribute("points") == before

    def test_means_are_in_the_plane_and_along_its_edges(self, chromium, tmp_path):
        errors = [way[::3] for way in made_up.WAYS] * 3  # enough for intervals
        plane = ErrorPlane(made_up.errors([(way[0], way[-1]) for way in errors]))
        opened = Opened(chromium, plane.save_html(tmp_path / "plane.html"))
        page = opened.page
        assert page.locator(".mean:not(.margins) rect").count() == 2
        assert page.locator(".margins rect").count() == 4
        frame = page.locator(".strip").bounding_box()
        for mark in page.locator(".margins rect, .margins .interval, .margins .head").all():
            box = mark.bounding_box()
            assert box["x"] >= frame["x"]
            assert box["y"] >= frame["y"]
            assert box["x"] + box["width"] <= frame["x"] + frame["width"]
            assert box["y"] + box["height"] <= frame["y"] + frame["height"]
        opened.context.close()

    def test_dark_and_narrow(self, plane_page):
        opened = plane_page(color_scheme="dark")
        opened.page.set_viewport_size({"width": 420, "height": 700})
        shot = opened.page.locator(".bpttviz-error-plane").screenshot()
        pixels = np.array(Image.open(BytesIO(shot)).convert("RGB"))
        assert np.median(pixels, axis=(0, 1)).max() < 60
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert opened.page.evaluate(overflow) <= 0

    def test_without_scripts_the_picture_is_shown(self, plane_page):
        page = plane_page(java_script_enabled=False).page
        assert page.locator("img[alt*='Error plane, 3 structures']").is_visible()


@pytest.mark.browser
def test_nbconvert_shows_an_error_plane_that_answers(chromium, monkeypatch, tmp_path):
    notebook = notebook_with([ErrorPlane(made_up.errors(made_up.WAYS))], monkeypatch)
    notebook.metadata.pop("widgets")
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    path = tmp_path / "notebook.html"
    path.write_text(html, encoding="utf-8")
    opened = Opened(chromium, path)
    opened.page.wait_for_selector(".bpttviz-error-plane svg")
    option = opened.page.locator("[data-structure=s0]")
    option.locator(".origin").click(force=True)
    assert option.get_attribute("aria-selected") == "true"
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()
