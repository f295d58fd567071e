"""Public checks of A1: one spring relaxed by hand, and the gradient back through its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bpttviz.teaching.assignments.checks import Question, compare, numbers, truths

Function = Callable[..., Any]

# One spring, which no later test uses.
X0, ETA, K, S, STEPS, TARGET = 1.5, 0.1, 3.0, 0.5, 4, 0.2


def check_step(step: Function) -> str:
    """1: ``step(x, eta, k, s)`` is x + eta F(x)."""
    right = X0 - ETA * K * (X0 - S)
    return compare(
        "step(1.5, 0.1, 3.0, 0.5)",
        step(X0, ETA, K, S),
        right,
        {
            "your step goes uphill: the force F = -k (x - s) points back to s": X0
            + ETA * K * (X0 - S),
            "you give back the force; a step is x + eta F": -K * (X0 - S),
            "you give back how far the step goes; a step is x + eta F": -ETA * K * (X0 - S),
            "eta is missing: a step is x + eta F": X0 - K * (X0 - S),
            "the spring pulls to 0 instead of to s: F = -k (x - s)": X0 - ETA * K * X0,
        },
    )


def check_relax(relax: Function) -> str:
    """2: ``relax(x0, eta, k, s, steps)`` gives all places, the start first."""
    right = _path(X0, ETA, K, S, STEPS)
    return compare(
        f"relax with {STEPS} steps",
        relax(X0, ETA, K, S, STEPS),
        right,
        {
            "the start is missing: K steps visit K + 1 places, and the first is x0": right[1:],
            "the last step is missing: K steps visit K + 1 places": right[:-1],
            "one step too many": _path(X0, ETA, K, S, STEPS + 1),
            "every place is the same: each step starts where the last one ended": np.array(
                [X0] + [right[1]] * STEPS
            ),
            "you give back the last place; all of them are asked for": right[-1],
        },
    )


def check_end(end: Function, largest_step: Function) -> str:
    """3: the end in closed form, and the step from which the walk no longer settles."""
    kept = (1 - ETA * K) ** STEPS
    found = compare(
        f"end with {STEPS} steps",
        end(X0, ETA, K, S, STEPS),
        S + kept * (X0 - S),
        {
            "that is what is left of the distance; the end is s plus that": kept * (X0 - S),
            "the start counts as a distance from 0; take the distance from s": S + kept * X0,
            "that is a spring that pulls to 0; yours pulls to s": kept * X0,
            "one factor for all steps: (1 - eta k) is to be taken to the power K": S
            + (1 - ETA * K) * (X0 - S),
            "steps shrink with the distance: their factors multiply, they do not add up": S
            + (1 - STEPS * ETA * K) * (X0 - S),
            "the spring pulls back to s: a step keeps 1 - eta k of the distance": S
            + (1 + ETA * K) ** STEPS * (X0 - S),
            "the distance is x0 - s, with its sign": S - kept * (X0 - S),
            "that is one step short: K steps take the factor K times": S
            + (1 - ETA * K) ** (STEPS - 1) * (X0 - S),
            "the exponential is the limit of small steps; K finite steps give a power": S
            + np.exp(-ETA * K * STEPS) * (X0 - S),
        },
    )
    return found or compare(
        "largest_step(3.0)",
        largest_step(K),
        2 / K,
        {
            "at eta = 1/k a single step arrives; ask when |1 - eta k| reaches 1": 1 / K,
            "stiffer springs need smaller steps: k belongs below": 2 * K,
            "that is upside down: eta is Å²/eV, k is eV/Å²": K / 2,
        },
    )


def check_gradient(gradient: Function) -> str:
    """4: ``gradient(x0, eta, k, s, steps, target)`` is (dL/dk, dL/ds)."""
    got = numbers("gradient", gradient(X0, ETA, K, S, STEPS, TARGET))
    if got.shape != (2,):
        return f"gradient should give two numbers, (dL/dk, dL/ds), and gives shape {got.shape}"
    return compare("gradient", got, _backward(), _wrong_gradients())


def check_backward(backward: Function) -> str:
    """5: ``backward(df_dx, df_dtheta, eta, last)`` for whatever force."""
    draw = np.random.default_rng(5)
    df_dx, df_dtheta = draw.normal(size=(2, STEPS))
    last, kept = 1.7, 1 + ETA * df_dx

    def collected(factors: np.ndarray, first: int = STEPS - 1) -> float:
        """What is collected from step ``first`` on to the other end, with these factors."""
        order = range(STEPS)[:: -1 if first else 1]
        sensitivity, total = last, 0.0
        for t in order:
            total += ETA * sensitivity * df_dtheta[t]
            sensitivity *= factors[t]
        return total

    right = collected(kept)
    return compare(
        "backward",
        backward(df_dx, df_dtheta, ETA, last),
        right,
        {
            "you go from the first step to the last; a gradient goes back, last first": collected(
                kept, first=0
            ),
            "the sensitivity never changes: on its way back it takes a factor (1 + eta dF/dx) a "
            "step": collected(np.ones(STEPS)),
            "the sensitivity takes its factor too early: first collect at step t, then pass on": ETA
            * last
            * np.cumprod(kept[::-1])
            @ df_dtheta[::-1],
            "x_t stands in the step twice: alone, and under F. The factor is 1 + eta "
            "dF/dx": collected(ETA * df_dx),
            "the sign in the factor: a step is x + eta F, so it is 1 + eta dF/dx": collected(
                1 - ETA * df_dx
            ),
            "eta is missing in the factor: it is 1 + eta dF/dx": collected(1 + df_dx),
            "you give back dL/dx at the start; what the steps add up to is dL/dtheta": last
            * kept.prod(),
            "the sign is flipped: F grows with theta by dF/dtheta": -right,
            "eta is missing: a step moves by eta F": right / ETA,
        },
    )


def check_stiffness(best_stiffness: Function, statements: dict[str, bool]) -> str:
    """6: which stiffness the endpoint loss prefers, and what follows."""
    found = compare(
        "best_stiffness(0.1)",
        best_stiffness(ETA),
        1 / ETA,
        {
            "at k = 2/eta the walk swings for ever; ask when nothing is left of the distance": 2
            / ETA,
            "that is the step for a stiffness of 0.1; solve 1 - eta k = 0 for k": ETA,
        },
    )
    return found or truths(statements, STATEMENTS, WHY)


STATEMENTS = {"a": True, "b": False, "c": True, "d": False}
WHY = {
    "a": "what does (1 - eta k)^K do as K grows, while 0 < eta k < 2?",
    "b": "put the true k into the closed form: is x_K already at s?",
    "c": "what must (1 - eta k)^K be for a loss of zero?",
    "d": "which k had a loss of zero, and was it the true one?",
}

QUESTIONS: dict[str, Question] = {
    "1": check_step,
    "2": check_relax,
    "3": check_end,
    "4": check_gradient,
    "5": check_backward,
    "6": check_stiffness,
}


def earlier(question: str, names: Mapping[str, Any]) -> dict[str, Function]:
    """What later questions build on, right: nobody pays twice for one mistake."""
    given = {"2": ("step",), "4": ("step", "relax", "end"), "6": ("end",)}
    right: dict[str, Function] = {"step": _step, "relax": _path, "end": _end}
    return {name: right[name] for name in given.get(question, ())}


def _step(x: float, eta: float, k: float, s: float) -> float:
    return x - eta * k * (x - s)


def _path(x0: float, eta: float, k: float, s: float, steps: int) -> np.ndarray:
    """Places (steps + 1,) of a walk on one spring."""
    places = [x0]
    for _ in range(steps):
        places.append(_step(places[-1], eta, k, s))
    return np.array(places)


def _end(x0: float, eta: float, k: float, s: float, steps: int) -> float:
    return s + (1 - eta * k) ** steps * (x0 - s)


def _backward(sign: float = 1.0, factor: float = 1 - ETA * K, late: int = 0) -> np.ndarray:
    """(dL/dk, dL/ds) of the public spring; the arguments make mistakes."""
    path = _path(X0, ETA, K, S, STEPS)
    sensitivity, by_k, by_s = 2 * (path[-1] - TARGET), 0.0, 0.0
    for t in reversed(range(STEPS)):
        by_k += sign * sensitivity * -ETA * (path[t + late] - S)
        by_s += sign * sensitivity * ETA * K
        sensitivity *= factor
    return np.array([by_k, by_s])


def _wrong_gradients() -> dict[str, np.ndarray]:
    right = _backward()
    path = _path(X0, ETA, K, S, STEPS)
    first, kept = 2 * (path[-1] - TARGET), 1 - ETA * K
    powers = kept ** np.arange(STEPS)  # of the sensitivity: the last step has the first
    each = -ETA * (path[:-1] - S)  # what a step feels of k, by t
    forward = first * np.array([powers @ each, ETA * K * powers.sum()])
    early = right * kept
    short = first * np.array([powers[:-1] @ each[:0:-1], ETA * K * powers[:-1].sum()])
    return {
        "the sign is flipped: x_t - eta k (x_t - s) falls with k and grows with s": -right,
        "the sensitivity never changes: each step back multiplies it by (1 - eta k)": _backward(
            factor=1.0
        ),
        "the sensitivity takes the wrong factor: dx_{t+1}/dx_t = 1 - eta k": _backward(
            factor=1 + ETA * K
        ),
        "the force is taken after the step; it acted at x_t, where the step began": _backward(
            late=1
        ),
        "you go from the first step to the last; the way back begins at the last one": forward,
        "the sensitivity takes its factor too early: first collect, then multiply": early,
        "the first step (t = 0) is missing: range(steps) backwards ends at 0": short,
        "only the last step is counted: go back through all K": np.array(
            [first * -ETA * (path[-2] - S), first * ETA * K]
        ),
        "the loss is a square: its derivative has a factor 2": right / 2,
        "the way back begins with the derivative of the loss, 2 (x_K - target), not with the "
        "loss": right * (path[-1] - TARGET) / 2,
        "the loss compares x_K with the target, not with s": right
        * (path[-1] - S)
        / (path[-1] - TARGET),
        "s is missing: by k, a step x - eta k (x - s) changes by -eta (x - s)": np.array(
            [first * powers[::-1] @ (-ETA * path[:-1]), right[1]]
        ),
        "eta is missing in dL/ds: by s, a step changes by eta k": right * [1, 1 / ETA],
        "eta is missing in dL/dk: by k, a step changes by -eta (x - s)": right * [1 / ETA, 1],
        "(dL/dk, dL/ds) is asked for, in this order": right[::-1],
        "dL/dk has a flipped sign: x_{t+1} falls as k grows": right * [-1, 1],
        "dL/ds has a flipped sign: x_{t+1} grows with s": right * [1, -1],
    }
