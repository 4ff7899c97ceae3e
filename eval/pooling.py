"""Splits of several tasks together: the share of style, and how lost answers were asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eval.intervals import Interval, Part, spread
from eval.probes import ProbeKind
from eval.split import TaskSplit


class Pooled(NamedTuple):
    """Share (percent) of all tasks' lost answers that is only hidden, with its 95 % interval.

    Tasks weigh by the answers that they lost. `n` of these `lost` were asked again; tasks of which
    it cannot be told are left out. `read_only`: they were not asked in any other way, so that
    there may be more style among them.
    """

    percent: float
    interval: Interval
    n: int
    lost: int
    num_tasks: int
    read_only: bool


def pooled_superficial(splits: Sequence[TaskSplit]) -> Pooled | None:
    """Return the share over all tasks, or None where it cannot be told of any."""
    told = [(it, it.superficial) for it in splits if it.lost and it.superficial]
    total = sum(it.lost for it, _ in told)
    if not told:
        return None
    parts = [
        Part(it.lost / total, share.percent, Interval(low=share.low, high=share.high))
        for it, share in told
    ]
    percent = sum(part.weight * part.points for part in parts)
    below, above = spread([[part] for part in parts])
    interval = Interval(low=max(percent - below, 0.0), high=min(percent + above, 100.0))
    probed, read_only = sum(it.probed for it, _ in told), all(it.read_only for it, _ in told)
    return Pooled(percent, interval, probed, total, len(told), read_only)


_WAYS = {
    ProbeKind.LENIENT: "read with style forgiven",
    ProbeKind.FORCED: "asked again with the answer space forced",
    ProbeKind.YES_NO: "asked again in other formats",
    ProbeKind.CHOICE: "asked again in other formats",
}


def how_asked(splits: Sequence[TaskSplit]) -> str:
    """Return what was done with lost answers, as `read with style forgiven and asked again ...`."""
    kinds = {kind for split in splits for kind in split.by_kind}
    ways = list(dict.fromkeys(_WAYS[kind] for kind in ProbeKind if kind in kinds))
    listed = ", ".join(ways[:-1])
    return f"{listed} and {ways[-1]}" if listed else "".join(ways) or "not asked again"
