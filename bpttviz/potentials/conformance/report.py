"""`check_potential`: does a potential keep the contract? A table, and why not where it fails."""

from __future__ import annotations

import html
from dataclasses import dataclass

from ase import Atoms
from ase.build import bulk

from bpttviz.potentials.base import Potential
from bpttviz.potentials.conformance.check import CheckResult
from bpttviz.potentials.conformance.context import CheckContext
from bpttviz.potentials.conformance.contract import CHECKS
from bpttviz.structures import StructureError, Structures

MARKS = {"holds": "✓", "fails": "✗", "not claimed": "·", "does not apply": "–", "not reached": " "}


@dataclass(frozen=True)
class ConformanceReport:
    """What `check_potential` found; prints as a table.

    Attributes:
        potential: name of the class.
        precision: the floating-point type that the limits are for.
        structures: names of the structures used.
        findings: one a clause, in order.
    """

    potential: str
    precision: str
    structures: tuple[str, ...]
    results: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(f for f in self.results if f.status == "fails")

    @property
    def ok(self) -> bool:
        """Nothing that the potential claims, or that every potential must keep, fails."""
        return not self.failures

    def __getitem__(self, check: str) -> CheckResult:
        for result in self.results:
            if result.check == check:
                return result
        raise KeyError(f"no clause {check!r}; there are: {', '.join(c.name for c in CHECKS)}")

    @property
    def _summary(self) -> str:
        verdict = (
            "keeps the contract"
            if self.ok
            else f"breaks {len(self.failures)} of {len(self.results)} clauses"
        )
        return (
            f"{self.potential} {verdict} (limits for {self.precision}; "
            f"measured on {', '.join(self.structures)})"
        )

    def _rows(self) -> list[tuple[str, str, str, str]]:
        def number(value, unit):
            if value != value:
                return ""
            if value == 0 or unit == "values":
                return f"{value:.0f}"
            return f"{value:.1e} {unit or 'relative'}"

        return [
            (f.check, f.status, number(f.figure, f.unit), number(f.limit, f.unit))
            for f in self.results
        ]

    def __repr__(self) -> str:
        rows = [("clause", "", "measured", "allowed"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [self._summary]
        for row in rows:
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append(f"{MARKS.get(row[1], ' ')} {text}".rstrip())
        lines += [f"{MARKS[f.status]} {f.check}: {f.sentence}" for f in self._notable]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(check)}</th>"
            f"<td style='text-align:left;font-weight:{'bold' if status == 'fails' else 'normal'}'>"
            f"{MARKS[status]} {status}</td>"
            f"<td>{html.escape(measured)}</td><td>{html.escape(allowed)}</td></tr>"
            for check, status, measured, allowed in self._rows()
        )
        notes = "".join(
            f"<li><b>{html.escape(f.check)}</b>: {html.escape(f.sentence)}</li>"
            for f in self._notable
        )
        return (
            f"<p>{html.escape(self._summary)}</p><table><thead><tr>"
            "<th scope='col' style='text-align:left'>clause</th>"
            "<th scope='col' style='text-align:left'>verdict</th>"
            "<th scope='col'>measured</th><th scope='col'>allowed</th></tr></thead>"
            f"<tbody>{body}</tbody></table><ul>{notes}</ul>"
        )

    @property
    def _notable(self) -> list[CheckResult]:
        """What there is a sentence about: failures, what is not claimed, what does not apply."""
        order = ("fails", "not claimed", "does not apply")
        return sorted((f for f in self.results if f.sentence), key=lambda f: order.index(f.status))


def check_potential(
    potential: Potential, structures: Structures | Atoms | list[Atoms] | None = None
) -> ConformanceReport:
    """Measure every clause of the contract that `Potential` describes.

    About thirty evaluations of the potential: small structures make it quick. It is put into
    ``eval()`` mode meanwhile, as it is when it is used, and its weights are left as they were.

    Args:
        potential: the potential to check. `EnergyFunction` and `ForceFunction` make one of a module
            or a function.
        structures: where to measure; away from rest and symmetry, two or more of different sizes.
            None: silicon and rock salt, atoms displaced by 0.1 Å.

    Returns:
        `ConformanceReport`: prints as a table with an explanation of each failure; ``ok`` and
        ``failures`` for programs.

    Raises:
        TypeError: not a `Potential`.
        StructureError: the potential cannot describe the structures.
    """
    if not isinstance(potential, Potential):
        raise TypeError(
            f"a {type(potential).__name__} was given; wrap what gives energies in "
            "EnergyFunction(...), what gives forces in ForceFunction(...)"
        )
    given = structures is not None
    if not given:
        structures = _examples()
    elif not isinstance(structures, Structures):
        structures = Structures.from_ase(structures)
    context = CheckContext(potential, structures.to(potential.device))
    modes = [(module, module.training) for module in potential.modules()]
    try:
        potential.eval()
        try:
            context.at(context.structures.positions)
        except StructureError as error:
            if given:
                raise
            raise StructureError(
                f"the potential cannot describe the examples that stand in for your structures "
                f"({error}); pass some: check_potential(potential, structures)"
            ) from error
        except Exception:  # the first clause says what happened
            pass
        results = []
        for check in CHECKS:
            if results and results[0].status == "fails":
                results.append(check.unmeasured("not reached", ""))
            else:
                results.append(check.run(context))
    finally:
        for module, training in modes:
            module.training = training
    return ConformanceReport(
        type(potential).__name__, context.precision.name, structures.names, tuple(results)
    )


def _examples() -> Structures:
    """Two crystals, displaced: no symmetry is left, and bonds are ordinary."""
    silicon = bulk("Si")
    salt = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    for seed, atoms in enumerate((silicon, salt)):
        atoms.rattle(0.1, seed=seed)
    return Structures.from_ase([silicon, salt])
