"""`RelaxNow`: a button that relaxes a structure whose path a report has not kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from html import escape

import ipywidgets

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.report import Report
from bpttviz.plotting.figure import UNIT
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion


class RelaxNow(ipywidgets.VBox):
    """Relaxes one structure under the potentials of a report, in a thread, and adds its paths.

    Args:
        potentials: name → potential, of those that are compared.
        references: relaxations, by the names of the report's structures.
        rule, stop: the map that the report was made with; None: as of `evaluate`.
        done: called with the structure's own report, from the thread that made it.
    """

    def __init__(
        self,
        potentials: Mapping[str, Potential],
        references: RelaxationDataset,
        rule: UpdateRule | None,
        stop: StoppingCriterion | None,
        done: Callable[[Report], None],
    ):
        self._potentials, self._references, self._map = dict(potentials), references, (rule, stop)
        self._done, self._structure = done, ""
        self._busy = threading.Lock()
        self.button = ipywidgets.Button(description="Show its relaxation", layout={"width": "auto"})
        self.button.on_click(lambda _: self.start())
        self.words = ipywidgets.HTML()
        super().__init__([self.button, self.words])

    def offer(self, structure: str) -> None:
        """Say what would be done with ``structure``; nothing changes while one is relaxed."""
        self._structure = structure
        if self._busy.locked():
            return
        known = structure in self._references.names
        self.button.disabled = not known
        self._say(
            f"{structure} under {' and '.join(self._potentials)}, here and now: with a large "
            "network that takes minutes."
            if known
            else f"{structure} is not among the references given."
        )

    def start(self) -> threading.Thread | None:
        """Relax the structure that is offered; None where one is being relaxed already."""
        if self._structure not in self._references.names or not self._busy.acquire(blocking=False):
            return None
        self.button.disabled = True
        self._say(f"Relaxing {self._structure} …")
        thread = threading.Thread(target=self._relax, args=(self._structure,), daemon=True)
        thread.start()
        return thread

    def _relax(self, structure: str) -> None:
        began = time.monotonic()
        try:
            found = evaluate(
                self._potentials, self._references[[structure]], *self._map, progress=False
            )
            self._done(found)
            ends = " → ".join(f"{found.row(p, structure).dq_rest:.2f}" for p in self._potentials)
            words = f"ΔQ at rest {ends} {UNIT.replace('^', '')}"
        except Exception as error:  # nobody else would see it: this is a thread
            words = f"it could not be relaxed: {error}"
        finally:
            self._busy.release()
        self.button.disabled = self._structure not in self._references.names
        self._say(f"{structure}, relaxed here in {time.monotonic() - began:.0f} s: {words}.")

    def _say(self, words: str) -> None:
        self.words.value = f"<p role='status'>{escape(words)}</p>"


def with_paths(report: Report, found: Report) -> Report:
    """A report's own rows, with the paths and ends of another one of its structures."""
    return Report(
        report.rows,
        {**report.relaxations, **found.relaxations},
        {**report.references, **found.references},
        {**report.rests, **found.rests},
        report.noise_floor,
        report.labels,
        {**report.rest_paths, **found.rest_paths},
        {**report.force_errors, **found.force_errors},
    )
