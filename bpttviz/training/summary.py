"""How a training goes, in numbers and in words: what figures and widgets show of a `Run`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bpttviz.relaxation.diagnose import verdict
from bpttviz.training.runs import Run

FORCE_ERROR = "force_error"  # what a validation calls its mean absolute force error, eV/Å
RECENT = 12  # updates that say how things stand

MEANINGS = {
    "healthy": "every step takes part",
    "vanishing": "early steps teach next to nothing",
    "exploding": "fewer steps tame it; so does a smaller step size, but not at a saddle",
    "nothing to learn": "the relaxations end at their references",
}
Curve = list[tuple[int, float]]  # (update, value), gaps left out


@dataclass(frozen=True)
class GradientProfile:
    """The size of one update's gradient on its way back through time.

    Attributes:
        steps: t, ascending, where the gradient passed.
        relative: |dL/dX_t| / |dL/dX_T|: 1 at the last step T. None where that is not finite.
        verdict: "vanishing", "exploding", "healthy" or "nothing to learn": see `GradientDiagnosis`.
    """

    steps: tuple[int, ...]
    relative: tuple[float | None, ...]
    verdict: str


def gradient_profile(update: dict) -> GradientProfile | None:
    """How the gradient of one update fared; None where fewer than two steps were recorded."""
    recorded = update.get("sensitivity", ())
    if len(recorded) < 2:
        return None
    steps = [step for step, _ in recorded]
    norms = [math.inf if norm is None else norm for _, norm in recorded]
    last = norms[-1]
    relative = [n / last if 0 < last < math.inf and n < math.inf else None for n in norms]
    return GradientProfile(tuple(steps), tuple(relative), verdict(norms))


def gradient_profiles(run: Run) -> list[GradientProfile]:
    """Those of the last few updates, the latest at the end."""
    found = (gradient_profile(update) for update in run.history[-RECENT:])
    return [profile for profile in found if profile is not None]


def format_gradient(profiles: Sequence[GradientProfile]) -> str:
    """Vanishing, exploding or healthy, and what that means."""
    if not profiles:
        return "No gradient through time yet."
    latest = profiles[-1]
    text = f"{latest.verdict}: {MEANINGS[latest.verdict]}"
    if latest.relative[0] is not None:
        text += (
            f". Of a gradient of size 1 at step {latest.steps[-1]}, {latest.relative[0]:.2g} "
            f"arrive at step {latest.steps[0]}"
        )
    counts = Counter(profile.verdict for profile in profiles)
    if len(counts) > 1:
        parts = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        text += f". The last {len(profiles)} updates: {parts}"
    return text + "."


def curve(records: Sequence[dict], key: str, most: int | None = None) -> Curve:
    """(update, value) wherever ``key`` is known; at most about ``most``, first and last kept."""
    known = [(r["update"], r[key]) for r in records if r.get(key) is not None]
    stride = 1 if most is None else max(1, math.ceil(len(known) / most))
    return known[::stride] + (known[-1:] if (len(known) - 1) % stride else [])


def best(validation: Curve) -> tuple[int, float] | None:
    """The validation that the weights are kept of."""
    return min(validation, key=lambda point: point[1], default=None)


def loss_label(run: Run) -> str:
    """What the loss is, with its unit where there is one."""
    # A run from disk knows its objective by its description only.
    objective = run.settings.get("objective", {})
    parts = objective.get("config") or objective.get("attributes") or {}
    adjoint = parts.get("adjoint") or {}
    is_endpoint = objective.get("class") == "EndpointLoss" and (
        adjoint.get("class") != "GuidedAdjoint"
    )
    if is_endpoint and parts.get("resolution"):  # less than ΔQ by about that much
        return "endpoint loss / amu^½ Å"
    return "endpoint error ΔQ / amu^½ Å" if is_endpoint else "loss"


def seconds_left(run: Run, updates: int, epochs: int) -> float | None:
    """How long the rest of ``updates`` and ``epochs`` may take; None before the first update."""
    if not run.history:
        return None
    recent = [h["seconds"] for h in run.history[-RECENT:]]
    left = (updates - len(run.history)) * sum(recent) / len(recent)
    if run.validations:
        left += (epochs - run.validations[-1]["epoch"]) * run.validations[-1].get("seconds", 0.0)
    return max(left, 0.0)


def left_out(run: Run) -> dict[str, int]:
    """Structure → how many updates went without it."""
    return dict(Counter(name for h in run.history for name in h.get("left_out", ())).most_common())


def describe_run(run: Run) -> str:
    """The training as a paragraph."""
    losses, validation = curve(run.history, "loss"), curve(run.validations, "value")
    text = f"Training over {len(run.history)} updates."
    if losses:
        text += f" Loss from {losses[0][1]:.3g} to {losses[-1][1]:.3g}."
    if (kept := best(validation)) is not None:
        at, value = kept
        text += (
            f" Validation from {validation[0][1]:.3g} to {validation[-1][1]:.3g}, best {value:.3g} "
            f"at update {at}."
        )
    forces = curve(run.validations, FORCE_ERROR)
    if forces:
        text += f" Force error from {forces[0][1]:.3g} to {forces[-1][1]:.3g} eV/Å."
    profiles = gradient_profiles(run)
    if profiles:
        text += f" The gradient by step: {format_gradient(profiles)}"
    return text
