"""The shape of `retain-tiny`: Idefics3 configuration, tokenizer, chat template, processor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AddedToken,
    AutoModelForImageTextToText,
    AutoProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llama.configuration_llama import LlamaConfig

from asd_rewriter.formats import INSTRUCTIONS
from asd_rewriter.rules.explanations import BRIEF_TAIL, DETAILED_TAILS

IMAGE_SIDE = 64
PATCH = 8
IMAGE_TOKENS = 4
HIDDEN = 128
HEAD_DIM = 32
END = "<end_of_utterance>"
PAD = "<pad>"
IMAGE = "<image>"
SPECIAL = (PAD, END, "<fake_token_around_image>", IMAGE, "<global-img>")
PHRASES = ("User:", "\nAssistant:", *INSTRUCTIONS.values(), BRIEF_TAIL, *DETAILED_TAILS)
"""Fixed texts that are one token each: they cost nothing to read and little to write."""
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ message['role'] | capitalize }}:"
    "{% if message['content'] is string %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' }}{% endif %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' }}{% endif %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}"
    "{{ '<end_of_utterance>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant:' }}{% endif %}"
)
_WORDS = "|".join(
    (
        r" ?(?:top|bottom) (?:left|right)",
        r" ?[01]\.[0-9][0-9]",
        r" ?[a-z]+",
        r"[A-Z][a-z]+",
        r"[A-Z]",
        r"[0-9]",
        r"\s",
        r"[^\sA-Za-z0-9]",
    )
)
"""A place or a box edge is one word; an upper-case letter outside a word stands alone."""


def train_tokenizer(texts: Iterable[str], vocabulary: int = 624) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of about `vocabulary` entries, trained on the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in PHRASES])
    made = cast(Any, PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(SPECIAL[2:]),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    return cast(PreTrainedTokenizerFast, made)


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """Return the processor: 64-px pictures, no splitting, one image token per grid cell."""
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": IMAGE_SIDE},
        max_image_size={"longest_edge": IMAGE_SIDE},
        do_image_splitting=False,
    )
    return Idefics3Processor(
        images, tokenizer, image_seq_len=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE
    )


def build_config(tokenizer: PreTrainedTokenizerFast, layers: int = 6) -> Idefics3Config:
    """Return the model's configuration for a tokenizer's vocabulary."""
    vocabulary = -(-len(tokenizer) // 64) * 64
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=HIDDEN // HEAD_DIM,
        num_key_value_heads=HIDDEN // HEAD_DIM,
        head_dim=HEAD_DIM,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=None,
        **ends,
    )
    vision = Idefics3VisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
    )
    made = cast(Any, Idefics3Config)(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=4,
        tie_word_embeddings=True,
        bos_token_id=None,
        **ends,
    )
    return cast(Idefics3Config, made)


def build_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """Return the untrained model (weights from torch's present seed)."""
    made = cast(Any, Idefics3ForConditionalGeneration)(build_config(tokenizer))
    return cast(Idefics3ForConditionalGeneration, made)


def load_processor(folder: Path) -> Idefics3Processor:
    """Load an exported processor by the stock class."""
    return cast(Idefics3Processor, cast(Any, AutoProcessor).from_pretrained(folder))


def load(folder: Path) -> tuple[Idefics3ForConditionalGeneration, Idefics3Processor]:
    """Load an exported model, in evaluation mode, and its processor by the stock classes."""
    load_model = cast(Any, AutoModelForImageTextToText).from_pretrained
    model = load_model(folder, use_safetensors=True).eval()
    return cast(Idefics3ForConditionalGeneration, model), load_processor(folder)


def export(
    model: Idefics3ForConditionalGeneration, processor: Idefics3Processor, folder: Path
) -> None:
    """Write a folder that `from_pretrained` loads: model.safetensors, configs, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.generation_config.bos_token_id = None
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
