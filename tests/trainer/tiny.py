"""A random Idefics3 small enough for unit tests, with its own tokenizer, images and samples."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from asd_rewriter.formats import INSTRUCTIONS, AnswerFormat
from asd_rewriter.samples import Sample, Turn, write_samples
from trainer.files import sha256_of
from trainer.spec import BaseModelSpec, Hyperparameters, TrainSpec

END = "<end_of_utterance>"
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 50), "blue": (30, 60, 210)}
TEMPLATE = (
    "{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}{% if message['role'] == 'assistant' %}{{ ' ' }}{% endif %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{{ '<end_of_utterance>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant:' }}{% endif %}"
)


def save_tiny_base(folder: Path, seed: int = 0) -> BaseModelSpec:
    """Write a random tiny Idefics3 to `folder` and return its spec."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )
    from transformers.models.llama.configuration_llama import LlamaConfig

    tokenizer = _tokenizer()
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 64}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=TEMPLATE)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        **ends,
    )
    vision = Idefics3VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
    )
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=4,
        tie_word_embeddings=True,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        bos_token_id=None,
        **ends,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = config.eos_token_id
    model.generation_config.pad_token_id = config.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    digest = sha256_of(folder / "model.safetensors")
    return BaseModelSpec(path=str(folder), source="tiny-test-base", digest=digest)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", END, "<fake_token_around_image>", "<image>", "<global-img>"]
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = [*INSTRUCTIONS.values(), "User: Assistant:", "What colour is it? red green blue Yes No"]
    tokenizer.train_from_iterator(texts * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token=END,
        additional_special_tokens=special[2:],
        padding_side="left",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )


def store_image(blob_dir: Path, colour: tuple[int, int, int], seed: int) -> str:
    """Write a one-colour picture with a seeded dot as a blob; return its digest."""
    picture = Image.new("RGB", (64, 64), colour)
    random = Random(seed)
    picture.putpixel((random.randrange(64), random.randrange(64)), (255, 255, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path = blob_dir / digest[:2] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return digest


def colour_samples(
    blob_dir: Path, count: int, seed: int = 0, turns: int = 1, *, text_rows: bool = True
) -> list[Sample]:
    """Return rows that ask for a picture's colour; with `text_rows` each fourth has no picture."""
    random = Random(seed)
    samples = []
    for index in range(count):
        name = random.choice(sorted(COLOURS))
        pictured = not (text_rows and index % 4 == 3)
        images = (store_image(blob_dir, COLOURS[name], seed + index),) if pictured else ()
        said = [
            Turn(question="What colour is it?", answer=name, format=AnswerFormat.SHORT_ANSWER),
            Turn(question=f"Is it {name}?", answer="Yes", format=AnswerFormat.YES_NO),
        ]
        samples.append(Sample(id=f"row-{seed}-{index}", images=images, turns=tuple(said[:turns])))
    return samples


def make_spec(
    root: Path, base: BaseModelSpec, name: str = "attempt", rows: int = 24, **changes: Any
) -> TrainSpec:
    """Write a corpus and a spec (`<name>.json`) under `root`; return the spec.

    `changes` override spec fields; `hyperparameters` may be a dict of single fields, and
    `text_rows=False` gives every row a picture; another `seed` makes another corpus, and
    `blobs` is where images go.
    """
    blobs = changes.pop("blobs", root / "blobs")
    corpus, canary = root / f"{name}.jsonl", root / f"{name}-canary.jsonl"
    text_rows, seed = changes.pop("text_rows", True), changes.pop("seed", 0)
    write_samples(corpus, colour_samples(blobs, rows, seed, turns=2, text_rows=text_rows))
    write_samples(canary, colour_samples(blobs, 6, seed=1000))
    hyper = {"learning_rate": 5e-3, "batch_size": 4, "checkpoint_every_steps": 4}
    hyper.update(changes.pop("hyperparameters", {}))
    spec = TrainSpec(
        **{
            "job_id": "job_test",
            "stream": "stream",
            "task": "colours",
            "base": base,
            "method": "lora",
            "method_config": {"rank": 4, "alpha": 8.0},
            "hyperparameters": Hyperparameters(**hyper),
            "corpus": str(corpus),
            "canary_samples": str(canary),
            "blob_dir": str(blobs),
            "output_dir": str(root / name),
            **changes,
        }
    )
    (root / f"{name}.json").write_text(spec.model_dump_json(), encoding="utf-8")
    return spec
