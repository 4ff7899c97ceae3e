"""The gradient at protected places on a GPU, straight from the bits."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from trainer.methods.protected.masks import Places

MAX_RANK = 128
"""Above it a block of gradients would not stay in registers."""
BLOCK_LINES, BLOCK_PLACES, WARPS = 32, 64, 8
"""Chosen so that the compiler spills next to no registers for sm_80 and sm_90."""


def is_usable(a: Tensor) -> bool:
    """Say whether the fused kernel can work with adapters like `a` (R, I): else use tiles."""
    return (
        find_spec("triton") is not None
        and a.shape[0] <= MAX_RANK
        and a.dtype in (torch.float32, torch.float16, torch.bfloat16)
    )


class Fused:
    """One launch per gradient; B A exists in registers only, the places stay bits.

    Inputs in half precision are multiplied as they are and summed in fp32, so that the result
    is no less exact than fp32 of the same values: signs times counts up to 255 are exact in both.
    No atomics: equal inputs give equal bits.
    """

    def __init__(self, places: Places) -> None:
        """Work on these places, which lie where the adapters lie."""
        self._places = places

    def gradients(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return B^T G and G A^T for G = sign(B A) * counts, in fp32."""
        places = self._places.moved_to(a.device)
        grad_b = _line_gradients(b, a.T, places, turned=False)
        grad_a = _line_gradients(a.T, b, places, turned=True)
        return grad_a.T.contiguous(), grad_b


def _line_gradients(lines: Tensor, others: Tensor, places: Places, *, turned: bool) -> Tensor:
    """Return sign(L O^T) * counts @ O for lines L (N, R), others O (M, R): fp32 (N, R).

    The matrix's rows are the lines, or with `turned` its columns.
    """
    from trainer.methods.protected.triton_kernel import line_gradients

    found = torch.empty(lines.shape, dtype=torch.float32, device=lines.device)
    rank = lines.shape[1]
    line_gradients[(-(-len(lines) // BLOCK_LINES),)](
        lines, others, places.planes, found,
        len(lines), len(others), rank, places.planes.stride(1), places.planes.stride(0),
        *lines.stride(), *others.stride(),
        PLANES=len(places.planes), TURNED=turned, RANK=max(16, 1 << (rank - 1).bit_length()),
        LINES=BLOCK_LINES, OTHERS=BLOCK_PLACES, num_warps=WARPS,
    )  # fmt: skip
    return found
