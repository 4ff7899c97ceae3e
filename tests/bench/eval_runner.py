"""How much of an engine's throughput the runner keeps, against a plain asynchronous client.

Both ask the same prompts of the real vLLM with the same number of requests in flight, alternately.
The plain client has its requests ready-made: whatever the runner does for an item counts against
it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openai
from rich.console import Console

from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.items import EvalItem
from eval.minicoin.tasks import TASKS
from eval.predictors import predict_all
from service.streams.bases import digest_base
from tests.bench.minicoin_runs.material import Material
from tests.bench.minicoin_runs.plan import Budget
from tests.fixtures_engine import WEIGHTS, SharedEngine, start_engine

console = Console(stderr=True)
PAIRS = 5
ITEMS = 200
SLICE = 100
"""Items after which the clients change places: an engine's pace drifts by the second."""
IN_FLIGHT = 16


def runner_efficiency_pct() -> float:
    """Return the runner's answers per second in percent of the plain client's: median of pairs."""
    with tempfile.TemporaryDirectory(prefix="retain-bench-") as folder:
        material = Material(Path(folder), seed=1, budget=Budget(num_train=1, num_eval=ITEMS))
        items = [item for task in TASKS for item in material.items(task)]
        (home := Path(folder) / "engine").mkdir()
        engine = start_engine(WEIGHTS, digest_base(WEIGHTS), home)
        try:
            return _compare(engine, material.blobs, items)
        finally:
            engine.process.end()


def _compare(engine: SharedEngine, blobs: Path, items: Sequence[EvalItem]) -> float:
    predictor = EnginePredictor(
        engine.base_url, engine.base_name, blobs, Decoding(max_tokens=16), concurrency=IN_FLIGHT
    )
    slices = [items[at : at + SLICE] for at in range(0, len(items), SLICE)]
    bodies = [[predictor.request(item) for item in its] for its in slices]
    turns: dict[str, Callable[[int], object]] = {
        "ours": lambda at: predict_all(predictor, slices[at]),
        "plain": lambda at: asyncio.run(_plain(engine, bodies[at])),
    }
    for at in range(len(slices)):
        turns["plain"](at)  # fills the engine's caches, for both
    shares = []
    for pair in range(PAIRS):
        seconds = dict.fromkeys(turns, 0.0)
        for at in range(len(slices)):
            for turn in ("ours", "plain") if (pair + at) % 2 else ("plain", "ours"):
                started = time.perf_counter()
                turns[turn](at)
                seconds[turn] += time.perf_counter() - started
        rates = {turn: len(items) / spent for turn, spent in seconds.items()}
        console.print(f"  {rates['plain']:.0f} plain, {rates['ours']:.0f} ours a second")
        shares.append(100 * rates["ours"] / rates["plain"])
    return statistics.median(shares)


async def _plain(engine: SharedEngine, bodies: Sequence[dict[str, Any]]) -> None:
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=f"{engine.base_url}/v1", api_key="none") as client:

        async def ask(body: dict[str, Any]) -> None:
            async with gate:
                known = {name: body[name] for name in ("model", "messages", "max_tokens", "seed")}
                await client.chat.completions.create(temperature=0.0, **known)

        await asyncio.gather(*map(ask, bodies))
