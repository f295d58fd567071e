"""A relaxation forward and the gradient of its end backward, atom by atom and step by step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from bpttviz._checks import file_path
from bpttviz._files import write_atomic
from bpttviz._tensor_checks import gradients_enabled
from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import record_path, replayed_gradient
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.relax import checked_arguments
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures, to_structures

_KEY = "bpttviz-gradient-trace"
_STRUCTURES = ("numbers", "masses", "cell", "pbc", "fixed")


class NoEnd(RuntimeError):
    """The relaxation diverged: there is no end to look back from."""


@dataclass(frozen=True, eq=False)
class GradientTrace:
    """One relaxation of N atoms in K steps, and dL/dX_t on its way back through all of them.

    L is ΔQ(X_K, reference end), amu^½ Å. Everything is on the CPU, from the start (t = 0) on.

    Attributes:
        start: X_0, a batch of one.
        end: the reference end, the same atoms.
        positions: (K+1, N, 3) Å.
        forces: (K+1, N, 3) eV/Å; zero on held atoms.
        energy: (K+1,) eV.
        gradients: (K+1, N, 3) amu^½, dL/dX_t; zero on held atoms, which are no variables.
        contribution: (K,) norm of what step t alone adds to dL/dθ.
        places_matter: see `Potential.places_matter`; ΔQ then takes out no rigid motion.
        made: how: whatever its maker wants known, JSON-able.
    """

    start: Structures
    end: Structures
    positions: Tensor
    forces: Tensor
    energy: Tensor
    gradients: Tensor
    contribution: Tensor
    places_matter: bool = False
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the structure."""
        return self.start.names[0]

    @property
    def steps(self) -> int:
        """K."""
        return len(self.contribution)

    @property
    def delta_q(self) -> Tensor:
        """ΔQ(X_t, reference end) (K+1,), amu^½ Å; the last one is the loss."""
        frames = [self.start.with_positions(x) for x in self.positions]
        return torch.cat([delta_q(frame, self.end, self.places_matter) for frame in frames])

    @property
    def sensitivity(self) -> Tensor:
        """Norm (K+1,) of dL/dX_t over the atoms that may move, amu^½."""
        return self.gradients.flatten(1).norm(dim=1)

    @property
    def shares(self) -> Tensor:
        """(K+1, N): each atom's part of |dL/dX_t|², which add up to 1; zero where there is none."""
        squares = self.gradients.square().sum(2)
        whole = squares.sum(1, keepdim=True)
        return squares / torch.where(whole > 0, whole, torch.ones_like(whole))

    def write(self, path: str | Path) -> Path:
        """Keep it in a file (safetensors: numbers only, nothing that could run).

        Positions, energies, masses and cells have eight bytes a number, all else four.

        Raises:
            OSError: it cannot be written.
            TypeError, ValueError: no path, or a ``made`` that JSON cannot hold.
        """
        path = file_path("path", path)
        tensors = {name: getattr(self.start, name).contiguous() for name in _STRUCTURES}
        tensors |= {"end": self.end.positions, "positions": self.positions}
        for name in ("forces", "energy", "gradients", "contribution"):
            wide = name == "energy"  # a total energy has many digits before the point
            tensors[name] = getattr(self, name).to(torch.float64 if wide else torch.float32)
        known = {"name": self.name, "places_matter": self.places_matter, "made": dict(self.made)}
        header = {_KEY: json.dumps(known)}
        write_atomic(path, safetensors_bytes(tensors, header))
        return path

    @classmethod
    def read(cls, path: str | Path) -> GradientTrace:
        """What `write` left.

        Raises:
            ValueError: it is missing, damaged, or something else.
        """
        path = file_path("path", path)
        try:
            with safe_open(path, "pt") as content:
                header = json.loads((content.metadata() or {})[_KEY])
                tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
            held = {name: tensors.pop(name) for name in _STRUCTURES}
            end = tensors.pop("end")
            start = Structures(
                positions=tensors["positions"][0],
                structure_index=torch.zeros(len(end), dtype=torch.int64),
                names=(header["name"],),
                **held,
            )
            numbers = {name: value.double() for name, value in tensors.items()}
            known = {name: header[name] for name in ("places_matter", "made")}
            return cls(start, start.with_positions(end), **numbers, **known)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{path} holds no GradientTrace ({error})") from error

    def __repr__(self) -> str:
        sizes = self.sensitivity
        return (
            f"<GradientTrace of {self.name}: {self.steps} steps, ΔQ {float(self.delta_q[-1]):.3g} "
            f"amu^½ Å at the end, |dL/dX| {float(sizes[-1]):.3g} → {float(sizes[0]):.3g} on its "
            "way back>"
        )


def trace_gradient(
    potential: Potential,
    start: Structures | Atoms,
    end: Structures | Atoms,
    rule: UpdateRule | None = None,
    stop: StoppingCriterion | None = None,
) -> GradientTrace:
    """Relax one structure, then follow dL/dX back through every step; L is ΔQ(X_K, end).

    The time is that of one `CheckpointedBPTT` gradient; the memory is that of one step, and K
    times the positions. `bpttviz.diagnose_gradient` says in words what the norms mean.

    Args:
        potential, start, rule, stop: as in `relax`; one structure.
        end: the reference end, the same atoms.

    Raises:
        TypeError: an argument that is something else.
        ValueError: more than one structure.
        StructureError: start and end are not the same atoms; or the start cannot be evaluated.
        NoEnd: (a RuntimeError) the relaxation diverged: there is no end to look back from.
    """
    followed = follow_gradient(potential, start, end, rule, stop)
    loop, path = followed.loop, followed.path
    records = [*loop.records[: len(path) - 1], loop.measure(path[-1])]
    held = loop.structures.fixed
    forces = torch.stack([r.forces for r in records]).masked_fill(held[:, None], 0.0)

    def home(values: Tensor) -> Tensor:
        return values.detach().cpu().double()

    return GradientTrace(
        start=loop.structures.to("cpu", torch.float64),
        end=followed.end.to("cpu", torch.float64),
        positions=home(torch.stack([state.positions for state in path])),
        forces=home(forces),
        energy=home(torch.cat([r.energy for r in records])),
        gradients=home(followed.gradients),
        contribution=home(followed.contribution),
        places_matter=loop.potential.places_matter,
    )


@dataclass(frozen=True, eq=False)
class Followed:
    """What `follow_gradient` found.

    Attributes:
        loop: which has made the steps.
        path: K+1 states.
        end: the reference end, on the potential's device.
        loss: ΔQ at the end of the path, amu^½ Å.
        gradients: (K+1, N, 3) amu^½, dL/dX_t; zero on held atoms.
        contribution: (K,) norm of what step t alone adds to dL/dθ.
    """

    loop: Loop
    path: list[State]
    end: Structures
    loss: float
    gradients: Tensor
    contribution: Tensor


@gradients_enabled()
def follow_gradient(
    potential: Potential,
    start: Structures | Atoms,
    end: Structures | Atoms,
    rule: UpdateRule | None,
    stop: StoppingCriterion | None,
) -> Followed:
    """Record a relaxation, and take the gradient of ΔQ(X_K, end) back through it step by step.

    However far atoms are thrown, they are followed, as long as numbers are finite. Arguments and
    errors: see `trace_gradient`.
    """
    potential, rule, stop = checked_arguments(potential, rule, stop)
    start, end = (
        to_structures(name, value).to(potential.device)
        for name, value in (("start", start), ("end", end))
    )
    if len(start) != 1:
        raise ValueError(
            f"the gradient is followed through one structure at a time, got {len(start)}"
        )
    loop = Loop(potential, start, rule, stop, farthest=math.inf)
    path = record_path(loop, loop.begin(), stop.max_steps)
    if loop.divergences:
        lost = loop.divergences[0]
        raise NoEnd(
            f"{start.names[0]} diverged at step {lost.step} ({lost.cause}): no gradient to "
            "follow; a smaller step size or max_step may help"
        )
    leaf = path[-1].positions.clone().requires_grad_()
    with torch.enable_grad():
        loss = delta_q(start.with_positions(leaf), end, potential.places_matter).sum()
        (cotangent,) = torch.autograd.grad(loss, leaf)
    gradients, contribution = _backwards(loop, path, cotangent)
    return Followed(loop, path, end, float(loss.detach()), gradients, contribution)


def _backwards(loop: Loop, path: list[State], cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """`Followed.gradients` and ``contribution`` along a recorded path.

    Args:
        loop: which has made these steps.
        path: K+1 states.
        cotangent: (N, 3) gradient of the loss at its end.
    """
    parameters = [p for p in loop.potential.parameters() if p.requires_grad]
    incoming = [cotangent, *(torch.zeros_like(x) for x in path[-1].tensors[1:])]
    held = loop.structures.fixed[:, None]  # held atoms are no variables of the map
    gradients, contribution = [cotangent.masked_fill(held, 0.0)], []
    for state in reversed(path[:-1]):
        found = replayed_gradient(loop, state, 1, incoming, parameters)
        size = len(state.tensors)
        incoming = [
            torch.zeros_like(x) if g is None else g
            for g, x in zip(found[:size], state.tensors, strict=True)
        ]
        gradients.append(incoming[0].masked_fill(held, 0.0))
        norms = [g.norm().to(cotangent.dtype) for g in found[size:] if g is not None]
        contribution.append(torch.stack(norms).norm() if norms else cotangent.new_zeros(()))
    # A relaxation of no steps contributes nothing.
    added = torch.stack(contribution[::-1]) if contribution else cotangent.new_zeros(0)
    return torch.stack(gradients[::-1]), added
