"""The maths of protected places, against a pencil and against dense formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.methods import protected
from trainer.methods.protected import (
    count_again,
    mean_at_protected,
    pack,
    top_places,
    unpack,
)

# B A = [[3, 4], [-6, -8]]
PENCIL_A, PENCIL_B = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [-2.0]])


def test_penalty_is_the_mean_absolute_update_at_protected_places() -> None:
    weights = torch.tensor([[0, 1], [1, 0]])  # 4 and -6

    value = mean_at_protected(PENCIL_A, PENCIL_B, lambda i, j: weights[i:j], 2.0)

    assert value.item() == pytest.approx((4 + 6) / 2)


def test_a_place_chosen_twice_weighs_twice() -> None:
    counts = torch.tensor([[0, 2], [1, 0]], dtype=torch.uint8)

    value = mean_at_protected(PENCIL_A, PENCIL_B, lambda i, j: counts[i:j], 3.0)

    assert value.item() == pytest.approx((4 + 4 + 6) / 3)


@pytest.mark.parametrize("tile", [1, 7, 10**6])
def test_value_and_gradients_equal_the_dense_formula(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protected, "TILE_ELEMENTS", tile)
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, 11, generator=generator, dtype=torch.float64, requires_grad=True)
    b = torch.randn(9, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    counts = torch.randint(0, 4, (9, 11), generator=generator, dtype=torch.uint8)
    rows, columns = zip(
        *[(i, j) for i in range(9) for j in range(11) for _ in range(int(counts[i, j]))],
        strict=True,
    )
    dense = (b @ a)[list(rows), list(columns)].abs().mean()  # the published code's index list
    wanted = torch.autograd.grad(dense * 7, (a, b))

    value = mean_at_protected(a, b, lambda i, j: counts[i:j], float(counts.sum()))
    got = torch.autograd.grad(value * 7, (a, b))

    assert value.item() == pytest.approx(dense.item(), rel=1e-6)
    for left, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("percent", "count"), [(2.0, 1), (50.0, 32), (1.0, 0), (100.0, 64)])
def test_top_places_are_the_floor_of_the_share(percent: float, count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 8, generator=generator), torch.randn(8, 2, generator=generator)

    chosen = top_places(a, b, percent)

    assert int(chosen.sum()) == count
    update = (b @ a).abs()
    if 0 < count < 64:
        assert update[chosen].min() >= update[~chosen].max()


def test_ties_go_to_the_first_places_in_reading_order() -> None:
    a, b = torch.ones(1, 4), torch.ones(3, 1)

    chosen = top_places(a, b, 50.0)

    assert chosen.flatten().tolist() == [True] * 6 + [False] * 6


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**31))
def test_pack_and_unpack_are_inverse(out: int, width: int, seed: int) -> None:
    mask = torch.rand(out, width, generator=torch.Generator().manual_seed(seed)) < 0.5

    bits = pack(mask)

    assert bits.shape == (out, -(-width // 8))
    assert torch.equal(unpack(bits, width), mask)


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_union_of_bits_is_the_union_of_masks(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.rand(5, 19, generator=generator) < 0.3 for _ in range(2))

    assert torch.equal(unpack(pack(left) | pack(right), 19), left | right)


def test_counters_stop_at_255() -> None:
    counters = torch.tensor([[255, 254, 0]], dtype=torch.uint8)

    raised = count_again(counters, torch.tensor([[True, True, False]]))

    assert raised.tolist() == [[255, 255, 0]]
