"""Matrix-free linear solvers for many small systems side by side: A_b x_b = v_b, one a structure.

A solver is called with a ``matvec`` that applies every structure's matrix to a flat (N, 3) vector
at once; ``structure_index`` (N,) says which rows belong together. Inner products, step lengths and
stopping are each structure's own, so a structure's solution does not depend on its company. Nothing
is differentiated here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bpttviz._checks import number, whole
from bpttviz.geometry import segment_sum
from bpttviz.relaxation.arnoldi import ArnoldiBasis, Matvec


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found for B systems of N rows in all.

    Attributes:
        x: (N, 3); zero for a system whose right-hand side is zero.
        residual: (B,) |v - A x| / |v|, from the products made along the way.
        converged: (B,) bool, the residual is below the tolerance.
        n_matvecs: how many times ``matvec`` was called.
        failures: system index → why it has not converged, in words.
    """

    x: Tensor
    residual: Tensor
    converged: Tensor
    n_matvecs: int
    failures: dict[int, str]

    def __repr__(self) -> str:
        worst = float(self.residual.max()) if len(self.residual) else 0.0
        solved, count = int(self.converged.sum()), len(self.converged)
        text = f"{solved} of {count} solved, residual at most {worst:.1e}, "
        text += f"{self.n_matvecs} products"
        return f"<Solution: {'; '.join([text, *self.failures.values()])}>"


@dataclass(frozen=True)
class ConjugateGradient:
    """For symmetric positive definite systems, such as a Hessian at a minimum.

    A direction of negative (or zero) curvature ends that system's solution where it stands: the
    matrix is not positive definite, and what CG would do next means nothing.

    M. R. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952).

    Args:
        tolerance: relative residual at which a system is solved, above 0 and below 1.
        iterations: at most; one product each.

    Raises:
        ValueError: a number out of its range.
    """

    tolerance: float = 1e-4
    iterations: int = 300

    def __post_init__(self) -> None:
        _check_settings(self)

    def __call__(self, matvec: Matvec, v: Tensor, structure_index: Tensor, count: int) -> Solution:
        """Solve for ``v`` (N, 3), the right-hand sides of ``count`` systems."""

        def inner(a: Tensor, b: Tensor) -> Tensor:
            return segment_sum((a * b).sum(1), structure_index, count)

        def by_row(values: Tensor) -> Tensor:
            return values[structure_index, None]

        size = inner(v, v).sqrt()
        scale = torch.where(size > 0, size, 1.0)
        # Right-hand sides of norm 1: gradients may be 1e-8, and tolerances should not notice.
        residual = v / by_row(scale)
        x, direction = torch.zeros_like(v), residual
        squared = inner(residual, residual)
        failures: dict[int, str] = {}
        active, n_matvecs = squared.sqrt() > self.tolerance, 0
        while active.any() and n_matvecs < self.iterations:
            image = matvec(direction)
            n_matvecs += 1
            curvature = inner(direction, image)
            lost = active & ~(curvature > 0)  # NaN counts as lost
            _name_curvatures(failures, lost, curvature / inner(direction, direction))
            active = active & ~lost
            length = by_row(torch.where(active, squared / torch.where(active, curvature, 1.0), 0.0))
            # `where` on the vectors: 0 · NaN would carry one system's failure into itself only,
            # but its best solution so far is worth keeping.
            moving = by_row(active)
            x = torch.where(moving, x + length * direction, x)
            residual = torch.where(moving, residual - length * image, residual)
            new = inner(residual, residual)
            ratio = torch.where(active, new / torch.where(squared > 0, squared, 1.0), 0.0)
            direction = torch.where(moving, residual + by_row(ratio) * direction, direction)
            squared = new
            active = active & (squared.sqrt() > self.tolerance)
        return _solution(self, x * by_row(scale), squared.sqrt(), n_matvecs, failures)


@dataclass(frozen=True)
class GMRES:
    """For any non-singular systems, such as the Jacobian of forces that no energy stands behind.

    Each system keeps a basis of all its directions so far (no restarts), so memory grows by N × 3
    numbers an iteration: next to nothing beside a force graph.

    Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986).

    Args:
        tolerance: relative residual at which a system is solved, above 0 and below 1.
        iterations: at most; one product each.

    Raises:
        ValueError: a number out of its range.
    """

    tolerance: float = 1e-4
    iterations: int = 300

    def __post_init__(self) -> None:
        _check_settings(self)

    def __call__(self, matvec: Matvec, v: Tensor, structure_index: Tensor, count: int) -> Solution:
        """Solve for ``v`` (N, 3), the right-hand sides of ``count`` systems."""
        basis = ArnoldiBasis(v, structure_index, count)
        weights = v.new_zeros(count, 0)
        residual = (basis.norm > 0).to(v)
        failures: dict[int, str] = {}
        active, n_matvecs = residual > self.tolerance, 0
        while active.any() and n_matvecs < self.iterations:
            image = matvec(basis.vectors[-1])
            n_matvecs += 1
            finite = basis.inner(image, image).isfinite()
            for index in (active & ~finite).nonzero().flatten().tolist():
                failures[index] = "a product was not finite"
            active = active & finite
            basis.extend(torch.where(active[structure_index, None], image, 0.0))
            new_weights, new_residual = _least_squares(basis.hessenberg)
            weights = torch.nn.functional.pad(weights, (0, 1))
            weights = torch.where(active[:, None], new_weights, weights)
            # A direction that adds nothing means that the basis already holds the solution.
            singular = active & basis.exhausted & (new_residual > self.tolerance)
            for index in singular.nonzero().flatten().tolist():
                failures[index] = "the matrix is singular: the right-hand side is out of its reach"
            residual = torch.where(active, new_residual, residual)
            active = active & ~singular & (residual > self.tolerance)
        x = basis.combine(weights) * basis.norm[structure_index, None]
        return _solution(self, x, residual, n_matvecs, failures)


def _name_curvatures(failures: dict[int, str], lost: Tensor, curvature: Tensor) -> None:
    for index in lost.nonzero().flatten().tolist():
        value = float(curvature[index])
        failures[index] = (
            "a product was not finite"
            if value != value
            else f"negative curvature ({value:.3g}): not a minimum"
        )


def _least_squares(hessenberg: Tensor) -> tuple[Tensor, Tensor]:
    """Weights y (B, m) that minimise |e_1 - H y|, and that norm (B,)."""
    target = hessenberg.new_zeros(len(hessenberg), hessenberg.shape[1], 1)
    target[:, 0] = 1.0
    # The pseudo-inverse: inactive systems have empty columns.
    weights = torch.linalg.pinv(hessenberg) @ target
    return weights.squeeze(2), (target - hessenberg @ weights).norm(dim=(1, 2))


def _solution(
    solver: ConjugateGradient | GMRES,
    x: Tensor,
    residual: Tensor,
    n_matvecs: int,
    failures: dict[int, str],
) -> Solution:
    converged = residual <= solver.tolerance
    for index in (~converged).nonzero().flatten().tolist():
        failures.setdefault(
            index,
            f"stalled at a residual of {float(residual[index]):.1e} after {n_matvecs} products",
        )
    return Solution(x, residual, converged, n_matvecs, failures)


def _check_settings(solver: ConjugateGradient | GMRES) -> None:
    tolerance = number("tolerance", solver.tolerance, above=0, below=1)
    object.__setattr__(solver, "tolerance", tolerance)
    object.__setattr__(solver, "iterations", whole("iterations", solver.iterations))
