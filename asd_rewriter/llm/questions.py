"""Which requests need the model, what each asks it, and which of them share a call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from asd_rewriter.facts import Fact, read_fact
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.prompts import PROMPT_VERSION, WRONG_OPTIONS, Kind, max_tokens
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import RewriteRequest

_EXPLANATIONS = (AnswerFormat.BRIEF_EXPLANATION, AnswerFormat.DETAILED_EXPLANATION)


def kind_of(fact: Fact, target: AnswerFormat, closed: bool) -> Kind | None:
    """Return what a conversion asks of the model, or None where rules need none.

    Rules suffice wherever wrong answers are at hand: options, labels (`closed`), other boxes, the
    opposite of yes or no.
    """
    if target in _EXPLANATIONS:
        if fact.native is AnswerFormat.BOX:
            return Kind.DESCRIBE
        return Kind.CLASSIFY if closed else Kind.EXPLAIN
    if target in WRONG_OPTIONS and fact.native is AnswerFormat.SHORT_ANSWER and not closed:
        return Kind.WRONG
    return None


@dataclass(frozen=True)
class Question:
    """A request put to the model. `scope` is the digest of model, prompts and decoding."""

    request: RewriteRequest
    fact: Fact
    kind: Kind
    scope: bytes

    @cached_property
    def _content(self) -> bytes:
        turn, images = self.request.turn.model_dump(mode="json"), self.request.images
        content = [images, turn, self.kind, self.request.target]
        return json.dumps(content, ensure_ascii=False).encode()

    def key(self, attempt: int) -> bytes:
        """Return the cache's key of an attempt, from 0."""
        return hashlib.sha256(self.scope + bytes([attempt]) + self._content).digest()


def scope_of(settings: LlmSettings, digest: str) -> bytes:
    """Return the digest of all that decides a reply besides the row."""
    limits = [max_tokens(it, 1) + settings.extra_tokens for it in (*WRONG_OPTIONS, *_EXPLANATIONS)]
    decoding = [settings.temperature, settings.structured, settings.extra, limits]
    described = json.dumps([PROMPT_VERSION, settings.model, digest, decoding], sort_keys=True)
    return hashlib.sha256(described.encode()).digest()


def as_question(
    request: RewriteRequest, closed: bool, scope: Callable[[], bytes]
) -> Question | None:
    """Return what a request asks the model, or None when it is the rules' to answer."""
    fact = read_fact(request.turn)
    kind = None if fact is None else kind_of(fact, request.target, closed)
    if fact is None or kind is None:
        return None
    return Question(request, fact, kind, scope())


def grouped(questions: Iterable[Question], most: int) -> Iterator[list[Question]]:
    """Yield questions in lists of at most `most` that share group, kind and target.

    Only questions that follow each other share a list: memory is bounded by one group.
    """
    group: str | None = None
    lists: dict[tuple[Kind, AnswerFormat], list[Question]] = {}
    for question in questions:
        if question.request.group != group:
            yield from lists.values()
            group, lists = question.request.group, {}
        shared = question.kind, question.request.target
        found = lists.setdefault(shared, [])
        found.append(question)
        if len(found) == most:
            yield lists.pop(shared)
    yield from lists.values()
