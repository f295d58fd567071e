"""A claim, the rule that decides it, and the verdict that rows of evidence give by that rule."""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from bpttviz.evaluation.statistics import MIN_SAMPLES
from bpttviz.experiments.claims.evidence import Evidence


class Outcome(enum.Enum):
    """What one row says of a claim."""

    FOR = "for"
    AGAINST = "against"
    OPEN = "open"


class Verdict(enum.Enum):
    """What all rows say of it."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    NOT_SETTLED = "not settled here"


class Rule(ABC):
    """When an interval (low, high) speaks for a claim, and when against it."""

    @abstractmethod
    def supports(self, low: float, high: float) -> bool:
        """Whether all of the interval is where the claim says."""

    @abstractmethod
    def contradicts(self, low: float, high: float) -> bool:
        """Whether all of it is elsewhere."""

    def outcome(self, row: Evidence) -> Outcome:
        """What a row says: nothing where it has no interval, or one of too few groups."""
        low, high = (row.value, row.value) if row.exact else (row.low, row.high)
        if math.isnan(low) or math.isnan(high):
            return Outcome.OPEN
        if not row.exact and not (math.isfinite(low) and math.isfinite(high)):
            return Outcome.OPEN
        if not row.exact and row.groups < MIN_SAMPLES:
            return Outcome.OPEN
        if self.supports(low, high):
            return Outcome.FOR
        return Outcome.AGAINST if self.contradicts(low, high) else Outcome.OPEN


@dataclass(frozen=True)
class Below(Rule):
    """The number is below a bound."""

    bound: float

    def supports(self, low: float, high: float) -> bool:
        return high < self.bound

    def contradicts(self, low: float, high: float) -> bool:
        return low >= self.bound

    def __str__(self) -> str:
        return f"below {self.bound:g}"


@dataclass(frozen=True)
class Above(Rule):
    """The number is above a bound."""

    bound: float

    def supports(self, low: float, high: float) -> bool:
        return low > self.bound

    def contradicts(self, low: float, high: float) -> bool:
        return high <= self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


@dataclass(frozen=True)
class Within(Rule):
    """The number is between two bounds: a test of equivalence."""

    least: float
    most: float

    def supports(self, low: float, high: float) -> bool:
        return self.least <= low and high <= self.most

    def contradicts(self, low: float, high: float) -> bool:
        return high < self.least or low > self.most

    def __str__(self) -> str:
        return f"within {self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class NoneLost(Rule):
    """A count is nought, of enough that it could have been more.

    One is against it. Nought of n leaves up to 3/n of all open (the rule of three), so that nought
    of a few is for nothing: 30 exclude that one in ten is lost.
    """

    least: int = 30

    def supports(self, low: float, high: float) -> bool:
        return high < 1

    def contradicts(self, low: float, high: float) -> bool:
        return low >= 1

    def outcome(self, row: Evidence) -> Outcome:
        found = super().outcome(row)
        few = row.judged is None or row.judged < self.least
        return Outcome.OPEN if found is Outcome.FOR and few else found

    def __str__(self) -> str:
        return f"none, of {self.least} or more"


@dataclass(frozen=True)
class Part:
    """One of the questions that a claim consists of.

    Attributes:
        key: what rows of evidence name it by.
        title: the question, answered yes where the claim holds.
        rule: on the interval of a row.
        potentials: that have to speak alike at least, where the claim is about potentials at large.
    """

    key: str
    title: str
    rule: Rule
    potentials: int = 1


@dataclass(frozen=True)
class Claim:
    """One claim of arXiv 2512.01067, and how it is decided here.

    Attributes:
        number: 1 to 7.
        title: in a few words.
        says: what the paper says.
        parts: that all have to hold.
    """

    number: int
    title: str
    says: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class PartResult:
    """What rows say of a part."""

    part: Part
    rows: tuple[tuple[Evidence, Outcome], ...]

    @property
    def verdict(self) -> Verdict:
        """Decided by the rows that speak, where none disagrees.

        It holds where rows are for it, of as many potentials as the part asks for, none is against
        it, and no more are open than for it; it does not hold likewise the other way round.
        """
        for one, other, verdict in (
            (Outcome.FOR, Outcome.AGAINST, Verdict.HOLDS),
            (Outcome.AGAINST, Outcome.FOR, Verdict.DOES_NOT_HOLD),
        ):
            if not self.those(other) and self._enough_speak(one):
                enough = len(_potentials(self.those(one))) >= self.part.potentials
                return verdict if enough else Verdict.NOT_SETTLED
        return Verdict.NOT_SETTLED

    @property
    def answer(self) -> str:
        """The verdict, and why there is none."""
        if self.verdict is not Verdict.NOT_SETTLED:
            return self.verdict.value
        if not self.rows:
            why = "no row"
        elif self.those(Outcome.FOR) and self.those(Outcome.AGAINST):
            why = "rows disagree"
        elif self._enough_speak(Outcome.FOR) or self._enough_speak(Outcome.AGAINST):
            why = "one potential"
        else:
            why = "most intervals leave it open"
        return f"{self.verdict.value}: {why}"

    def _enough_speak(self, outcome: Outcome) -> bool:
        """Whether a row has this outcome, and no more are open."""
        return len(self.those(outcome)) >= max(1, len(self.those(Outcome.OPEN)))

    def those(self, outcome: Outcome) -> list[Evidence]:
        """Rows of one outcome."""
        return [row for row, found in self.rows if found is outcome]


def _potentials(rows: Sequence[Evidence]) -> set[str]:
    """Names of the potentials that rows are about; of a mean, of all of them."""
    return {name for row in rows for name in row.potential.removeprefix("mean of ").split(", ")}


@dataclass(frozen=True)
class ClaimResult:
    """What rows say of a claim.

    Attributes:
        claim: which.
        parts: result of each of its parts.
        context: rows that decide nothing.
    """

    claim: Claim
    parts: tuple[PartResult, ...]
    context: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """Holds where all parts hold, does not hold where one does not; else not settled."""
        verdicts = {part.verdict for part in self.parts}
        if verdicts == {Verdict.HOLDS}:
            return Verdict.HOLDS
        if Verdict.DOES_NOT_HOLD in verdicts:
            return Verdict.DOES_NOT_HOLD
        return Verdict.NOT_SETTLED


def decide(claim: Claim, rows: Sequence[Evidence]) -> ClaimResult:
    """The verdict that rows give on a claim, by its own rules.

    Raises:
        ValueError: a row of this claim names a part that it does not have.
    """
    mine = [row for row in rows if row.claim == claim.number]
    known = {part.key for part in claim.parts} | {""}
    if unknown := {row.part for row in mine} - known:
        raise ValueError(f"claim {claim.number} has no part {', '.join(sorted(unknown))!r}")
    results = []
    for part in claim.parts:
        asked = [row for row in mine if row.part == part.key]
        results.append(PartResult(part, tuple((row, part.rule.outcome(row)) for row in asked)))
    return ClaimResult(claim, tuple(results), tuple(row for row in mine if not row.part))
