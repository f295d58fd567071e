"""Rigid motions that cost nothing: which are free, and how two places differ but for them.

Which motions are free follows from the structure alone. Held atoms are the frame of reference: only
what leaves all of them in place is free.

| held | nothing periodic | one periodic direction | more |
|---|---|---|---|
| none | translations, all rotations | translations, rotation about it | translations |
| one atom | rotations about it | rotation about the direction through it | nothing |
| more, on a line | rotation about the line | the same, if it is along the direction | nothing |
| more | nothing | nothing | nothing |

Potentials may know more (a landscape has a north): see `relaxation.zero_modes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bpttviz.geometry import (
    fractional_coordinates,
    minimum_image,
    reduced_cells,
    segment_max,
    segment_mean,
    segment_sum,
    shortest_period,
)
from bpttviz.structures import Structures

# Relative to the largest length: held atoms this close to a line are on it, and a motion whose
# singular value is this small moves nothing (a linear molecule's rotation about itself).
RANK_TOLERANCE = 1e-6

# Starts of the search for a common translation where the first one is not surely the best.
STARTS = 16


@dataclass(frozen=True, eq=False)
class RigidMotions:
    """The free rigid motions of B structures.

    Attributes:
        translations: (B,) bool.
        rotations: (B,) int64: about no axis (0), about one (1) or about all three (3).
        axis: (B, 3) unit vectors, of those that turn about one.
        held: (B,) int64, an atom that stays in place while others turn about it; -1 where none is
            held, and the centre does.
    """

    translations: Tensor
    rotations: Tensor
    axis: Tensor
    held: Tensor

    def modes(self, structures: Structures) -> Tensor:
        """(N, 3, 6): these motions as unit vectors orthogonal within each structure.

        Unused ones are zero: a linear molecule has five, a single atom three.
        """
        pieces = []
        for index, positions in enumerate(structures.split(structures.positions.detach())):
            held, turns = int(self.held[index]), int(self.rotations[index])
            pivot = positions.mean(0) if held < 0 else structures.positions.detach()[held]
            axes = torch.eye(3).to(positions) if turns == 3 else self.axis[[index]][:turns]
            pieces.append(_modes(positions - pivot, axes, bool(self.translations[index])))
        return torch.cat(pieces)


def free_rigid_motions(
    structures: Structures, translations: bool = True, rotations: bool = True
) -> RigidMotions:
    """What each structure may do as a whole at no cost.

    Args:
        structures: B of them.
        translations: False for a potential that knows absolute positions: then nothing is free.
        rotations: False for a potential that knows directions.
    """
    index, count = structures.structure_index, len(structures)
    held = segment_sum(structures.fixed.long(), index, count)
    periodic = structures.pbc.sum(1)
    atoms = torch.arange(len(index), device=index.device)
    first = segment_max(
        torch.where(structures.fixed, -atoms.double(), -torch.inf), index, count
    )  # negative: the smallest
    cell = torch.where(structures.pbc[:, :, None], structures.cell, 0.0).sum(1)
    turns = torch.where(periodic == 0, 3, torch.where(periodic == 1, 1, 0))
    turns = turns * rotations * translations
    axis = cell / torch.where(periodic == 1, cell.norm(dim=1), 1.0)[:, None]
    for several in ((held > 1) & (turns > 0)).nonzero().flatten().tolist():
        here = structures.positions.detach()[structures.fixed & (index == several)]
        direction = axis[several] if int(turns[several]) == 1 else None
        turns[several], axis[several] = _about_held(here, direction)
    return RigidMotions(
        translations=(held == 0) & translations,
        rotations=turns,
        axis=axis.detach(),
        held=torch.where(held > 0, torch.nan_to_num(-first, posinf=-1), -1.0).long(),
    )


def without_rigid_motions(
    start: Structures, end: Structures, weights: Tensor, motions: RigidMotions
) -> Tensor:
    """Displacement (N, 3) Å of every atom but for the rigid motion that explains most of it.

    Of all translations, rotations and periodic images it is the one for which Σ_j w_j |ΔX_j|² is
    smallest. Displacements are given in the frame of ``start``.

    Args:
        start, end: the same atoms at two sets of positions.
        weights: (N,) e.g. masses.
        motions: the free ones.

    The images and the rotation are found without gradient. For Σ w |ΔX|² itself the gradient is
    exact all the same: at the smallest value it does not depend on the rotation (the envelope
    theorem). Where the end is the start but for a rotation, what is left is rounding; it is set to
    zero, and its gradient with it.
    """
    index, count = start.structure_index, len(start)
    moved = _nearest_images(start, end.positions - start.positions, weights, motions.translations)
    mean = segment_mean(moved, weights, index, count)
    plain = moved - torch.where(motions.translations[:, None], mean, 0.0)[index]
    if not bool((motions.rotations > 0).any()):
        return plain

    def around(positions: Tensor) -> Tensor:
        """Where each structure's atoms turn about (N, 3) Å."""
        centre = segment_mean(positions, weights, index, count)
        chosen = positions[motions.held.clamp(min=0)]
        return torch.where((motions.held >= 0)[:, None], chosen, centre)[index]

    there = start.positions + moved
    x, y = start.positions - around(start.positions), there - around(there)
    with torch.no_grad():
        rotation = _best_rotations(x, y, weights, index, motions)
    turned = (rotation.to(y)[index] @ y[:, :, None]).squeeze(2) - x
    turned = turned + torch.where(
        motions.translations[index, None], 0.0, around(there) - around(start.positions)
    )
    with torch.no_grad():

        def size(vectors: Tensor) -> Tensor:
            return segment_sum(weights * (vectors**2).sum(1), index, count)

        # Only where it helps: the same structure twice is to have a distance of exactly zero.
        useful = (motions.rotations > 0) & (size(turned) < size(plain))
        rounding = 16 * torch.finfo(turned.dtype).eps
        nothing = useful & (size(turned) < rounding**2 * size(start.positions.abs() + x.abs()))
    turned = torch.where(nothing[index, None], 0.0, turned)
    return torch.where(useful[index, None], turned, plain)


def _about_held(held: Tensor, direction: Tensor | None) -> tuple[int, Tensor]:
    """Whether (1 or 0) all held atoms (H, 3) Å are on one line, and its direction (3,)."""
    offsets = held - held[0]
    span = offsets.norm(dim=1)
    if direction is None:
        direction = offsets[span.argmax()] / span.max()
    across = offsets - (offsets @ direction)[:, None] * direction
    return int(across.norm(dim=1).max() < RANK_TOLERANCE * span.max()), direction


def _modes(around: Tensor, axes: Tensor, translations: bool) -> Tensor:
    """(n, 3, 6): an orthonormal basis of one structure's rigid motions, padded with zeros."""
    count = len(around)
    motions = [torch.linalg.cross(axis.expand(count, 3), around) for axis in axes]
    if translations:
        motions += list(torch.eye(3).to(around)[:, None].expand(3, count, 3))
    result = around.new_zeros(count, 3, 6)
    if not motions:
        return result
    stacked = torch.stack(motions, 2).reshape(3 * count, -1)
    basis, size, _ = torch.linalg.svd(stacked, full_matrices=False)
    basis = basis[:, size > RANK_TOLERANCE * max(float(size.max()), RANK_TOLERANCE)]
    result[:, :, : basis.shape[1]] = basis.reshape(count, 3, -1)
    return result


def _nearest_images(start: Structures, moved: Tensor, weights: Tensor, free: Tensor) -> Tensor:
    """``moved`` (N, 3) Å by those images whose spread about a common translation is smallest.

    A structure that moved as a whole by half a lattice vector has its atoms' shortest images on
    both sides; so the translation comes first (a circular mean), then the images, then a better
    translation, until nothing changes. Where every atom is then within a quarter of the shortest
    lattice vector of the common translation, each *pair* of atoms is at its nearest image, and no
    choice is better. Elsewhere other translations (none; single atoms') are tried too.

    ``free`` (B,): which structures may be translated at all.
    """
    if not bool(start.pbc.any()):
        return moved
    index, count = start.structure_index, len(start)
    with torch.no_grad():
        plain, cell = moved.detach(), reduced_cells(start.cell, start.pbc)

        def settled(shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            """Images from a first translation (B, 3); their spread (B,), and the largest one."""
            shift = torch.where(free[:, None], shift, 0.0)
            for _ in range(10):
                image = minimum_image(plain - shift[index], start.cell, start.pbc, index)
                image = image + shift[index]
                mean = segment_mean(image, weights, index, count)
                mean = torch.where(free[:, None], mean, 0.0)
                if torch.allclose(mean, shift, rtol=0, atol=1e-6):
                    break
                shift = mean
            apart = image - mean[index]
            spread = segment_sum(weights * (apart**2).sum(1), index, count)
            return image, spread, segment_max(apart.norm(dim=1), index, count)

        best, spread, largest = settled(_circular_mean(plain, cell, weights, start))
        unsure = free & (largest > shortest_period(cell, start.pbc) / 4)
        if bool(unsure.any()):
            sizes = torch.bincount(index, minlength=count)
            first = sizes.cumsum(0) - sizes
            shifts = [plain[first + (sizes * k) // STARTS] for k in range(STARTS)]
            for shift in [torch.zeros_like(shifts[0]), *shifts]:
                image, other, _ = settled(shift)
                better = unsure & (other < spread)
                best = torch.where(better[index, None], image, best)
                spread = torch.where(better, other, spread)
    return moved + (best - plain)


def _circular_mean(moved: Tensor, cell: Tensor, weights: Tensor, start: Structures) -> Tensor:
    """(B, 3) Å: a common translation of ``moved`` (N, 3) that does not depend on images."""
    index, count = start.structure_index, len(start)
    angles = 2 * torch.pi * fractional_coordinates(moved, cell, index)
    sine, cosine = (
        segment_mean(part, weights, index, count) for part in (angles.sin(), angles.cos())
    )
    turns = torch.where(start.pbc, torch.atan2(sine, cosine) / (2 * torch.pi), 0.0)
    return (turns[:, None] @ cell).squeeze(1)


def _best_rotations(
    x: Tensor, y: Tensor, weights: Tensor, index: Tensor, motions: RigidMotions
) -> Tensor:
    """(B, 3, 3) R for which Σ w |R y - x|² is smallest, of the free rotations.

    About all axes: W. Kabsch, Acta Cryst. A 32, 922 (1976); proper rotations only.
    """
    count = len(motions.rotations)
    products = weights[:, None, None] * y[:, :, None] * x[:, None, :]
    covariance = segment_sum(products, index, count).double()  # (B, 3, 3): Σ w y xᵀ
    covariance = covariance.nan_to_num(0.0, 0.0, 0.0)  # frames after a divergence are NaN
    u, _, vt = torch.linalg.svd(covariance)
    v = vt.transpose(1, 2)
    sign = torch.linalg.det(v @ u.transpose(1, 2)).sign()
    v = torch.cat([v[:, :, :2], v[:, :, 2:] * sign[:, None, None]], 2)
    about_all = v @ u.transpose(1, 2)

    axis = motions.axis.double()
    along = (axis[:, None] @ covariance @ axis[:, :, None]).flatten()
    trace = covariance.diagonal(dim1=1, dim2=2).sum(1)
    skew = covariance - covariance.transpose(1, 2)
    torque = torch.stack([skew[:, 1, 2], skew[:, 2, 0], skew[:, 0, 1]], 1)  # Σ w y × x
    about_one = _turn(axis, torch.atan2((axis * torque).sum(1), trace - along))

    eye = torch.eye(3, dtype=torch.float64, device=x.device).expand(count, 3, 3)
    kind = motions.rotations[:, None, None]
    return torch.where(kind == 3, about_all, torch.where(kind == 1, about_one, eye))


def _turn(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) about unit vectors (B, 3) by angles (B,) in radians."""
    zero = torch.zeros_like(angle)
    x, y, z = axis.unbind(1)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return eye + sine * cross + (1 - cosine) * cross @ cross
