"""`check_potential`: does a potential keep the contract? A table, and why not where it fails."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols, covalent_radii

from bpttviz._tensor_checks import gradients_enabled
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
        results: one a check, in order.
    """

    potential: str
    precision: str
    structures: tuple[str, ...]
    results: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The results of checks that fail."""
        return tuple(r for r in self.results if r.status == "fails")

    @property
    def ok(self) -> bool:
        """Nothing that the potential claims, or that every potential must keep, fails."""
        return not self.failures

    def __getitem__(self, check: str) -> CheckResult:
        for result in self.results:
            if result.check == check:
                return result
        raise KeyError(f"no check {check!r}; there are: {', '.join(c.name for c in CHECKS)}")

    @property
    def _summary(self) -> str:
        verdict = (
            "keeps the contract"
            if self.ok
            else f"breaks {len(self.failures)} of {len(self.results)} checks"
        )
        return (
            f"{self.potential} {verdict} (limits for {self.precision}; "
            f"measured on {', '.join(self.structures)})"
        )

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (r.check, r.status, _number(r.figure, r.unit), _number(r.limit, r.unit))
            for r in self.results
        ]

    def __repr__(self) -> str:
        rows = [("check", "", "measured", "allowed"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [self._summary]
        for row in rows:
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append(f"{MARKS.get(row[1], ' ')} {text}".rstrip())
        lines += [f"{MARKS[r.status]} {r.check}: {r.sentence}" for r in self._notable]
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
            f"<li><b>{html.escape(r.check)}</b>: {html.escape(r.sentence)}</li>"
            for r in self._notable
        )
        return (
            f"<p>{html.escape(self._summary)}</p><table><thead><tr>"
            "<th scope='col' style='text-align:left'>check</th>"
            "<th scope='col' style='text-align:left'>verdict</th>"
            "<th scope='col'>measured</th><th scope='col'>allowed</th></tr></thead>"
            f"<tbody>{body}</tbody></table><ul>{notes}</ul>"
        )

    @property
    def _notable(self) -> list[CheckResult]:
        """What there is a sentence about: failures, what is not claimed, what does not apply."""
        order = ("fails", "not claimed", "does not apply")
        return sorted((r for r in self.results if r.sentence), key=lambda r: order.index(r.status))


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return ""
    if value == 0 or unit == "values":
        return f"{value:.0f}"
    return f"{value:.1e} {unit or 'relative'}"


@gradients_enabled()
def check_potential(
    potential: Potential, structures: Structures | Atoms | Sequence[Atoms] | None = None
) -> ConformanceReport:
    """Run every check of the contract that `Potential` describes.

    About thirty evaluations of the potential: small structures make it quick. It is measured as it
    is found, in ``train()`` mode too, as nothing puts it into another one where it is evaluated or
    used in ASE (`finetune` trains a copy in ``eval()`` mode). Weights and buffers are left as they
    were.

    Args:
        potential: the potential to check. `EnergyFunction` and `ForceFunction` make one of a module
            or a function.
        structures: where to measure; away from rest and symmetry, two or more of different sizes.
            None: silicon and rock salt, atoms displaced by 0.1 Å.

    Returns:
        `ConformanceReport`: prints as a table with an explanation of each failure; ``ok`` and
        ``failures`` for programs.

    Raises:
        TypeError: not a `Potential`, or no structures.
        StructureError: the potential cannot describe the structures.
    """
    if not isinstance(potential, Potential):
        raise TypeError(_no_potential(potential))
    batch = _examples(potential) if structures is None else _as_batch(structures)
    context = CheckContext(potential, batch.to(potential.device))
    found = [(buffer, buffer.detach().clone()) for buffer in potential.buffers()]
    try:
        _require_describable(context, given=structures is not None)
        results: list[CheckResult] = []
        for check in CHECKS:
            if results and results[0].status == "fails":
                results.append(check.unmeasured("not reached", ""))
            else:
                results.append(check.run(context))
    finally:
        with torch.no_grad():
            for buffer, before in found:  # batch normalisation writes, in train() mode
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
    return ConformanceReport(
        type(potential).__name__, context.precision.name, batch.names, tuple(results)
    )


def _as_batch(structures: Structures | Atoms | Sequence[Atoms]) -> Structures:
    return structures if isinstance(structures, Structures) else Structures.from_ase(structures)


def _no_potential(value: object) -> str:
    if isinstance(value, type) and issubclass(value, Potential):
        name = value.__name__
        return f"the class {name} itself was given; make a potential of it: {name}(...)"
    return (
        f"a {type(value).__name__} was given where a Potential, as bv.CHGNet(), was expected; wrap "
        "what gives energies in EnergyFunction(...), what gives forces in ForceFunction(...)"
    )


def _require_describable(context: CheckContext, given: bool) -> None:
    """Refuse structures that the potential refuses; the first check tells of other errors."""
    try:
        context.at(context.structures.positions)
    except StructureError as error:
        if given:
            raise
        raise StructureError(
            f"the potential cannot describe the examples that stand in for your structures "
            f"({error}); pass some: check_potential(potential, structures)"
        ) from error
    except Exception:
        pass


def _examples(potential: Potential) -> Structures:
    """Two crystals, displaced: no symmetry is left, and bonds are ordinary.

    Silicon and rock salt; other elements where the potential does not know these.
    """
    known = potential.known_elements
    if known is None or {11, 14, 17} <= set(known):
        crystals = [bulk("Si"), bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)]
    else:
        one, other = known[0], known[-1]
        salt = chemical_symbols[one] + chemical_symbols[other]
        crystals = [
            bulk(chemical_symbols[one], "diamond", a=4 / 3**0.5 * _bond(one, one)),
            bulk(salt, "rocksalt", a=2 * _bond(one, other)) * (2, 1, 1),
        ]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.1, seed=seed)
    return Structures.from_ase(crystals)


def _bond(one: int, other: int) -> float:
    """An ordinary distance (Å) between atoms of two elements."""
    return 1.05 * float(covalent_radii[one] + covalent_radii[other])
