"""FoggyValley: its state in Python, its walk in a browser against `relax`, and its page."""

import copy
import io
import math
import threading
import time
from dataclasses import replace

import browser
import nbformat
import numpy as np
import pytest
import torch
from benchmark_widgets import processor_time
from pages import Opened, notebook_with
from PIL import Image
from traitlets import TraitError, link

import bpttviz as bv
from bpttviz.potentials.landscape import Window, places, walkers
from bpttviz.relaxation.diagnose import EXPLODED, STABLE, VANISHED
from bpttviz.teaching.examples import LandscapeExample, finetune_landscape
from bpttviz.teaching.surface import basins_of_attraction, descent_paths, spline_surface
from bpttviz.widgets import foggy_valley
from bpttviz.widgets.bundle import bundle
from bpttviz.widgets.foggy_valley import ENTRY, FoggyValley
from bpttviz.widgets.landscape_payload import describe_landscape
from bpttviz.widgets.payload import with_text_for_bytes
from bpttviz.widgets.trained_landscape import NEAR

TWO = LandscapeExample(
    bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.25, 0.75], [0.72, 0.48], bowl=0.3),
    start=(0.2, 0.95),
    target=(0.9, 0.0),
)
HILL = LandscapeExample(
    bv.Wells([[0.0, 0.0]], [-1.0], [0.5], bowl=0.3), (0.3, 0.0), (1.0, 0.5), Window((-2, 2))
)


@pytest.fixture
def valley():
    return FoggyValley({"two": TWO, "hill": HILL})


def true_path(landscape, start, step_size, steps):
    """(K+1, 2) Å by `relax`."""
    rule = bv.GradientDescent(step_size, max_step=None)
    with torch.no_grad():
        found = bv.relax(landscape, walkers([start]), rule, bv.StoppingCriterion(steps))
    return places(found.trajectory)[:, 0].numpy()


class TestState:
    def test_the_end_is_where_relax_ends(self, valley):
        assert valley.end == pytest.approx(true_path(TWO.landscape, TWO.start, 0.1, 12)[-1])
        valley.start = [-0.5, -0.8]
        valley.step_size = 0.3
        valley.steps = 40
        expected = true_path(TWO.landscape, (-0.5, -0.8), 0.3, 40)
        assert valley.end == pytest.approx(expected[-1], abs=1e-9)
        np.testing.assert_allclose(valley.path, expected, atol=1e-9)
        assert valley.distance == pytest.approx(math.dist(expected[-1], TWO.target))

    @pytest.mark.parametrize(("step_size", "steps"), [(3.0, 10), (9.0, 2000)])
    def test_a_walk_that_leaves_the_map_has_no_end(self, valley, step_size, steps):
        valley.step_size, valley.steps = step_size, steps
        assert np.isfinite(valley.path[-1]).all() == (steps == 10)
        assert valley.end == []
        assert math.isnan(valley.distance)
        assert "lost" in repr(valley)
        assert valley.train() is None
        assert "no gradient" in valley.status
        valley.step_size = 0.1
        assert valley.end

    def test_another_landscape_begins_its_own_visit(self, valley):
        valley.start = [1.0, 1.0]
        valley.landscape = "hill"
        assert valley.potential is HILL.landscape
        assert (valley.start, valley.target) == (list(HILL.start), list(HILL.target))
        assert valley.end == pytest.approx(true_path(HILL.landscape, HILL.start, 0.1, 12)[-1])

    def test_traits_can_be_linked_and_the_end_only_read(self, valley):
        other = FoggyValley({"two": TWO})
        link((valley, "step_size"), (other, "step_size"))
        valley.step_size = 0.25
        assert other.step_size == 0.25
        with pytest.raises(TraitError):
            valley.end = [0.0, 0.0]
        with pytest.raises(TraitError):
            valley.training = True

    def test_what_cannot_be_is_refused_by_name(self, valley):
        with pytest.raises(TraitError, match="no landscape 'x'; there are two, hill"):
            valley.landscape = "x"
        with pytest.raises(TraitError, match="start has x = 5 Å, outside the window from -1.6"):
            valley.start = [5.0, 0.0]
        with pytest.raises(TraitError, match="target has y = nan"):
            valley.target = [0.0, math.nan]
        for name, value in (("step_size", 0.0), ("step_size", math.nan), ("steps", 0)):
            with pytest.raises(TraitError, match=f"{name} must be positive"):
                setattr(valley, name, value)
        for name in ("start", "target"):  # of an example, at once and not on the way to it
            with pytest.raises(ValueError, match=f"{name} has y = 9 Å, outside the window"):
                replace(TWO, **{name: (0.0, 9.0)})
        with pytest.raises(ValueError, match="no landscape to walk on"):
            FoggyValley({})
        assert valley.start == list(TWO.start)

    def test_the_diagnosis_is_that_of_the_walk(self, valley):
        found = valley.diagnose()
        assert found.steps == 12
        assert found.loss == pytest.approx(valley.distance)

    def test_words_and_picture(self, valley):
        assert repr(valley) == (
            "<FoggyValley 'two'> from (0.20, 0.95) in 12 steps of η = 0.1 Å²/eV: "
            "at (-0.41, 0.21) Å, 1.32 Å from the star"
        )
        picture = valley.picture()
        assert "to (-0.41, 0.21)" in picture.alt_text
        assert "Basins cover" in picture.alt_text
        assert browser.colours(picture.png()) > 50


class TestTraining:
    def test_it_bends_a_copy_until_the_walk_arrives(self, valley):
        run = valley.train()
        assert valley.distance <= NEAR
        assert "It arrives." in valley.status
        assert not valley.training
        assert valley.live == {}
        assert valley.potential is not TWO.landscape
        # The states kept are those of the same training without a widget.
        alone = finetune_landscape(
            TWO.landscape, TWO.start, TWO.target, valley.rule, valley.stop,
            len(run.history), TWO.learning_rate,
        ).potential  # fmt: skip
        assert torch.equal(valley.potential.centres, alone.centres)
        frames = valley.frames["two"]
        assert valley.frame == len(frames) == 10
        assert frames[0]["update"] == 1
        assert frames[-1]["update"] == len(run.history)
        assert frames[-1]["distance"] == pytest.approx(valley.distance)

    def test_earlier_states_can_be_looked_at_and_trained_on_from(self, valley):
        valley.train(updates=8)
        last = valley.end
        valley.frame = 0
        assert valley.potential is TWO.landscape
        valley.frame = 99  # the last one
        assert valley.frame == 8
        assert valley.end == last
        valley.frame = 4
        valley.train(updates=2)
        assert [frame["update"] for frame in valley.frames["two"]] == [1, 2, 3, 4, 5, 6]
        assert "after 6 updates" in repr(valley)
        valley.restore()
        assert (valley.frame, valley.frames["two"]) == (0, [])
        assert valley.potential is TWO.landscape

    def test_a_button_trains_in_a_thread_shows_it_live_and_stops(self, valley):
        seen = []
        valley.observe(lambda change: seen.append(change["new"]), "live")
        valley._handle_custom_msg({"do": "train"}, [])
        with pytest.raises(RuntimeError, match="under way"):
            valley.train()
        deadline = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        valley._handle_custom_msg({"do": "stop"}, [])
        valley._thread.join(60)
        assert not valley.training
        assert threading.current_thread() is not valley._thread
        assert valley.distance > NEAR  # stopped before it arrived
        assert "not there yet" in valley.status
        shown = [live["surface"]["coefficients"] for live in seen if live]
        assert len(set(shown)) == len(shown) >= 3
        assert seen[-1] == {}

    def test_closing_it_ends_what_is_trained_for_it(self, valley):
        valley._handle_custom_msg({"do": "train"}, [])
        valley.close()
        valley._thread.join(60)
        assert not valley._thread.is_alive()
        assert valley.distance > NEAR

    def test_a_cell_that_is_run_again_ends_what_it_began(self, monkeypatch):
        ends = []
        monkeypatch.setattr(foggy_valley, "end_when_rerun", ends.append)
        valley = FoggyValley({"two": TWO})
        valley._handle_custom_msg({"do": "train"}, [])
        for end in ends:  # as the cell's next run does
            end()
        valley._thread.join(60)
        assert not valley.training
        assert valley.distance > NEAR

    def test_a_message_that_no_button_sends_changes_nothing(self, valley):
        for content in (["x"], None, "train", {"do": ["train"]}, {}):
            valley._told(valley, content, [])
        assert not valley.training
        assert valley._thread is None

    def test_training_that_loses_its_walk_says_so_and_can_be_saved(self, valley, tmp_path):
        run = valley.train(learning_rate=10.0)
        assert len(run.history) < 5
        assert "The last one sent the walk off the map" in valley.status
        assert not valley.training
        assert valley.end == []
        assert valley.save_html(tmp_path / "page.html").stat().st_size > 100_000

    def test_what_is_said_of_a_training_belongs_to_its_landscape(self, valley):
        valley.train(updates=3)
        said = valley.status
        assert "3 updates through 12 steps from (0.20, 0.95)" in said
        valley.landscape = "hill"
        assert valley.status == ""
        valley.restore()
        assert valley.status == "As it was."
        valley.landscape = "two"
        assert valley.status == said


# --- the walk in a browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def module(chromium):
    """Evaluates JavaScript with the widget's module as `m` and one argument as `given`."""
    with browser.javascript(chromium, bundle(ENTRY)) as evaluate:
        yield evaluate


WALK = """
const surface = new m.SplineSurface(given.surface), eta = given.eta;
const walk = m.walk(surface, given.start, eta, given.steps);
const back = walk.lost ? null : m.lookBack(walk, eta, given.target);
const hessian = walk.hessians[walk.made];
const factors = hessian && m.curvatures(hessian).map((value) => 1 - eta * value);
return { x: Array.from(walk.x), y: Array.from(walk.y), made: walk.made, lost: walk.lost,
         force: walk.force, size: back && Array.from(back.size), distance: back?.distance, factors,
         verdict: back && m.verdict(back.size, Math.max(...factors.map(Math.abs)), given.limits) };
"""
LIMITS = {"vanished": VANISHED, "exploded": EXPLODED, "stable": STABLE}


@pytest.fixture(scope="module")
def surveyed():
    """Title → (valley, surface as a page has it)."""
    return {
        title: (place, with_text_for_bytes(spline_surface(place.landscape, place.window).payload()))
        for title, place in bv.landscape_examples().items()
    }


def walked(module, ground, start, target, eta, steps):
    return module(
        WALK,
        {
            "surface": ground, "start": list(start), "target": list(target), "eta": eta,
            "steps": steps, "limits": LIMITS,
        },
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("title", ["two valleys", "three valleys", "Müller-Brown", "learned"])
class TestWalk:
    @pytest.mark.parametrize(("part", "steps"), [(0.2, 60), (1.0, 30), (2.5, 12)])
    def test_it_is_that_of_relax(self, module, surveyed, title, part, steps):
        """From places all over the window, creeping, as by default, and overshooting."""
        place, ground = surveyed[title]
        eta = part * place.step_size
        draw = np.random.default_rng(7)
        low, high = np.array([place.window.x, place.window.y]).T
        starts = [place.start, *draw.uniform(low, high, (12, 2)).tolist()]
        compared = 0
        for start in starts:
            found = walked(module, ground, start, place.target, eta, steps)
            expected = true_path(place.landscape, start, eta, steps)
            if found["lost"]:
                # It left the map exactly where the true walk does.
                x, y = expected[found["made"]]
                (x0, x1), (y0, y1) = place.window.x, place.window.y
                assert not (x0 - 0.4 < x < x1 + 0.4 and y0 - 0.4 < y < y1 + 0.4)
                continue
            compared += 1
            path = np.column_stack([found["x"], found["y"]])
            np.testing.assert_allclose(path, expected, atol=1e-3)
        assert compared >= 8

    def test_the_gradient_back_is_that_of_the_diagnosis(self, module, surveyed, title):
        place, ground = surveyed[title]
        rule = bv.GradientDescent(place.step_size, max_step=None)
        for steps in (5, 20, 40):
            found = walked(module, ground, place.start, place.target, place.step_size, steps)
            diagnosis = bv.diagnose_gradient(
                place.landscape, walkers([place.start]), walkers([place.target]), rule,
                bv.StoppingCriterion(steps),
            )  # fmt: skip
            expected = diagnosis.sensitivity.numpy()  # the anchor is held, so it does not count
            np.testing.assert_allclose(found["size"], expected, rtol=5e-3, atol=1e-6)
            assert found["verdict"] == diagnosis.verdict
            assert found["distance"] == pytest.approx(diagnosis.loss, abs=1e-3)
            assert found["force"] == pytest.approx(diagnosis.fmax, abs=2e-3)


@pytest.mark.browser
class TestModules:
    def test_a_surface_has_energies_slopes_and_curvatures(self, module, surveyed):
        place, ground = surveyed["Müller-Brown"]
        points = torch.tensor([[-0.5, 1.4], [0.1, 0.5], [0.62, 0.03], [-0.8, 0.6]]).double()
        got = module(
            "const t = new m.SplineSurface(given[0]); return given[1].map(([x, y]) => "
            "{ const p = t.at(x, y); return [p.energy, ...p.slope, p.xx, p.xy, p.yy]; })",
            [ground, points.tolist()],
        )
        for found, point in zip(got, points, strict=True):

            def surface(point):
                return place.landscape.surface(point[None])[0]

            slope = torch.func.grad(surface)(point).detach()
            hessian = torch.func.hessian(surface)(point).detach()
            assert found[0] == pytest.approx(float(surface(point).detach()), abs=1e-5)
            assert found[1:3] == pytest.approx(slope.tolist(), abs=1e-4)
            assert found[3:] == pytest.approx(
                [
                    float(hessian[0, 0]),
                    float(hessian[0, 1]),
                    float(hessian[1, 1]),
                ],
                abs=0.02,
            )

    def test_off_the_map_there_is_nothing(self, module, surveyed):
        _, ground = surveyed["two valleys"]
        assert module(
            "const t = new m.SplineSurface(given);"
            "return [[0, 0], [1.95, 0], [2.2, 0], [0, -1.7], [NaN, 0], [0, Infinity]]"
            ".map(([x, y]) => t.at(x, y) !== null)",
            ground,
        ) == [True, True, False, False, False, False]

    def test_a_walk_too_long_in_the_step_is_lost_and_says_when(self, module, surveyed):
        place, ground = surveyed["two valleys"]
        found = walked(module, ground, place.start, place.target, 5.0, 50)
        assert found["lost"]
        assert found["made"] < 50
        assert found["size"] is None
        assert len(found["x"]) == found["made"] + 1

    @pytest.mark.parametrize(
        ("size", "radius", "expected"),
        [
            ([1, 1, 1], 0.5, "healthy"),
            ([0.009, 0.1, 1], 0.5, "vanishing"),
            ([11, 3, 1], 0.5, "exploding"),
            ([1, 1, 1], 1.1, "exploding"),
            ([0, 0, 0], 0.5, "nothing to learn"),
        ],
    )
    def test_verdicts(self, module, size, radius, expected):
        code = "return m.verdict(new Float64Array(given[0]), given[1], given[2])"
        assert module(code, [size, radius, LIMITS]) == expected

    def test_the_raster_is_the_same_surface(self, module, surveyed):
        _, ground = surveyed["three valleys"]
        worst = module(
            "const t = new m.SplineSurface(given), { energy, ex, ey } = t.raster(40, 35);"
            "const [x0, x1, y0, y1] = t.window; let worst = 0;"
            "for (let row = 0; row < 35; row++) for (let col = 0; col < 40; col++) {"
            "  const p = t.at(x0 + (col + .5) / 40 * (x1 - x0), y1 - (row + .5) / 35 * (y1 - y0));"
            "  const at = row * 40 + col;"
            "  worst = Math.max(worst, Math.abs(p.energy - energy[at]),"
            "                   Math.abs(p.slope[0] - ex[at]), Math.abs(p.slope[1] - ey[at])); }"
            "return worst",
            ground,
        )
        assert worst < 1e-5

    def test_contours_lie_at_their_height(self, module):
        lines = module(
            "const heights = new Float32Array(100).map((_, k) => Math.hypot(k % 10 - 4, "
            "Math.floor(k / 10) - 5)), lines = [];"
            "m.contour(heights, 10, 3, (...line) => lines.push(line)); return lines"
        )
        ends = np.reshape(lines, (-1, 2))
        assert len(lines) > 15
        np.testing.assert_allclose(np.linalg.norm(ends - [4, 5], axis=1), 3, atol=0.06)

    @pytest.mark.parametrize("title", ["two valleys", "three valleys", "Müller-Brown", "learned"])
    def test_basins_are_those_of_python(self, module, surveyed, title):
        place, ground = surveyed[title]
        found = module(
            "const b = new m.SplineSurface(given).basins;"
            "return [Array.from(b.ids), b.minima, b.columns, b.rows]", ground
        )  # fmt: skip
        expected, minima = basins_of_attraction(place.landscape, place.window)
        assert (found[3], found[2]) == expected.shape
        assert (np.array(found[0]) != expected.ravel()).mean() < 0.003
        np.testing.assert_allclose(found[1], minima, atol=0.03)

    def test_borders_lie_where_descents_part(self, module, surveyed):
        """By symmetry: two equal wells part at x = 0, whatever the grid."""
        twins = bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.0, 1.0], [0.6, 0.6], bowl=0.3)
        ground = with_text_for_bytes(spline_surface(twins, Window((-1.61, 1.5))).payload())
        places = module(
            "const s = new m.SplineSurface(given), b = s.basins, [x0, x1] = s.window;"
            "return [...b.across].map(([k, part]) =>"
            " x0 + (k % b.columns + .5 + part) / b.columns * (x1 - x0))", ground
        )  # fmt: skip
        assert len(places) == 43
        assert np.abs(places).max() < 0.002  # a cell is 0.065 Å wide
        sides = module(
            "const s = new m.SplineSurface(given), fine = m.basinsOn(s.basins, 311, 280);"
            "return [0, 160, 162, 310].map((col) => fine[140 * 311 + col])", ground
        )  # fmt: skip
        assert sides[0] == sides[1] != sides[2] == sides[3]


TRAINING = """
const landscape = m.makeLandscape(given.model), { distance, gradient } =
  m.gradientThroughWalk(landscape, given.route);
const survey = m.surveyed(landscape, given.surface, new m.SplineSurface(given.surface).rows);
const coefficients = Array.from(new m.SplineSurface(survey).coefficients);
const training = new m.WalkTraining(landscape, given.route, given.rate), distances = [];
for (let k = 0; k < given.updates; k++) {
  training.update();
  distances.push(m.gradientThroughWalk(landscape, given.route).distance);
}
return { distance, gradient: Array.from(gradient), coefficients, distances,
         parameters: Array.from(landscape.parameters), path: m.pathOf(landscape, given.route) };
"""


@pytest.mark.browser
@pytest.mark.parametrize("title", ["two valleys", "three valleys", "Müller-Brown", "learned"])
def test_a_page_trains_as_python_does(module, surveyed, title):
    """The gradient through the whole walk, twenty updates, and the surface that is shown of them:
    float64 on both sides, so to rounding.
    """
    place, ground = surveyed[title]
    rule = bv.GradientDescent(place.step_size, max_step=None)
    stop = bv.StoppingCriterion(place.steps)
    found = module(
        TRAINING,
        {
            "model": describe_landscape(place.landscape), "surface": ground, "updates": 20,
            "rate": place.learning_rate, "route": {
                "start": place.start, "target": place.target,
                "eta": place.step_size, "steps": place.steps,
            },
        },
    )  # fmt: skip
    weights = list(place.landscape.parameters())
    end = bv.relax(place.landscape, walkers([place.start]), rule, stop, bv.FullBPTT()).final
    loss = bv.delta_q(end, walkers([place.target]), place.landscape.places_matter).sum()
    gradient = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    expected = torch.cat([g.flatten() for g in gradient]).numpy()
    assert found["distance"] == pytest.approx(loss.item(), rel=1e-9)
    np.testing.assert_allclose(
        found["gradient"], expected, rtol=0, atol=1e-9 * np.linalg.norm(expected)
    )
    surface = spline_surface(place.landscape, place.window)
    np.testing.assert_allclose(found["coefficients"], surface.coefficients.ravel(), atol=1e-5)

    seen = []
    trained = finetune_landscape(
        place.landscape, place.start, place.target, rule, stop, 20, place.learning_rate,
        lambda run: seen.append(descent_paths(run.potential, [place.start], rule, stop)[:, 0]),
    ).potential  # fmt: skip
    distances = [math.dist(path[-1], place.target) for path in seen]
    np.testing.assert_allclose(found["distances"], distances, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["path"], seen[-1], rtol=1e-9, atol=1e-9)
    weights = torch.cat([p.detach().flatten() for p in trained.parameters()])
    np.testing.assert_allclose(found["parameters"], weights, rtol=1e-7, atol=1e-9)


# --- the page ------------------------------------------------------------------------------------


class Page(Opened):
    """A saved valley in a browser page."""

    def valley(self, code):
        """Evaluates ``code`` with the valley as `v`, after it has drawn what is due."""
        return self.page.evaluate(
            "async (code) => {"
            "for (let k = 0; k < 3; k++) await new Promise(requestAnimationFrame);"
            "const v = document.querySelector('.bpttviz-foggy-valley').bpttvizValley;"
            "return new Function('v', `return ${code}`)(v); }",
            code,
        )

    def set(self, changes):
        """Changes what the reader could change, and waits until it is drawn."""
        self.valley(f"v.set({changes})")
        self.valley("0")

    def map(self):
        """What is seen of the map, as numbers."""
        self.valley("0")
        shot = self.page.locator(".map").screenshot()
        return np.array(Image.open(io.BytesIO(shot)).convert("RGB"), float)

    def drag(self, name, by, moves=10):
        """Drag a handle by pixels."""
        box = self.page.locator(f".handle.{name}").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for k in range(1, moves + 1):
            self.page.mouse.move(x + k * by[0] / moves, y + k * by[1] / moves)
        self.page.mouse.up()


@pytest.fixture(scope="module")
def trained():
    """All landscapes, the first one trained."""
    made = FoggyValley()
    made.train()
    return made


@pytest.fixture(scope="module")
def saved(chromium, trained, tmp_path_factory):
    """The standalone page, open."""
    path = trained.save_html(tmp_path_factory.mktemp("page") / "valley.html")
    opened = Page(chromium, path)
    opened.page.wait_for_selector(".bpttviz-foggy-valley canvas")
    yield opened
    opened.context.close()


@pytest.fixture
def fresh(saved):
    """The page, as at the beginning of a visit to an untrained landscape."""
    saved.valley("v.visit('two valleys')")
    saved.valley("0")
    return saved


@pytest.mark.browser
class TestPage:
    def test_the_map_is_drawn_and_described(self, fresh):
        assert browser.colours(fresh.page.locator(".map").screenshot()) > 300
        words = "After 12 steps: (-0.41, 0.21) Å, 1.32 Å from the star"
        assert words in fresh.page.locator(".words").first.inner_text()
        fresh.page.wait_for_selector(f"canvas[role=img][aria-label*='{words}']")
        fresh.page.wait_for_selector(f".spoken:text('{words}')", state="attached")
        assert fresh.page.locator("img").count() == 0  # the picture has given way

    def test_dragging_moves_start_and_star(self, fresh):
        before, start = fresh.map(), fresh.valley("v.start")
        fresh.drag("start", (60, 40))
        after = fresh.valley("v.start")
        assert after[0] > start[0] + 0.2
        assert after[1] < start[1] - 0.15
        assert fresh.valley("v.target") == list(TWO.target)
        assert np.abs(fresh.map() - before).mean() > 0.3
        fresh.drag("target", (-80, 0))
        assert fresh.valley("v.target[0]") < TWO.target[0] - 0.3
        assert fresh.valley("v.start") == after

    def test_a_click_on_the_map_puts_the_start_there_and_none_leaves_the_window(self, fresh):
        box = fresh.page.locator(".map").bounding_box()
        fresh.page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
        assert fresh.valley("v.start") == pytest.approx([-0.8, -0.5], abs=0.02)
        fresh.drag("start", (-2000, 2000), moves=3)
        assert fresh.valley("v.start") == [-1.6, -1.2]

    def test_keys_move_what_has_the_focus_and_change_the_map(self, fresh):
        fresh.page.locator(".handle.start").focus()
        press = fresh.page.keyboard.press
        press("ArrowRight")
        press("Shift+ArrowDown")
        assert fresh.valley("v.start") == pytest.approx([0.22, 0.85])
        press("+")
        assert fresh.valley("v.step_size") == pytest.approx(0.105)
        press("-")
        press("PageUp")
        assert fresh.valley("[v.step_size, v.steps]") == pytest.approx([0.1, 13])
        fresh.page.locator(".handle.target").focus()
        press("ArrowUp")
        assert fresh.valley("v.target") == pytest.approx([0.9, 0.02])
        fresh.page.wait_for_selector(".handle[aria-label^='target at (0.90, 0.02) Å; arrow keys']")

    def test_sliders_change_step_size_and_steps(self, fresh):
        slider = fresh.page.get_by_role("slider", name="step size")
        slider.focus()
        fresh.page.keyboard.press("End")
        assert fresh.valley("v.step_size") == 2
        assert slider.get_attribute("aria-valuetext") == "2 Å²/eV"
        fresh.page.get_by_role("slider", name="number of steps").focus()
        fresh.page.keyboard.press("Home")
        assert fresh.valley("[v.steps, v.walk.made]") == [1, 1]

    def test_a_walk_that_is_lost_is_shown_and_said(self, fresh):
        calm = fresh.map()
        fresh.set("{ step_size: 2, start: [1.4, 1.5], steps: 60 }")
        assert fresh.valley("v.walk.lost")
        words = fresh.page.locator(".words").first
        assert "Lost: step" in words.inner_text()
        assert "alarm" in words.get_attribute("class")
        assert fresh.page.locator(".curve").get_attribute("d") == ""
        assert np.isfinite(fresh.map()).all()
        assert np.abs(fresh.map() - calm).mean() > 0.3
        assert fresh.errors == []

    def test_overshooting_and_a_ridge_have_words_of_their_own(self, fresh):
        fresh.set("{ step_size: 0.6, steps: 30 }")
        assert "overshoots" in fresh.page.locator(".words").nth(1).inner_text()
        fresh.set("{ start: [0.35, 0.1], step_size: 0.01, steps: 1 }")
        assert "not in a valley" in fresh.page.locator(".words").nth(1).inner_text()
        assert "near a saddle" in (said := fresh.page.locator(".words").nth(2).inner_text())
        assert "exploding" not in said  # the gradient itself has only shrunk
        fresh.set("{ start: [-0.5, 0.5], step_size: 0.1, steps: 100 }")
        assert "vanishing" in fresh.page.locator(".words").nth(2).inner_text()

    def test_toggles_change_what_is_drawn(self, fresh):
        plain = fresh.map()
        for name in ("A colour for each", "The gradient on its way", "Fog"):
            toggle = fresh.page.get_by_role("button", name=name)
            was = toggle.get_attribute("aria-pressed")
            toggle.click()
            assert toggle.get_attribute("aria-pressed") != was
            assert np.abs(fresh.map() - plain).mean() > 0.3
            toggle.click()
            assert np.abs(fresh.map() - plain).mean() < 0.05

    def test_the_walk_can_be_played(self, fresh):
        fresh.page.get_by_role("button", name="Walk step by step").click()
        seen = {fresh.valley("v.moment?.step ?? -1") for _ in range(40)}
        assert len(seen - {-1}) > 3
        fresh.page.wait_for_function(
            "document.querySelector('.bpttviz-foggy-valley').bpttvizValley.moment === null"
        )

    def test_another_landscape_begins_its_own_visit(self, fresh):
        before = fresh.map()
        fresh.page.get_by_role("combobox", name="landscape").select_option("Müller-Brown")
        place = bv.landscape_examples()["Müller-Brown"]
        assert fresh.valley("[v.start, v.target, v.steps]") == [
            list(place.start), list(place.target), place.steps
        ]  # fmt: skip
        after = fresh.map()
        assert after.shape != before.shape or np.abs(after - before).mean() > 5

    def test_a_training_that_was_made_can_be_played_without_a_kernel(self, fresh, trained):
        assert fresh.page.locator(".training .status").inner_text() == trained.status
        before = fresh.map()
        fresh.page.get_by_role("slider", name="training").focus()
        fresh.page.keyboard.press("End")
        assert fresh.valley("v.back.distance") == pytest.approx(trained.distance, abs=1e-3)
        assert np.abs(fresh.map() - before).mean() > 3

    def test_the_page_trains_without_a_kernel_by_keyboard(self, fresh):
        """To where Python comes; and what is said stays with the landscape that it is about."""
        status, other = fresh.page.locator(".training .status"), FoggyValley()
        other.landscape = "three valleys"
        other.train()
        choice = fresh.page.get_by_role("combobox", name="landscape")
        choice.select_option("three valleys")
        assert status.inner_text() == ""
        fresh.page.get_by_role("button", name="Train through the path").press("Enter")
        fresh.page.wait_for_selector(".training .status:text('It arrives')")
        assert status.inner_text() == other.status
        assert fresh.valley("v.back.distance") == pytest.approx(other.distance, abs=1e-3)
        choice.select_option("learned")
        assert status.inner_text() == ""
        choice.select_option("three valleys")
        assert status.inner_text() == other.status
        fresh.page.get_by_role("button", name="Start over").press("Enter")
        assert fresh.valley("[v.frame, v.frames.length]") == [0, 0]
        assert fresh.errors == []

    def test_a_training_in_the_page_stops_and_goes_on(self, fresh):
        fresh.page.get_by_role("combobox", name="landscape").select_option("Müller-Brown")
        fresh.page.get_by_role("button", name="Train through the path").click()
        fresh.page.wait_for_selector(".training .status:text-matches('Update [0-9]+')")
        fresh.page.get_by_role("button", name="Stop").click()
        fresh.page.wait_for_selector(".training .status:text('not there yet')")
        made = fresh.valley("v.frames.at(-1).update")
        fresh.page.get_by_role("button", name="Train through the path").click()
        fresh.page.wait_for_function(
            "(made) => Number(/^Update (\\d+)/.exec(document.querySelector('.training .status')"
            ".textContent)?.[1]) > made",
            arg=made,
        )
        fresh.page.get_by_role("button", name="Stop").click()

    def test_a_landscape_of_ones_own_is_left_to_a_kernel(self, chromium, tmp_path):
        class Own(bv.Wells):
            """Another formula, perhaps."""

        own = Own([[0.0, 0.0]], [1.0], [0.5])
        path = FoggyValley({"own": LandscapeExample(own, (1.0, 0.0), (0.5, 0.0))}).save_html(
            tmp_path / "own.html"
        )
        opened = Page(chromium, path)
        assert opened.page.get_by_role("button", name="Train through").is_disabled()
        assert "running kernel" in opened.page.locator(".training .status").inner_text()
        opened.context.close()

    def test_it_is_updated_twenty_times_a_second_while_one_drags(self, fresh):
        """By the clock; or, on a machine that is busy with other things, by the processor time that
        all of the browser took.
        """
        box = fresh.page.locator(".map").bounding_box()
        fresh.page.mouse.move(box["x"] + 200, box["y"] + 200)
        fresh.page.mouse.down()
        spent = processor_time()
        fresh.valley("(v.drawn = 0, v.began = performance.now())")
        for k in range(100):
            fresh.page.mouse.move(
                box["x"] + 200 + 120 * math.sin(k / 15), box["y"] + 200 + 100 * math.cos(k / 15)
            )
        drawn, rate = fresh.valley("[v.drawn, 1000 * v.drawn / (performance.now() - v.began)]")
        fresh.page.mouse.up()
        cost = (processor_time() - spent) / drawn
        print(f"{rate:.0f} updates a second, {1000 * cost:.0f} ms of processor each")
        assert drawn > 20
        assert max(rate, 1 / cost) >= 20

    def test_it_is_light_complete_and_quiet(self, saved, trained, tmp_path):
        size = trained.save_html(tmp_path / "page.html").stat().st_size
        print(size)
        assert size < 1_000_000
        assert saved.outside == []
        assert saved.errors == []

    def test_without_scripts_the_picture_is_shown(self, chromium, valley, tmp_path):
        path = valley.save_html(tmp_path / "page.html")
        opened = Page(chromium, path, java_script_enabled=False)
        assert opened.page.locator("img[alt*='Basins cover']").is_visible()
        opened.context.close()

    def test_dark_and_narrow(self, chromium, valley, tmp_path):
        path = valley.save_html(tmp_path / "page.html")
        opened = Page(chromium, path, color_scheme="dark")
        opened.page.set_viewport_size({"width": 420, "height": 1000})
        dark = np.median(opened.map(), axis=(0, 1)).max()
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert opened.page.evaluate(overflow) <= 0
        opened.page.emulate_media(color_scheme="light")  # it follows at once
        light = np.median(opened.map(), axis=(0, 1)).max()
        assert dark < 110 < 150 < light
        opened.context.close()


def test_a_notebook_with_it_is_light(trained, monkeypatch):
    size = len(nbformat.writes(notebook_with([trained], monkeypatch)).encode())
    print(size)
    assert size < 1_300_000


def test_what_is_shared_can_be_copied(valley):
    """deepcopy is what the training does to landscapes; a widget's payload must not be in it."""
    assert copy.deepcopy(valley.potential).state_dict().keys() == TWO.landscape.state_dict().keys()
