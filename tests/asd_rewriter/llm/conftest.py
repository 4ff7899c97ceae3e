"""Builders for the tests of the LLM rewriter: requests, settings, rewriters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.rewriter import LlmRewriter
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import RewriteRequest
from asd_rewriter.samples import Turn
from tests.asd_rewriter.conftest import card, png
from tests.asd_rewriter.llm.endpoint import Endpoint

SHORT, YES_NO, CHOICE, BRIEF, DETAILED, BOX, CAPTION = AnswerFormat
IMAGE = png(9)

MakeRewriter = Callable[..., LlmRewriter]


def request(
    number: int,
    target: AnswerFormat = YES_NO,
    group: str | None = None,
    answer: str = "red bus",
    native: AnswerFormat = SHORT,
    **more: Any,
) -> RewriteRequest:
    """Return a request; different numbers ask different questions."""
    question = more.pop("question", f"What is at place {number}?")
    turn = Turn(question=question, answer=answer, format=native, **more)
    name = group or f"g{number}"
    return RewriteRequest(f"{name}#{number}", name, ("ab" * 32,), turn, target)


def llm_settings(url: str, **changes: Any) -> LlmSettings:
    """Return settings that wait little."""
    known = {"model": "m", "concurrency": 4, "backoff_s": 0.001, "timeout_s": 5.0, "retries": 2}
    return LlmSettings.model_validate({"base_url": url, **known, **changes})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as found:
        yield found


@pytest.fixture
def make(tmp_path: Path, endpoint: Endpoint) -> Iterator[MakeRewriter]:
    """Return a function that makes a rewriter on the test's endpoint and cache."""
    made: list[LlmRewriter] = []

    def make(**changes: Any) -> LlmRewriter:
        more = {name: changes.pop(name) for name in ("run", "tell") if name in changes}
        labels = changes.pop("labels", None)
        settings = llm_settings(changes.pop("url", endpoint.url), **changes)
        rewriter = LlmRewriter(
            card(labels=labels), 0, settings, lambda digest: IMAGE, tmp_path / "cache.db", **more
        )
        made.append(rewriter)
        return rewriter

    yield make
    for rewriter in made:
        rewriter.close()
