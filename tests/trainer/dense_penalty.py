"""The regulariser written down plainly, for tests and benchmarks to compare with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def dense_mean(a: Tensor, b: Tensor, counts: Tensor) -> Tensor:
    """Return sum(counts * |B A|) / sum(counts), by a dense product; counts (O, I)."""
    return (counts * (b @ a).abs()).sum() / counts.sum()


def listed_mean(a: Tensor, b: Tensor, places: Tensor) -> Tensor:
    """Return the mean of |B A| over a list of places with repeats, int64 (N, 2), as published."""
    return (b @ a)[places[:, 0], places[:, 1]].abs().mean()


def checkpointed_listed_mean(a: Tensor, b: Tensor, places: Tensor) -> Tensor:
    """Return `listed_mean`, formed once more in backward, as inside a checkpointed layer."""
    value = checkpoint(listed_mean, a, b, places, use_reentrant=False)
    assert isinstance(value, Tensor)
    return value


def gradients(value: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of a scalar."""
    grad_a, grad_b = torch.autograd.grad(value, (a, b))
    return grad_a, grad_b


def listed(counts: Tensor) -> Tensor:
    """Return the places of counts (O, I), each as often as counted, shuffled: int64 (N, 2)."""
    once = counts.nonzero()
    repeated = once.repeat_interleave(counts[counts > 0].long(), dim=0)
    generator = torch.Generator().manual_seed(0)
    return repeated[torch.randperm(len(repeated), generator=generator)]
