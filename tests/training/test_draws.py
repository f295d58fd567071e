"""Random numbers that depend on seed, epoch, structure and purpose, and on nothing else."""

import pytest
import torch

import bpttviz as bv


def test_each_of_four_makes_another_stream():
    usual = bv.Draw(1, 2).uniform("a", "jitter")
    others = [
        bv.Draw(2, 2).uniform("a", "jitter"),
        bv.Draw(1, 3).uniform("a", "jitter"),
        bv.Draw(1, 2).uniform("b", "jitter"),
        bv.Draw(1, 2).uniform("a", "share"),
    ]
    assert len({usual, *others}) == 5
    assert all(0 <= value < 1 for value in (usual, *others))


def test_names_and_purposes_do_not_run_into_each_other():
    draw = bv.Draw(0, 0)
    assert draw.uniform("a', 'b", "c") != draw.uniform("a", "b', 'c")
    assert bv.Draw(1, 11).uniform("a", "b") != bv.Draw(11, 1).uniform("a", "b")


def test_what_was_drawn_before_makes_no_difference():
    like = torch.zeros(5, 3, dtype=torch.float64)
    first = bv.Draw(3, 4).normal("a", "jitter", like)
    torch.manual_seed(99)
    draw = bv.Draw(3, 4)
    draw.normal("b", "jitter", like)
    assert torch.equal(draw.normal("a", "jitter", like), first)
    assert torch.equal(bv.Draw(3, 4).normal("a", "jitter", like.float()), first.float())


def test_normal_numbers_are_normal():
    many = bv.Draw(0, 0).normal("a", "jitter", torch.zeros(40_000, dtype=torch.float64))
    assert abs(float(many.mean())) < 0.02
    assert float(many.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("given", [(-1, 0), (0, -1), (0.5, 0), ("0", 0), (0, None)])
def test_no_draw_without_whole_numbers(given):
    with pytest.raises((TypeError, ValueError), match="must be a whole number of at least 0"):
        bv.Draw(*given)
