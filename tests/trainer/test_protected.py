"""Which places are protected: choosing, counting, storing."""

from __future__ import annotations

import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer.methods.protected import Places, pack, top_places, unpack


def _counts(places: Places) -> Tensor:
    return places.weights(0, places.shape[0], torch.uint8)


def _chosen(out: int, width: int, tasks: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(out, width, generator=generator) < 0.3 for _ in range(tasks)]


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


def test_bits_lie_lowest_first() -> None:
    mask = torch.tensor([[True, False, True, False, False, False, False, True, True, False]])

    assert pack(mask).tolist() == [[0b10000101, 0b1]]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**31))
def test_pack_and_unpack_are_inverse(out: int, width: int, seed: int) -> None:
    mask = _chosen(out, width, 1, seed)[0]

    bits = pack(mask)

    assert bits.shape == (out, -(-width // 8))
    assert torch.equal(unpack(bits, width), mask)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**31))
def test_counts_and_unions_are_those_of_the_masks(width: int, tasks: int, seed: int) -> None:
    masks = _chosen(5, width, tasks, seed)
    counted = union = Places.none(5, width)
    for mask in masks:
        counted, union = counted.counted(mask), union.joined(mask)
    wanted = torch.stack(masks).sum(dim=0)

    assert torch.equal(_counts(counted), wanted.to(torch.uint8))
    assert torch.equal(_counts(union), (wanted > 0).to(torch.uint8))
    assert torch.equal(counted.union().planes, union.planes)
    assert counted.total() == int(wanted.sum())
    assert union.share() == counted.share() == pytest.approx(float((wanted > 0).float().mean()))
    assert len(union.planes) == 1
    assert len(counted.planes) == max(1, int(wanted.max()).bit_length())


def test_a_union_stays_one_bit_per_entry_however_many_tasks() -> None:
    places = Places.none(64, 64)
    for mask in _chosen(64, 64, 7, seed=0):
        places = places.joined(mask)

        assert places.planes.nbytes * 8 == 64 * 64


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 7), st.integers(0, 2**31))
def test_deflated_places_come_back(out: int, width: int, tasks: int, seed: int) -> None:
    places = Places.none(out, width)
    for mask in _chosen(out, width, tasks, seed):
        places = places.counted(mask)

    back = Places.inflated(places.deflated(), (out, width), len(places.planes))

    assert torch.equal(back.planes, places.planes)
    assert back.shape == (out, width)


def test_two_percent_deflate_to_a_fifth_of_a_bit_per_entry() -> None:
    mask = torch.rand(512, 512, generator=torch.Generator().manual_seed(0)) < 0.02

    assert Places.none(512, 512).joined(mask).deflated().numel() * 8 < 0.21 * mask.numel()


def _stream(raw: bytes) -> Tensor:
    return torch.frombuffer(bytearray(zlib.compress(raw)), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (torch.arange(9, dtype=torch.uint8), "no zlib stream"),
        (_stream(b"123"), "3 bytes, cut off or with a rest, 4 times 1 to 2 expected"),
        (_stream(b""), "0 bytes, 4 times 1 to 2 expected"),
        (_stream(bytes(12)), "9 bytes, cut off or with a rest"),
        (_stream(bytes(10**6)), "9 bytes, cut off or with a rest"),
        (torch.cat((_stream(b"1234"), torch.zeros(1, dtype=torch.uint8))), "4 bytes, cut off"),
        (_stream(b"1234")[:-2], "4 bytes, cut off"),
    ],
)
def test_streams_of_another_size_are_refused(stream: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Places.inflated(stream, (2, 10), 2)


def test_bits_past_the_last_place_are_refused() -> None:
    bits = torch.tensor([[255, 0b11], [0, 0b111]], dtype=torch.uint8)

    assert Places.of_bits(bits, (2, 11)).total() == 13
    Places.of_bits(bits, (2, 16))
    with pytest.raises(ValueError, match="past the last of 10 places"):
        Places.of_bits(bits, (2, 10))
    with pytest.raises(ValueError, match="past the last of 10 places"):
        Places.inflated(Places.of_bits(bits, (2, 11)).deflated(), (2, 10), 1)
