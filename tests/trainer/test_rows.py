"""Rows: what carries loss, how images and turns are laid out, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat
from asd_rewriter.samples import Sample
from tests.trainer.tiny import END, TEMPLATE, colour_samples
from trainer import loop
from trainer.data import (
    CACHE_BYTES,
    Collator,
    Corpus,
    SeededOrder,
    load_samples,
    merge_extras,
    refuse_uneven_gathers,
    unwrapped,
)
from trainer.errors import InputError, RowError
from trainer.events import EventLog
from trainer.modeling import load_processor
from trainer.progress import Progress, StepNumbers
from trainer.rows import IGNORED, RowEncoder, load_image
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
    assert (whole.cut, cut.cut) == (False, True)


def test_cut_rows_are_told_once_whichever_process_encodes_them(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    corpus = Corpus(samples, _encoder(processor, tmp_path, max_length=54))
    events = EventLog(tmp_path)
    stop, numbers = SimpleNamespace(requested=False), StepNumbers(torch.zeros(()))
    hyper = Hyperparameters(max_length=54)
    progress = Progress(events, stop, SeededOrder(8, 0), numbers, corpus, hyper)  # type: ignore[arg-type]
    list(DataLoader(corpus, collate_fn=Collator(0), num_workers=1))

    for _epoch in range(2):
        progress.on_epoch_end(SimpleNamespace(device="cpu"), None, None)

    events.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["warning"]
    assert "6 of 8 rows were cut at max_length 54 tokens" in lines[0]


def test_a_prompt_that_is_not_the_beginning_of_the_answered_chat_is_refused(
    tiny_base: BaseModelSpec, tmp_path: Path
) -> None:
    thinking = load_processor(tiny_base)
    thinking.chat_template = TEMPLATE.replace("nAssistant:'", "nAssistant:<think>\\n'")

    with pytest.raises(InputError, match=r"'<think>\\n'.*chat_template\.jinja"):
        _encoder(thinking, tmp_path)


def test_a_missing_image_is_named(processor: Any, samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=samples[0].images[0]):
        _encoder(processor, tmp_path / "nowhere").encode(samples[0])


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _gradient(mode: str) -> Image.Image:
    """Return 6 x 4 pixels, each of another value in every band."""
    bands = [Image.new("L", (6, 4)) for _ in Image.new(mode, (1, 1)).getbands()]
    for number, band in enumerate(bands):
        band.putdata([(17 * at + 61 * number) % 256 for at in range(24)])
    return Image.merge(mode, bands)


def _sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _pictures() -> dict[str, bytes]:
    palette = _gradient("RGB").quantize(8)
    return {
        "rgb": _encoded(_gradient("RGB"), "PNG"),
        "rgba": _encoded(_gradient("RGBA"), "PNG"),
        "la": _encoded(_gradient("LA"), "PNG"),
        "grey": _encoded(_gradient("L"), "PNG"),
        "grey-key": _encoded(_gradient("L"), "PNG", transparency=34),
        "rgb-key": _encoded(_gradient("RGB"), "PNG", transparency=(0, 61, 122)),
        "palette": _encoded(palette, "PNG"),
        "palette-key": _encoded(palette, "PNG", transparency=1),
        "palette-alpha": _encoded(palette, "PNG", transparency=bytes(range(0, 256, 32))),
        "gif-key": _encoded(palette, "GIF", transparency=2),
        "webp": _encoded(_gradient("RGBA"), "WEBP", lossless=True),
        "cmyk": _encoded(_gradient("CMYK"), "JPEG"),
        "bits": _encoded(_gradient("L").convert("1"), "PNG"),
        "jpeg-sideways": _encoded(_gradient("RGB"), "JPEG", exif=_sideways()),
        "png-sideways": _encoded(_gradient("RGBA"), "PNG", exif=_sideways()),
        "broken-exif": _encoded(_gradient("RGB"), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    }


def _load(blob_dir: Path, content: bytes) -> Image.Image:
    (blob_dir / "ab").mkdir(exist_ok=True)
    (blob_dir / "ab" / "abc").write_bytes(content)
    return load_image(blob_dir, "abc")


def test_transparency_is_white_and_exif_turns_the_picture(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    clear.putpixel((1, 0), (200, 0, 0, 255))
    sideways = _pictures()["png-sideways"]

    assert _load(tmp_path, _encoded(clear, "PNG")).tobytes() == bytes([255, 255, 255, 200, 0, 0])
    assert _load(tmp_path, sideways).size == (4, 6)


@pytest.mark.conformance
@pytest.mark.parametrize("name", sorted(_pictures()))
def test_pictures_are_seen_as_the_engine_sees_them(tmp_path: Path, name: str) -> None:
    engine = pytest.importorskip("vllm.multimodal.media.image").ImageMediaIO()
    content = _pictures()[name]

    seen = _load(tmp_path, content)

    wanted = engine.load_bytes(content).media
    assert (seen.mode, seen.size) == (wanted.mode, wanted.size)
    assert seen.tobytes() == wanted.tobytes()


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


def test_an_error_in_a_data_worker_keeps_its_own_words(
    processor: Any, samples: list[Sample], tmp_path: Path
) -> None:
    encoder = _encoder(processor, tmp_path, max_length=16)
    with pytest.raises(RowError) as direct:
        encoder.encode(samples[0])
    loader = DataLoader(Corpus(samples, encoder), collate_fn=Collator(0), num_workers=1)

    with pytest.raises(RowError, match="Caught RowError in DataLoader worker") as caught:
        next(iter(loader))

    assert str(unwrapped(caught.value)) == str(direct.value)
    assert unwrapped(direct.value) is direct.value


def test_data_workers_live_as_long_as_the_rows_they_keep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loop, "TrainingArguments", dict)
    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)

        options: Any = loop.training_arguments(tmp_path, Hyperparameters(), 100)

        assert options["dataloader_persistent_workers"] is (options["dataloader_num_workers"] > 0)


@pytest.mark.parametrize(("steps", "rates"), [(1, [1.0]), (2, [0.0, 1.0])])
def test_a_training_of_one_step_has_no_warm_up_that_would_be_all_of_it(
    tmp_path: Path, steps: int, rates: list[float]
) -> None:
    trainer: Any = loop.ContinualTrainer.__new__(loop.ContinualTrainer)
    trainer.lr_scheduler = None
    trainer.args = loop.training_arguments(tmp_path, Hyperparameters(), 100)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    scheduler = trainer.create_scheduler(steps, optimizer)

    seen = []
    for _ in range(steps):
        seen += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    assert seen == rates


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
