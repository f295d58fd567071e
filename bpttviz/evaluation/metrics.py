"""What is measured of one structure under one potential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

# Where force errors are split: the first neighbours of a defect's atoms are near it, and a force
# below the other number is what a relaxation feels in its last steps.
NEAR = 3.0  # Å
WEAK = 0.1  # eV/Å

# Of the endpoint error near the defect: what a defect's properties depend on most.
AROUND = 5.0  # Å

RIGHT = ("same", "equivalent")  # the minima that are the reference's own
WRONG = ("different",)  # of what did not come to rest nothing is known

# What a reader needs to know about a column: its heading and how many decimals are meaningful.
HEADINGS = {
    "dq_k": ("ΔQ(X_K, ref)", 3),
    "dq_rest": ("ΔQ(X_rest, ref)", 3),
    "dq_k_rest": ("ΔQ(X_K, X_rest)", 3),
    "rmsd_rest": ("RMSD at rest / Å", 4),
    "force_mae": ("force MAE / eV/Å", 4),
    "force_slope": ("slope F/F_ref", 3),
}


@dataclass(frozen=True)
class StructureResult:
    """One structure under one potential.

    Attributes:
        structure, group, potential: names.
        dq_start: ΔQ between the start and the reference end, amu^½ Å: what there was to gain.
        dq_k: ΔQ(X_K, reference): the map as trained.
        dq_rest: ΔQ(X_rest, reference), X_rest being reached from X_K: the headline.
        dq_k_rest: ΔQ(X_K, X_rest): how far from rest K steps stopped.
        rmsd_k, rmsd_rest: Å.
        fmax_k: largest force at X_K, eV/Å.
        rest_steps, rest_converged: how the continuation to rest went. Where it did not converge
            there is no resting place, and the figures at rest are NaN.
        basin: "same", "equivalent" or "different" minimum than the reference end relaxes to;
            "unknown" where one of the two did not converge.
        force_mae: mean absolute component error on the reference frames, eV/Å, held atoms left
            out; NaN without frames.
        force_slope: least-squares slope of predicted against reference forces (softening below 1).
        force_cosine: cosine between all predicted and all reference forces.
        diverged: empty, or where and why the relaxation was given up; it begins with "not
            described" where the potential cannot be evaluated at the start.
        force_mae_near, force_mae_far: the same error over atoms within 3 Å of the defect's own
            atoms (see `bpttviz.evaluation.defects`), and over all others; NaN where there is no
            defect.
        force_mae_weak, force_mae_strong: over atoms whose reference force is below 0.1 eV/Å, and
            over all others.
        from_start: whether the optimiser alone, without the K steps, brings the start to rest: "at
            rest", "not at rest", or "not measured".
        dq_from_start: ΔQ between where it then rests and the reference; NaN where it does not.
        dq_rest_near: the part of dq_rest that atoms within 5 Å of the defect's own have; NaN where
            there is no defect.
    """

    structure: str
    group: str
    potential: str
    dq_start: float
    dq_k: float
    dq_rest: float
    dq_k_rest: float
    rmsd_k: float
    rmsd_rest: float
    fmax_k: float
    rest_steps: int
    rest_converged: bool
    basin: str
    force_mae: float
    force_slope: float
    force_cosine: float
    diverged: str = ""
    force_mae_near: float = float("nan")
    force_mae_far: float = float("nan")
    force_mae_weak: float = float("nan")
    force_mae_strong: float = float("nan")
    from_start: str = "not measured"
    dq_from_start: float = float("nan")
    dq_rest_near: float = float("nan")

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> StructureResult:
        """A row from the text of its cells; what has a default may be missing.

        Raises:
            ValueError: a cell that holds something else; names its column.
        """
        values: dict = {}
        kinds = {"int": int, "float": float, "str": str}
        for column in fields(cls):
            if column.name not in cells:
                continue
            cell = cells[column.name]
            if column.type == "bool":
                if cell not in ("True", "False"):
                    raise ValueError(f"{column.name} is {cell!r}, neither True nor False")
                values[column.name] = cell == "True"
                continue
            try:
                values[column.name] = kinds[str(column.type)](cell)
            except ValueError:
                raise ValueError(f"{column.name} is {cell!r}, no number") from None
        return cls(**values)

    @property
    def undescribed(self) -> bool:
        """Whether the potential could not be evaluated at the start."""
        return self.diverged.startswith(UNDESCRIBED)


# Columns that every table has had from the first version on.
REQUIRED = {f.name for f in fields(StructureResult) if f.default is MISSING}

# What `StructureResult.diverged` begins with where a potential cannot describe the start.
UNDESCRIBED = "not described"
