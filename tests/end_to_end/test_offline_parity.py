"""The offline predictor says what vLLM says, where both can answer: the base and LoRA versions."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from adapters_store.backends import LocalBlobStore
from asd_rewriter.formats import AnswerFormat
from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.items import EvalItem
from eval.offline import OfflinePredictor
from eval.predictors import predict_all
from service.executors.workers import LocalWorkers
from service.streams.bases import resolve_base
from tests.adapters_store.factories import write_lora
from tests.fakes.world import png
from tests.fixtures_engine import WEIGHTS, StartEngine, tiny_modules
from trainer.spec import AnswerSpec, BaseModelSpec

pytestmark = pytest.mark.e2e

COLOURS = ((220, 30, 30), (30, 160, 50), (30, 60, 210), (240, 220, 40))
QUESTIONS = ("What is the object in the picture?", "What colour is it?", "How many are there?")
NEUTRAL = Decoding(max_tokens=16, extra={"repetition_penalty": 1.0})
ROTATED_LEFT = 6  # EXIF orientation


def upright_or_not(orientation: int) -> bytes:
    """Return a JPEG, red above blue, whose EXIF data may turn it."""
    image = Image.new("RGB", (64, 64), (30, 60, 210))
    image.paste((220, 30, 30), (0, 0, 64, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def transparent() -> bytes:
    """Return a PNG that is red where it is seen, and black where it is not."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((220, 30, 30, 255), (16, 16, 48, 48))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def items_on(blobs: LocalBlobStore) -> list[EvalItem]:
    """Return questions with no, one and two images, plain ones and such that have to be turned."""
    pictures = [png(colour) for colour in COLOURS]
    pictures += [upright_or_not(1), upright_or_not(ROTATED_LEFT), transparent()]
    digests = [blobs.put_bytes(picture) for picture in pictures]
    shown = [(), *((digest,) for digest in digests), tuple(digests[:2])]
    return [
        EvalItem(
            id=f"{at}-{question}", task="t", images=images, question=question,
            prompt=f"{question}\nAnswer the question using a single word or phrase.",
            references=("red",), format=AnswerFormat.SHORT_ANSWER, metric="exact_match",
        )
        for at, images in enumerate(shown)
        for question in QUESTIONS
    ]  # fmt: skip


def test_engine_and_worker_give_the_same_answers(real_engine: StartEngine, tmp_path: Path) -> None:
    base = resolve_base(str(WEIGHTS), None)
    engine = real_engine(base.path, base.digest)
    blobs = LocalBlobStore(tmp_path / "blobs")
    items = items_on(blobs)
    adapter = write_lora(
        tmp_path / "parity-lora", rank=8, alpha=1.0, modules=tiny_modules(), seed=5,
        base_model_name_or_path=str(WEIGHTS), task_type="CAUSAL_LM",
    )  # fmt: skip
    engine.client.load(adapter.name, str(adapter))
    spec = BaseModelSpec(path=str(base.path), source="tiny", digest=base.digest)
    answers: dict[str, list[str]] = {}
    for name, lineage in ((engine.base_name, ()), (adapter.name, (str(adapter),))):
        served = EnginePredictor(engine.base_url, name, blobs.root, NEUTRAL)
        version = AnswerSpec(base=spec, lineage=lineage, blob_dir=str(blobs.root))
        with LocalWorkers(sys.executable).make(version, tmp_path / name) as worker:
            unserved = OfflinePredictor(worker, blobs.root, NEUTRAL)
            found = [it.text for it in predict_all(unserved, items)]
        expected = [it.text for it in predict_all(served, items)]
        assert [*zip(items, found, strict=True)] == [*zip(items, expected, strict=True)]
        answers[name] = found
    engine.client.unload(adapter.name)
    changed = sum(a != b for a, b in zip(*answers.values(), strict=True))
    assert changed > len(items) // 2
