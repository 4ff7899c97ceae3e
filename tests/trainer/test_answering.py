"""The answering worker as a process: its protocol, its answers, its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.adapters_store.factories import write_lora
from tests.trainer.attempts import ROOT
from tests.trainer.tiny import COLOURS, store_image
from trainer.canary import GreedyReader, Question
from trainer.experts import ExpertShape, add_experts, expert_layers, write_experts
from trainer.modeling import find_targets, load_base, load_processor
from trainer.spec import AnswerSpec, BaseModelSpec

Json = dict[str, Any]
TEXT = "What colour is it?\nAnswer the question using a single word or phrase."


def questions_on(blobs: Path) -> list[Json]:
    """Return questions with one, no and two images; the first and the last are alike."""
    images = [store_image(blobs, colour, 1) for colour in COLOURS.values()]
    shown: list[list[str]] = [[images[0]], [images[1]], [], images[:2], [images[2]], [images[0]]]
    return [{"id": f"q{at}", "text": TEXT, "images": it} for at, it in enumerate(shown)]


def ask(spec: AnswerSpec, folder: Path, *lines: str) -> tuple[int, list[Json], str]:
    """Run the worker on request lines; return exit code, messages and stderr."""
    path = folder / "version.json"
    path.write_text(spec.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "trainer", "answer", str(path)]
    ended = subprocess.run(
        command, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True,
        timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


def request_of(questions: list[Json], max_tokens: int = 12) -> str:
    """Return a request line."""
    return json.dumps({"max_tokens": max_tokens, "questions": questions})


@pytest.fixture(scope="module")
def experts(tiny_base: BaseModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delta of experts that says something else than the base."""
    torch.manual_seed(3)
    model = load_base(tiny_base, dtype=torch.float32)
    for name in find_targets(model, None):
        add_experts(model, name, ExpertShape(rank=4, alpha=64.0, experts=2), 0.0)
    for _, layer in expert_layers(model):
        for weight in layer.factors().values():
            torch.nn.init.normal_(weight, std=0.3)
    folder = tmp_path_factory.mktemp("experts") / "delta-0000"
    write_experts(folder, model, "tiny")
    return folder


def test_it_answers_as_the_composed_version_request_after_request(
    tiny_base: BaseModelSpec, experts: Path, tmp_path: Path
) -> None:
    blobs = tmp_path / "blobs"
    asked = questions_on(blobs)
    spec = AnswerSpec(base=tiny_base, lineage=(str(experts),), blob_dir=str(blobs), batch_size=2)

    code, found, errors = ask(spec, tmp_path, request_of(asked), request_of(asked[:1], 2))

    assert code == 0, errors
    texts = {it["id"]: it["text"] for it in found[:6]}
    reader = GreedyReader(load_processor(tiny_base), blobs)
    model = load_base(tiny_base, dtype=torch.float32, lineage=[str(experts)])
    for question in asked:
        (alone,) = _texts(reader, model, [question])
        assert alone.startswith(texts[question["id"]])
        assert texts[question["id"]]
    base = _texts(reader, load_base(tiny_base, dtype=torch.float32), asked)
    assert sum(not b.startswith(texts[q["id"]]) for q, b in zip(asked, base, strict=True)) >= 4
    assert texts["q0"] == texts["q5"]
    assert found[6]["id"] == "q0"
    assert texts["q0"].startswith(found[6]["text"])
    assert len(found[6]["text"]) < len(texts["q0"])


def _texts(reader: GreedyReader, model: Any, questions: list[Json]) -> list[str]:
    asked = [Question(it["text"], tuple(it["images"])) for it in questions]
    return [it.text for it in reader.answers(model, asked)]


def test_errors_are_stated_on_the_last_line(tiny_base: BaseModelSpec, tmp_path: Path) -> None:
    write_lora(tmp_path / "lora", rank=4, seed=0)  # of a model with other modules
    spec = AnswerSpec(base=tiny_base, lineage=(str(tmp_path / "lora"),), blob_dir=str(tmp_path))

    code, found, _ = ask(spec, tmp_path, request_of([{"id": "a", "text": "hello"}]))

    assert (code, len(found)) == (1, 1)
    assert found[0]["error"]["reason"] == "invalid_input"
    assert "which the base does not have" in found[0]["error"]["message"]


def test_a_missing_image_and_a_strange_request_are_invalid_input(
    tiny_base: BaseModelSpec, tmp_path: Path
) -> None:
    spec = AnswerSpec(base=tiny_base, blob_dir=str(tmp_path))
    missing = [{"id": "a", "text": "hello", "images": ["e" * 64]}]
    for line, message in ((request_of(missing), "Cannot read image"), ("{}", "no request")):
        code, found, _ = ask(spec, tmp_path, line)
        assert (code, len(found)) == (1, 1)
        assert found[0]["error"]["reason"] == "invalid_input"
        assert message in found[0]["error"]["message"]
