"""Names are drawn as they are: a dollar sign in one begins no formula."""

from dataclasses import replace
from types import SimpleNamespace

import made_up
import numpy as np
import pytest
from ase.build import bulk

import bpttviz as bv
from bpttviz import plotting
from bpttviz.evaluation.report import Report
from bpttviz.plotting.figure import plain

NAME = r"$\\frac{$ _^ $x$ <b> &"


def renamed():
    """A report whose structure and potentials have names that a formula would choke on."""
    made = made_up.report(cells=1, steps=3)
    new = {potential: f"{potential} {NAME}" for potential in made.potentials}
    return Report(
        [replace(row, structure=NAME, potential=new[row.potential]) for row in made.rows],
        {(new[potential], NAME): path for (potential, _), path in made.relaxations.items()},
        {NAME: made.reference(0)},
        noise_floor=0.1,
    )


def history():
    return SimpleNamespace(history=[], validations=[], settings={})


def silicon():
    return bulk("Si", cubic=True)


FIGURES = {
    "error plane": lambda: plotting.plot_error_plane(renamed()),
    "layers": lambda: plotting.plot_error_plane(renamed(), after={NAME: renamed().potentials[1]}),
    "bars": lambda: plotting.plot_endpoint_errors(renamed()),
    "relaxation": lambda: plotting.plot_relaxation(renamed(), 0),
    "frames": lambda: plotting.plot_frames(renamed(), 0),
    "snapshots": lambda: plotting.plot_snapshots({NAME: silicon()}, silicon(), NAME),
    "forces": lambda: plotting.plot_forces(silicon(), {NAME: np.ones((8, 3))}, NAME),
    "parity": lambda: plotting.plot_parity({NAME: (np.ones(3), np.ones(3))}, NAME),
    "curves": lambda: plotting.plot_curves({NAME: ([1, 2], [3, 4])}, "x", "y", floor=(1, NAME)),
    "landscapes": lambda: plotting.plot_landscapes({NAME: bv.MullerBrown()}),
    "force errors": lambda: plotting.plot_force_errors(bv.MullerBrown(), {NAME: bv.MullerBrown()}),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_any_name_can_be_drawn(figure):
    picture = FIGURES[figure]()
    assert len(picture.png()) > 2000
    assert NAME in picture.alt_text or figure in ("bars", "landscapes")


def test_an_animation_too(tmp_path):
    plotting.animate_relaxations(renamed(), 0, tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size > 1000


def test_a_dollar_stays_one():
    assert plain("a$b$") == r"a\$b\$"
    assert plain(plain("a$")) == plain("a$")
