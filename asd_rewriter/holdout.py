"""Holding evaluation rows out of a train split, by digest, so that equal rows stay together."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


class Holdout:
    """Collects the rows' fingerprints; rows that share one form a group and go to one side."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._owners: dict[bytes, int] = {}
        self._first: list[bytes] = []

    def add(self, fingerprints: Iterable[str]) -> None:
        """Add the next row (at least one fingerprint)."""
        row = len(self._parents)
        prints = [bytes.fromhex(it) for it in fingerprints]
        self._parents.append(row)
        self._first.append(min(prints))
        for print_ in prints:
            other = self._owners.setdefault(print_, row)
            self._join(other, row)

    def choose(self, fraction: float, seed: int) -> set[int]:
        """Return the indices of the held-out rows: about `fraction` of them, at least one.

        Depends on the rows' content and the seed only, not on their order. Empty when all rows
        are one group, so that nothing can be held out.
        """
        groups: dict[int, list[int]] = {}
        for row in range(len(self._parents)):
            groups.setdefault(self._root(row), []).append(row)
        if len(groups) < 2:
            return set()
        wanted = max(1, round(fraction * len(self._parents)))
        ordered = sorted(groups.values(), key=lambda rows: self._key(rows, seed))
        chosen: set[int] = set()
        for rows in ordered:
            if len(chosen) + len(rows) <= wanted:
                chosen.update(rows)
        smallest = min(len(rows) for rows in ordered)
        return chosen or set(next(rows for rows in ordered if len(rows) == smallest))

    def _key(self, rows: list[int], seed: int) -> bytes:
        return sha256(b"%d:" % seed + min(self._first[row] for row in rows)).digest()

    def _join(self, one: int, two: int) -> None:
        root = self._root(one)
        self._parents[self._root(two)] = root

    def _root(self, row: int) -> int:
        while self._parents[row] != row:
            self._parents[row] = self._parents[self._parents[row]]
            row = self._parents[row]
        return row
