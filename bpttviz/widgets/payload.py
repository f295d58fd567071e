"""Two relaxations as numbers small enough for a page, for the player (player/index.js) to show."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from bpttviz.evaluation.report import Report
from bpttviz.plotting import trajectory
from bpttviz.plotting.palette import DISTANCE, GHOST, POTENTIALS
from bpttviz.plotting.scene import PERSPECTIVE, RADIUS, cell_edges, empty_sites, minority, view

MOST = 40_000  # atoms × frames of a path: 64 atoms × 60 frames ten times over, 0.24 MB a path
MARGIN = 2.5  # Å beyond each face in which periodic images are shown: about one bond
LONGEST_ARROW = 3.0  # Å, when drawn


def comparison_payload(
    paths: tuple[trajectory.AlignedTrajectory, trajectory.AlignedTrajectory], report: Report
) -> dict:
    """Two paths of one structure, as the browser needs them.

    Positions are a float32 reference (N, 3) and, for each path, int16 displacements from it with
    one scale, so their resolution is the path's largest displacement over 32767: 2e-5 Å where no
    atom moves more than 0.5 Å. Frames are thinned beyond `MOST`, and frames after a divergence,
    which are NaN, are not there: a path says where it ended and why. After the map's last step, K,
    the clock goes on with the frames on the way to rest, where the report has them.

    Args:
        paths: before and after, as `bpttviz.plotting.trajectory.trajectory_pair` returns them.
        report: where they come from; it knows what they come to at rest.

    Returns:
        what the ``Payload`` of player/comparison.js describes. Arrays are little-endian ``bytes``,
        which widgets transfer as they are; `with_text_for_bytes` makes text of them.
    """
    kept = trajectory.subsample(paths, MOST)
    last = max(p.steps for p in paths)
    limit = trajectory.colour_limit(paths)
    rests = [_rest(p, last) for p in paths]
    after = {step for rest in rests if rest for step in rest["steps"]} - {last}
    return {
        **contents(paths[0]),
        "symbols": sorted(set(paths[0].symbols)),
        "masses": report.reference(paths[0].structure).masses.cpu().numpy().round(3).tolist(),
        "mapSteps": last,
        "steps": max([last, *after]),
        "kept": [*kept.tolist(), *sorted(after)],
        "notes": _notes(paths, kept),
        "margin": MARGIN,
        "limit": round(float(limit), 3),
        "magnified": magnification(paths),
        "noiseFloor": report.noise_floor,
        "paths": [
            _path(p, kept, report, colour) | {"rest": rest}
            for p, colour, rest in zip(paths, POTENTIALS, rests, strict=False)
        ],
    }


def contents(path: trajectory.AlignedTrajectory) -> dict:
    """What does not move, and how it is looked at: part of the ``Payload`` of comparison.js."""
    species = sorted(set(path.symbols))
    shown, shifts = images(path)
    middle, reach = extent(path)
    return {
        "structure": path.structure,
        "radii": [round(float(covalent_radii[atomic_numbers[s]]), 3) for s in species],
        "drawn": RADIUS,
        "species": np.array([species.index(s) for s in path.symbols], "u1").tobytes(),
        "labels": [[atom, path.symbols[atom]] for atom in minority(path.symbols)],
        "reference": path.reference.astype("<f4").tobytes(),
        "vacancies": empty_sites(path).round(3).tolist(),
        "cell": cell_edges(path).reshape(-1, 3).round(3).tolist(),
        "imageOf": shown.astype("<u2").tobytes(),
        "imageShift": shifts.astype("<f4").tobytes(),
        "middle": middle.round(3).tolist(),
        "reach": round(reach, 3),
        "view": view().round(6).tolist(),
        "perspective": PERSPECTIVE,
        "scale": list(DISTANCE),
        "ghost": GHOST,
    }


def packed(moved: np.ndarray) -> dict:
    """Displacements (F, N, 3) Å as int16 with one ``scale``, Å a unit."""
    scale = max(float(np.abs(moved).max()), 1e-6) / 32767
    return {"scale": scale, "moved": (moved / scale).round().astype("<i2").tobytes()}


def with_text_for_bytes(payload: dict) -> dict:
    """The same payload with base64 text for bytes, as JSON can hold it: for a page."""

    def text(value: Any) -> Any:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, dict):
            return {key: text(item) for key, item in value.items()}
        return [text(item) for item in value] if isinstance(value, list) else value

    return text(payload)


def images(path: trajectory.AlignedTrajectory) -> tuple[np.ndarray, np.ndarray]:
    """Periodic images within `MARGIN` of the cell: the atom (M,) and its translation (M, 3) Å.

    Chosen by the reference end and kept throughout, so that no image comes and goes on the way.
    """
    cell = path.cell
    if not path.pbc.any() or abs(np.linalg.det(cell)) < 1e-6:
        return np.empty(0, int), np.empty((0, 3))
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    margin = MARGIN / heights
    fractional = path.reference @ inverse
    reach = [(-1, 0, 1) if periodic else (0,) for periodic in path.pbc]
    atoms, shifts = [], []
    for shift in itertools.product(*reach):
        if not any(shift):
            continue
        place = fractional + shift
        near = np.flatnonzero(((place > -margin) & (place < 1 + margin)).all(1))
        atoms.append(near)
        shifts.append(np.tile(np.array(shift) @ cell, (len(near), 1)))
    return np.concatenate(atoms), np.concatenate(shifts)


def magnification(paths: tuple[trajectory.AlignedTrajectory, ...]) -> int:
    """How many times their length arrows are drawn, so that they reach out of the spheres."""
    largest = max(float(p.distance[: p.last + 1].max()) for p in paths)
    return max((n for n in (1, 2, 5, 10) if n * largest <= LONGEST_ARROW), default=1)


def extent(path: trajectory.AlignedTrajectory) -> tuple[np.ndarray, float]:
    """Middle (3,) and radius, Å, of a sphere around the cell, the start and the reference end."""
    corners = cell_edges(path).reshape(-1, 3)
    points = np.concatenate([path.reference, path.positions[0], corners])
    middle = (points.min(0) + points.max(0)) / 2
    return middle, max(float(np.linalg.norm(points - middle, axis=1).max()), 2.0)


def _path(
    path: trajectory.AlignedTrajectory, kept: np.ndarray, report: Report, colour: str
) -> dict:
    moved = (path.positions - path.reference)[kept[kept <= path.last]]
    rest = report.row(path.potential, path.structure).dq_rest
    forces = report.force_errors.get((path.potential, path.structure))
    return {
        "potential": path.potential,
        "colour": colour,
        "last": path.last,
        "lost": path.lost,
        **packed(moved),
        "energy": _numbers(path.energy - path.energy[0]),
        "fmax": _numbers(path.fmax),
        "deltaQ": _numbers(path.delta_q),
        "deltaQAtRest": float(f"{rest:.5g}") if np.isfinite(rest) else None,
        "forceErrors": None if forces is None else _numbers(forces),
    }


def _rest(path: trajectory.AlignedTrajectory, last: int) -> dict | None:
    """The way to rest on the clock of a map whose last step is ``last``; None where not known."""
    rest = path.rest
    if rest is None or path.lost:
        return None
    stride = -(-2 * len(rest.steps) * len(path.symbols) // MOST)  # half as many frames as before
    chosen = np.unique([*range(0, len(rest.steps), stride), len(rest.steps) - 1])
    moved = (rest.positions - path.reference)[chosen]
    return {
        "steps": (last + rest.steps[chosen]).tolist(),
        "arrived": rest.arrived,
        **packed(moved),
        "energy": _numbers(rest.energy[chosen] - path.energy[0]),
        "fmax": _numbers(rest.fmax[chosen]),
        "deltaQ": _numbers(rest.delta_q[chosen]),
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    """Five digits are more than a curve can show; JSON knows no NaN."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def _notes(paths: tuple[trajectory.AlignedTrajectory, ...], kept: np.ndarray) -> list[str]:
    notes = [
        f"⚠ {p.potential} {p.lost}; it stays at its last frame, step {p.last}."
        for p in paths
        if p.lost
    ]
    notes += sorted({p.note for p in paths if p.note})
    steps = max(p.steps for p in paths)
    if steps == 0:
        notes.append("Only one frame: nothing to play.")
    elif len(kept) <= steps:
        notes.append(
            f"Thinned: one step in {np.diff(kept).max()} is shown, because {len(paths[0].symbols)} "
            f"atoms × {steps + 1} frames would be heavy and slow. The curves hold all steps."
        )
    return notes
