"""How many lost answers came back, corrected for those that come back by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from eval.intervals import wilson


class Share(BaseModel):
    """A share in percent (0 to 100) with its 95 % interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percent: float = Field(ge=0, le=100)
    low: float = Field(ge=0, le=100)
    high: float = Field(ge=0, le=100)

    def rest(self) -> Share:
        """Return what is missing to 100 percent."""
        return Share(percent=100 - self.percent, low=100 - self.high, high=100 - self.low)


class Recovery(BaseModel):
    """How many of the lost items asked again came back.

    `now` and `before` are counts among the same `n` items: of the version reported on, and of the
    version before the task was learned. Their shares are `raw` and `chance`; all shares are None
    where nothing was asked, and `corrected` also where the version before answers everything, so
    that nothing can be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=0)
    now: int = Field(ge=0)
    before: int = Field(ge=0)
    raw: Share | None
    chance: Share | None
    corrected: Share | None


def recovery_of(now: Sequence[bool], before: Sequence[bool]) -> Recovery:
    """Return raw, chance and corrected shares of paired outcomes, one pair per lost item.

    Raw and chance have Wilson's interval. That of the corrected share is the square-and-add
    interval of a function of two proportions (MOVER: Zou and Donner 2008, Statistics in Medicine
    27:1693), the two taken as independent: pairs that agree make it wider than need be. What lies
    below 0 becomes 0: no better than chance. Fewer than by chance means that the version before
    guesses and this one is sure of something wrong; then the correction takes too much, and the
    interval reaches up to that of raw.

    Raises:
        ValueError: if the outcomes are not paired.
    """
    n, r, c = len(now), sum(now), sum(before)
    if len(before) != n:
        raise ValueError(f"outcomes must be paired: got {n} now and {len(before)} before.")
    if n == 0:
        return Recovery(n=0, now=0, before=0, raw=None, chance=None, corrected=None)
    raw, chance = _share(r, n), _share(c, n)
    corrected = None if c == n else _corrected(raw, chance)
    return Recovery(n=n, now=r, before=c, raw=raw, chance=chance, corrected=corrected)


def _corrected(raw: Share, chance: Share) -> Share:
    r, c = raw.percent, chance.percent
    value = _beyond(r, c)
    down = math.hypot(value - _beyond(raw.low, c), value - _beyond(r, chance.high))
    up = math.hypot(_beyond(raw.high, c) - value, _beyond(r, chance.low) - value)
    highest = max(value + up, raw.high) if r < c else value + up
    low, middle, high = (min(100.0, max(0.0, it)) for it in (value - down, value, highest))
    return Share(percent=middle, low=low, high=high)


def _beyond(r: float, c: float) -> float:
    return 100 * (r - c) / (100 - c)


def _share(hits: int, n: int) -> Share:
    percent = 100 * hits / n
    interval = wilson(percent, n)
    return Share(percent=percent, low=interval.low, high=interval.high)
