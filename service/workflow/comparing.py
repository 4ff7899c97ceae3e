"""A version beside its parent: what it lost on the tasks learned before, from stored answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy.orm import Session

from adapters_store.backends import LocalBlobStore
from asd_rewriter.cards import TaskCard
from eval.gate import GatePolicy, GateVerdict, TaskEvidence, judge
from eval.intervals import PairedChange, paired_changes
from eval.items import EvalItem
from eval.probes import ALL_KINDS, FREE_KINDS, Probe, build_probes, choose_probed
from eval.scoring import TaskScores, score_items
from eval.split import TaskSplit, lost_items, split_task
from service.db.tables import CellRow, StreamRow, TaskRow, VersionRow
from service.versions.operations import lineage
from service.workflow.measuring import Measurement, decoding_of, items_of, stored_answers

Answers = Mapping[str, str]


@dataclass(frozen=True)
class OldTask:
    """A task that the parent knew. `learned` is the version that learned it, `before` the one
    before that; `items` are all there are, in the order in which they are drawn."""

    task: TaskRow
    before: VersionRow
    learned: VersionRow
    items: tuple[EvalItem, ...]

    @property
    def card(self) -> TaskCard:
        """The task's card."""
        return TaskCard.model_validate(self.task.card)

    def measurement(self, version: VersionRow, number: int) -> Measurement:
        """Return the cell over the first items."""
        return Measurement(version, self.task, self.items[:number], decoding_of(self.task))


@dataclass(frozen=True)
class Comparison:
    """The last version of a lineage, its parent, the items of the task that it learned, and the
    old tasks in order of learning."""

    version: VersionRow
    parent: VersionRow
    own: tuple[EvalItem, ...]
    old: tuple[OldTask, ...]

    @classmethod
    def read(cls, session: Session, blobs: LocalBlobStore, version: VersionRow) -> Comparison:
        """Return a version's comparison; it has learned at least one task."""
        chain = lineage(session, version)
        steps = pairwise(chain[:-1])
        old = [
            OldTask(task, before, learned, tuple(items_of(blobs, task)))
            for before, learned in steps
            if (task := session.get(TaskRow, learned.task_id)) is not None
        ]
        own = items_of(blobs, session.get_one(TaskRow, version.task_id))
        return cls(version, chain[-2], tuple(own), tuple(old))


class Standing:
    """What is known of a comparison now: the answers that are stored."""

    def __init__(self, session: Session, comparison: Comparison) -> None:
        self._session = session
        self.comparison = comparison
        self._answers: dict[str, Answers] = {}

    def answers(self, version: VersionRow) -> Answers:
        """Return a version's stored answers by item digest."""
        digest = version.servable_digest
        if digest not in self._answers:
            self._answers[digest] = stored_answers(self._session, digest)
        return self._answers[digest]

    def judge(self, stream: StreamRow, first: int) -> GateVerdict:
        """Return the gate's verdict over the items that both versions have answered.

        `first` is how many items per task the first look took.
        """
        number = self.comparison.version.number, self.comparison.parent.number
        version, parent = (f"{stream.name}@{it}" for it in number)
        policy = GatePolicy.model_validate(stream.gate)
        evidence = {old.task.name: self._evidence(old) for old in self.comparison.old}
        return judge(evidence, policy, version=version, parent=parent, first=first)

    def asked(self, old: OldTask) -> tuple[EvalItem, ...]:
        """Return the items of a task on which version and parent are compared."""
        sides = (self.comparison.version, self.comparison.parent)
        cells = [self._session.get_one(CellRow, (side.id, old.task.id)) for side in sides]
        return old.items[: min(cell.n for cell in cells)]

    def scores(self, version: VersionRow, old: OldTask) -> TaskScores:
        """Return a version's scores on the items compared, as far as it was asked."""
        answers = self.answers_to(self.asked(old), version)
        return score_items([it for it in self.asked(old) if it.digest in answers], answers)

    def answers_to(self, items: Iterable[EvalItem], version: VersionRow) -> dict[str, str]:
        """Return a version's answers to items, as far as it was asked."""
        answers = self.answers(version)
        return {it.digest: answers[it.digest] for it in items if it.digest in answers}

    def own_items(self) -> list[EvalItem]:
        """Return the items of the version's own task that it was asked."""
        answers = self.answers(self.comparison.version)
        return [it for it in self.comparison.own if it.digest in answers]

    def changes(self, since: Callable[[OldTask], VersionRow]) -> dict[str, PairedChange]:
        """Return the version's change on each old task since another version."""
        before, now = {}, {}
        for old in self.comparison.old:
            before[old.task.name] = self.scores(since(old), old).scores
            now[old.task.name] = self.scores(self.comparison.version, old).scores
        return paired_changes(before, now)

    def _evidence(self, old: OldTask) -> TaskEvidence:
        before = self.scores(self.comparison.parent, old)
        after = self.scores(self.comparison.version, old)
        return TaskEvidence.paired(before, after, len(old.items) - len(before.scores))

    def probes(self, old: OldTask, limit: int) -> list[Probe]:
        """Return the questions that ask at most `limit` of a task's lost items again."""
        lost = lost_items(
            self.asked(old), self.answers(old.learned), self.answers(self.comparison.version)
        )
        asked = choose_probed(lost, limit) if limit else []
        offline = "offline" in (self.comparison.version.servable_by, old.before.servable_by)
        return build_probes(asked, old.items, old.card, FREE_KINDS if offline else ALL_KINDS)

    def split(self, old: OldTask, limit: int) -> TaskSplit:
        """Return what was lost of a task, divided; the probes must have been answered."""
        return split_task(
            self.asked(old),
            self.probes(old, limit),
            self.answers(old.learned),
            self.answers(self.comparison.version),
            self.answers(old.before),
        )
