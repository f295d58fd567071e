"""One check: what should hold, how it is measured, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpttviz.potentials.base import Potential
from bpttviz.potentials.conformance.context import CheckContext, CheckFailed, NotApplicable


@dataclass(frozen=True)
class CheckResult:
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

    check: str
    status: str
    figure: float
    limit: float
    unit: str
    sentence: str


@dataclass(frozen=True)
class Check:
    """One thing that should hold.

    Attributes:
        name: what should hold, in a few words.
        measure: the deviation found in a bench; may raise `CheckFailed` or `NotApplicable`.
        limit: the largest deviation that passes.
        unit: of both.
        fault: the sentence for a deviation; ``{figure}`` stands for it.
        claimed: whether a potential claims it. None: every potential must keep it.
    """

    name: str
    measure: Callable[[CheckContext], float]
    limit: Callable[[CheckContext], float]
    unit: str
    failure_message: str
    claimed: Callable[[Potential], bool] | None = None

    def run(self, context: CheckContext) -> CheckResult:
        limit = self.limit(context)
        claimed = self.claimed is None or self.claimed(context.potential)
        figure = float("nan")
        try:
            figure = self.measure(context)
        except NotApplicable as reason:
            return self.unmeasured("does not apply", str(reason))
        except CheckFailed as broken:
            failure_message = str(broken)
        except Exception as error:  # whatever a stranger's model raises is a finding
            failure_message = f"evaluating it raised {type(error).__name__}: {error}"
        else:
            if figure <= limit:  # NaN is not
                if claimed:
                    return CheckResult(self.name, "holds", figure, limit, self.unit, "")
                note = "not claimed, though it holds here"
                return CheckResult(self.name, "not claimed", figure, limit, self.unit, note)
            failure_message = self.failure_message.format(
                figure=f"{figure:.2g} {self.unit}".strip()
            )
        if not claimed:
            # What the clause found, without the advice to change it.
            found = failure_message.split(";")[0].split(":")[0]
            note = f"not claimed, and indeed {found}"
            return CheckResult(self.name, "not claimed", figure, limit, self.unit, note)
        return CheckResult(self.name, "fails", figure, limit, self.unit, failure_message)

    def unmeasured(self, status: str, reason: str) -> CheckResult:
        nan = float("nan")
        return CheckResult(self.name, status, nan, nan, self.unit, reason)
