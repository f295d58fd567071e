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
        if not (math.isfinite(low) and math.isfinite(high)):
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
class Part:
    """One of the questions that a claim consists of.

    Attributes:
        key: what rows of evidence name it by.
        title: the question, answered yes where the claim holds.
        rule: on the interval of a row.
    """

    key: str
    title: str
    rule: Rule


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
        """Decided by the rows that speak, if none disagrees and no more are open.

        It holds where at least one row is for it, none against, and no more are open than for it;
        it does not hold likewise the other way round.
        """
        count = {one: sum(o is one for _, o in self.rows) for one in Outcome}
        if count[Outcome.FOR] and not count[Outcome.AGAINST]:
            settled = count[Outcome.FOR] >= count[Outcome.OPEN]
            return Verdict.HOLDS if settled else Verdict.NOT_SETTLED
        if count[Outcome.AGAINST] and not count[Outcome.FOR]:
            settled = count[Outcome.AGAINST] >= count[Outcome.OPEN]
            return Verdict.DOES_NOT_HOLD if settled else Verdict.NOT_SETTLED
        return Verdict.NOT_SETTLED


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
