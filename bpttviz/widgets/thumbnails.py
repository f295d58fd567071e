"""Small pictures of structures: where they rest under each potential, seen from the reference."""

from __future__ import annotations

import numpy as np

from bpttviz.evaluation.report import Report
from bpttviz.plotting import trajectory
from bpttviz.structures import Structures, concatenate
from bpttviz.widgets.payload import contents, packed, with_text_for_bytes

MOST_ATOMS = 20_000  # in all structures together: about half a megabyte


def thumbnails(report: Report, structures: list[str], potentials: list[str]) -> dict[str, dict]:
    """Structure → what thumbnail.js draws; none of those whose reference end the report lacks.

    Args:
        report: what was measured. A table alone keeps no structures.
        structures: names.
        potentials: names of those whose resting places are shown, where they are known.
    """
    known = [name for name in structures if name in report.references]
    if sum(len(report.references[name].positions) for name in known) > MOST_ATOMS:
        return {}
    return {name: _thumbnail(report, name, potentials) for name in known}


def _thumbnail(report: Report, name: str, potentials: list[str]) -> dict:
    end = _at_home(report.references[name])
    rests = {p: _at_home(rest) for p in potentials if (rest := report.rests.get((p, name)))}
    ways = {p: rest for p, rest in rests.items() if _comparable(rest, end)}
    path = trajectory.AlignedTrajectory.from_structures(
        concatenate([end, *ways.values()]), end, name
    )
    frames = range(len(ways) + 1)
    still = {"energy": [None for _ in frames], "fmax": [], "deltaQ": []}
    return with_text_for_bytes(
        {
            **contents(path),
            "imageOf": b"",
            "imageShift": b"",
            "steps": len(ways),
            "kept": list(frames),
            "notes": [],
            "margin": 0,
            "limit": max(round(float(path.distance.max()), 3), 0.05),
            "magnified": 1,
            "noiseFloor": None,
            "potentials": list(ways),
            "paths": [
                {
                    "potential": "", "colour": "", "last": len(ways), "lost": "",
                    "deltaQAtRest": None, **packed(path.positions - path.reference), **still,
                }
            ],
        }
    )  # fmt: skip


def _at_home(one: Structures) -> Structures:
    return one.to("cpu", one.dtype)


def _comparable(rest: Structures, end: Structures) -> bool:
    """Whether two differ in places alone: in another cell nothing could be said of distances."""
    return np.allclose(rest.cell.cpu().numpy(), end.cell.cpu().numpy(), atol=1e-3)
