"""The gradient at protected places with torch's own operators: listed places, or dense tiles."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from trainer.methods.protected.masks import Places, unpack

TILE_ELEMENTS = 4_194_304
"""Entries of B A that a tile holds at most: 16 MB in fp32."""


class Tiled:
    """Forms B A a block of rows at a time. For many places, and any device."""

    def __init__(self, places: Places) -> None:
        """Work on these places."""
        self._places = places

    def gradients(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return B^T G and G A^T for G = sign(B A) * counts."""
        a, b = _at_least_fp32(a), _at_least_fp32(b)
        grad_a, grad_b = torch.zeros_like(a), torch.empty_like(b)
        rows = max(1, TILE_ELEMENTS // a.shape[1])
        for first in range(0, b.shape[0], rows):
            last = min(first + rows, b.shape[0])
            tile = (b[first:last] @ a).sign_()
            tile.mul_(self._places.weights(first, last, a.dtype))
            torch.mm(tile, a.T, out=grad_b[first:last])
            grad_a.addmm_(b[first:last].T, tile)
        return grad_a, grad_b


class Indexed:
    """Lists the places by row and by column and touches nothing else. For few places, on a CPU.

    A sampled product gives B A at the places; weighted bags of rows of A^T and of B sum up the
    gradients. The list takes 8 bytes per place (12 where O or I is above 65536), plus 1 for
    counts.
    """

    def __init__(self, places: Places) -> None:
        """List these places; raises nothing, takes about 40 bytes per place while it works."""
        out, width = places.shape
        mask = unpack(places.union().planes[0], width)
        rows, columns = mask.nonzero().unbind(dim=1)
        by_column = torch.argsort(columns, stable=True)
        self._columns, self._rows = _narrow(columns, width), _narrow(rows[by_column], out)
        self._by_column = by_column.int()
        self._row_starts, self._column_starts = _starts(rows, out), _starts(columns, width)
        counted = len(places.planes) > 1
        self._counts = places.weights(0, out, torch.uint8)[mask] if counted else None

    def gradients(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return B^T G and G A^T for G = sign(B A) * counts."""
        a, b = _at_least_fp32(a), _at_least_fp32(b).contiguous()
        columns = self._columns.int()
        signed = _sampled(b, a, self._row_starts, columns).sign_()
        if self._counts is not None:
            signed.mul_(self._counts)
        grad_b = _summed(columns, a.T.contiguous(), self._row_starts, signed)
        turned = signed.index_select(0, self._by_column)
        grad_a = _summed(self._rows.int(), b, self._column_starts, turned)
        return grad_a.T.contiguous(), grad_b


def _sampled(b: Tensor, a: Tensor, row_starts: Tensor, columns: Tensor) -> Tensor:
    """Return B A at the listed places, row by row."""
    _warn_of_sparse_tensors()
    zeros = torch.zeros(len(columns), dtype=a.dtype)
    shape = (b.shape[0], a.shape[1])
    pattern = torch.sparse_csr_tensor(
        row_starts, columns, zeros, size=shape, check_invariants=False
    )
    found: Tensor = torch.sparse.sampled_addmm(pattern, b, a, beta=0.0).values()
    return found


@cache
def _warn_of_sparse_tensors() -> None:
    """Let torch say that these are in beta, which it does once in a process, where none hears."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        torch.eye(1).to_sparse_csr()


def _summed(index: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Return for each bag the weighted sum of its rows of `table`."""
    return embedding_bag(
        index, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def _starts(sorted_by: Tensor, length: int) -> Tensor:
    """Return where each of `length` groups begins, and the end of the last: int32 (length + 1)."""
    ends = torch.bincount(sorted_by, minlength=length).cumsum(dim=0)
    return torch.cat((ends.new_zeros(1), ends)).int()


def _narrow(index: Tensor, limit: int) -> Tensor:
    return index.to(torch.uint16 if limit <= 1 << 16 else torch.int32)


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
