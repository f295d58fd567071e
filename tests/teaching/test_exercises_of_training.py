"""Exercises of notebooks 06 and 09 name the mistake."""

import pytest

from bpttviz.teaching.exercises import finetune, robustness

ALPHA = finetune.choose_alpha(
    [0, 0.25, 0.5, 0.75, 1], [1, 0.8, 0.6, 0.55, 0.5], [1, 1, 1.005, 1.02, 1.03]
)


@pytest.mark.parametrize(
    ("exercise", "answer", "verdict"),
    [
        (finetune.memory(0.98), 50, "right"),
        (finetune.memory(0.98), 0.98, "the decay"),
        (finetune.memory(0.98), 1 / 0.98, "one over it"),
        (finetune.memory(0.98), 34, "wrong"),
        (ALPHA, 0.5, "right"),
        (ALPHA, 0.25, "not the best"),
        (ALPHA, 1, "forbidden"),
        (ALPHA, 0.3, "not measured"),
        (robustness.stable_step(0.78), 3.8 / 0.78, "right"),
        (robustness.stable_step(0.78), 2 / 0.78, "without memory"),
        (robustness.steps_that_arrive(0.1, 0.72, 0.05), 41, "right"),
        (robustness.steps_that_arrive(0.1, 0.72, 0.05), 40, "one short"),
        (robustness.steps_that_arrive(0.1, 0.72, 0.05), 14, "added up"),
        (robustness.steps_that_arrive(0.001, 1.0, 0.1), 2302, "right"),
        (robustness.steps_that_arrive(0.001, 1.0, 0.1), 2301, "one short"),
        (robustness.steps_that_arrive(0.001, 1.0, 0.1), 2303, "wrong"),
    ],
)
def test_each_answer_gets_its_verdict(exercise, answer, verdict):
    found = exercise.judge(answer)
    assert (found.mistake or found.outcome) == verdict
