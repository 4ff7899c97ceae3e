"""The rewrite report: what became of every turn, and a few to look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.rewriter import (
    DISTRACTORS,
    FALLBACK_WORDING,
    FEWER_OPTIONS,
    TEMPLATE_EXPLANATION,
    RewriteRequest,
    Rewritten,
)
from asd_rewriter.samples import Turn

MAX_EXAMPLES = 5


class Example(BaseModel):
    """One turn before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    before: Turn
    after: Turn


class RewriteReport(BaseModel):
    """Counts of turns. `requested` = X % of `turns`; `converted` of these were rewritten.

    `counts`: formats of the finished set; `converted_by_format`: of the rewritten turns.
    `rejects`: attempts that came to nothing, as `format:reason`. Where the format was impossible,
    its share went to the other formats; what failed for good stayed native. `fallback_wordings`:
    yes/no questions that read `Is the answer "..."?`. `template_explanations`: explanations by
    rules, which have not seen the image. `fewer_options`: multiple choice with fewer than four.
    `distractors`: where wrong answers came from. `yes_no`, `letters`: how often each answer occurs
    among the rewritten turns. `examples`: at most five per format, of different native answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int
    requested: int
    converted: int
    counts: dict[AnswerFormat, int]
    converted_by_format: dict[AnswerFormat, int]
    rejects: dict[str, int]
    fallback_wordings: int
    template_explanations: int
    fewer_options: int
    distractors: dict[str, int]
    yes_no: dict[str, int]
    letters: dict[str, int]
    examples: dict[AnswerFormat, list[Example]]


@dataclass
class Tally:
    """Counts while the work goes on. `counts`: the turns by format, at first all native."""

    requested: int
    counts: Counter[AnswerFormat] = field(default_factory=Counter)
    _converted: Counter[AnswerFormat] = field(default_factory=Counter)
    _rejects: Counter[str] = field(default_factory=Counter)
    _notes: Counter[str] = field(default_factory=Counter)
    _answers: Counter[tuple[AnswerFormat, str]] = field(default_factory=Counter)
    _examples: dict[AnswerFormat, list[Example]] = field(default_factory=dict)

    def accept(self, request: RewriteRequest, rewritten: Rewritten) -> None:
        """Count a rewritten turn."""
        it, turn = request.target, rewritten.turn
        self.counts[request.turn.format] -= 1
        self.counts[it] += 1
        self._converted[it] += 1
        self._notes.update(rewritten.notes)
        if it in (AnswerFormat.YES_NO, AnswerFormat.MULTIPLE_CHOICE):
            self._answers[it, turn.answer] += 1
        shown = self._examples.setdefault(it, [])
        if len(shown) < MAX_EXAMPLES:
            seen = {example.before.answer for example in shown}
            if request.turn.answer not in seen:
                shown.append(Example(key=request.key, before=request.turn, after=turn))

    def reject(self, request: RewriteRequest, reason: str) -> None:
        """Count a failed attempt."""
        self._rejects[f"{request.target.value}:{reason}"] += 1

    def report(self) -> RewriteReport:
        """Return the report on what was counted."""
        sources = {
            name.removeprefix(DISTRACTORS): number
            for name, number in sorted(self._notes.items())
            if name.startswith(DISTRACTORS)
        }
        return RewriteReport(
            turns=self.counts.total(),
            requested=self.requested,
            converted=self._converted.total(),
            counts=_sorted(self.counts),
            converted_by_format=_sorted(self._converted),
            rejects=dict(sorted(self._rejects.items())),
            fallback_wordings=self._notes[FALLBACK_WORDING],
            template_explanations=self._notes[TEMPLATE_EXPLANATION],
            fewer_options=self._notes[FEWER_OPTIONS],
            distractors=sources,
            yes_no=self._split(AnswerFormat.YES_NO),
            letters=self._split(AnswerFormat.MULTIPLE_CHOICE),
            examples=self._examples,
        )

    def _split(self, answer_format: AnswerFormat) -> dict[str, int]:
        found = {answer: n for (it, answer), n in self._answers.items() if it is answer_format}
        return dict(sorted(found.items()))


def _sorted(counts: Counter[AnswerFormat]) -> dict[AnswerFormat, int]:
    return {it: counts[it] for it in AnswerFormat if counts[it]}
