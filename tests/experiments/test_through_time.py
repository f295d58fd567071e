"""How much the gradient through time turns the gradient."""

import pytest
import torch
from ase import Atoms
from springs import network
from taught import references
from torch import nn

import bpttviz as bv
from bpttviz.experiments.through_time import (
    COLUMNS,
    in_words,
    main,
    stored_through_time,
    through_time,
)
from bpttviz.experiments.trial import parts_of

RULE = bv.GradientDescent(0.1)


class Tether(bv.Potential):
    """One atom on a spring to a place that is to be learned: E = k/2 |x − r|²."""

    dtype = torch.float64
    stiffness = 1.5
    places_matter = True

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def energy(self, structures):
        away = structures.positions - self.place
        return 0.5 * self.stiffness * (away**2).sum().reshape(1)


def reference(name, start, end):
    """One atom's way along x, Å."""
    ends = [
        bv.Structures.from_ase([Atoms("Si", [[x, 0, 0]], cell=[20] * 3, pbc=True)], [name])
        for x in (start, end)
    ]
    return bv.ReferenceRelaxation(name, name, *ends)


def tethered():
    """From 1 Å away; the reference ends beside the place that is there now."""
    return bv.RelaxationDataset([reference("one", 1.0, -0.7)])


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_on_a_spring_it_is_a_geometric_series(steps):
    """Steps forget: ∂X_K/∂r = 1 − (1 − ηk)^K through time, K ηk without."""
    once = 0.1 * Tether.stiffness
    (line,) = through_time(
        Tether(), tethered(), RULE, bv.StoppingCriterion(steps)
    ).to_dict("records")  # fmt: skip
    assert line["cosine"] == pytest.approx(1)
    assert line["length"] == pytest.approx((1 - (1 - once) ** steps) / (steps * once))
    left = (1 - once) ** steps
    assert line["dq_k"] == pytest.approx(28.085**0.5 * (left + 0.7), rel=1e-4)


def test_after_one_step_there_is_nothing_to_go_through():
    table = through_time(network(), references(3), RULE, bv.StoppingCriterion(1))
    assert list(table.columns) == list(COLUMNS)
    assert table["cosine"].to_numpy() == pytest.approx(1)
    assert table["length"].to_numpy() == pytest.approx(1)
    longer = through_time(network(), references(3), RULE, bv.StoppingCriterion(12))
    assert longer["cosine"].max() < 0.9999


def test_what_has_no_gradient_has_no_direction():
    still = bv.RelaxationDataset([reference("still", 0.0, 0.0)])
    with pytest.raises(ValueError, match=r"still: its gradients have lengths .* no directions"):
        through_time(Tether(), still, RULE, bv.StoppingCriterion(2))
    with pytest.raises(TypeError, match="potential"):
        through_time(None, tethered(), RULE, bv.StoppingCriterion(2))
    with pytest.raises(TypeError, match="rule"):
        through_time(Tether(), tethered(), None, bv.StoppingCriterion(2))
    with pytest.raises(ValueError, match="no weight of the potential can be trained"):
        through_time(Tether().requires_grad_(False), tethered(), RULE, bv.StoppingCriterion(2))


def test_what_is_committed_is_of_fold_0_and_told_in_a_sentence():
    table, origin = stored_through_time()
    held_out = parts_of(bv.load_dataset("si-defects"))["fold-0"].held_out
    assert list(table["structure"]) == held_out.names
    assert held_out.fingerprint() == origin.data
    assert origin.commit
    three = table.iloc[:3].assign(cosine=[0.5, 0.9, 0.7], length=[0.2, 1.5, 0.4])
    assert "cosine of 0.70 (0.50 to 0.90)" in in_words(three)
    assert "0.4 times the length (0.2 to 1.5): median and range of 3" in in_words(three)


def test_a_folder_of_somebodys_is_not_written_over(tmp_path):
    (tmp_path / "chgnet.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"chgnet\.csv is there already"):
        main(["--out", str(tmp_path)])


@pytest.mark.slow
def test_what_is_committed_can_be_made_again():
    table, origin = stored_through_time()
    data = bv.load_dataset("si-defects").all
    assert data[list(table["structure"])].fingerprint() == origin.data
    one = table.iloc[0]
    again = through_time(
        bv.CHGNet(), data[[one["structure"]]], bv.Recipe().rule, bv.Recipe().stop
    ).iloc[0]  # fmt: skip
    assert again["cosine"] == pytest.approx(one["cosine"], abs=0.02)
    assert again["length"] == pytest.approx(one["length"], rel=0.05)
    assert f"{len(table)} structures" in in_words(table)
