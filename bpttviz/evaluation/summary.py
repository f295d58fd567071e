"""A report in numbers: a line for each potential."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bpttviz.evaluation.metrics import HEADINGS

if TYPE_CHECKING:
    from bpttviz.evaluation.report import Report


def lines(report: Report) -> list[dict]:
    """See `Report.summary`."""
    whole = report.complete
    result = []
    for potential in report.potentials:
        line: dict = {"potential": potential}
        for column in HEADINGS:
            line[column] = report.mean(column, potential)
        if potential != report.potentials[0]:
            line |= _change_at_rest(whole, report.potentials[0], potential)
        line["same_basin"] = int((whole.column("basin", potential) == "same").sum())
        line["not_at_rest"] = int(np.logical_not(whole.column("rest_converged", potential)).sum())
        line["diverged"] = int((whole.column("diverged", potential) != "").sum())
        line["n"] = len(whole.structures)
        if report.labels:
            line["labels"] = report.labels.get(potential, "")
        result.append(line)
    return result


def _change_at_rest(whole: Report, first: str, potential: str) -> dict:
    """Ratio, and how many of how many structures got worse; a new divergence is worse too."""
    before, after = (whole.column("dq_rest", p) for p in (first, potential))
    gone = int((np.isfinite(before) & ~np.isfinite(after)).sum())
    try:
        change = whole.compare("dq_rest", first, potential)
    except (KeyError, ValueError):  # nothing was measured under both, or nothing came to rest
        none = {"kept_right": 0, "lost": 0}
        return {"ratio_rest": float("nan"), "worse": gone, "compared": gone, **none}
    return {
        "ratio_rest": change.ratio,
        "worse": change.worse + gone,
        "compared": change.judged + gone,
        "kept_right": len(change.kept_right),
        "lost": len(change.lost),
    }
