"""The LLM rewriter's overhead: its time beside that of the calls alone, at a fixed latency."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import AnswerFormat
from asd_rewriter.llm.rewriter import LlmRewriter
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import RewriteRequest
from asd_rewriter.samples import Turn

IMAGE_BYTES = 20_000
_TARGETS = tuple(AnswerFormat)[1:5]
_CARD = TaskCard(name="bench", answer_format=AnswerFormat.SHORT_ANSWER, metric="exact_match")


def measure_overhead(
    calls: int = 6400, latency_s: float = 0.2, concurrency: int = 64
) -> dict[str, Any]:
    """Return `llm_overhead_pct`, `second_run_calls`, `wall_s` and `calls` of one measurement.

    Each request is a call with an image of 20 kB; the endpoint is a process of its own.
    """
    command = [sys.executable, "-m", "tests.asd_rewriter.llm.endpoint", str(latency_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        settings = LlmSettings(base_url=url, model="m", concurrency=concurrency)
        with tempfile.TemporaryDirectory(prefix="retain-bench-") as folder:
            wall = _prepare(settings, Path(folder), calls)
            first = _count(url)
            _prepare(settings, Path(folder), calls)
            second = _count(url) - first
    finally:
        server.terminate()
        server.wait()
    alone = calls * latency_s / concurrency
    return {
        "llm_overhead_pct": round(100 * (wall / alone - 1), 2),
        "second_run_calls": second,
        "calls": first,
        "wall_s": round(wall, 2),
    }


def _prepare(settings: LlmSettings, folder: Path, calls: int) -> float:
    image = b"\xff\xd8\xff" + bytes(IMAGE_BYTES)
    cache = folder / "cache.db"
    with LlmRewriter(_CARD, 0, settings, lambda digest: image, cache) as rewriter:
        started = time.perf_counter()
        rewriter.prepare(_requests(calls))
        return time.perf_counter() - started


def _requests(calls: int) -> Iterator[RewriteRequest]:
    for number in range(calls):
        turn = Turn(
            question=f"What is at place {number}?",
            answer="red bus",
            format=AnswerFormat.SHORT_ANSWER,
        )
        target = _TARGETS[number % len(_TARGETS)]
        yield RewriteRequest(f"{number}#0", str(number), ("ab" * 32,), turn, target)


def _count(url: str) -> int:
    return int(httpx.get(url.removesuffix("/v1") + "/count").text)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_overhead()) + "\n")
