"""The GPU kernel, on a GPU where there is one, else interpreted on the CPU.

Needs triton. Without a GPU: `TRITON_INTERPRET=1 python -m pytest <this file>`.
"""

from __future__ import annotations

import os

import pytest
import torch

from tests.trainer.dense_penalty import dense_mean, gradients
from tests.trainer.test_protected_penalty import places_of, random_case, relative_error
from trainer.methods.protected import mean_at_protected
from trainer.methods.protected.cuda import Fused, is_usable

pytest.importorskip("triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
runs = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
    reason="no GPU: set TRITON_INTERPRET=1 to interpret the kernel",
)


def _error(shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    a, b, counts = random_case(*shape, torch.float32)
    a, b = (it.detach().to(dtype).requires_grad_() for it in (a, b))
    wanted = gradients(dense_mean(a.double(), b.double(), counts), a, b)
    kernel = Fused(places_of(counts).moved_to(torch.device(DEVICE)))
    there = [it.detach().to(DEVICE).requires_grad_() for it in (a, b)]

    value = mean_at_protected(there[0], there[1], kernel, float(counts.sum()))

    exact = dense_mean(a.double(), b.double(), counts).item()
    assert value.item() == pytest.approx(exact, rel=1e-5)
    found = gradients(value, there[0], there[1])
    return max(relative_error(x.cpu(), y) for x, y in zip(found, wanted, strict=True))


@runs
@pytest.mark.parametrize("shape", [(9, 11, 3), (70, 130, 16), (40, 200, 100)])
def test_fp32_gradients_equal_the_dense_formula(shape: tuple[int, int, int]) -> None:
    assert _error(shape, torch.float32) <= 1e-5


@runs
def test_half_precision_is_rounded_once() -> None:
    # The interpreter cannot multiply bf16; fp16 takes the same way.
    dtype = torch.bfloat16 if DEVICE == "cuda" else torch.float16

    assert _error((70, 130, 16), dtype) < 2 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    ("rank", "dtype", "usable"),
    [(128, torch.bfloat16, True), (129, torch.bfloat16, False), (8, torch.float64, False)],
)
def test_what_the_kernel_cannot_do_is_left_to_tiles(
    rank: int, dtype: torch.dtype, usable: bool
) -> None:
    assert is_usable(torch.zeros(rank, 4, dtype=dtype)) == usable
