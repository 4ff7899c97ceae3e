"""The rewrite report: what became of every turn, and a few to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import FALLBACK_WORDING, FEWER_OPTIONS, RewriteRequest, Rewritten
from asd_rewriter.samples import Sample, Turn

MAX_EXAMPLES = 3


class Example(BaseModel):
    """One turn before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    before: Turn
    after: Turn


class RewriteReport(BaseModel):
    """Counts of turns. `requested` = X % of `turns`; `converted` of these were rewritten.

    `counts`: formats of the finished set; `converted_by_format`: of the rewritten turns.
    `impossible`: rewritten turns whose native format rules a planned format out, whose share went
    to the others. `rejects`: failed attempts as `format:reason` (the turn then got another format
    or stayed native). `fallback_wordings`: yes/no questions that read `Is the answer "..."?`.
    `fewer_options`: multiple choice with fewer than four. `yes_no`, `letters`: how often each
    answer occurs among the rewritten turns. `examples`: at most three per format, of different
    native answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int
    requested: int
    converted: int
    counts: dict[AnswerFormat, int]
    converted_by_format: dict[AnswerFormat, int]
    impossible: dict[AnswerFormat, int]
    rejects: dict[str, int]
    fallback_wordings: int
    fewer_options: int
    yes_no: dict[str, int]
    letters: dict[str, int]
    examples: dict[AnswerFormat, list[Example]]


@dataclass
class Tally:
    """Counts while the work goes on."""

    turns: int
    requested: int
    impossible: Counter[AnswerFormat] = field(default_factory=Counter)
    _converted: Counter[AnswerFormat] = field(default_factory=Counter)
    _rejects: Counter[str] = field(default_factory=Counter)
    _notes: Counter[str] = field(default_factory=Counter)
    _answers: Counter[tuple[AnswerFormat, str]] = field(default_factory=Counter)
    _examples: dict[AnswerFormat, list[Example]] = field(default_factory=dict)

    def accept(self, request: RewriteRequest, rewritten: Rewritten) -> None:
        """Count a rewritten turn."""
        it, turn = request.target, rewritten.turn
        self._converted[it] += 1
        self._notes.update(rewritten.notes)
        if it in (AnswerFormat.YES_NO, AnswerFormat.MULTIPLE_CHOICE):
            self._answers[it, turn.answer] += 1
        shown = self._examples.setdefault(it, [])
        seen = {example.before.answer for example in shown}
        if len(shown) < MAX_EXAMPLES and request.turn.answer not in seen:
            shown.append(Example(key=request.key, before=request.turn, after=turn))

    def reject(self, request: RewriteRequest, reason: str) -> None:
        """Count a failed attempt."""
        self._rejects[f"{request.target.value}:{reason}"] += 1

    def report(self, samples: Iterable[Sample]) -> RewriteReport:
        """Return the report on the finished set."""
        counts = Counter(turn.format for sample in samples for turn in sample.turns)
        return RewriteReport(
            turns=self.turns,
            requested=self.requested,
            converted=self._converted.total(),
            counts=_sorted(counts),
            converted_by_format=_sorted(self._converted),
            impossible=_sorted(self.impossible),
            rejects=dict(sorted(self._rejects.items())),
            fallback_wordings=self._notes[FALLBACK_WORDING],
            fewer_options=self._notes[FEWER_OPTIONS],
            yes_no=self._split(AnswerFormat.YES_NO),
            letters=self._split(AnswerFormat.MULTIPLE_CHOICE),
            examples=self._examples,
        )

    def _split(self, answer_format: AnswerFormat) -> dict[str, int]:
        found = {answer: n for (it, answer), n in self._answers.items() if it is answer_format}
        return dict(sorted(found.items()))


def _sorted(counts: Counter[AnswerFormat]) -> dict[AnswerFormat, int]:
    return {it: counts[it] for it in AnswerFormat if counts[it]}
