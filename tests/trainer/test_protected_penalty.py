"""The regulariser's value and both gradients, against a pencil and against the dense formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.trainer.dense_penalty import (
    checkpointed_listed_mean,
    dense_mean,
    gradients,
    listed,
    listed_mean,
)
from trainer.methods.protected import (
    Kernel,
    Places,
    cpu,
    kernel_for,
    mean_at_protected,
)
from trainer.methods.protected.cpu import Indexed, Tiled

MakeKernel = Callable[[Places], Kernel]
KERNELS = pytest.mark.parametrize("make", [Indexed, Tiled])
# B A = [[3, 4], [-6, -8]]
PENCIL_A, PENCIL_B = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [-2.0]])


def places_of(counts: Tensor) -> Places:
    """Return the places with these counts (O, I)."""
    places = Places.none(*counts.shape)
    for task in range(int(counts.max())):
        places = places.counted(counts > task)
    return places


def random_case(
    out: int, width: int, rank: int, dtype: torch.dtype, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return A, B with gradient, and counts 0 to 3 with repeats, some rows and columns empty."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, width, generator=generator, dtype=dtype)
    b = torch.randn(out, rank, generator=generator, dtype=dtype)
    counts = torch.randint(-5, 4, (out, width), generator=generator).clamp(min=0)
    counts[1], counts[:, 2] = 0, 0
    return a.requires_grad_(), b.requires_grad_(), counts


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Return ||g - g'|| / ||g'||."""
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@KERNELS
def test_the_mean_is_over_protected_places(make: MakeKernel) -> None:
    kernel = make(places_of(torch.tensor([[0, 1], [1, 0]])))  # 4 and -6

    assert mean_at_protected(PENCIL_A, PENCIL_B, kernel, 2.0).item() == pytest.approx((4 + 6) / 2)


@KERNELS
def test_a_place_chosen_twice_weighs_twice(make: MakeKernel) -> None:
    kernel = make(places_of(torch.tensor([[0, 2], [1, 0]])))

    value = mean_at_protected(PENCIL_A, PENCIL_B, kernel, 3.0)

    assert value.item() == pytest.approx((4 + 4 + 6) / 3)


@KERNELS
@pytest.mark.parametrize("tile", [1, 7, 10**6])
def test_fp64_equals_the_dense_and_the_listed_formula(
    make: MakeKernel, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "TILE_ELEMENTS", tile)
    a, b, counts = random_case(9, 11, 3, torch.float64)
    places = listed(counts)
    assert len(places) > int((counts > 0).sum())  # with repeats

    value = mean_at_protected(a, b, make(places_of(counts)), float(counts.sum()))
    found = gradients(value * 7, a, b)

    for formula in (
        dense_mean(a, b, counts),
        listed_mean(a, b, places),
        checkpointed_listed_mean(a, b, places),
    ):
        assert value.item() == pytest.approx(formula.item(), rel=1e-6)
        for ours, theirs in zip(found, gradients(formula * 7, a, b), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-12)


@KERNELS
@pytest.mark.parametrize("shape", [(128, 384, 16), (300, 77, 8), (64, 1000, 128)])
def test_fp32_gradients_are_within_a_hundred_thousandth(
    make: MakeKernel, shape: tuple[int, int, int]
) -> None:
    a, b, counts = random_case(*shape, torch.float32)
    wanted = gradients(dense_mean(a.double(), b.double(), counts), a, b)

    value = mean_at_protected(a, b, make(places_of(counts)), float(counts.sum()))

    for ours, theirs in zip(gradients(value, a, b), wanted, strict=True):
        assert ours.dtype == torch.float32
        assert ours.is_contiguous()
        assert relative_error(ours, theirs) <= 1e-5


@KERNELS
def test_half_precision_adapters_are_summed_in_fp32(make: MakeKernel) -> None:
    a, b, counts = random_case(64, 200, 16, torch.float32)
    small_a, small_b = (it.detach().bfloat16().requires_grad_() for it in (a, b))
    exact = gradients(dense_mean(small_a.double(), small_b.double(), counts), small_a, small_b)

    value = mean_at_protected(small_a, small_b, make(places_of(counts)), float(counts.sum()))

    assert value.dtype == torch.float32
    for ours, theirs in zip(gradients(value, small_a, small_b), exact, strict=True):
        assert ours.dtype == torch.bfloat16
        assert relative_error(ours, theirs) < 2**-8  # one rounding


@KERNELS
def test_a_fresh_adapter_is_not_pushed(make: MakeKernel) -> None:
    a, b, counts = random_case(9, 11, 3, torch.float32)
    b = torch.zeros_like(b).requires_grad_()  # where LoRA begins: |x| has slope 0 at 0

    value = mean_at_protected(a, b, make(places_of(counts)), float(counts.sum()))

    assert value.item() == 0
    assert not any(gradient.any() for gradient in gradients(value, a, b))


def test_wide_matrices_need_wide_indices() -> None:
    a, b, _ = random_case(3, 70_000, 2, torch.float64)
    counts = torch.zeros(3, 70_000)
    counts[0, 69_999] = counts[2, 5] = 1

    value = mean_at_protected(a, b, Indexed(places_of(counts)), 2.0)

    assert value.item() == pytest.approx(dense_mean(a, b, counts).item(), rel=1e-6)


@pytest.mark.parametrize(("share", "kernel"), [(0.02, Indexed), (0.2, Indexed), (0.4, Tiled)])
def test_few_places_are_listed_and_many_are_tiled(share: float, kernel: type) -> None:
    counts = torch.rand(100, 100, generator=torch.Generator().manual_seed(0)) < share

    assert isinstance(kernel_for(places_of(counts.int()), torch.zeros(4, 100)), kernel)


def test_a_list_stays_within_its_bytes() -> None:
    counts = (torch.rand(256, 256, generator=torch.Generator().manual_seed(0)) < 0.2).int()

    kernel = Indexed(places_of(counts))

    held = [it for it in vars(kernel).values() if isinstance(it, Tensor)]
    per_place = sum(it.nbytes for it in held) / int(counts.sum())
    assert per_place == pytest.approx(8, abs=0.2)  # plus where rows and columns begin
