"""A version beside its parent: what it lost on the tasks learned before, from stored answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from service.workflow.measuring import (
    Measurement,
    answer_keys,
    answers_under,
    decoding_of,
    items_of,
)

Answers = dict[str, str]


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
    """The last version of a lineage, its parent, the task that it learned with its items, and the
    old tasks in order of learning."""

    version: VersionRow
    parent: VersionRow
    task: TaskRow
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
        task = session.get_one(TaskRow, version.task_id)
        return cls(version, chain[-2], task, tuple(items_of(blobs, task)), tuple(old))


class Standing:
    """What is known of a comparison now: the answers that are stored.

    Answers to items are those behind the cell, whichever build of the engine gave them. `engines`
    names the build that was asked in this evaluation, by version id: it answered the probes.
    """

    def __init__(
        self, session: Session, comparison: Comparison, engines: Mapping[str, str]
    ) -> None:
        self._session = session
        self.comparison = comparison
        self._engines = engines
        self._answers: dict[tuple[str, str], Answers] = {}
        self._scores: dict[tuple[str, str], TaskScores] = {}

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
        return old.items[: min(self._cell(side, old.task).n for side in sides)]

    def answers(self, version: VersionRow, old: OldTask) -> Answers:
        """Return a version's answers to the items compared, as far as it was asked."""
        place = version.id, old.task.id
        if place not in self._answers:
            self._answers[place] = self._read(
                version, old.task, self.asked(old), self.engine(version, old.task)
            )
        return self._answers[place]

    def engine(self, version: VersionRow, task: TaskRow) -> str:
        """Return the build of the engine that gave a version's answers to a task."""
        return self._cell(version, task).engine

    def own_answers(self) -> Answers:
        """Return the version's answers to the task that it learned."""
        version, task = self.comparison.version, self.comparison.task
        items = self.comparison.own[: self._cell(version, task).n]
        return self._read(version, task, items, self.engine(version, task))

    def scores(self, version: VersionRow, old: OldTask) -> TaskScores:
        """Return a version's scores on the items compared, as far as it was asked."""
        place = version.id, old.task.id
        if place not in self._scores:
            answers = self.answers(version, old)
            items = [it for it in self.asked(old) if it.digest in answers]
            self._scores[place] = score_items(items, answers)
        return self._scores[place]

    def _read(
        self, version: VersionRow, task: TaskRow, items: Iterable[EvalItem], engine: str
    ) -> Answers:
        keys = answer_keys(version, items, decoding_of(task), engine)
        return answers_under(self._session, keys)

    def _cell(self, version: VersionRow, task: TaskRow) -> CellRow:
        return self._session.get_one(CellRow, (version.id, task.id))

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
            self.asked(old),
            self.answers(old.learned, old),
            self.answers(self.comparison.version, old),
        )
        asked = choose_probed(lost, limit) if limit else []
        offline = "offline" in (self.comparison.version.servable_by, old.before.servable_by)
        return build_probes(asked, old.items, old.card, FREE_KINDS if offline else ALL_KINDS)

    def split(self, old: OldTask, limit: int) -> TaskSplit:
        """Return what was lost of a task, divided; the probes must have been answered."""
        version, probes = self.comparison.version, self.probes(old, limit)
        return split_task(
            self.asked(old),
            probes,
            self.answers(old.learned, old),
            self.answers(version, old) | self._answers_to_probes(version, old, probes),
            self._answers_to_probes(old.before, old, probes),
        )

    def _answers_to_probes(
        self, version: VersionRow, old: OldTask, probes: Sequence[Probe]
    ) -> Answers:
        if not probes:  # then nobody was asked, and by no build
            return {}
        return self._read(version, old.task, probes, self._engines[version.id])
