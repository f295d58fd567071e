"""Pictures of atoms and of the forces on them, from structures rather than from a report.

Each function takes results and returns a figure with alternative text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from bpttviz._checks import mapping_of, sequence_of
from bpttviz.plotting import trajectory
from bpttviz.plotting.arguments import numbers
from bpttviz.plotting.figure import UNIT, AccessibleFigure, despine, plain
from bpttviz.plotting.palette import BLUE, GREY, TEXT, VERMILION
from bpttviz.plotting.scene import Scene, colour_bar
from bpttviz.structures import Structures

LONGEST = 2.4  # Å, of the longest arrow of a picture: about a bond


def plot_snapshots(
    structures: Mapping[str, Structures | Atoms],
    reference: Structures | Atoms,
    title: str = "",
) -> AccessibleFigure:
    """Structures of the same atoms side by side, coloured by distance to the reference.

    The reference stands behind each as blue ghosts; ΔQ to it stands above. Rigid motions that cost
    nothing are taken out, and the defect is in the middle.

    Args:
        structures: label → structure (a batch of one, or ``ase.Atoms``): a start and the ends that
            it was led to, for instance.
        reference: the same atoms in the same order and cell.
        title: of the whole.

    Raises:
        StructureError: not the same atoms, order or cell.
        TypeError: neither structures nor ``ase.Atoms``.
        ValueError: nothing to show.
    """
    structures = _require("structures", structures, "structure")
    batch = trajectory.as_structures(list(structures.values()))
    path = trajectory.AlignedTrajectory.from_structures(
        batch, trajectory.as_structures(reference), title
    )
    farthest = path.distance.max(1)
    # The start may exceed the scale: what differs between the ends is what should be seen.
    limit = max(np.ceil(20 * np.median(farthest)) / 20, 0.05)
    picture = AccessibleFigure((3.6 * len(structures) + 0.8, 4.2))
    panels = picture.subplots(1, len(structures), squeeze=False)[0]
    words = []
    for step, (axes, label) in enumerate(zip(panels, structures, strict=True)):
        scene = Scene(axes, path, limit)
        scene.show(step)
        axes.set_title(
            plain(f"{label}\nΔQ {path.delta_q[step]:.2f} {UNIT}"), fontsize=10, color=TEXT
        )
        words.append(
            f"{label}: ΔQ {path.delta_q[step]:.2f} {UNIT}, farthest atom {farthest[step]:.2f} Å"
        )
    colour_bar(picture, panels, limit, "distance to the reference / Å")
    if title:
        picture.suptitle(plain(title), fontsize=11, color=TEXT, x=0.01, ha="left")
    picture.alt_text = (
        f"{title or 'Atoms'} in {len(structures)} panels, coloured by distance to the reference, "
        "which stands behind them in blue. " + "; ".join(words) + "."
    )
    return picture


def plot_forces(
    atoms: Structures | Atoms, by: Mapping[str, np.ndarray], title: str = ""
) -> AccessibleFigure:
    """The forces on one structure as arrows, a panel for each who says what they are.

    All panels share one scale of arrows and one of colours, so lengths can be compared.

    Args:
        atoms: the structure (a batch of one, or ``ase.Atoms``).
        by: label → forces (N, 3) eV/Å.
        title: of the whole.

    Raises:
        TypeError: neither structures nor ``ase.Atoms``.
        ValueError: nothing to show, or forces of another shape.
    """
    by = _require("by", by, "set of forces")
    structure = trajectory.as_structures(atoms)
    shape = tuple(structure.positions.shape)
    for label, values in by.items():
        if np.shape(values) != shape:
            raise ValueError(
                f"forces {label!r} have shape {np.shape(values)}; {shape[0]} atoms need {shape}"
            )
    by = {label: numbers(f"forces {label!r}", values) for label, values in by.items()}
    path = trajectory.AlignedTrajectory.from_structures(structure, structure, title)
    sizes = {label: np.linalg.norm(values, axis=1) for label, values in by.items()}
    largest = max(float(size.max()) for size in sizes.values()) or 1.0
    picture = AccessibleFigure((4.3 * len(by) + 0.8, 4.7))
    panels = picture.subplots(1, len(by), squeeze=False)[0]
    words = []
    for axes, (label, values) in zip(panels, by.items(), strict=True):
        scene = Scene(axes, path, largest, sizes[label][None])
        scene.show(0)
        scene.point(0, values * LONGEST / largest)
        atom = int(sizes[label].argmax())
        size = sizes[label][atom]
        axes.set_title(f"{plain(label)}\nlargest {size:.2f} eV/Å", fontsize=10, color=TEXT)
        words.append(
            f"{label}: largest {size:.2f} eV/Å on atom {atom} ({path.symbols[atom]}), "
            f"mean {sizes[label].mean():.2f} eV/Å"
        )
    colour_bar(picture, panels, largest, "force / eV/Å")
    if title:
        picture.suptitle(plain(title), fontsize=11, color=TEXT, x=0.01, ha="left")
    picture.alt_text = f"{title or 'Forces'} as arrows on the atoms. " + "; ".join(words) + "."
    return picture


def plot_parity(
    forces: Mapping[str, tuple[np.ndarray, np.ndarray]], reference: str = "DFT"
) -> AccessibleFigure:
    """Predicted against reference force components, a panel for each potential.

    The dashed line is where all points should lie; the other one is the least-squares line through
    the origin, whose slope below 1 is called softening.

    Args:
        forces: label → (predicted, reference) components, any shape, eV/Å.
        reference: what the reference is called.

    Raises:
        ValueError: nothing to show, or shapes that differ.
    """
    pairs = {}
    for label, pair in _require("forces", forces, "set of forces").items():
        both = sequence_of(f"forces of {label!r}", pair, object, "(predicted, reference)")
        if len(both) != 2:
            raise ValueError(f"forces of {label!r} must be (predicted, reference)")
        pairs[label] = tuple(numbers(f"forces of {label!r}", part) for part in both)
    for label, (predicted, true) in pairs.items():
        if predicted.shape != true.shape:
            raise ValueError(f"{label!r}: {predicted.shape} predicted, {true.shape} reference")
    reach = 1.05 * max(float(np.abs(x).max()) for pair in pairs.values() for x in pair)
    picture = AccessibleFigure((2.9 * len(pairs) + 0.5, 3.5))
    panels = picture.subplots(1, len(pairs), squeeze=False, sharey=True)[0]
    words = []
    for axes, (label, (predicted, true)) in zip(panels, pairs.items(), strict=True):
        despine(axes)
        slope = float((predicted * true).sum() / (true**2).sum())
        error = float(np.abs(predicted - true).mean())
        axes.plot(true.ravel(), predicted.ravel(), ".", color=BLUE, ms=4, alpha=0.5, mew=0)
        ends = np.array([-reach, reach])
        axes.plot(ends, ends, "--", color=GREY, lw=1.2, label="right")
        axes.plot(ends, slope * ends, "-", color=VERMILION, lw=1.6, label=f"slope {slope:.2f}")
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_title(f"{plain(label)}\nmean error {error:.3f} eV/Å", fontsize=10, color=TEXT)
        axes.set_xlabel(f"{plain(reference)} / eV/Å")
        axes.legend(fontsize=9, frameon=False, loc="upper left")
        words.append(f"{label}: slope {slope:.2f}, mean absolute error {error:.3f} eV/Å")
    panels[0].set_ylabel("predicted / eV/Å")
    picture.alt_text = f"Predicted against {reference} force components. " + "; ".join(words) + "."
    return picture


def _require(name: str, value: object, what: str) -> dict[str, Any]:
    """A mapping from labels with something to show. Raises TypeError, ValueError otherwise."""
    found = mapping_of(name, value, object, '{"label": ...}')
    if not found:
        raise ValueError(f"there is no {what} to show")
    return found
