"""Choosing what to rewrite: X % of the units, stratified by answer, in memory that is fixed.

The samples are counted first; each answer then gets its quota, to within one, by systematic
sampling over the strata; and as the samples come a second time, selection sampling (Knuth, The Art
of Computer Programming 2, 3.4.2, algorithm S) picks exactly the quota of each stratum.
"""

from __future__ import annotations

import math
from array import array
from random import Random
from zlib import crc32

import numpy as np

from asd_rewriter.answers import normalise
from asd_rewriter.facts import Fact
from asd_rewriter.samples import Turn

NUM_STRATA = 2**18
"""Answers are hashed into so many strata; of 1,000 answers, about two share one."""


def stratum_of(turn: Turn, fact: Fact) -> int:
    """Return a turn's stratum: native format and answer; of multiple choice, the letter."""
    answer = turn.answer if fact.options else normalise(fact.answer)
    return crc32((turn.format + ":" + answer).encode()) % NUM_STRATA


class Strata:
    """How many units each stratum has."""

    def __init__(self) -> None:
        self._counts = array("i", bytes(4 * NUM_STRATA))
        self.total = 0

    def add(self, stratum: int) -> None:
        """Count a unit that could be rewritten."""
        self._counts[stratum] += 1
        self.total += 1

    def selection(self, number: int, seed: int) -> Selection:
        """Return a choice of `number` units, or of all where there are fewer."""
        number = min(number, self.total)
        ends = np.cumsum(np.frombuffer(self._counts, dtype=np.int32), dtype=np.int64)
        step = self.total / max(number, 1)
        start = Random(f"{seed}:strata").random() * step
        places = np.minimum((start + step * np.arange(number)).astype(np.int64), self.total - 1)
        quotas = np.bincount(np.searchsorted(ends, places, side="right"), minlength=NUM_STRATA)
        return Selection(self._counts[:], array("i", quotas.astype(np.int32).tobytes()), seed)


class Selection:
    """Picks units one after another, each stratum's quota of them."""

    def __init__(self, counts: array[int], quotas: array[int], seed: int) -> None:
        self._left, self._wanted = counts, quotas
        self._random = Random(f"{seed}:picks").random

    def pick(self, stratum: int) -> bool:
        """Tell whether the next unit of a stratum is chosen."""
        left, wanted = self._left[stratum], self._wanted[stratum]
        self._left[stratum] = left - 1
        if not wanted or self._random() * left >= wanted:
            return False
        self._wanted[stratum] = wanted - 1
        return True


def share_of(number: int, percent: float) -> int:
    """Return `percent` of a number, rounded half up."""
    return math.floor(number * percent / 100 + 0.5)
