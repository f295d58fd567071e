"""The valleys that come along, and bending one."""

import math

import pytest

import bpttviz as bv
from bpttviz.teaching.examples import finetune_landscape
from bpttviz.teaching.surface import basins_of_attraction, descent_paths

VALLEYS = bv.landscape_examples()


@pytest.mark.parametrize("title", VALLEYS)
def test_a_visit_begins_on_the_wrong_side_of_a_ridge(title):
    place = VALLEYS[title]
    basins, minima = basins_of_attraction(place.landscape, place.window)
    rows, columns = basins.shape

    def basin(x, y):
        (x0, x1), (y0, y1) = place.window.x, place.window.y
        return basins[int(rows * (y - y0) / (y1 - y0)), int(columns * (x - x0) / (x1 - x0))]

    assert len(minima) >= 2
    assert basin(*place.start) != basin(*place.target)


@pytest.mark.parametrize("title", VALLEYS)
def test_training_bends_it_until_the_walk_ends_at_the_target(title):
    place = VALLEYS[title]
    rule, stop = (
        bv.GradientDescent(place.step_size, max_step=None),
        bv.StoppingCriterion(place.steps),
    )
    before = place.landscape.state_dict()
    kept = {name: value.clone() for name, value in before.items()}
    run = finetune_landscape(
        place.landscape, place.start, place.target, rule, stop, learning_rate=place.learning_rate
    )
    assert len(run.history) == 60

    def left(landscape):
        return math.dist(descent_paths(landscape, [place.start], rule, stop)[-1, 0], place.target)

    # ΔQ of walkers is their distance
    assert run.history[0]["loss"] == pytest.approx(left(place.landscape), abs=1e-9)
    assert left(place.landscape) > 1
    assert left(run.potential) < 0.1
    assert all((value == kept[name]).all() for name, value in before.items())


def test_the_learned_one_is_near_its_teacher_and_not_there():
    learned, teacher = VALLEYS["learned"], VALLEYS["three valleys"]
    points = learned.window.grid(20)[2]
    error = (
        learned.landscape.energy_and_force(points)[1]
        - teacher.landscape.energy_and_force(points)[1]
    ).abs()
    assert 0.005 < float(error.mean()) < 0.15
