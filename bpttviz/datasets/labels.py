"""What frames say (energies, forces, settings) and what is measured on them, without torch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import find_mic


class DataError(ValueError):
    """A data file that cannot be used: says which one, what is wrong, and what to do."""


# What other programs and data sets put before (or after) "energy" and "forces" to say whose they
# are. "mace_forces" and the like are predictions, and no labels.
_WHOSE = (
    "ref|reference|dft|pbesol|pbe|lda|rscan|r2scan|scan|revpbe|rpbe|blyp|b3lyp|hse06|hse|gga|meta|qm|"
    "abinitio|firstprinciples|target|label|labels|true|truth|vasp|qe|espresso|gpaw|cp2k|castep|"
    "fhiaims|aims|orca|abinit|siesta|quantumespresso"
)
_UNIT = "(ev|evang|evangstrom|evpera|evperang|eva)?"
_ENERGY = re.compile(f"({_WHOSE})*(total|potential|free)?(energy|energies)({_WHOSE})*{_UNIT}")
_TOTAL = re.compile(f"({_WHOSE})*(toten|etot|etotal)({_WHOSE})*{_UNIT}")
_FORCES = re.compile(f"({_WHOSE})*(atomic|total)?(force|forces)({_WHOSE})*{_UNIT}")
_LIKE_FORCES = re.compile("force|gradient|frc")
_OTHER_VECTORS = re.compile("moment|vel|mag|spin|dipole|charge|scaled|frac|pos|disp|coord")

SAME_PLACE = 1e-5  # Å, the digits that a file may lose
# Steps (Å) along which forces are added up, the least change of energy (eV) that is judged by it,
# and the factor that is put down to a coarse path.
SHORT_STEP, TELLING, MOST_COARSE = 0.3, 0.02, 5.0
SETTLED, RESTARTED = 0.03, 0.5  # eV/Å, the largest force where a relaxation ends, and begins
LEAPT = 0.25  # Å; no optimiser moves an atom further where it feels next to nothing
APART = 0.05  # Å; between two frames at rest of one relaxation, where all of them are
ONE_EACH = "one file holds one, from its start to its end; read_pairs takes starts and ends apart"


@dataclass(frozen=True)
class FrameLabels:
    """What one frame says about itself, under whatever known names.

    Attributes:
        energy: eV; None where there is none.
        forces: (N, 3) eV/Å; None where there are none.
        aliases: names other than ASE's "energy" and "forces" that they were found under.
        ignored: names that look like labels and were not taken, each with the reason.
    """

    energy: float | None
    forces: np.ndarray | None
    aliases: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def finite(self) -> bool:
        """Whether what the frame says is neither NaN nor infinite."""
        stated = [label for label in (self.energy, self.forces) if label is not None]
        return all(np.isfinite(label).all() for label in stated)


def labels_of(frame: Atoms) -> FrameLabels:
    """Energy and forces of a frame, by ASE's names or by one of the known other ones.

    ASE's own come first. "free_energy" stands in for a missing energy only. Upper and lower case,
    dashes and underscores do not matter.
    """
    stale = _of_another_place(frame)
    known = dict(frame.calc.results) if frame.calc is not None and not stale else {}
    known = {key: value for key, value in known.items() if value is not None}
    others = {**frame.info, **known}
    energies = {
        key: value
        for key, value in others.items()
        if (_ENERGY.fullmatch(_plain(key)) or _TOTAL.fullmatch(_plain(key))) and _is_number(value)
    }
    per_atom = {key: value for key, value in frame.arrays.items() if key != "positions"}
    arrays = {**frame.info, **per_atom, **known}
    shaped = {k: v for k, v in arrays.items() if _are_numbers(v, (len(frame), 3))}
    forces = {k: v for k, v in shaped.items() if _FORCES.fullmatch(_plain(k))}
    energy_name, odd_energy = _choose(energies, "energy")
    forces_name, odd_forces = _choose(forces, "forces")
    unknown = [
        f"{key!r} (neither ASE's name nor a known other one of forces in eV/Å)"
        for key in arrays
        if key not in forces and _may_be_forces(key, shaped, bool(forces))
    ]
    if stale:
        unknown.append("what the calculator computed (the frame is not where it did)")
    return FrameLabels(
        energy=None if energy_name is None else float(np.ravel(energies[energy_name])[0]),
        forces=None if forces_name is None else np.asarray(forces[forces_name], float),
        aliases=tuple(n for n in (energy_name, forces_name) if n not in (None, "energy", "forces")),
        ignored=(*odd_energy, *odd_forces, *unknown),
    )


def _of_another_place(frame: Atoms) -> bool:
    """Whether a frame's calculator holds results, but of other positions, elements or cell.

    Frames that share one calculator all show what it computed last; ASE itself would not believe
    results of another place either.
    """
    computed = getattr(frame.calc, "atoms", None)
    if not isinstance(computed, Atoms) or not frame.calc.results:
        return False
    return not same_structure(computed, frame)


def _may_be_forces(key: object, shaped: dict, found: bool) -> bool:
    """Whether a user may have meant forces by what is not taken for them.

    That is by its name; or, where there are no forces, as it is a vector for each atom that is
    nothing else.
    """
    name = _plain(key)
    return bool(_LIKE_FORCES.search(name)) or (
        not found and key in shaped and not _OTHER_VECTORS.search(name)
    )


def _plain(key: object) -> str:
    return re.sub("[^a-z0-9]", "", str(key).lower())


def _is_number(value: object) -> bool:
    array = _as_array(value)
    return array.size == 1 and _is_real(array)


def _are_numbers(value: object, shape: tuple[int, ...]) -> bool:
    array = _as_array(value)
    return array.shape == shape and _is_real(array)


def _is_real(array: np.ndarray) -> bool:
    return np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)


def _as_array(value: object) -> np.ndarray:
    """An array; an empty one of what makes none, as a list of unequal lists."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.empty(0, object)


def _choose(found: dict, standard: str) -> tuple[str | None, list[str]]:
    """The name to take, and what is to be said of others that hold something else."""
    if not found:
        return None, []
    names = sorted(found, key=lambda key: (key != standard, "free" in _plain(key), key))
    chosen = names[0]
    rest = [key for key in names[1:] if "free" not in _plain(key)]
    differing = [key for key in rest if not np.array_equal(found[key], found[chosen])]
    return chosen, [f"{key!r} (other numbers than {chosen!r})" for key in differing]


def remarks(found: Sequence[FrameLabels]) -> list[str]:
    """What a user should know about the labels of a relaxation's frames, in sentences."""
    said = []
    aliases = sorted({name for labels in found for name in labels.aliases})
    if aliases:
        said.append(f"labels are read from {_listed(aliases)}, in eV and eV/Å")
    ignored = sorted({name for labels in found for name in labels.ignored})
    if ignored:
        said.append(f"not taken for labels: {', '.join(ignored)}")
    without = [number for number, labels in enumerate(found) if labels.forces is None]
    with_energy = any(labels.energy is not None for labels in found)
    if len(without) == len(found):
        if with_energy:
            said.append("energies come without forces, so that only start and end are used")
        return said
    if without:
        said.append(
            f"{len(without)} of {len(found)} frames come without forces ({_numbers(without)}); "
            f"the trajectory is of the other {len(found) - len(without)}"
        )
    if without and without[-1] == len(found) - 1:
        said.append("the last frame has no forces, so that nothing shows whether it is at rest")
    no_energy = sum(x.energy is None for x in found if x.forces is not None)
    if no_energy:
        have = "frame has" if no_energy == 1 else "frames have"
        said.append(f"{no_energy} {have} forces but no energy, which counts as unknown")
    return said


def restarts(found: Sequence[FrameLabels], moved: np.ndarray) -> list[str]:
    """Where a relaxation comes to rest and another one seems to begin, in a sentence.

    Args:
        found: what each of T frames says.
        moved: (T - 1,) Å, by how much an atom moves at most from each to the next.
    """
    largest = [
        np.nan if x.forces is None else float(np.linalg.norm(x.forces, axis=1).max(initial=0.0))
        for x in found
    ]
    if np.max(largest) < SETTLED and moved.max(initial=0.0) > APART:  # NaN is not below
        return [
            f"all {len(largest)} frames are at rest (at most {max(largest):.2g} eV/Å), and yet "
            f"{moved.max():.2g} Å apart. If they are ends of several relaxations: {ONE_EACH}"
        ]
    for frame, (here, then) in enumerate(itertools.pairwise(largest)):
        if here < SETTLED and then > RESTARTED:
            return [
                f"frame {frame} is at rest ({here:.2g} eV/Å), the next one is not ({then:.2g}): "
                f"probably another relaxation begins there; {ONE_EACH}"
            ]
        if here < SETTLED and moved[frame] > LEAPT:
            return [
                f"frame {frame} is at rest ({here:.2g} eV/Å), and an atom moves {moved[frame]:.2f} "
                f"Å to the next one: probably that is of another relaxation; {ONE_EACH}"
            ]
    return []


def disagreements(found: Sequence[FrameLabels], path: np.ndarray) -> list[str]:
    """Where energies do not fall as forces along a path (T, N, 3) Å say, in a sentence.

    By a factor that no coarse path explains: a sign, or forces in Hartree/Bohr (51 times eV/Å).
    """
    work = change = 0.0
    for (here, there), step in zip(itertools.pairwise(found), np.diff(path, axis=0), strict=True):
        labels = (here.energy, there.energy, here.forces, there.forces)
        if any(label is None for label in labels) or np.abs(step).max() > SHORT_STEP:
            continue
        work += float((0.5 * (here.forces + there.forces) * step).sum())  # type: ignore[operator]
        change += there.energy - here.energy  # type: ignore[operator]
    if abs(change) < TELLING or 1 / MOST_COARSE < -work / change < MOST_COARSE:
        return []
    return [
        f"along the path the energy changes by {change:+.3g} eV, and the forces make it "
        f"{-work:+.3g}: their sign or units (eV, eV/Å) are probably wrong"
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def _numbers(frames: Sequence[int]) -> str:
    shown = ", ".join(map(str, frames[:8])) + (", ..." if len(frames) > 8 else "")
    return f"frame {shown}" if len(frames) == 1 else f"frames {shown}"


def not_finite(frame: Atoms) -> str:
    """Which of a frame's numbers are not finite, in words; "" where all are."""
    if not np.isfinite(frame.positions).all():
        return "positions"
    return "" if labels_of(frame).finite else "energy or forces"


def has_labels(frame: Atoms) -> bool:
    """Whether energy (eV) and forces (eV/Å) come with a frame, by ASE's names."""
    return frame.calc is not None and {"energy", "forces"} <= frame.calc.results.keys()


def settings_of(frame: Atoms) -> str:
    """The settings that a frame's labels were made with, in the engine's words."""
    found = frame.info.get("settings")
    return "not stated" if found is None else str(found)


def unfinished(frames: Sequence[Atoms]) -> bool:
    """Whether the last frame says ``converged=False``, as the generator's partial files do.

    Text counts by what it says: some formats keep no other values.
    """
    said = frames[-1].info.get("converged", True)
    if isinstance(said, str):
        return said.strip().lower() in ("false", "f", "no", "n", "0", "none", "")
    return not np.all(said)


def same_structure(one: Atoms, other: Atoms) -> bool:
    """Whether two frames are one, but for the digits lost in a file (1e-5 Å)."""
    return (
        np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.pbc, other.pbc)
        # Vectors without periodicity say nothing about where atoms are.
        and np.allclose(one.cell[one.pbc], other.cell[other.pbc], rtol=0, atol=SAME_PLACE)
        and np.allclose(one.positions, other.positions, rtol=0, atol=SAME_PLACE)
    )


def largest_force(frame: Atoms) -> float:
    """Largest force on an atom of a labelled frame, eV/Å."""
    return float(np.linalg.norm(frame.calc.results["forces"], axis=1).max())


def delta_q(a: Atoms, b: Atoms) -> float:
    """Mass-weighted distance in amu^½ Å: minimum image, mass-weighted drift removed."""
    masses = a.get_masses()[:, None]
    moved, _ = find_mic(b.positions - a.positions, a.cell, a.pbc)
    moved = moved - (masses * moved).sum(0) / masses.sum()
    return float(np.sqrt((masses * moved**2).sum()))
