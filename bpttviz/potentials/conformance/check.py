"""One check: what should hold, how it is measured, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpttviz.potentials.base import Potential
from bpttviz.potentials.conformance.context import Bench, _Broken, _DoesNotApply


@dataclass(frozen=True)
class Finding:
    """One clause of the contract, measured.

    Attributes:
        clause: what should hold.
        status: "holds", "fails", "not claimed", "does not apply", or "not reached" where the first
            clause fails and nothing else can be asked.
        figure: the deviation found, NaN where there is none to give.
        limit: the largest deviation that passes.
        unit: of both; empty: relative.
        sentence: what to know about it; for a failure: what was wrong, why probably, what to do.
    """

    clause: str
    status: str
    figure: float
    limit: float
    unit: str
    sentence: str


@dataclass(frozen=True)
class Clause:
    """One thing that should hold.

    Attributes:
        name: what should hold, in a few words.
        measure: the deviation found in a bench; may raise `_Broken` or `_DoesNotApply`.
        limit: the largest deviation that passes.
        unit: of both.
        fault: the sentence for a deviation; ``{figure}`` stands for it.
        claimed: whether a potential claims it. None: every potential must keep it.
    """

    name: str
    measure: Callable[[Bench], float]
    limit: Callable[[Bench], float]
    unit: str
    fault: str
    claimed: Callable[[Potential], bool] | None = None

    def examine(self, bench: Bench) -> Finding:
        limit = self.limit(bench)
        claimed = self.claimed is None or self.claimed(bench.potential)
        figure = float("nan")
        try:
            figure = self.measure(bench)
        except _DoesNotApply as reason:
            return self.unmeasured("does not apply", str(reason))
        except _Broken as broken:
            fault = str(broken)
        except Exception as error:  # whatever a stranger's model raises is a finding
            fault = f"evaluating it raised {type(error).__name__}: {error}"
        else:
            if figure <= limit:  # NaN is not
                if claimed:
                    return Finding(self.name, "holds", figure, limit, self.unit, "")
                note = "not claimed, though it holds here"
                return Finding(self.name, "not claimed", figure, limit, self.unit, note)
            fault = self.fault.format(figure=f"{figure:.2g} {self.unit}".strip())
        if not claimed:
            # What the clause found, without the advice to change it.
            found = fault.split(";")[0].split(":")[0]
            note = f"not claimed, and indeed {found}"
            return Finding(self.name, "not claimed", figure, limit, self.unit, note)
        return Finding(self.name, "fails", figure, limit, self.unit, fault)

    def unmeasured(self, status: str, reason: str) -> Finding:
        nan = float("nan")
        return Finding(self.name, status, nan, nan, self.unit, reason)
