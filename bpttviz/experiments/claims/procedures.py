"""Claims 3 and 4: trained one way and tested another, and step sizes that are learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.evaluation.evaluate import endpoint_errors
from bpttviz.evaluation.rest import batches
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.evidence import AFTER_K, ENDS, NUMBER, Evidence, of_pairs
from bpttviz.experiments.claims.study import Setting, Study
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent, HeavyBall, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.recipe import Recipe

HELD_OUT = "test part"
MOMENTUM = 0.5
TRAINED_ON = 24  # relaxations of claim 3 and 4, one epoch


@dataclass(frozen=True)
class Procedure:
    """A way to relax: a rule and its number of steps."""

    title: str
    rule: UpdateRule
    steps: int

    @property
    def stop(self) -> StoppingCriterion:
        """When it ends."""
        return StoppingCriterion(self.steps)


def procedures(setting: Setting) -> dict[str, Procedure]:
    """The recipe's own first; then half the step, half as many, and momentum."""
    recipe = setting.recipe
    eta, steps, most = recipe.step_size, recipe.steps, recipe.max_step
    ways = [
        Procedure("as it is", GradientDescent(eta, most), steps),
        Procedure("half the step", GradientDescent(eta / 2, most), steps),
        Procedure("half as many", GradientDescent(eta, most), steps // 2),
        Procedure("momentum", HeavyBall(eta, MOMENTUM, most), steps),
    ]
    return {way.title: way for way in ways}


class OtherProcedures(Study):
    """Claim 3: one training with each procedure, tested with every one."""

    claim = 3

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """A procedure to train with each."""
        return tuple(procedures(setting))

    def gradients(self, setting: Setting, run: str) -> int:
        """One epoch."""
        return min(TRAINED_ON, len(setting.training)) * procedures(setting)[run].steps

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        known = procedures(setting)
        tuned = self.tuned(setting, known[run])
        start = Evidence(
            3, "", setting.data, setting.name, f"trained: {run}", "", ENDS, np.nan,
            provenance=setting.provenance(self, run),
        )  # fmt: skip
        first = next(iter(known))
        before = self.tested(setting, PRETRAINED, setting.potential, known)
        after = self.tested(setting, run, tuned, known)
        own, rows = {}, []
        if run != first:
            own = self.tested(setting, first, self.tuned(setting, known[first]), known)
        for title in known:
            asked = replace(start, question=f"{HELD_OUT}, relaxed: {title}")
            for quantity in (ENDS, AFTER_K):
                row = replace(asked, quantity=quantity)
                pair = before[title][quantity], after[title][quantity]
                rows.append(of_pairs(row, *pair, setting.groups, setting.noise_floor))
            if own:
                row = replace(
                    asked, part=paper.ANY_STEP,
                    question=f"{HELD_OUT}, relaxed: {title}, against trained: {first}",
                )  # fmt: skip
                pair = own[title][ENDS], after[title][ENDS]
                rows.append(of_pairs(row, *pair, setting.groups, setting.noise_floor))
        return rows

    def tuned(self, setting: Setting, way: Procedure) -> Potential:
        """Trained from both ends, one epoch, by this procedure."""
        chosen, recipe = _chosen(setting)
        objective = EndpointLoss(
            way.rule, way.stop, recipe.adjoint, recipe.starts, recipe.resolution
        )
        config = recipe.config(len(chosen))
        return setting.trained(f"by {way.title}", objective, config, training=chosen).potential

    def tested(
        self, setting: Setting, name: str, potential: Potential, known: dict[str, Procedure]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Procedure → quantity → structure → amu^½ Å; NaN where it was lost. Computed once."""

        def tested() -> dict[str, dict[str, dict[str, float]]]:
            return {title: _ends_of(setting, potential, way) for title, way in known.items()}

        return setting.kept(f"tested-{name}", tested)


def _chosen(setting: Setting) -> tuple[RelaxationDataset, Recipe]:
    """Relaxations that are trained on, and how: few, once each."""
    draw = np.random.default_rng(setting.recipe.seed)
    places = draw.permutation(len(setting.training))[:TRAINED_ON]
    recipe = Recipe(
        None, step_size=setting.recipe.step_size, max_step=setting.recipe.max_step,
        steps=setting.recipe.steps, adjoint=setting.recipe.adjoint, epochs=1,
        average=0.9, seed=setting.recipe.seed,
    )  # fmt: skip
    return RelaxationDataset([setting.training[int(i)] for i in places]), recipe


def _ends_of(setting: Setting, potential: Potential, way: Procedure) -> dict[str, dict[str, float]]:
    """Where held-out structures are after K steps of a procedure, and where they then rest."""
    found: dict[str, dict[str, float]] = {AFTER_K: {}, ENDS: {}}
    counts = [len(reference.start.numbers) for reference in setting.held_out]
    for together in batches(counts, potential.device, None):
        some = setting.held_out[together]
        with torch.no_grad():
            relaxation = relax(potential, some.starts(), way.rule, way.stop)
        rest = setting.relaxer.run(potential, relaxation.final)
        ends, matter = some.ends(), potential.places_matter
        after_k = delta_q(relaxation.final.to("cpu"), ends, matter)
        at_rest = delta_q(rest.structures, ends, matter)
        at_rest = torch.where(rest.converged, at_rest, torch.nan)
        for quantity, values in ((AFTER_K, after_k), (ENDS, at_rest)):
            values[list(relaxation.diverged)] = torch.nan
            found[quantity] |= zip(some.names, values.tolist(), strict=True)
    return found


class LearnedSteps(Study):
    """Claim 4: step sizes are trained along; what is each half of the change worth?"""

    claim = 4

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """One step size for all steps, or one for each."""
        return ("one step size", "one for each step")

    def gradients(self, setting: Setting, run: str) -> int:
        """One epoch."""
        return min(TRAINED_ON, len(setting.training)) * setting.recipe.steps

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        chosen, recipe = _chosen(setting)
        eta, most, stop = recipe.step_size, recipe.max_step, recipe.stop
        sizes = eta if run == self.runs(setting)[0] else [eta] * recipe.steps
        objective = EndpointLoss(
            GradientDescent(sizes, most, learnable=True), stop, recipe.adjoint, recipe.starts,
            recipe.resolution,
        )  # fmt: skip
        trained = setting.trained(
            f"learned {run}", objective, recipe.config(len(chosen)), None, chosen
        )
        assert isinstance(trained.rule, GradientDescent)
        old, new = GradientDescent(sizes, most), trained.rule
        names = setting.held_out.names

        def ends(potential: Potential, rule: GradientDescent) -> dict[str, float]:
            """Structure → ΔQ after K steps."""
            found = endpoint_errors(potential, setting.held_out, rule, stop)
            return dict(zip(names, map(float, found), strict=True))

        nothing, weights = ends(setting.potential, old), ends(trained.potential, old)
        steps, both = ends(setting.potential, new), ends(trained.potential, new)
        start = Evidence(
            4, "", setting.data, setting.name, f"BPTT from both ends, learning {run}", HELD_OUT,
            AFTER_K, np.nan, provenance=setting.provenance(self, run),
        )  # fmt: skip
        compared = {
            "both changed, against neither": (nothing, both, ""),
            "weights alone, against neither": (nothing, weights, ""),
            "step sizes alone, against neither": (nothing, steps, ""),
            "weights alone, against step sizes alone": (steps, weights, paper.WEIGHTS),
        }
        rows = [
            of_pairs(
                replace(start, question=f"{HELD_OUT}: {what}", part=part), one, two,
                setting.groups, setting.noise_floor,
            )
            for what, (one, two, part) in compared.items()
        ]  # fmt: skip
        moved = (new.step_size / old.step_size).detach().reshape(-1)
        change = replace(
            start, quantity="step size, after/before", value=float(moved.log().mean().exp()),
            unit=NUMBER, exact=True, n=len(moved),
            remark=f"from {float(moved.min()):.3f} to {float(moved.max()):.3f}",
        )  # fmt: skip
        return [*rows, change]
