"""Asking a model greedily, as engines do: chat template, images, special tokens, no penalties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from trainer.rows import load_image, user_message


class Asked(Protocol):
    """What a model is asked: the user's whole text with its instruction, and image digests."""

    @property
    def text(self) -> str:
        """The text, after the images."""
        ...

    @property
    def images(self) -> tuple[str, ...]:
        """The images' digests."""
        ...


AskedT = TypeVar("AskedT", bound=Asked)


@dataclass(frozen=True)
class Question:
    """What is asked: the user's whole text with its instruction, and image digests."""

    text: str
    images: tuple[str, ...]


class Prompter:
    """Turns questions into a model's inputs, and its tokens into text."""

    def __init__(self, processor: Any, blob_dir: Path) -> None:
        """Encode with `processor`; images are read from `blob_dir`."""
        self._processor = processor
        self._blob_dir = blob_dir

    def encode(self, questions: Sequence[Asked], model: Any) -> Any:
        """Return inputs of `model` for questions with equally many images, padded on the left."""
        inputs = self._encode(questions).to(model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(model.dtype)
        return inputs

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of an answer's tokens."""
        text: str = self._processor.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _encode(self, questions: Sequence[Asked]) -> Any:
        texts = [
            self._processor.apply_chat_template(
                [user_message(question.text, len(question.images))],
                add_generation_prompt=True,
                tokenize=False,
            )
            for question in questions
        ]
        images = [
            [load_image(self._blob_dir, digest) for digest in question.images]
            for question in questions
        ]
        return self._processor(
            text=texts,
            images=images if images[0] else None,
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )


@torch.no_grad()
def generate(model: Any, inputs: Any, max_tokens: int, **options: Any) -> Any:
    """Return what `model.generate` does at temperature 0.

    The model's generation config is reduced to what engines and evaluation take from it.
    """
    model.generation_config = _plain_config(model.generation_config)
    return model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False, **options)


def until_end(model: Any, ids: Sequence[int]) -> list[int]:
    """Return an answer's tokens up to the one that ends it, which is left out."""
    ends = _end_tokens(model)
    length = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return list(ids[:length])


def alike(questions: Sequence[AskedT], size: int) -> Iterator[list[AskedT]]:
    """Yield batches of questions with equally many images: processors want them so."""
    groups: dict[int, list[AskedT]] = {}
    for question in questions:
        groups.setdefault(len(question.images), []).append(question)
    for group in groups.values():
        for first in range(0, len(group), size):
            yield group[first : first + size]


def _plain_config(config: Any) -> Any:
    """Return a generation config with the special tokens of `config` and no penalties."""
    from transformers import GenerationConfig

    make: Any = GenerationConfig
    names = ("eos_token_id", "pad_token_id", "bos_token_id")
    return make(**{name: getattr(config, name) for name in names})


def _end_tokens(model: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
