"""Rows: what carries loss, how images and turns are laid out, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat
from asd_rewriter.samples import Sample
from tests.trainer.tiny import END, colour_samples
from trainer.data import (
    CACHE_BYTES,
    Collator,
    Corpus,
    SeededOrder,
    load_samples,
    merge_extras,
    refuse_uneven_gathers,
)
from trainer.errors import InputError, RowError
from trainer.modeling import load_processor
from trainer.rows import IGNORED, RowEncoder
from trainer.spec import BaseModelSpec, Hyperparameters


@pytest.fixture(scope="module")
def processor(tiny_base: BaseModelSpec) -> Any:
    return load_processor(tiny_base)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return colour_samples(tmp_path, 8, turns=2)


def _encoder(processor: Any, blob_dir: Path, **options: Any) -> RowEncoder:
    return RowEncoder(processor, blob_dir=blob_dir, **{"max_length": 256, **options})


def test_loss_falls_on_every_answer_and_its_end_of_turn_alone(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    for sample in (samples[0], samples[3]):  # with and without an image
        row = _encoder(processor, tmp_path).encode(sample)

        learned = processor.tokenizer.decode(row.input_ids[row.labels != IGNORED])

        assert learned == "".join(f" {turn.answer}{END}" for turn in sample.turns)


def test_the_prompt_is_what_an_engine_renders(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    row = _encoder(processor, tmp_path).encode(samples[0])

    text = processor.tokenizer.decode(row.input_ids)

    asked = f"What colour is it?\n{INSTRUCTIONS[AnswerFormat.SHORT_ANSWER]}{END}\nAssistant: "
    assert asked in text
    assert text.count("<image>") == 4


def test_a_card_overrides_the_instruction(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    encoder = _encoder(processor, tmp_path, instructions={"short_answer": "One word!"})

    text = processor.tokenizer.decode(encoder.encode(samples[0]).input_ids)

    assert "What colour is it?\nOne word!" in text


def test_a_row_without_room_for_an_answer_is_refused(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    with pytest.raises(RowError, match=r"row-0-0.*limit is 16"):
        _encoder(processor, tmp_path, max_length=16).encode(samples[0])


def test_a_long_row_loses_its_last_turn(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    whole = _encoder(processor, tmp_path).encode(samples[0])
    length = len(whole.input_ids) - 3

    cut = _encoder(processor, tmp_path, max_length=length).encode(samples[0])

    assert torch.equal(cut.input_ids, whole.input_ids[:length])


def test_a_missing_image_is_named(processor: Any, samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=samples[0].images[0]):
        _encoder(processor, tmp_path / "nowhere").encode(samples[0])


def test_batches_equal_the_processors_own(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    corpus = Corpus(samples, _encoder(processor, tmp_path))
    rows = [corpus[0], corpus[3], corpus[4]]

    batch = Collator(0)(rows)

    assert batch["pixel_values"].shape[0] == 3
    assert not batch["pixel_values"][1].any()  # the row without a picture
    assert batch["input_ids"].shape == batch["labels"].shape
    for index, row in enumerate(rows):
        size = len(row.input_ids)
        assert batch["attention_mask"][index].sum() == size
        assert torch.equal(batch["input_ids"][index, :size], row.input_ids)
        assert (batch["labels"][index, size:] == IGNORED).all()


def test_rows_are_encoded_once_while_they_fit(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    corpus = Corpus(samples, _encoder(processor, tmp_path))

    assert corpus[0] is corpus[0]
    assert CACHE_BYTES <= 2**28


def test_pixels_of_different_sizes_are_filled_up() -> None:
    from trainer.rows import Row

    ids = torch.zeros(1, dtype=torch.long)
    rows = [Row(ids, ids, {"pixel_values": torch.ones(1, count, 3, 4, 4)}) for count in (1, 2)]

    merged = merge_extras(rows)

    assert merged["pixel_values"].shape == (2, 2, 3, 4, 4)
    assert not merged["pixel_values"][0, 1].any()


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, second = SeededOrder(50, seed=3), SeededOrder(50, seed=3)
    list(first)  # using it changes nothing
    assert list(first) == list(second)
    second.epoch = 1
    assert list(first) != list(second)
    assert sorted(second) == list(range(50))


@pytest.mark.parametrize("content", ["", "{}\n", "no json\n"])
def test_a_corpus_that_holds_no_samples_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match=r"corpus\.jsonl"):
        load_samples(path)


def test_mixed_rows_at_zero_3_are_refused_on_several_ranks(samples: list[Sample]) -> None:
    refuse_uneven_gathers(samples, Hyperparameters(zero_stage=3, ranks=1))
    with pytest.raises(InputError, match="zero_stage 2"):
        refuse_uneven_gathers(samples, Hyperparameters(zero_stage=3, ranks=2))
