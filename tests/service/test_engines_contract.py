"""What the service relies on in an engine: the fake one and the real vLLM pass the same tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.engines.client import EngineClient
from service.engines.command import Base, find_build, make_launch
from service.engines.process import free_port, start_process
from service.engines.sessions import end_session
from service.errors import EngineUnavailable
from service.settings import Settings
from service.streams.bases import resolve_base
from tests.adapters_store.factories import write_lora
from tests.fakes.engine import fake_engine_python
from tests.fakes.world import png
from tests.fixtures_engine import WEIGHTS, tiny_modules
from trainer.spec import process_start_time


@dataclass(frozen=True)
class Engine:
    """An engine under test and a folder for adapters of its base."""

    client: EngineClient
    base_name: str
    folder: Path

    def adapter(self, seed: int) -> str:
        """Write an adapter that changes the base's answers; return its folder."""
        path = self.folder / f"adapter-{seed}"
        if not path.exists():
            write_lora(path, rank=8, alpha=1.0, modules=tiny_modules(), seed=seed)
        return str(path)

    def chat(self, **fields: Any) -> httpx.Response:
        """Send a chat."""
        body = {"messages": [{"role": "user", "content": "What is it?"}], "max_tokens": 4}
        return httpx.post(f"{self.client.url}/v1/chat/completions", json=body | fields, timeout=60)


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    if request.param == "real":
        base = resolve_base(str(WEIGHTS), None)
        shared = request.getfixturevalue("real_engine")(base.path, base.digest)
        yield Engine(shared.client, shared.base_name, folder)
        return
    settings = Settings(state_dir=folder, engine_python=fake_engine_python(folder))
    base = Base(str(WEIGHTS), "a" * 64)
    build, port = find_build(settings.engine_python), free_port()
    launch = make_launch(settings, build, base, port)
    process = start_process(folder, launch, base, build, port)
    process.wait_until_healthy(30, lambda: False)
    yield Engine(process.client, base.name, folder)
    process.end()
    assert process_start_time(process.record.pid) is None


@pytest.fixture
def loaded(engine: Engine) -> Iterator[str]:
    engine.client.load("adapter-one", engine.adapter(1))
    yield "adapter-one"
    engine.client.unload("adapter-one")


def image_url() -> str:
    return f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def test_it_lists_base_and_adapters_with_their_folders(engine: Engine, loaded: str) -> None:
    assert engine.client.is_healthy()
    models = engine.client.models()
    assert models[engine.base_name] == str(WEIGHTS)
    assert models[loaded] == engine.adapter(1)


def test_greedy_answers_repeat_with_their_probabilities(engine: Engine, loaded: str) -> None:
    first = engine.client.ask(loaded, "What is it?", [image_url()], 8)
    again = engine.client.ask(loaded, "What is it?", [image_url()], 8)
    assert again.text == first.text
    assert again.logprobs == pytest.approx(first.logprobs, abs=1e-3)
    assert len(first.logprobs) >= 1
    assert all(value <= 0 for value in first.logprobs)


def test_an_adapter_answers_unlike_base_and_other_adapters(engine: Engine, loaded: str) -> None:
    engine.client.load("adapter-two", engine.adapter(2))
    asked = [
        engine.client.ask(model, "What is it?", [image_url()], 8)
        for model in (engine.base_name, loaded, "adapter-two")
    ]
    engine.client.unload("adapter-two")
    assert len({answer.logprobs for answer in asked}) == 3


def test_a_name_cannot_be_loaded_twice(engine: Engine, loaded: str) -> None:
    with pytest.raises(EngineUnavailable, match="already been loaded"):
        engine.client.load(loaded, engine.adapter(2))


def test_what_is_not_loaded_answers_404_and_not_as_the_base(engine: Engine) -> None:
    assert engine.chat(model="nope").status_code == 404
    engine.client.load("gone", engine.adapter(3))
    engine.client.unload("gone")
    assert engine.chat(model="gone").status_code == 404
    with pytest.raises(EngineUnavailable):
        engine.client.unload("gone")


def test_a_folder_without_an_adapter_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineUnavailable):
        engine.client.load("empty", str(engine.folder / "nowhere"))
    assert "empty" not in engine.client.models()


def test_n_answers_and_usage(engine: Engine) -> None:
    body = engine.chat(model=engine.base_name, n=2, temperature=1).json()
    assert len(body["choices"]) == 2
    assert body["model"] == engine.base_name
    assert body["usage"]["completion_tokens"] > 0


def test_several_greedy_answers_are_refused(engine: Engine) -> None:
    assert engine.chat(model=engine.base_name, n=2, temperature=0).status_code == 400


def test_streams_are_events_that_end_with_done(engine: Engine, loaded: str) -> None:
    body = engine.chat(model=loaded, stream=True, temperature=0)
    assert body.headers["content-type"].startswith("text/event-stream")
    events = [line[6:] for line in body.text.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    assert {json.loads(event)["model"] for event in events} == {loaded}


def test_ending_a_session_twice_is_no_error(tmp_path: Path) -> None:
    end_session(2**22 - 1, 1, 0.1)
