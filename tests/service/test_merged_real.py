"""A fully fine-tuned version, merged into its base, on the real vLLM: loaded, proven, asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters_store.backends import LocalBlobStore
from adapters_store.lineage import lineage_of
from adapters_store.manifest import BaseRef
from adapters_store.servable import Servable, compose_merged
from adapters_store.store import VersionStore
from asd_rewriter.samples import read_samples
from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.items import EvalItem, items_from_samples
from eval.offline import OfflinePredictor
from eval.predictors import predict_all
from service.db.tables import RecordRow, StreamRow, VersionRow
from service.engines.manager import EngineManager
from service.errors import EngineProofFailed
from service.executors.workers import LocalWorkers
from service.settings import Settings
from service.streams.bases import digest_base
from service.workflow.answering import answer_spec
from tests.adapters_store.factories import fields
from tests.eval.factories import card
from tests.fakes.world import World, make_world
from tests.fixtures_engine import WEIGHTS, SharedEngine, StartEngine
from tests.trainer.attempts import run
from tests.trainer.tiny import make_spec
from trainer.spec import BaseModelSpec, Canary, TrainSpec

pytestmark = [pytest.mark.e2e, pytest.mark.deep]

NEUTRAL = Decoding(max_tokens=16, extra={"repetition_penalty": 1.0})


@pytest.fixture
def trained(tmp_path: Path) -> TrainSpec:
    """A few steps of full fine-tuning of retain-tiny, by the real trainer."""
    base = BaseModelSpec(path=str(WEIGHTS), source="tiny", digest=digest_base(WEIGHTS))
    spec = make_spec(
        tmp_path, base, method="full", method_config={}, blobs=tmp_path / "state" / "blobs",
        hyperparameters={"learning_rate": 1e-3, "epochs": 2},
    )  # fmt: skip
    record = run(spec)
    assert record.reason == "succeeded", record
    return spec


def compose(spec: TrainSpec, root: Path) -> tuple[Servable, str]:
    """Publish and compose as the service does; return servable and the canary's digest."""
    store = VersionStore(root / "versions", LocalBlobStore(Path(spec.blob_dir)))
    base = BaseRef(source=spec.base.source, digest=spec.base.digest)
    made = fields(method="full", method_config={}, delta_kind="weights", base=base)
    manifest = store.publish(Path(spec.output_dir), made)
    chain = lineage_of(store, manifest)
    return compose_merged(chain, store, root / "servable", WEIGHTS), manifest.canary.sha256


def add_version(world: World, number: int, servable: Servable, canary: str) -> VersionRow:
    """Register a servable as a merged version."""
    return world.add_version(
        number, servable_by="merged", servable_path=str(servable.path),
        servable_digest=servable.digest, canary_digest=canary, rank=0,
    )  # fmt: skip


def test_vllm_serves_and_proves_a_merged_base(
    real_engine: StartEngine, trained: TrainSpec, tmp_path: Path
) -> None:
    with make_world(tmp_path) as world:
        servable, canary_digest = compose(trained, world.settings.state_dir)
        canary = Canary.model_validate_json(world.blobs.path(canary_digest).read_bytes())
        assert canary.distinguishes_base
        shared = real_engine(servable.path, servable.digest)
        shared.lend(world.settings.state_dir)
        settings = Settings(state_dir=world.settings.state_dir)
        world.engines = EngineManager(settings, world.db, world.blobs)
        version = add_version(world, 1, servable, canary_digest)

        route = world.engines.ensure_ready(version)

        assert (route.base_url, route.model_name) == (shared.base_url, shared.base_name)
        assert world.engines.status()["pid"] == shared.process.record.pid
        with world.db.read() as session:
            proof = session.get_one(RecordRow, (version.id, "proof")).data
            stream = session.query(StreamRow).one()
        assert (proof["prompts"], proof["distinguishes_base"]) == (len(canary.prompts), True)
        assert proof["max_logprob_gap"] < 0.01

        items = items_of(trained)
        engine = EnginePredictor(route.base_url, route.model_name, world.blobs.root, NEUTRAL)
        spec = answer_spec(stream, version, world.blobs.root, "fp32")
        with LocalWorkers(sys.executable).make(spec, tmp_path / "worker") as worker:
            offline = OfflinePredictor(worker, world.blobs.root, NEUTRAL)
            found = [it.text for it in predict_all(offline, items)]
        assert found == [it.text for it in predict_all(engine, items)]

        refuse_anothers_canary(world, shared, canary)


def items_of(spec: TrainSpec) -> list[EvalItem]:
    """Return the questions that the trainer drew the canary from."""
    return items_from_samples(read_samples(Path(spec.canary_samples)), card())


def refuse_anothers_canary(world: World, shared: SharedEngine, canary: Canary) -> None:
    """A canary with the base's answers is refused: the engine serves the merged weights."""
    prompts = [
        it.model_copy(update={"answer": it.base_answer, "logprobs": ()}) for it in canary.prompts
    ]
    other = canary.model_copy(update={"prompts": tuple(prompts)})
    digest = world.blobs.put_bytes(other.model_dump_json().encode())
    manager = EngineManager(Settings(state_dir=world.settings.state_dir), world.db, world.blobs)
    servable = Servable(shared.base.digest, Path(shared.base.path), 0)
    try:
        with pytest.raises(EngineProofFailed):
            manager.ensure_ready(add_version(world, 2, servable, digest))
    finally:
        manager.close()
