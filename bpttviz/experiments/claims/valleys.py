"""Claim 7: which gradient finds the right valley, and in how much memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import t as student_t

from bpttviz.evaluation.rest import Relaxer
from bpttviz.evaluation.statistics import CONFIDENCE
from bpttviz.experiments import basins
from bpttviz.experiments.claims import paper
from bpttviz.experiments.claims.evidence import SHARE, Evidence
from bpttviz.experiments.claims.study import Setting, Study
from bpttviz.experiments.cost import MODES, measure_costs
from bpttviz.experiments.origin import Provenance
from bpttviz.provenance import specification

SEEDS = 8
STEPS = 20
LANDSCAPE = "two valleys"
UNTRAINED, IMPLICIT, GUIDED = "untrained", "implicit", "guided"


class Valleys(Study):
    """Claim 7: walkers between two valleys, by every gradient (`bpttviz basins`), and memory.

    Both experiments are as they are: neither potential nor data of the setting enters.
    """

    claim = 7

    def runs(self, setting: Setting) -> tuple[str, ...]:
        """The landscapes, all seeds in one; and what a gradient through CHGNet holds."""
        return (LANDSCAPE, paper.MEMORY)

    def rows(self, setting: Setting, run: str) -> list[Evidence]:
        origin = replace(setting.provenance(self, run), data="", seed=None)
        if run == paper.MEMORY:
            return [_memory(setting, origin)]
        counts = basins.count_basins(
            run, basins.two_valleys, range(SEEDS), setting.out / "work" / "basins.jsonl",
            Relaxer(fmax=1e-3),
        )  # fmt: skip
        return rows_of_counts(counts, origin)


def _memory(setting: Setting, origin: Provenance) -> Evidence:
    """Peak memory of a guided gradient against that of one that keeps all graphs."""
    costs = measure_costs(setting.out / "work" / "cost", [STEPS], ["full", GUIDED])
    full, guided = (
        next(c for c in costs if c["mode"] == mode and c["steps"] == STEPS)
        for mode in ("full", GUIDED)
    )
    window = specification(MODES[GUIDED])["config"]["window"]
    held = [(one["peak_bytes"] - one["base_bytes"]) / 1e9 for one in (full, guided)]
    return Evidence(
        7, paper.MEMORY, "64 atoms of silicon", "chgnet",
        f"{GUIDED}, window {window} of {STEPS} steps",
        f"against all {STEPS} graphs", "peak memory of a gradient", held[1] / held[0], exact=True,
        n=1, groups=1, remark=f"{held[0]:.2f} GB, then {held[1]:.2f} GB", provenance=origin,
    )  # fmt: skip


def rows_of_counts(counts: list[basins.Count], origin: Provenance) -> list[Evidence]:
    """How many more walkers end right by one gradient than by another, seed by seed."""
    shares: dict[str, dict[int, float]] = {}
    for count in counts:
        shares.setdefault(count.mode, {})[count.seed] = count.right / count.of
    guided = next(mode for mode in shares if mode.startswith(GUIDED))
    full = next(mode for mode in shares if mode.startswith("full"))
    walkers = counts[0].of
    start = Evidence(
        7, "", "landscape", "two wells", "", f"held-out walkers, {walkers} a seed", "in the right "
        "valley", np.nan, provenance=origin,
    )  # fmt: skip
    rows = [
        _difference(replace(start, recipe=f"{mode}, against {UNTRAINED}"), shares[UNTRAINED], found)
        for mode, found in shares.items()
        if mode != UNTRAINED
    ]
    against = {IMPLICIT: paper.VALLEY, full: ""}
    rows += [
        _difference(
            replace(start, recipe=f"{guided}, against {mode}", part=part), shares[mode],
            shares[guided],
        )
        for mode, part in against.items()
    ]  # fmt: skip
    return rows


def _difference(start: Evidence, before: dict[int, float], after: dict[int, float]) -> Evidence:
    """Mean difference over seeds with its t interval."""
    apart = np.array([after[seed] - before[seed] for seed in before])
    error = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.nan
    reach = float(student_t.ppf((1 + CONFIDENCE) / 2, max(len(apart) - 1, 1)) * error)
    mean = float(apart.mean())
    return replace(
        start, value=mean, low=mean - reach, high=mean + reach, unit=SHARE, n=len(apart),
        groups=len(apart), worse=int((apart < 0).sum()), judged=len(apart),
        remark=f"{np.mean(list(before.values())):.0%} before, "
        f"{np.mean(list(after.values())):.0%} after",
    )  # fmt: skip
