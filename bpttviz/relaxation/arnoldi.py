"""Orthonormal bases of Krylov spaces, side by side for many small matrices known by products.

W. E. Arnoldi, Q. Appl. Math. 9, 17 (1951). GMRES solves equations in such a basis, and its
Hessenberg matrix has the outermost eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bpttviz.geometry import segment_sum

# A function that applies every structure's matrix to a flat vector (N, C) at once.
Matvec = Callable[[Tensor], Tensor]

# In units of rounding: what is left of a vector after its overlaps have been taken off is noise.
NOISE = 100


class ArnoldiBasis:
    """Orthonormal vectors q_0, q_1, ... with A q_m = Σ_k h_km q_k, k ≤ m + 1; one set a structure.

    Args:
        start: (N, C); its direction is q_0. A structure where it is zero has an empty basis.
        structure_index: (N,) which rows belong together.
        count: number of structures B.

    Attributes:
        norm: (B,) of ``start``.
        vectors: m + 1 tensors (N, C).
        hessenberg: (B, m + 1, m).
        exhausted: (B,) bool: the last vector added nothing, the basis spans an invariant space.
    """

    def __init__(self, start: Tensor, structure_index: Tensor, count: int):
        self._index, self._count = structure_index, count
        self.norm = self.inner(start, start).sqrt()
        self.vectors = [self.divide(start, self.norm)]
        self.hessenberg = start.new_zeros(count, 1, 0)
        self.exhausted = self.norm == 0

    def inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Each structure's inner product (B,)."""
        return segment_sum((a * b).sum(1), self._index, self._count)

    def divide(self, vector: Tensor, size: Tensor) -> Tensor:
        """``vector`` (N, C) over each structure's ``size`` (B,), zero where that is zero."""
        one_over = torch.where(size > 0, 1 / torch.where(size > 0, size, 1.0), 0.0)
        return vector * one_over[self._index, None]

    def extend(self, image: Tensor) -> None:
        """Take in ``image`` (N, C), the product with the last vector: one more vector and column.

        Orthogonalised twice: once loses orthogonality, twice is enough.
        """
        size = self.inner(image, image).sqrt()
        column = image.new_zeros(self._count, len(self.vectors))
        for _ in range(2):
            overlap = torch.stack([self.inner(q, image) for q in self.vectors], 1)
            for q, c in zip(self.vectors, overlap.T, strict=True):
                image = image - c[self._index, None] * q
            column = column + overlap
        length = self.inner(image, image).sqrt()
        self.exhausted = length <= NOISE * torch.finfo(image.dtype).eps * size
        length = torch.where(self.exhausted, 0.0, length)
        self.vectors.append(self.divide(image, length))
        column = torch.cat([column, length[:, None]], 1)[:, :, None]
        padded = torch.nn.functional.pad(self.hessenberg, (0, 0, 0, 1))
        self.hessenberg = torch.cat([padded, column], 2)

    def combine(self, weights: Tensor) -> Tensor:
        """Σ_k w_k q_k (N, C) from weights (B, m), the last vector left out."""
        result = torch.zeros_like(self.vectors[0])
        for q, c in zip(self.vectors, weights.T, strict=False):
            result = result + c[self._index, None] * q
        return result


def spectral_radius(
    matvec: Matvec, start: Tensor, structure_index: Tensor, count: int, iterations: int
) -> Tensor:
    """Largest |eigenvalue| (B,) of each structure's matrix: see `outermost_eigenvalue`."""
    return outermost_eigenvalue(matvec, start, structure_index, count, iterations).abs().to(start)


def outermost_eigenvalue(
    matvec: Matvec, start: Tensor, structure_index: Tensor, count: int, iterations: int
) -> Tensor:
    """The eigenvalue of largest modulus (B,), complex, of each structure's matrix.

    A power iteration that forgets nothing: the same products, far fewer of them where eigenvalues
    lie close together, and pairs of complex ones (momentum makes them) do no harm.

    Args:
        matvec: applies the matrices to (N, C); nothing couples structures.
        start: (N, C), best at random. Zero for a structure where it is zero.
        structure_index: (N,).
        count: number of structures B.
        iterations: at most; one product each.

    Returns:
        (B,) complex128, on the CPU; NaN where a product was not finite.
    """
    basis = ArnoldiBasis(start, structure_index, count)
    for _ in range(iterations):
        if basis.exhausted.all():
            break
        basis.extend(matvec(basis.vectors[-1]))
    square = basis.hessenberg[:, :-1].cpu().double()
    if square.shape[1] == 0:
        return torch.zeros(count, dtype=torch.complex128)
    finite = square.isfinite().all(dim=2).all(dim=1)
    square = torch.where(finite[:, None, None], square, 0.0)
    all_of_them = torch.linalg.eigvals(square)
    place = all_of_them.abs().argmax(1, keepdim=True)
    return torch.where(finite, all_of_them.gather(1, place)[:, 0], torch.nan)
