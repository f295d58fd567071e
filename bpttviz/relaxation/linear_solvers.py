"""Matrix-free linear solvers for many small systems side by side: A_b x_b = v_b, one a structure.

A solver is called with a ``product`` that applies every structure's matrix to a flat (N, 3) vector
at once; ``structure_index`` (N,) says which rows belong together. Inner products, step lengths and stopping
are each structure's own, so a structure's solution does not depend on its company. Nothing is
differentiated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bpttviz.geometry import segment_sum

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found for B systems of N rows in all.

    Attributes:
        x: (N, 3); zero for a system whose right-hand side is zero.
        residual: (B,) |v - A x| / |v|, from the products made along the way.
        ok: (B,) bool, the residual is below the tolerance.
        products: how many times ``product`` was called.
        failures: system index → why it is not ok, in words.
    """

    x: Tensor
    residual: Tensor
    ok: Tensor
    products: int
    failures: dict[int, str]

    def __repr__(self) -> str:
        worst = float(self.residual.max()) if len(self.residual) else 0.0
        text = f"{int(self.ok.sum())} of {len(self.ok)} solved, residual at most {worst:.1e}, "
        text += f"{self.products} products"
        return f"<Solution: {'; '.join([text, *self.failures.values()])}>"


@dataclass(frozen=True)
class ConjugateGradient:
    """For symmetric positive definite systems, such as a Hessian at a minimum.

    A direction of negative (or zero) curvature ends that system's solution where it stands: the
    matrix is not positive definite, and what CG would do next means nothing.

    Args:
        tolerance: relative residual at which a system is solved.
        iterations: at most; one product each.
    """

    tolerance: float = 1e-4
    iterations: int = 300

    def __post_init__(self):
        _require_sense(self)

    def __call__(
        self, product: Product, v: Tensor, structure_index: Tensor, count: int
    ) -> Solution:
        inner = _inner(structure_index, count)
        size = inner(v, v).sqrt()
        scale = torch.where(size > 0, size, 1.0)
        # Right-hand sides of norm 1: gradients may be 1e-8, and tolerances should not notice.
        residual = v / scale[structure_index, None]
        x, direction = torch.zeros_like(v), residual
        squared = inner(residual, residual)
        failures: dict[int, str] = {}
        active = squared.sqrt() > self.tolerance
        products = 0
        while active.any() and products < self.iterations:
            image = product(direction)
            products += 1
            curvature = inner(direction, image)
            lost = active & ~(curvature > 0)  # NaN counts as lost
            for index in lost.nonzero().flatten().tolist():
                value = float(curvature[index] / inner(direction, direction)[index])
                failures[index] = (
                    "a product was not finite"
                    if value != value
                    else f"negative curvature ({value:.3g}): not a minimum"
                )
            active = active & ~lost
            length = torch.where(active, squared / torch.where(active, curvature, 1.0), 0.0)
            # `where` on the vectors: 0 · NaN would carry one system's failure into itself only,
            # but its best solution so far is worth keeping.
            moving = active[structure_index, None]
            x = torch.where(moving, x + length[structure_index, None] * direction, x)
            residual = torch.where(
                moving, residual - length[structure_index, None] * image, residual
            )
            new = inner(residual, residual)
            ratio = torch.where(active, new / torch.where(squared > 0, squared, 1.0), 0.0)
            direction = torch.where(
                moving, residual + ratio[structure_index, None] * direction, direction
            )
            squared = new
            active = active & (squared.sqrt() > self.tolerance)
        return _solution(self, x * scale[structure_index, None], squared.sqrt(), products, failures)


@dataclass(frozen=True)
class GMRES:
    """For any non-singular systems, such as the Jacobian of forces that no energy stands behind.

    Each system keeps a basis of all its directions so far (no restarts), orthogonalised twice, so
    memory grows by N × 3 numbers an iteration: next to nothing beside a force graph.

    Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986).

    Args:
        tolerance: relative residual at which a system is solved.
        iterations: at most; one product each.
    """

    tolerance: float = 1e-4
    iterations: int = 300

    def __post_init__(self):
        _require_sense(self)

    def __call__(
        self, product: Product, v: Tensor, structure_index: Tensor, count: int
    ) -> Solution:
        inner = _inner(structure_index, count)
        size = inner(v, v).sqrt()
        scale = torch.where(size > 0, size, 1.0)
        basis = [v / scale[structure_index, None]]
        # H (B, m+1, m): A restricted to the basis; its least-squares solution is the answer.
        hessenberg = v.new_zeros(count, 1, 0)
        weights = v.new_zeros(count, 0)
        residual = torch.where(size > 0, torch.ones_like(size), torch.zeros_like(size))
        failures: dict[int, str] = {}
        active = residual > self.tolerance
        products = 0
        while active.any() and products < self.iterations:
            image = product(basis[-1])
            products += 1
            finite = inner(image, image).isfinite()
            for index in (active & ~finite).nonzero().flatten().tolist():
                failures[index] = "a product was not finite"
            active = active & finite
            image = torch.where(active[structure_index, None], image, 0.0)
            column = []
            for _ in range(2):  # once loses orthogonality, twice is enough
                overlap = [inner(q, image) for q in basis]
                for q, c in zip(basis, overlap, strict=True):
                    image = image - c[structure_index, None] * q
                column.append(torch.stack(overlap, 1))
            length = inner(image, image).sqrt()
            column = torch.cat([sum(column), length[:, None]], 1)  # (B, m+2)
            hessenberg = torch.nn.functional.pad(hessenberg, (0, 0, 0, 1))
            hessenberg = torch.cat([hessenberg, column[:, :, None]], 2)
            # A direction that adds nothing means that the basis already holds the solution.
            basis.append(image / torch.where(length > 1e-14, length, 1.0)[structure_index, None])
            new_weights, new_residual = _least_squares(hessenberg)
            weights = torch.nn.functional.pad(weights, (0, 1))
            weights = torch.where(active[:, None], new_weights, weights)
            stalled = active & (length <= 1e-14) & (new_residual > self.tolerance)
            for index in stalled.nonzero().flatten().tolist():
                failures[index] = "the matrix is singular: the right-hand side is out of its reach"
            residual = torch.where(active, new_residual, residual)
            active = active & ~stalled & (residual > self.tolerance)
        x = torch.zeros_like(v)
        for q, c in zip(basis, weights.T, strict=False):  # the last direction has no weight yet
            x = x + c[structure_index, None] * q
        return _solution(self, x * scale[structure_index, None], residual, products, failures)


def _least_squares(hessenberg: Tensor) -> tuple[Tensor, Tensor]:
    """Weights y (B, m) that minimise |e_1 - H y|, and that norm (B,)."""
    target = hessenberg.new_zeros(len(hessenberg), hessenberg.shape[1], 1)
    target[:, 0] = 1.0
    # The pseudo-inverse: inactive systems have empty columns.
    weights = torch.linalg.pinv(hessenberg) @ target
    return weights.squeeze(2), (target - hessenberg @ weights).norm(dim=(1, 2))


def _inner(structure_index: Tensor, count: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: segment_sum((a * b).sum(1), structure_index, count)


def _solution(solver, x, residual, products, failures) -> Solution:
    ok = residual <= solver.tolerance
    for index in (~ok).nonzero().flatten().tolist():
        failures.setdefault(
            index,
            f"stalled at a residual of {float(residual[index]):.1e} after {products} products",
        )
    return Solution(x, residual, ok, products, failures)


def _require_sense(solver) -> None:
    if not 0 < solver.tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, got {solver.tolerance}")
    if int(solver.iterations) != solver.iterations or solver.iterations < 1:
        raise ValueError(f"iterations must be a whole number of at least 1: {solver.iterations}")
