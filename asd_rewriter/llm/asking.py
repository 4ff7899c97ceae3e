"""Getting questions settled: from the cache, by one call for several, or alone, a few attempts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asd_rewriter.llm import prompts
from asd_rewriter.llm.budget import Budget, BudgetSpent, Spent
from asd_rewriter.llm.cache import Cache, Reply
from asd_rewriter.llm.client import (
    ENDPOINT_FAILED,
    REQUEST_REFUSED,
    CallFailed,
    ChatClient,
    endpoint_down,
)
from asd_rewriter.llm.judging import judge
from asd_rewriter.llm.questions import Question
from asd_rewriter.llm.replies import read_reply
from asd_rewriter.llm.settings import LlmSettings

LoadImage = Callable[[str], bytes]
Tell = Callable[[int, Spent], None]
BUDGET_SPENT = "budget_spent"

_MAX_FAILED_IN_A_ROW = 8
_SIGNATURES = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"RIFF", "webp"))


@dataclass(frozen=True)
class Settled:
    """The end of a question: sound texts, or why there are none."""

    texts: tuple[str, ...] = ()
    reason: str | None = None


@dataclass
class Health:
    """Tells a request that the endpoint cannot do from an endpoint that does nothing any more.

    Calls that failed wait here. The next answer proves the endpoint alive: then it was the
    requests' fault. Too many without an answer, or a failure before any answer: it is down.
    """

    settings: LlmSettings
    _answered: bool = False
    _waiting: list[tuple[bytes, Reply]] = field(default_factory=list)
    _calls: int = 0

    def answered(self) -> list[tuple[bytes, Reply]]:
        """Note an answer; return the failures that are final now."""
        self._answered, self._calls = True, 0
        final, self._waiting = self._waiting, []
        return final

    def failed(self, keys: Sequence[bytes], error: CallFailed) -> None:
        """Note a failed call. Raises EndpointDown."""
        self._waiting += [(key, Reply(problem=error.reason, raw=str(error))) for key in keys]
        self._calls += 1
        never = error.reason == ENDPOINT_FAILED and not self._answered
        if never or self._calls >= _MAX_FAILED_IN_A_ROW:
            raise endpoint_down(self.settings, str(error), self.settings.retries + 1)

    def at_end(self) -> list[tuple[bytes, Reply]]:
        """Return the failures that no answer followed, if any answer went before."""
        return self._waiting if self._answered else []


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass
class Asker:
    """Settles questions with at most `settings.concurrency` calls under way."""

    settings: LlmSettings
    cache: Cache
    budget: Budget
    load_image: LoadImage
    run: str
    tell: Tell | None = None
    done: int = 0
    _failed: dict[bytes, str] = field(default_factory=dict)

    def look_up(self, question: Question) -> Settled | None:
        """Return how a question ended, or None while it has not."""
        ended, _, _ = self._state(question)
        return ended

    def ask(self, lists: Iterator[list[Question]]) -> None:
        """Settle lists of questions that share a call. Raises EndpointDown."""
        asyncio.run(self._drive(lists))

    async def _drive(self, lists: Iterator[list[Question]]) -> None:
        health = Health(self.settings)
        async with ChatClient(self.settings, self.budget, self._tell) as client:
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self.settings.concurrency):
                        workers.create_task(self._work(lists, client, health))
            except ExceptionGroup as errors:  # several calls under way saw the same end
                raise _first(errors) from None
            finally:
                self.cache.put(self.run, health.at_end(), self.budget.spent)

    async def _work(
        self, lists: Iterator[list[Question]], client: ChatClient, health: Health
    ) -> None:
        for questions in lists:  # shared by all workers: each takes the next one
            if not self.budget.closed:
                await self._settle(questions, client, health)
            self.done += len(questions)
            self._tell()
            await asyncio.sleep(0)  # what is in the cache must not hold up the calls

    async def _settle(
        self, questions: Sequence[Question], client: ChatClient, health: Health
    ) -> None:
        try:
            fresh = [it for it in questions if self._state(it) == (None, 0, None)]
            if fresh:
                await self._call(fresh, 0, None, client, health)
            for question in questions:
                while True:
                    ended, attempt, last = self._state(question)
                    if ended is not None:
                        break
                    await self._call([question], attempt, last, client, health)
        except BudgetSpent:
            return

    def _state(self, question: Question) -> tuple[Settled | None, int, tuple[str, Reply] | None]:
        """Return the end if there is one, else the attempt that comes next and the last one."""
        last = None
        for attempt in range(self.settings.attempts):
            key = question.key(attempt)
            reply = self.cache.get(key)
            if reply is None:
                reason = self._failed.get(key)
                return (None if reason is None else Settled(reason=reason)), attempt, last
            reason = reply.problem or judge(question, reply.texts)
            if reason is None:
                return Settled(reply.texts), attempt, None
            last = reason, reply
            if reason in (ENDPOINT_FAILED, REQUEST_REFUSED):
                break
        assert last is not None
        return Settled(reason=last[0]), self.settings.attempts, last

    async def _call(
        self,
        questions: Sequence[Question],
        attempt: int,
        last: tuple[str, Reply] | None,
        client: ChatClient,
        health: Health,
    ) -> None:
        keys = [it.key(attempt) for it in questions]
        try:
            body, allowance = self._body(questions, attempt, last)
            answer = await client.ask(body, allowance)
        except CallFailed as error:
            self._failed.update((key, error.reason) for key in keys)
            health.failed(keys, error)
            return
        facts = [it.fact for it in questions]
        parts = read_reply(answer.text, questions[0].kind, facts, answer.cut_off)
        replies = [*zip(keys, parts, strict=True), *health.answered()]
        self.cache.put(self.run, replies, self.budget.spent)

    def _body(
        self, questions: Sequence[Question], attempt: int, last: tuple[str, Reply] | None
    ) -> tuple[dict[str, Any], tuple[int, int]]:
        first, settings = questions[0], self.settings
        kind, target, number = first.kind, first.request.target, len(questions)
        hint = None if last is None else (last[0], last[1].texts)
        text = prompts.user_text(kind, target, [it.fact for it in questions], hint)
        images = [self._image(digest) for digest in first.request.images]
        tokens = prompts.max_tokens(target, number) + settings.extra_tokens
        body: dict[str, Any] = {
            **settings.extra,
            "model": settings.model,
            "messages": [
                {"role": "system", "content": prompts.SYSTEM},
                {"role": "user", "content": [*images, {"type": "text", "text": text}]},
            ],
            "max_tokens": tokens,
            "temperature": min(settings.temperature + 0.2 * attempt, 2.0),
            "seed": int.from_bytes(first.key(attempt)[:4]) >> 1,
        }
        if settings.structured:
            body["response_format"] = prompts.response_format(kind, target, number)
        # A token is at least one byte; 64 more for what a chat template adds.
        prompt = len(text.encode()) + len(prompts.SYSTEM) + 64
        return body, (prompt + settings.image_tokens * len(images), tokens)

    def _image(self, digest: str) -> dict[str, Any]:
        data = self.load_image(digest)
        kind = next((it for start, it in _SIGNATURES if data.startswith(start)), "jpeg")
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}

    def _tell(self) -> None:
        if self.tell is not None:
            self.tell(self.done, self.budget.spent)
