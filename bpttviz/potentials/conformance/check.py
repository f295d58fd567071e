"""One check: what should hold, how it is measured, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpttviz.potentials.base import Potential
from bpttviz.potentials.conformance.context import CheckContext, CheckFailed, NotApplicable

NAN = float("nan")


@dataclass(frozen=True)
class CheckResult:
    """One check, measured.

    Attributes:
        check: what should hold.
        status: "holds", "fails", "not claimed", "does not apply", or "not reached" where the first
            check fails and nothing else can be asked.
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
        measure: the deviation found in a context; may raise `CheckFailed` or `NotApplicable`.
        limit: the largest deviation that passes.
        unit: of both.
        failure_message: the sentence for a deviation; ``{figure}`` stands for it.
        claimed: whether a potential claims it. None: every potential must keep it.
    """

    name: str
    measure: Callable[[CheckContext], float]
    limit: Callable[[CheckContext], float]
    unit: str
    failure_message: str
    claimed: Callable[[Potential], bool] | None = None

    def run(self, context: CheckContext) -> CheckResult:
        """Measure it; whatever the potential raises meanwhile is a result."""
        limit, figure = self.limit(context), NAN
        try:
            figure = self.measure(context)
        except NotApplicable as reason:
            return self.unmeasured("does not apply", str(reason))
        except CheckFailed as failure:
            message = str(failure)
        except Exception as error:  # whatever a stranger's model raises
            message = f"evaluating it raised {type(error).__name__}: {error}"
        else:
            message = self.failure_message.format(figure=f"{figure:.2g} {self.unit}".strip())
        holds = figure <= limit  # NaN is not
        claimed = self.claimed is None or self.claimed(context.potential)
        if claimed:
            status, sentence = ("holds", "") if holds else ("fails", message)
        else:
            # What was found, without the advice to change it.
            found = message.split(";")[0].split(":")[0]
            status = "not claimed"
            sentence = (
                f"{status}, though it holds here" if holds else f"{status}, and indeed {found}"
            )
        return CheckResult(self.name, status, figure, limit, self.unit, sentence)

    def unmeasured(self, status: str, reason: str) -> CheckResult:
        """The result where nothing could be measured."""
        return CheckResult(self.name, status, NAN, NAN, self.unit, reason)
