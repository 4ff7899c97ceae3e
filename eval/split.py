"""Superficial against essential forgetting: of the answers lost, which come back when asked again.

An answer is lost if it was right by the version that learned the task and is wrong now. It is
recovered if any kind of probe (`eval.probes`) brings it back. Some are by luck, or because the
model knew them before it learned the task; the version before that is therefore asked the same:

    superficial = (r - c) / (1 - c)        essential = 1 - superficial

with r the share recovered now and c the share recovered by the version before the task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from eval.errors import PredictionsMissing
from eval.forgetting import RIGHT
from eval.items import EvalItem
from eval.probes import Probe, ProbeKind, probe_score
from eval.recovery import Recovery, Share, recovery_of
from eval.scoring import score_item
from eval.split_rules import rules_version


class TaskSplit(BaseModel):
    """What a version lost of one task, divided.

    Args:
        task: its name.
        rules: see `rules_version`; splits under different rules are not comparable.
        compared: items that both the version that learned the task and this one answered.
        learned: those of them that were right when the task was learned.
        lost: those of `learned` that are wrong now.
        probed: those of `lost` that were asked again: a seeded sample where there are many.
        by_kind: recovery by each kind of probe asked; its n is smaller where a kind does not suit
            every item.
        overall: recovery by any of the kinds.
        recovered_by: per probed item's digest the kinds that brought it back; none: essential.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    rules: str
    compared: int
    learned: int
    lost: int
    probed: int
    by_kind: dict[ProbeKind, Recovery]
    overall: Recovery
    recovered_by: dict[str, tuple[ProbeKind, ...]]

    @property
    def read_only(self) -> bool:
        """Whether lost answers were only read again, not asked for in any other way."""
        return self.by_kind.keys() == {ProbeKind.LENIENT}

    @property
    def superficial(self) -> Share | None:
        """Share of the lost answers that is only hidden; None where it cannot be told."""
        return self.overall.corrected

    @property
    def essential(self) -> Share | None:
        """Share of the lost answers that is gone; None where it cannot be told."""
        return self.gone(self.overall)

    def gone(self, found: Recovery) -> Share | None:
        """Return what one of its recoveries leaves; None where answers were only read again."""
        return None if self.read_only or found.corrected is None else found.corrected.rest()


def lost_items(
    items: Iterable[EvalItem], learned: Mapping[str, str], now: Mapping[str, str]
) -> list[EvalItem]:
    """Return the items that were right when their task was learned and are wrong now.

    Args:
        items: those without an answer on either side are passed over.
        learned: answers by item digest of the version that learned the task.
        now: answers by item digest of the version reported on.
    """
    return [
        item
        for item in _compared(items, learned, now)
        if _is_right(item, learned) and not _is_right(item, now)
    ]


def split_task(
    task_items: Sequence[EvalItem],
    probes: Sequence[Probe],
    learned: Mapping[str, str],
    now: Mapping[str, str],
    before: Mapping[str, str],
) -> TaskSplit:
    """Divide what a version lost of a task.

    Args:
        task_items: all evaluation items of the task, at least one.
        probes: those built from (a sample of) its lost items; both versions answered all of them.
        learned: answers to the task's items of the version that learned it.
        now: answers to the task's items and to the probes of the version reported on.
        before: answers to the probes of the version before the task was learned.

    Raises:
        PredictionsMissing: if there is no item, a probe asks an item that is not lost, or a probe
            lacks an answer.
    """
    if not task_items:
        raise PredictionsMissing("there is no item to divide. Give the task an evaluation split.")
    compared = _compared(task_items, learned, now)
    lost = {item.digest for item in lost_items(compared, learned, now)}
    asked = _by_item(probes, lost)
    _check_answered(probes, now, before)
    came_back = {item: _recovered(groups, now) for item, groups in asked.items()}
    by_chance = {item: _recovered(groups, before) for item, groups in asked.items()}
    kinds = [kind for kind in ProbeKind if any(kind in groups for groups in asked.values())]
    return TaskSplit(
        task=task_items[0].task,
        rules=rules_version(),
        compared=len({item.digest for item in compared}),
        learned=len({item.digest for item in compared if _is_right(item, learned)}),
        lost=len(lost),
        probed=len(asked),
        by_kind={kind: _recovery_by(kind, asked, came_back, by_chance) for kind in kinds},
        overall=recovery_of(
            [bool(came_back[item]) for item in asked], [bool(by_chance[item]) for item in asked]
        ),
        recovered_by=came_back,
    )


_Groups = Mapping[ProbeKind, Sequence[Probe]]


def _compared(
    items: Iterable[EvalItem], learned: Mapping[str, str], now: Mapping[str, str]
) -> list[EvalItem]:
    return [item for item in items if item.digest in learned and item.digest in now]


def _is_right(item: EvalItem, answers: Mapping[str, str]) -> bool:
    return score_item(item, answers[item.digest]) >= RIGHT


def _by_item(probes: Iterable[Probe], lost: set[str]) -> dict[str, _Groups]:
    found: dict[str, dict[ProbeKind, list[Probe]]] = {}
    for probe in probes:
        if probe.of not in lost:
            raise PredictionsMissing(
                f"probe {probe.id!r} asks an item again that is not lost. Build probes from "
                "`lost_items` of the same answers."
            )
        found.setdefault(probe.of, defaultdict(list))[probe.kind].append(probe)
    return {item: dict(groups) for item, groups in found.items()}


def _check_answered(
    probes: Iterable[Probe], now: Mapping[str, str], before: Mapping[str, str]
) -> None:
    for answers, whose in ((now, "this version"), (before, "the version before the task")):
        missing = [probe.id for probe in probes if probe.digest not in answers]
        if missing:
            raise PredictionsMissing(
                f"{len(missing)} probes have no answer of {whose}, the first is {missing[0]!r}. "
                "Ask both versions the same probes."
            )


def _recovered(groups: _Groups, answers: Mapping[str, str]) -> tuple[ProbeKind, ...]:
    """Return the kinds all of whose questions are answered right."""
    return tuple(
        kind
        for kind, probes in groups.items()
        if all(probe_score(probe, answers[probe.digest]) >= RIGHT for probe in probes)
    )


def _recovery_by(
    kind: ProbeKind,
    asked: Mapping[str, _Groups],
    now: Mapping[str, Sequence[ProbeKind]],
    before: Mapping[str, Sequence[ProbeKind]],
) -> Recovery:
    items = [item for item, groups in asked.items() if kind in groups]
    return recovery_of(
        [kind in now[item] for item in items], [kind in before[item] for item in items]
    )
