"""The mean of |B A| at protected places, with its exact gradient, and what computes it where."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.methods.protected import cuda
from trainer.methods.protected.cpu import Indexed, Tiled
from trainer.methods.protected.masks import Places

MAX_INDEXED_SHARE = 0.25
"""Above this share of protected places a list of them would need over 16 bits per entry of the
matrix, and dense tiles are about as fast."""


class Kernel(Protocol):
    """Computes with the places of one matrix."""

    def gradients(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return B^T G (R, I) and G A^T (O, R) for G = sign(B A) * counts, at least in fp32."""
        ...


def kernel_for(places: Places, a: Tensor) -> Kernel:
    """Return what is fastest for places on the device of `a`, a matrix (R, I) like the later ones.

    A GPU reads the bits themselves. On a CPU few places are listed, many are worked off in
    dense tiles.
    """
    if a.is_cuda:
        return cuda.Fused(places) if cuda.is_usable(a) else Tiled(places)
    return Indexed(places) if places.share() <= MAX_INDEXED_SHARE else Tiled(places)


class ProtectedMean(torch.autograd.Function):
    """Weighted mean of |B A| (SEFE, arXiv 2505.02486: the L1 mean over a matrix's key elements).

    With counts W >= 0 of sum S: value = sum(W |BA|) / S; dB = G A^T, dA = B^T G for
    G = sign(BA) W / S. As the value is linear in B along B itself, it equals sum(B * dB).
    The gradient is formed here, in forward: the saved tensors are then no parameters, which
    ZeRO-3 may have emptied by the time backward runs, and no dense matrix is kept.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, kernel: Kernel, total: float) -> Tensor:
        """Return the scalar mean, at least in fp32; `total` is S > 0."""
        grad_a, grad_b = kernel.gradients(a.detach(), b.detach())
        value = (grad_b * b).sum() / total
        ctx.save_for_backward((grad_a / total).to(a.dtype), (grad_b / total).to(b.dtype))
        return value

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of `a` and `b`."""
        grad_a, grad_b = ctx.saved_tensors
        return outer[0].to(grad_a.dtype) * grad_a, outer[0].to(grad_b.dtype) * grad_b, None, None


def mean_at_protected(a: Tensor, b: Tensor, kernel: Kernel, total: float) -> Tensor:
    """Return the mean of |B A| weighted by the kernel's counts of sum `total`: a scalar >= 0."""
    value: Tensor = ProtectedMean.apply(a, b, kernel, total)  # type: ignore[no-untyped-call]
    return value
