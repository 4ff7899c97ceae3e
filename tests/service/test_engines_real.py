"""The product's promises on the real vLLM: proof, refusal, switches under load."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters_store.backends import hash_file
from eval.images import image_data_url
from service.db.tables import RecordRow, StreamRow, VersionRow
from service.engines.client import EngineAnswer
from service.engines.manager import EngineManager
from service.engines.proof import prove
from service.errors import EngineProofFailed
from service.settings import Settings
from service.streams.bases import resolve_base
from service.versions.operations import move_alias
from tests.adapters_store.factories import write_lora
from tests.fakes.server import Server
from tests.fakes.world import World, make_world, png
from tests.fixtures_engine import WEIGHTS, SharedEngine, StartEngine, tiny_modules
from trainer.spec import BaseModelSpec, Canary, CanaryPrompt

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
COLOURS = ((220, 30, 30), (30, 160, 50), (30, 60, 210), (240, 220, 40))
NUM_SWITCHES = 24


class RealWorld:
    """A world whose engine is the shared vLLM; its versions carry canaries made as in training."""

    def __init__(self, world: World, shared: SharedEngine) -> None:
        self.world = world
        self.shared = shared
        self.versions = [self._add(number) for number in (1, 2)]

    def canary(self, version: VersionRow) -> Canary:
        """Return a version's canary."""
        assert version.canary_digest is not None
        path = self.world.blobs.path(version.canary_digest)
        return Canary.model_validate_json(path.read_bytes())

    def ask_as(self, model: str) -> Any:
        """Return what asks the engine canary prompts under a model's name."""

        def ask(prompt: CanaryPrompt, max_tokens: int) -> EngineAnswer:
            images = [image_data_url(self.world.blobs.root, it) for it in prompt.images]
            return self.shared.client.ask(model, prompt.question, images, max_tokens)

        return ask

    def _add(self, number: int) -> VersionRow:
        folder = self.world.folder / f"lora-{number}"
        write_lora(
            folder, rank=8, alpha=1.0, modules=tiny_modules(), seed=number,
            base_model_name_or_path=str(WEIGHTS), task_type="CAUSAL_LM",
        )  # fmt: skip
        digest = hash_file(folder / "adapter_model.safetensors")
        canary = self._make_canary(str(folder))
        return self.world.add_version(
            number,
            servable_digest=digest,
            servable_path=str(folder),
            canary_digest=self.world.blobs.put_bytes(canary.model_dump_json().encode()),
        )

    def _make_canary(self, delta: str) -> Canary:
        torch = pytest.importorskip("torch")
        from trainer.canary import GreedyReader, Question, make_canary
        from trainer.modeling import load_processor

        base = BaseModelSpec(
            path=str(WEIGHTS), source="tiny", digest=self.shared.process.record.base_digest
        )
        blobs = self.world.blobs
        questions = [
            Question("Which colour?\nAnswer the question using a single word or phrase.", (image,))
            for image in (blobs.put_bytes(png(colour)) for colour in COLOURS)
        ]
        reader = GreedyReader(load_processor(base), blobs.root)
        return make_canary(
            base, (), (delta,), questions,
            reader=reader, dtype="fp32", device=torch.device("cpu"),
        )  # fmt: skip


@pytest.fixture(scope="module")
def real(real_engine: StartEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealWorld]:
    folder = tmp_path_factory.mktemp("real")
    base = resolve_base(str(WEIGHTS), None)
    shared = real_engine(base.path, base.digest)
    with make_world(folder) as world:
        shared.lend(world.settings.state_dir)
        settings = Settings(state_dir=world.settings.state_dir)
        world.settings = settings
        world.engines = EngineManager(settings, world.db, world.blobs)
        with world.db.write() as session:
            stream = session.query(StreamRow).one()
            stream.base_path, stream.base_digest = str(base.path), base.digest
        yield RealWorld(world, shared)


def test_it_adopts_the_engine_and_proves_what_training_left(
    real: RealWorld, record_property: Any
) -> None:
    for version in real.versions:
        assert real.canary(version).distinguishes_base
        started = time.perf_counter()
        real.world.engines.ensure_ready(version)
        record_property(f"cold_ms_{version.number}", (time.perf_counter() - started) * 1000)
        with real.world.db.read() as session:
            proof = session.get_one(RecordRow, (version.id, "proof")).data
        assert proof["max_logprob_gap"] < 0.01
    assert real.world.engines.status()["pid"] == real.shared.process.record.pid


def test_without_its_adapter_the_engine_is_refused(real: RealWorld) -> None:
    first, second = real.versions
    real.world.engines.ensure_ready(second)
    canary = real.canary(first)
    with pytest.raises(EngineProofFailed, match="base model answered"):
        prove(canary, real.ask_as(real.shared.base_name))
    with pytest.raises(EngineProofFailed):
        prove(canary, real.ask_as(second.servable_digest))


def test_a_version_with_anothers_adapter_is_refused(real: RealWorld) -> None:
    first, second = real.versions
    impostor = real.world.add_version(
        9, servable_path=second.servable_path, canary_digest=first.canary_digest
    )
    with pytest.raises(EngineProofFailed):
        real.world.engines.ensure_ready(impostor)
    assert impostor.servable_digest not in real.shared.client.models()


def test_switches_under_eight_chatting_clients_lose_nothing(
    real: RealWorld, record_property: Any
) -> None:
    world, stop = real.world, threading.Event()
    headers, failures, models = world.key("reader"), [], set()
    body = {"model": "demo", "messages": [{"role": "user", "content": "Which colour?"}],
            "max_tokens": 4, "temperature": 0}  # fmt: skip

    def chat(client: httpx.Client, at: int) -> None:
        while not stop.is_set():
            answer = client.post(CHAT, json=body | {"stream": bool(at % 2)}, headers=headers)
            models.add(answer.headers.get("x-retain-version"))
            if answer.status_code != 200 or (at % 2 and "[DONE]" not in answer.text):
                failures.append(answer.text)

    with Server(world.app()) as url, httpx.Client(base_url=url, timeout=60) as client:
        threads = [threading.Thread(target=chat, args=(client, at)) for at in range(8)]
        for thread in threads:
            thread.start()
        times = [_switch(world, number) for number in (1, 2, 0) * (NUM_SWITCHES // 3)]
        stop.set()
        for thread in threads:
            thread.join()
    record_property("switch_ms_p50", statistics.median(times))
    record_property("switch_ms_max", max(times))
    assert failures == []
    assert models == {"demo@0", "demo@1", "demo@2"}
    assert max(times) < 2_000
    assert world.engines.status()["in_use"] == 0


def _switch(world: World, number: int) -> float:
    move = move_alias(
        world.db, world.engines, stream_name="demo", alias="production",
        version_number=number, actor="t", reason="t",
    )  # fmt: skip
    time.sleep(0.2)
    return float(move.entry.switch_ms or 0)


def test_another_process_of_the_service_leaves_a_lent_engine_alone(
    real: RealWorld, tmp_path: Path
) -> None:
    real.shared.lend(tmp_path)
    settings = Settings(state_dir=tmp_path)
    manager = EngineManager(settings, real.world.db, real.world.blobs)
    base = real.shared.base
    assert manager.ensure_running(base.path, base.digest).base_url == real.shared.base_url
    manager.close()
    assert real.shared.client.is_healthy()
