"""BackwardFlow: its arrows are the gradient, and its page answers without a kernel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmark_widgets import processor_time
from pages import Opened
from springs import network, starts, targets
from traitlets import TraitError

import bpttviz as bv
from bpttviz.plotting.backward_flow import AlignedFlow, listened

FLOW = "document.querySelector('.bpttviz-flow').bpttvizFlow"


@pytest.fixture(scope="module")
def stored():
    return bv.stored_gradient("005_tet_Si")


@pytest.mark.parametrize("name", ["000_vac_Si", "005_tet_Si"])
def test_what_is_stored_says_how_it_was_made(name):
    trace = bv.stored_gradient(name)
    assert (trace.name, trace.steps) == (name, 20)
    assert f"--structure {name} --potential chgnet --steps 20" in trace.made["command"]
    # The gradient that ΔQ sets out with follows from the masses alone.
    assert float(trace.sensitivity[-1]) == pytest.approx(28.085**0.5, rel=1e-3)


def test_turned_arrows_are_the_gradient_of_turned_atoms():
    """Nothing is periodic: pictures are turned, and dL/dX at the end still points as it must."""
    start = starts(1)
    end = targets(start)
    trace = bv.trace_gradient(network(), start, end, stop=bv.StoppingCriterion(5))
    flow = AlignedFlow.of(trace)
    moved = flow.path.positions[-1] - flow.path.reference
    expected = start.masses.numpy()[:, None] * moved / float(trace.delta_q[-1])
    np.testing.assert_allclose(flow.gradients[-1], expected, atol=1e-8)
    sizes = np.linalg.norm(flow.gradients.reshape(6, -1), axis=1)
    np.testing.assert_allclose(sizes, trace.sensitivity.numpy())


def test_picture_and_repr_say_what_is_shown(stored):
    shown = bv.BackwardFlow(stored)
    assert "The loss listens to atom 64 (Si) with 60 %" in shown.picture().alt_text
    assert "5.3 → 10.3" in repr(shown)
    with pytest.raises(TraitError, match="no moment 42; there are 0 to 41"):
        shown.moment = 42
    with pytest.raises(TraitError, match="no atom 65"):
        shown.atom = 65
    with pytest.raises(TypeError, match="trace must be"):
        bv.BackwardFlow("005_tet_Si")


def test_no_gradient_at_all_can_be_shown(stored):
    nothing = replace(stored, gradients=torch.zeros_like(stored.gradients))
    assert "0 %" in bv.plotting.plot_backward_flow(nothing).alt_text


@pytest.mark.browser
def test_its_page_answers_without_a_kernel_by_keyboard_alone(chromium, stored, tmp_path):
    path = bv.BackwardFlow(stored).save_html(tmp_path / "flow.html")
    assert path.stat().st_size < 1_000_000
    opened = Opened(chromium, path)
    page = opened.page
    page.wait_for_selector(".bpttviz-flow canvas")
    phase = page.locator(".bpttviz-flow .phase")
    assert phase.inner_text().startswith("▶ Forward, step 0 of 20")
    page.locator(".bpttviz-flow input[type=range]").focus()
    page.keyboard.press("End")
    assert phase.inner_text().startswith("◀ Back, step 0 of 20: orange arrows are dL/dX, 10.3")
    # The list keeps its order while its bars grow.
    assert page.evaluate(f"{FLOW}.rows.map((row) => row.atom)") == listened(stored, 7)
    page.keyboard.press("Home")
    forward = page.evaluate(f"{FLOW}.rows.map((row) => row.atom)")
    page.keyboard.press("ArrowRight")
    # Forces have a scale at each step, gradients one for all.
    scale, forces = page.locator(".bpttviz-flow .scale"), stored.forces.norm(dim=2)
    assert f"darkest: {float(forces[1].max()):.2} eV/Å, at this step" in scale.inner_text()
    assert page.evaluate(f"{FLOW}.rows.map((row) => row.atom)") == forward
    page.keyboard.press("End")
    assert "of all steps" in scale.inner_text()
    norms = page.evaluate(f"{FLOW}.flow.norms")
    np.testing.assert_allclose(norms, stored.sensitivity.numpy(), rtol=1e-5)
    drawn = page.evaluate(f"Array.from({{length: 21}}, (_, t) => {FLOW}.flow.shares(t, 1))")
    np.testing.assert_allclose(drawn, stored.shares.numpy(), atol=1e-6)
    first = page.locator(".bpttviz-flow .atoms button").first
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".card").inner_text().startswith("Si 64 at step 0:")
    page.keyboard.press("Escape")
    assert "Click an atom" in page.locator(".card").inner_text()
    page.keyboard.press("Home")
    page.locator(".bpttviz-flow canvas").focus()
    before = page.locator(".bpttviz-flow canvas").screenshot()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert page.locator(".bpttviz-flow canvas").screenshot() != before
    page.keyboard.press(" ")
    page.wait_for_function(f"{FLOW}.clock.step > 1")
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()


@pytest.mark.browser
def test_a_click_follows_an_atom_and_thirty_frames_a_second_are_drawn(chromium, stored, tmp_path):
    path = bv.BackwardFlow(stored).save_html(tmp_path / "flow.html")
    opened = Opened(chromium, path)
    page = opened.page
    page.wait_for_selector(".bpttviz-flow canvas")
    page.evaluate(f"{FLOW}.choose(41)")
    page.wait_for_function(f"{FLOW}.stage.seen")
    x, y = page.evaluate(
        f"(() => {{ const s = {FLOW}.stage, p = s.painter(), k = 3 * 64;"
        "return [p.x(s.seen[k]) / p.ratio, p.y(s.seen[k + 1]) / p.ratio]; })()"
    )
    seen = page.evaluate(f"{FLOW}.stage.atomAt({x}, {y})")
    page.locator(".bpttviz-flow canvas").click(position={"x": x, "y": y})
    assert page.evaluate(f"{FLOW}.model.get('atom')") == seen >= 0
    play = (
        f"async () => {{ const f = {FLOW}; for (let moment = 0; moment <= f.flow.last; moment++) {{"
        "f.clock.go(moment); f.show(); await new Promise(requestAnimationFrame); } }"
    )
    costs = []
    for _ in range(3):
        spent = processor_time()
        page.evaluate(play)
        costs.append((processor_time() - spent) / (2 * stored.steps + 2))
    assert min(costs) < 1 / 30  # seconds of processor a frame
    assert opened.errors == []
    opened.context.close()
