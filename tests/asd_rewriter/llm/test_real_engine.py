"""The LLM rewriter on the real vLLM with the tiny base: sound structure, most contents refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asd_rewriter.checks import check
from asd_rewriter.llm.rewriter import LlmRewriter
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import Failed, RewriteRequest, Rewritten
from service.streams.bases import resolve_base
from tests.asd_rewriter.conftest import card, png
from tests.asd_rewriter.llm.conftest import BRIEF, CHOICE, DETAILED, YES_NO, request
from tests.fixtures_engine import WEIGHTS, StartEngine

pytestmark = pytest.mark.e2e

STRUCTURAL = {"not_json", "wrong_shape", "wrong_count", "missing_item", "request_refused"}


def test_every_turn_is_accounted_for(real_engine: StartEngine, tmp_path: Path) -> None:
    base = resolve_base(str(WEIGHTS), None)
    engine = real_engine(base.path, base.digest)
    settings = LlmSettings(
        base_url=f"{engine.base_url}/v1", model=engine.base_name, concurrency=8, attempts=2
    )
    targets = (YES_NO, CHOICE, BRIEF, DETAILED)
    requests = [request(at, it, answer="red") for at, it in enumerate(targets)]
    requests += [request(at, YES_NO, "shared", answer="blue") for at in (7, 8)]

    first, spent = _run(settings, tmp_path, requests)
    assert len(requests) - 1 <= spent <= 2 * len(requests)
    again, still = _run(settings, tmp_path, requests)
    assert (again, still) == (first, spent)


def _run(
    settings: LlmSettings, folder: Path, requests: list[RewriteRequest]
) -> tuple[list[object], int]:
    cache = folder / "cache.db"
    with LlmRewriter(card(), 0, settings, lambda digest: png(200), cache) as rewriter:
        rewriter.prepare(requests)
        outcomes = rewriter.rewrite(requests)
        assert len(outcomes) == len(requests)
        rejects = Counter(it.reason for it in outcomes if isinstance(it, Failed))
        for asked, outcome in zip(requests, outcomes, strict=True):
            assert isinstance(outcome, Failed | Rewritten)
            assert isinstance(outcome, Failed) or check(asked, outcome) is None
        assert rejects.total() >= len(requests) / 2, outcomes  # it knows a few colours only
        assert not STRUCTURAL & rejects.keys(), rejects
        return list(outcomes), rewriter.spent.calls
