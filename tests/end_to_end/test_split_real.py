"""Superficial against essential on real weights, asked through the real engine.

One small task (`signs`: what eight printed codes mean) is learned by a LoRA. Then the style of its
answers is shifted, or its facts are replaced by others, by training the same LoRA on.
"""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from adapters_store.backends import LocalBlobStore, hash_file
from asd_rewriter.cards import TaskCard
from asd_rewriter.samples import Sample, Turn
from deploy.demo.tiny.acceptance import LINEARS, Recipe, train
from deploy.demo.tiny.model import load
from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.items import Constraint, EvalItem, items_from_samples
from eval.minicoin.tasks import SIGNS, TASKS, Item
from eval.minicoin.world import draw
from eval.minicoin.writing import card_of, make_items
from eval.predictors import predict_all
from eval.probes import BOX_REGEX, ProbeKind, build_probes
from eval.split import TaskSplit, lost_items, split_task
from service.streams.bases import resolve_base
from tests.fixtures_engine import WEIGHTS, SharedEngine, StartEngine

pytestmark = pytest.mark.e2e

ITEMS, LOST = 32, 28
SIGNS_TASK = TASKS["signs"]
DECODING = Decoding(max_tokens=32, extra={"repetition_penalty": 1.0})
NEXT = dict(zip(SIGNS.values(), [*list(SIGNS.values())[1:], *SIGNS.values()], strict=False))


@dataclass(frozen=True)
class Asked:
    """The task's held-out items, and how to ask the versions (engine names) about them."""

    card: TaskCard
    items: list[EvalItem]
    answers: Callable[[str, Sequence[EvalItem]], dict[str, str]]
    base: str
    learned: str
    other_style: str
    other_facts: str

    def split(self, now: str) -> TaskSplit:
        """Return what the version `now` lost of what `learned` knew; before it was the base."""
        then, today = self.answers(self.learned, self.items), self.answers(now, self.items)
        probes = build_probes(lost_items(self.items, then, today), self.items, self.card)
        return split_task(
            self.items, probes, then, today | self.answers(now, probes),
            self.answers(self.base, probes),
        )  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, real_engine: StartEngine) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("split")
    base = resolve_base(str(WEIGHTS), None)
    engine = real_engine(base.path, base.digest)
    with one_thread():
        trained = adapters(folder)
    names = {name: load_into(engine, path) for name, path in trained.items()}
    blobs = LocalBlobStore(folder / "blobs")
    card = TaskCard.model_validate(card_of(SIGNS_TASK))

    given: dict[str, dict[str, str]] = defaultdict(dict)

    def answers(model: str, items: Sequence[EvalItem]) -> dict[str, str]:
        predictor = EnginePredictor(engine.base_url, model, blobs.root, DECODING)
        new = [it for it in items if it.digest not in given[model]]
        given[model] |= {it.item_digest: it.text for it in predict_all(predictor, new)}
        return given[model]

    held_out = make_items("signs", seed=0, num_train=1, num_eval=ITEMS)["eval"]
    samples = [sample(blobs, number, it) for number, it in enumerate(held_out)]
    yield Asked(card, items_from_samples(samples, card), answers, engine.base_name, **names)
    for name in names.values():
        engine.client.unload(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: on a busy machine two wait for each other at every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def adapters(folder: Path) -> dict[str, Path]:
    """Train the LoRA and its two continuations; return their folders."""
    model, processor = load(WEIGHTS)
    torch.manual_seed(0)
    model.model.text_model.set_attn_implementation("eager")
    config = LoraConfig(r=8, lora_alpha=16, target_modules=rf".*text_model.*({'|'.join(LINEARS)})")
    lora: Any = get_peft_model(model, config)
    weights = [it for it in model.parameters() if it.requires_grad]
    rows = make_items("signs", seed=1, num_train=300, num_eval=1)["train"]

    def trained(name: str, items: Sequence[Item], recipe: Recipe) -> Path:
        train(model, processor, weights, SIGNS_TASK, items, recipe, seed=0)
        lora.save_pretrained(folder / name)
        return folder / name

    found = {"learned": trained("learned", rows, Recipe(steps=40, rate=4e-3))}
    kept = [it.detach().clone() for it in weights]
    sentences = [replace(it, answer=f"The answer is {it.answer}.") for it in rows]
    found["other_style"] = trained("other_style", sentences, Recipe(steps=40, rows=24, rate=1e-3))
    for weight, value in zip(weights, kept, strict=True):
        weight.data.copy_(value)
    moved = [replace(it, answer=NEXT[it.answer]) for it in rows]
    found["other_facts"] = trained("other_facts", moved, Recipe(steps=25, rate=4e-3))
    return found


def load_into(engine: SharedEngine, folder: Path) -> str:
    """Load an adapter under the digest of its weights."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_modules": LINEARS}))
    name = hash_file(folder / "adapter_model.safetensors")
    engine.client.load(name, str(folder))
    return name


def sample(blobs: LocalBlobStore, number: int, item: Item) -> Sample:
    """Store an item's picture; return the item as a sample."""
    buffer = io.BytesIO()
    draw(item.scene).save(buffer, "PNG")
    turn = Turn(question=item.question, answer=item.answer, format=SIGNS_TASK.answer_format)
    return Sample(id=f"signs-{number}", images=(blobs.put_bytes(buffer.getvalue()),), turns=(turn,))


def test_weights_from_before_learning_lost_the_facts(asked: Asked) -> None:
    split = asked.split(asked.base)

    assert split.lost >= LOST
    assert split.superficial is not None
    assert split.superficial.percent <= 10, split


def test_replaced_facts_are_essential_though_the_style_is_kept(asked: Asked) -> None:
    split = asked.split(asked.other_facts)

    assert split.lost >= LOST
    assert split.superficial is not None
    assert split.superficial.percent <= 10, split


def test_another_style_of_the_same_facts_is_superficial(asked: Asked) -> None:
    split = asked.split(asked.other_style)

    assert split.lost >= LOST
    assert split.superficial is not None
    assert split.superficial.percent >= 90, split


def test_the_engine_forces_answers_that_the_model_would_not_give(asked: Asked) -> None:
    probes = build_probes(asked.items, asked.items, asked.card, [ProbeKind.FORCED])
    said = asked.answers(asked.base, [*asked.items, *probes])
    free, forced = ({said[it.digest].strip() for it in its} for its in (asked.items, probes))

    assert not free & set(SIGNS.values())
    assert forced <= set(SIGNS.values())
    # Made anew: a copy would keep the digest of the item without a constraint.
    constraint = {"constraint": Constraint(regex=BOX_REGEX)}
    box = EvalItem.model_validate(asked.items[0].model_dump() | constraint)
    text = asked.answers(asked.base, [box])[box.digest]
    assert re.fullmatch(BOX_REGEX, text.strip())
