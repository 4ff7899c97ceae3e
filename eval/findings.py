"""What a report comes to, in sentences: what was lost, how much of it is style, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eval.forgetting import TaskChange
from eval.gate import GateVerdict
from eval.intervals import Interval
from eval.pooling import Pooled, pooled_superficial
from eval.report import ForgettingReport

LEVEL = 0.05
"""A change counts as clear if chance alone shows one as large less often than this."""
MAX_TASKS_TOLD = 3
NOT_JUDGED = "Not judged: the gate needs the scores of single items."
OUTCOMES = {"pass": "Passed", "block": "Blocked", "need_more_samples": "Needs more samples"}


class Findings(NamedTuple):
    """Each is one or two sentences; `style` is None where no answer was lost."""

    gate: str
    lost: str
    style: str | None
    advice: str


def findings(report: ForgettingReport) -> Findings:
    """Return what a person reads first."""
    pooled = pooled_superficial(report.splits)
    losses = [change for change in report.changes if clear_change(change) == "loss"]
    return Findings(
        gate=NOT_JUDGED if report.verdict is None else report.verdict.explanation,
        lost=_lost(report, losses),
        style=_style(report, pooled),
        advice=_advice(report.verdict, losses, pooled),
    )


def change_since_parent(change: TaskChange) -> float | None:
    """Return the change in points: of the pairs where there are any, as interval and n are."""
    return change.since_parent if change.paired is None else change.paired.change


def clear_change(change: TaskChange) -> str | None:
    """Return "loss" or "gain" where chance hardly explains the change since the parent."""
    points = change_since_parent(change)
    if points is None or not _is_clear(change):
        return None
    return "loss" if points < 0 else "gain"


def change_in_words(change: TaskChange) -> str:
    """Return what the change since the parent means, for people."""
    if change_since_parent(change) is None:
        return "learned now; the parent was not asked"
    kind = {"loss": "clear loss", "gain": "clear gain", None: "no clear change"}
    said = kind[clear_change(change)]
    if change.paired is None:
        inside = "excludes" if _is_clear(change) else "holds"
        return f"{said}: the interval {inside} 0"
    moved = f"{change.paired.lost} worse, {change.paired.gained} better of {change.paired.n}"
    return f"{said}: {moved} (by chance {in_cases(p_of(change))})"


def in_cases(p_value: float) -> str:
    """Return a p-value as a frequency: how often chance alone would show as much."""
    if p_value < 0.001:
        return "less than once in 1,000 times"
    if p_value < 0.01:
        return f"{1000 * p_value:.0f} in 1,000 times"
    return "most of the time" if p_value > 0.5 else f"{100 * p_value:.0f} in 100 times"


def p_of(change: TaskChange) -> float:
    """Return the p-value since the parent, corrected for the number of tasks where it was."""
    assert change.paired is not None
    adjusted = change.paired.p_adjusted
    return change.paired.p_value if adjusted is None else adjusted


def signed(points: float) -> str:
    """Return a change with its sign and one decimal; never -0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"


def count_of_change(change: TaskChange) -> int:
    """Return the items behind the change since the parent (>= 1); of none, those now."""
    if change.paired is not None:
        return change.paired.n
    return change.now.n if change.parent is None else min(change.now.n, change.parent.n)


def bracketed(points: float | None, bounds: Interval | None, n: int) -> str:
    """Return a change with its interval and n, as `-5.5 (-9.0 to -2.0, n=200)`; None is a dash."""
    if points is None:
        return "-"
    between = f"{signed(bounds.low)} to {signed(bounds.high)}, " if bounds else ""
    return f"{signed(points)} ({between}n={n})"


def bounds_of(bounds: Interval | None) -> str:
    """Return an interval as `51.6 to 65.1`; None is a dash."""
    return "-" if bounds is None else f"{bounds.low:.1f} to {bounds.high:.1f}"


def _is_clear(change: TaskChange) -> bool:
    if change.paired is not None:
        return p_of(change) < LEVEL
    bounds = change.since_parent_interval
    return bounds is not None and not bounds.low <= 0 <= bounds.high


def _lost(report: ForgettingReport, losses: Sequence[TaskChange]) -> str:
    old = [
        it
        for it in report.changes
        if it.task != report.task and change_since_parent(it) is not None
    ]
    if not old:
        return "No old task was compared with the parent, so no loss can show."
    worst = sorted(losses or old, key=_points)
    if not losses:
        return (
            f"No old task lost more against {report.parent} than chance explains. The lowest "
            f"change of {_tasks(len(old))} is {_told(worst[0])}.{_of_many(worst[0], len(old))}"
        )
    told = ", ".join(map(_told, worst[:MAX_TASKS_TOLD]))
    more = len(losses) - MAX_TASKS_TOLD
    rest = f", and {more} more" if more > 0 else ""
    return (
        f"{len(losses)} of {_tasks(len(old))} lost clearly against {report.parent}: {told}{rest}."
    )


def _of_many(worst: TaskChange, num_tasks: int) -> str:
    bounds = worst.since_parent_interval
    if bounds is None or bounds.high >= 0:
        return ""
    return f" Its own interval excludes 0, but among {num_tasks} tasks compared chance explains it."


def _points(change: TaskChange) -> float:
    return change_since_parent(change) or 0.0


def _told(change: TaskChange) -> str:
    points, bounds = change_since_parent(change), change.since_parent_interval
    number, brackets = bracketed(points, bounds, count_of_change(change)).split(" ", 1)
    return f"{change.task} {number} points {brackets}"


def _tasks(number: int) -> str:
    return "1 old task" if number == 1 else f"{number} old tasks"


def _style(report: ForgettingReport, pooled: Pooled | None) -> str | None:
    if not report.splits:
        has_old = len(report.changes) > 1
        return "Not measured: no lost answer was asked again." if has_old else None
    lost = sum(split.lost for split in report.splits)
    if not lost:
        compared = sum(split.compared for split in report.splits)
        return f"No answer was lost since its task was learned (n={compared})."
    if pooled is None:
        return (
            f"Cannot be told: of {lost} lost answers none was asked again, or the model answered "
            "them as well before it learned their task."
        )
    forgiven = "forgiven" if pooled.read_only else "forgiven or forced"
    again = "read again, not asked in other ways" if pooled.read_only else "asked again"
    return (
        f"{pooled.percent:.0f} % of the answers lost since they were learned "
        f"({pooled.interval.low:.0f} to {pooled.interval.high:.0f} %) come back when style is "
        f"{forgiven}, beyond chance: {_prevails(pooled)}. {pooled.n} of {pooled.lost} were {again}."
    )


def _prevails(pooled: Pooled) -> str:
    if pooled.read_only:
        mostly = "mostly style went, and " if pooled.interval.low > 50 else ""
        return f"{mostly}how much of the rest is style cannot be told without the model"
    if pooled.interval.low > 50:
        return "mostly style went, the knowledge is there"
    if pooled.interval.high < 50:
        return "mostly knowledge went"
    return "whether mostly style or knowledge went cannot be told yet"


_STYLE_WAY = (
    "train the task again with answer style diversification, or a larger share of it, so that old "
    "tasks keep their way of answering"
)
_KNOWLEDGE_WAY = (
    "train the task again with more protection of what was learned: a stronger penalty, replay "
    "of old samples, or a lower learning rate"
)


def _advice(
    verdict: GateVerdict | None, losses: Sequence[TaskChange], pooled: Pooled | None
) -> str:
    if not losses:
        if verdict is None or verdict.outcome == "pass":
            return "Nothing: no clear loss was found."
        return "Ask more items of the old tasks: no loss is clear with as many as were asked."
    if verdict is not None and verdict.outcome == "pass":
        return f"Nothing has to be done: the losses are within the policy. {_way(pooled)}"
    return _way(pooled)


def _way(pooled: Pooled | None) -> str:
    if pooled is None or (pooled.read_only and pooled.interval.low <= 50):
        return (
            "Have the lost answers asked again, to learn whether style or knowledge went. If "
            f"style: {_STYLE_WAY}. If knowledge: {_KNOWLEDGE_WAY}."
        )
    if pooled.interval.low > 50:
        return _sentence(_STYLE_WAY)
    if pooled.interval.high < 50:
        return _sentence(_KNOWLEDGE_WAY)
    return f"{_sentence(_STYLE_WAY)} Where knowledge went: {_KNOWLEDGE_WAY}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
