"""Protected places of a matrix: choosing, packing, and the penalty on them. Pure maths.

Shapes: an adapted matrix is (O, I) with `a` (R, I) and `b` (O, R). A bit mask packs each row
of I places into ceil(I / 8) bytes, lowest bit first; counters are one byte a place, (O, I).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TILE_ELEMENTS = 4_194_304
"""Places handled at once: bounds the dense product to 16 MB in fp32."""
Weights = Callable[[int, int], Tensor]
"""Returns the weights (rows, I) of the rows from `first` to before `last`."""


def top_places(a: Tensor, b: Tensor, percent: float) -> Tensor:
    """Return a boolean (O, I): the floor(percent / 100 * O * I) largest places of |B A|.

    Equal values are taken in row-major order, so the choice is the same everywhere.
    """
    update = (b.detach().float() @ a.detach().float()).abs().flatten()
    count = int(percent * update.numel() / 100)
    chosen = torch.zeros_like(update, dtype=torch.bool)
    if count == 0:
        return chosen.view(b.shape[0], a.shape[1])
    smallest = update.topk(count).values[-1]
    chosen |= update > smallest
    ties = (update == smallest).nonzero().flatten()
    chosen[ties[: count - int(chosen.sum())]] = True
    return chosen.view(b.shape[0], a.shape[1])


def pack(mask: Tensor) -> Tensor:
    """Return a boolean (O, I) as bits: uint8 (O, ceil(I / 8))."""
    out, width = mask.shape
    padded = torch.zeros((out, -(-width // 8) * 8), dtype=torch.uint8, device=mask.device)
    padded[:, :width] = mask
    powers = _bit_positions(mask.device)
    return (padded.view(out, -1, 8) << powers).sum(dim=-1, dtype=torch.uint8)


def unpack(bits: Tensor, width: int) -> Tensor:
    """Return packed bits (rows, ceil(width / 8)) as a boolean (rows, width)."""
    spread = (bits.unsqueeze(-1) >> _bit_positions(bits.device)) & 1
    return spread.flatten(1)[:, :width].bool()


def count_again(counters: Tensor, mask: Tensor) -> Tensor:
    """Return uint8 counters raised by one where `mask` holds; 255 is the most."""
    return torch.where(mask & (counters < 255), counters + 1, counters)


def _bit_positions(device: torch.device) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=device)


class ProtectedMean(torch.autograd.Function):
    """Weighted mean of |B A|, tile by tile, with its exact gradient.

    With weights W >= 0 of sum S: value = sum(W |BA|) / S; dB = G A^T, dA = B^T G for
    G = sign(BA) W / S (SEFE, arXiv 2505.02486: the L1 mean over a matrix's protected places).
    The gradient is formed here, in forward: the saved tensors are then no parameters, which
    ZeRO-3 may have emptied by the time backward runs, and no dense matrix is kept.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, weights: Weights, total: float) -> Tensor:
        """Return the scalar mean in fp32 (fp64 for fp64 inputs); `total` is S > 0."""
        a_full, b_full = _at_least_fp32(a), _at_least_fp32(b)
        value = a_full.new_zeros(())
        grad_a, grad_b = torch.zeros_like(a_full), torch.zeros_like(b_full)
        rows = max(1, TILE_ELEMENTS // a.shape[1])
        for first in range(0, b.shape[0], rows):
            last = min(first + rows, b.shape[0])
            update = b_full[first:last] @ a_full
            signed = update.sign() * weights(first, last).to(update.dtype)
            value += (signed * update).sum()
            grad_b[first:last] = signed @ a_full.T
            grad_a += b_full[first:last].T @ signed
        ctx.save_for_backward((grad_a / total).to(a.dtype), (grad_b / total).to(b.dtype))
        return value / total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of `a` and `b`."""
        grad_a, grad_b = ctx.saved_tensors
        return outer[0].to(grad_a.dtype) * grad_a, outer[0].to(grad_b.dtype) * grad_b, None, None


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.detach() if tensor.dtype == torch.float64 else tensor.detach().float()


def mean_at_protected(a: Tensor, b: Tensor, weights: Weights, total: float) -> Tensor:
    """Return the mean of |B A| weighted by `weights`, whose sum is `total`: a scalar >= 0."""
    value: Tensor = ProtectedMean.apply(a, b, weights, total)  # type: ignore[no-untyped-call]
    return value
