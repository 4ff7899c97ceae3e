"""Which places of a matrix are protected, and how often they were chosen, as planes of bits.

A row of I places is packed into ceil(I / 8) bytes, lowest bit first. A place's count is a binary
number whose digit p lies in plane p. A union of tasks is one plane, whatever their number; counts
of n tasks need `n.bit_length()` planes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


def num_top(percent: float, entries: int) -> int:
    """Return how many of a matrix's entries are its top percent: floor(percent / 100 * entries)."""
    return int(percent * entries / 100)


def top_places(a: Tensor, b: Tensor, percent: float) -> Tensor:
    """Return a boolean (O, I): the top percent of the places by |B A|, `num_top` of them.

    Equal values are taken in row-major order, so the choice is the same everywhere.
    """
    update = (b.detach().float() @ a.detach().float()).abs_().flatten()
    count = num_top(percent, update.numel())
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
    padded = torch.zeros((out, _row_bytes(width) * 8), dtype=torch.uint8, device=mask.device)
    padded[:, :width] = mask
    positions = torch.arange(8, dtype=torch.uint8, device=mask.device)
    return (padded.view(out, -1, 8) << positions).sum(dim=-1, dtype=torch.uint8)


def unpack(bits: Tensor, width: int) -> Tensor:
    """Return packed bits (rows, ceil(width / 8)) as a boolean (rows, width)."""
    return _spread(bits, width, torch.bool)


@dataclass(frozen=True)
class Places:
    """The protected places of one matrix (O, I): `planes` is uint8 (P, O, ceil(I / 8))."""

    planes: Tensor
    width: int

    @staticmethod
    def none(out: int, width: int) -> Places:
        """Return no places of a matrix (out, width)."""
        return Places(torch.zeros((1, out, _row_bytes(width)), dtype=torch.uint8), width)

    @staticmethod
    def of_bits(bits: Tensor, shape: tuple[int, int]) -> Places:
        """Return the places of one plane of packed bits, uint8 (O, ceil(I / 8)).

        Raises ValueError when they are none of a matrix of this (O, I).
        """
        wanted = (shape[0], _row_bytes(shape[1]))
        if bits.dtype != torch.uint8 or tuple(bits.shape) != wanted:
            raise ValueError(f"{bits.dtype} {tuple(bits.shape)}, bits in uint8 {wanted} expected")
        return _within(Places(bits.unsqueeze(0), shape[1]))

    @property
    def shape(self) -> tuple[int, int]:
        """The matrix's (O, I)."""
        return self.planes.shape[1], self.width

    def union(self) -> Places:
        """Return the same places, each counted once: one plane."""
        merged = self.planes[0]
        for plane in self.planes[1:]:
            merged = merged | plane
        return Places(merged.unsqueeze(0), self.width)

    def joined(self, mask: Tensor) -> Places:
        """Return the union with a boolean (O, I)."""
        return Places(self.union().planes | pack(mask), self.width)

    def counted(self, mask: Tensor) -> Places:
        """Return the counts raised by one where a boolean (O, I) holds; planes are added if due."""
        carry, planes = pack(mask), []
        for plane in self.planes:
            planes.append(plane ^ carry)
            carry = plane & carry
        return Places(torch.stack([*planes, carry] if carry.any() else planes), self.width)

    def total(self) -> int:
        """Return the sum of all counts."""
        return sum(_ones(plane) << power for power, plane in enumerate(self.planes))

    def share(self) -> float:
        """Return the share of the matrix's places that are protected, 0 to 1."""
        return _ones(self.union().planes) / (self.shape[0] * self.shape[1])

    def weights(self, first: int, last: int, dtype: torch.dtype) -> Tensor:
        """Return the counts of the rows `first` to before `last`: (rows, I)."""
        found = _spread(self.planes[0, first:last], self.width, dtype)
        for power, plane in enumerate(self.planes[1:], start=1):
            found.add_(_spread(plane[first:last], self.width, dtype), alpha=1 << power)
        return found

    def moved_to(self, device: torch.device) -> Places:
        """Return the same places on another device."""
        return Places(self.planes.to(device), self.width)

    def deflated(self) -> Tensor:
        """Return the planes as one zlib stream: uint8 (bytes,).

        Bits at random places hold no repeats, only many zero bytes: Huffman coding alone packs
        them better than a search for repeats does, and ten times as fast.
        """
        coder = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
        packed = coder.compress(self.planes.cpu().contiguous().numpy().data) + coder.flush()
        return torch.frombuffer(bytearray(packed), dtype=torch.uint8)

    @staticmethod
    def inflated(stream: Tensor, shape: tuple[int, int], max_planes: int) -> Places:
        """Return the places that `deflated` wrote; no more than `max_planes` are unpacked.

        Raises ValueError when the stream is damaged or holds no whole number of planes of a
        matrix of this (O, I).
        """
        if stream.dtype != torch.uint8:
            raise ValueError(f"{stream.dtype} {tuple(stream.shape)}, a stream in uint8 expected")
        size = shape[0] * _row_bytes(shape[1])
        decoder = zlib.decompressobj()
        try:
            raw = decoder.decompress(stream.contiguous().numpy().data, max_planes * size + 1)
        except zlib.error as error:
            raise ValueError(f"no zlib stream ({error})") from error
        planes, rest = divmod(len(raw), size)
        whole = decoder.eof and not decoder.unused_data and not rest
        if not whole or not 1 <= planes <= max_planes:
            raise ValueError(
                f"{len(raw)} bytes{'' if whole else ', cut off or with a rest'}, "
                f"{size} times 1 to {max_planes} expected"
            )
        bits = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
        return _within(Places(bits.view(planes, shape[0], -1), shape[1]))


def _within(places: Places) -> Places:
    used = places.width % 8
    if used and bool((places.planes[..., -1] >> used).any()):
        raise ValueError(f"bits past the last of {places.width} places of a row")
    return places


def _row_bytes(width: int) -> int:
    return -(-width // 8)


@cache
def _bits_of_bytes(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return every byte's bits, lowest first: (256, 8)."""
    positions = torch.arange(8, device=device)
    return ((torch.arange(256, device=device).unsqueeze(1) >> positions) & 1).to(dtype)


def _spread(bits: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    table = _bits_of_bytes(dtype, bits.device)
    # Looking bytes up is several times faster than shifting them.
    return table.index_select(0, bits.flatten().int()).view(bits.shape[0], -1)[:, :width]


def _ones(bits: Tensor) -> int:
    table = _bits_of_bytes(torch.int64, bits.device).sum(dim=1)
    return int(torch.bincount(bits.flatten(), minlength=256) @ table)
