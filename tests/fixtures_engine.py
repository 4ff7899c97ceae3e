"""Engines for tests: the real vLLM, started once per session and base, lent to whoever needs it.

A service under test uses the shared engine by adoption: `lend` writes its record into the
service's state folder, marked so that the service never ends it. Adapters are named by digest,
so tests do not disturb each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.engines.client import EngineClient
from service.engines.command import Base, find_build, make_launch
from service.engines.process import RECORD_FILE, EngineProcess, free_port, start_process
from service.settings import Settings

START_SECONDS = 300.0
WEIGHTS = Path(__file__).parents[1] / "deploy" / "demo" / "tiny" / "weights"


@dataclass(frozen=True)
class SharedEngine:
    """A running vLLM; `settings` are those whose flags it was started with."""

    base: Base
    base_url: str
    base_name: str
    process: EngineProcess
    settings: Settings

    @property
    def client(self) -> EngineClient:
        """A client of the engine."""
        return self.process.client

    def lend(self, state_dir: Path) -> None:
        """Let the service of a state folder adopt this engine (same base path, digest, flags)."""
        folder = state_dir / "engine"
        folder.mkdir(parents=True, exist_ok=True)
        record = self.process.record.model_copy(update={"lent": True})
        (folder / RECORD_FILE).write_text(record.model_dump_json())


StartEngine = Callable[[Path, str], SharedEngine]


@pytest.fixture(scope="session")
def real_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEngine]:
    """Return a function (base folder, base digest) -> the running vLLM for it."""
    pytest.importorskip("vllm", reason="the `serve` extra is not installed")
    started: dict[Base, SharedEngine] = {}

    def start(folder: Path, digest: str) -> SharedEngine:
        base = Base(str(folder), digest)
        if base not in started:
            started[base] = start_engine(folder, digest, tmp_path_factory.mktemp("engine"))
        return started[base]

    yield start
    for engine in started.values():
        engine.process.end()


def start_engine(weights: Path, digest: str, folder: Path) -> SharedEngine:
    """Start a vLLM for a base; whoever asked ends its process."""
    base, settings = Base(str(weights), digest), Settings(state_dir=folder)
    build, port = find_build(settings.engine_python), free_port()
    launch = make_launch(settings, build, base, port)
    process = start_process(folder, launch, base, build, port)
    try:
        process.wait_until_healthy(START_SECONDS, lambda: False)
    except BaseException:
        process.end()
        raise
    return SharedEngine(base, process.client.url, base.name, process, settings)


def tiny_modules() -> dict[str, tuple[int, int]]:
    """Return linears of the tiny base's language model: name to (inputs, outputs)."""
    config = json.loads((WEIGHTS / "config.json").read_text())["text_config"]
    size, inner = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "self_attn.q_proj": (size, size),
        "self_attn.v_proj": (size, size),
        "mlp.down_proj": (inner, size),
    }
    return {
        f"model.text_model.layers.{layer}.{name}": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in shapes.items()
    }
