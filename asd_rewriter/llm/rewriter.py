"""The rewriter that asks a model for wrong answers and explanations, and rules for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from asd_rewriter.cards import TaskCard
from asd_rewriter.facts import Fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.asking import BUDGET_SPENT, Asker, LoadImage, Settled, Tell
from asd_rewriter.llm.budget import Budget, Spent
from asd_rewriter.llm.cache import Cache
from asd_rewriter.llm.digests import model_digest
from asd_rewriter.llm.judging import build
from asd_rewriter.llm.questions import Question, as_question, grouped, scope_of
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import Failed, Outcome, RewriteRequest
from asd_rewriter.rules.rewriter import RuleRewriter

_DECKS = {AnswerFormat.YES_NO: 2, AnswerFormat.MULTIPLE_CHOICE: 4}
"""How many places each is dealt: yes or no, the letter of the right option."""


class LlmRewriter:
    """Rewrites with a model's help; the same for the same cache and sequence of requests.

    `load_image` returns an image's bytes by digest; it is called in the calling thread. `cache` is
    a file that keeps every answer. `run` names the work that a budget belongs to: what it spent
    before, also before a kill, counts. `tell(done, spent)` hears of progress: requests settled, and
    what has been spent. Not for use within a running event loop. Close it, or use `with`.

    A turn whose answers all fail the checks ends as Failed with the last reason, one that the
    budget no longer covers as Failed("budget_spent").
    """

    def __init__(
        self,
        card: TaskCard,
        seed: int,
        settings: LlmSettings,
        load_image: LoadImage,
        cache: Path,
        *,
        run: str = "",
        tell: Tell | None = None,
    ) -> None:
        self._rules = RuleRewriter(card, seed)
        self._closed_labels = card.labels is not None
        self._settings = settings
        self._cache = Cache(cache)
        budget = Budget(settings, *self._cache.spent(run))
        self._asker = Asker(settings, self._cache, budget, load_image, run, tell)
        self._scope: bytes | None = None
        self._deal = Random(f"{seed}:model's decks")
        self._decks: dict[int, list[int]] = {}

    def __enter__(self) -> LlmRewriter:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()

    @property
    def spent(self) -> Spent:
        """What the run has spent, earlier parts of it included."""
        return self._asker.budget.spent

    def learn(self, fact: Fact) -> None:
        """Hand the fact to the rules."""
        self._rules.learn(fact)

    def prepare(self, requests: Iterable[RewriteRequest]) -> None:
        """Ask the model whatever the requests need and the cache lacks. Raises EndpointDown."""
        questions = (it for it in map(self._question, requests) if it is not None)
        self._asker.ask(grouped(questions, self._settings.turns_per_call))

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[Outcome]:
        """Return one outcome per request, in order; asks only for what the cache lacks.

        Raises EndpointDown.
        """
        questions = [self._question(request) for request in requests]
        missing = [it for it in questions if it is not None and self._asker.look_up(it) is None]
        if missing and not self._asker.budget.closed:
            self._asker.ask(grouped(missing, self._settings.turns_per_call))
        return [
            self._rules.rewrite([request])[0] if question is None else self._finish(question)
            for request, question in zip(requests, questions, strict=True)
        ]

    def _question(self, request: RewriteRequest) -> Question | None:
        return as_question(request, self._closed_labels, self._get_scope)

    def _get_scope(self) -> bytes:
        if self._scope is None:
            self._scope = scope_of(self._settings, model_digest(self._settings, self._cache))
        return self._scope

    def _finish(self, question: Question) -> Outcome:
        settled = self._asker.look_up(question) or Settled(reason=BUDGET_SPENT)
        if settled.reason is not None:
            return Failed(settled.reason)
        size = _DECKS.get(question.request.target)
        return build(question, settled.texts, 0 if size is None else self._from_deck(size))

    def _from_deck(self, size: int) -> int:
        deck = self._decks.setdefault(size, [])
        if not deck:
            deck.extend(self._deal.sample(range(size), size))
        return deck.pop()
