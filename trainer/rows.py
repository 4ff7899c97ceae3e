"""One sample as token ids and labels: chat template, images, loss on answers only."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from asd_rewriter.formats import AnswerFormat, with_instruction
from asd_rewriter.samples import Sample
from trainer.errors import InputError, RowError

IGNORED = -100
"""Label of a token that carries no loss."""
_TEXT_KEYS = ("input_ids", "attention_mask", "offset_mapping")


@dataclass(frozen=True)
class Row:
    """One encoded sample of T tokens.

    `input_ids` and `labels` are (T,); `extras` are the processor's other tensors (pixels),
    whose first dimension is the one that batches. `cut`: the limit took tokens from its end.
    """

    input_ids: Tensor
    labels: Tensor
    extras: dict[str, Tensor]
    cut: bool = False


def load_image(blob_dir: Path, digest: str) -> Image.Image:
    """Return a stored image as an engine sees it: turned upright by its EXIF data, RGB, on white.

    Raises InputError when it is missing or does not decode.
    """
    path = blob_dir / digest[:2] / digest
    try:
        return _as_rgb(Image.open(io.BytesIO(path.read_bytes())))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"Cannot read image {digest}: {error}. Upload the task again.") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # engines take broken EXIF data for none
        image = ImageOps.exif_transpose(image)
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if image.mode == "RGB" or not transparent:
        return image.convert("RGB")
    image = image.convert("RGBA")
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(image, mask=image.getchannel("A"))
    return on_white


def user_message(text: str, num_images: int) -> dict[str, Any]:
    """Return a chat message of the user: images first, then the text."""
    parts: list[dict[str, str]] = [{"type": "image"} for _ in range(num_images)]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


class RowEncoder:
    """Turns samples into rows for one processor."""

    def __init__(
        self,
        processor: Any,
        *,
        blob_dir: Path,
        max_length: int,
        instructions: Mapping[str, str] | None = None,
    ) -> None:
        """Encode with `processor`; rows longer than `max_length` tokens are cut at the end.

        `instructions` overrides the standard instruction of single formats. Raises InputError
        for a chat template whose prompt is not the beginning of the answered chat.
        """
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._blob_dir = blob_dir
        self._max_length = max_length
        self._instructions = instruction_overrides(instructions)
        self._end = self._missing_end_of_turn()

    def encode(self, sample: Sample) -> Row:
        """Return the sample as one sequence holding all its turns.

        Labels are the answers' tokens and the end-of-turn token after each; everything else is
        `IGNORED`. Raises RowError when the row does not fit `max_length`.
        """
        text, answers_from_end = self._render(self._messages(sample))
        images = [load_image(self._blob_dir, digest) for digest in sample.images]
        encoded = self._processor(
            text=[text],
            images=[images] if images else None,
            add_special_tokens=False,  # the template has written them
            return_offsets_mapping=True,
        )
        ids = torch.tensor(encoded["input_ids"][0])
        # Image placeholders grew in front of the answers, so answers are found from the end.
        ends = torch.tensor(encoded["offset_mapping"][0])
        length = int(ends[-1, 1])
        labels = torch.full_like(ids, IGNORED)
        for start, stop in answers_from_end:
            inside = (ends[:, 1] > length - start) & (ends[:, 0] < length - stop)
            labels[inside] = ids[inside]
        extras = {
            key: torch.as_tensor(_stacked(value))
            for key, value in encoded.items()
            if key not in _TEXT_KEYS
        }
        return self._cut(sample, Row(ids, labels, extras))

    def _messages(self, sample: Sample) -> list[dict[str, Any]]:
        messages = []
        for index, turn in enumerate(sample.turns):
            question = with_instruction(turn.question, turn.format, self._instructions)
            messages.append(user_message(question, 0 if index else len(sample.images)))
            answer = {"type": "text", "text": turn.answer + self._end}
            messages.append({"role": "assistant", "content": [answer]})
        return messages

    def _render(self, messages: Sequence[dict[str, Any]]) -> tuple[str, list[tuple[int, int]]]:
        """Return the chat's text and the answers' spans, counted in characters from its end."""
        text = self._template(messages)
        spans = []
        for index in range(1, len(messages), 2):
            question = self._template(messages[:index], add_generation_prompt=True)
            answered = self._template(messages[: index + 1]).rstrip()
            if not (text.startswith(question) and text.startswith(answered)):
                raise InputError(
                    "The base's chat template renders earlier turns differently once more turns "
                    "follow, so answers cannot be told apart: use single-turn rows."
                )
            spans.append((len(text) - len(question), len(text) - len(answered)))
        return text, spans

    def _template(self, messages: Sequence[dict[str, Any]], **options: Any) -> str:
        text: str = self._processor.apply_chat_template(messages, tokenize=False, **options)
        return text

    def _missing_end_of_turn(self) -> str:
        """Return the end token that must be added to answers: "" when the template adds one."""
        self._end = ""
        question = [user_message("q", 0)]
        prompt = self._template(question, add_generation_prompt=True)
        answered = self._template([*question, {"role": "assistant", "content": [_text("yes")]}])
        _refuse_other_beginning(prompt, answered)
        tail = answered[len(prompt) :].partition("yes")[2]
        specials = {*self._tokenizer.all_special_tokens, *self._tokenizer.get_added_vocab()}
        return "" if any(token in tail for token in specials) else self._tokenizer.eos_token

    def _cut(self, sample: Sample, row: Row) -> Row:
        if len(row.input_ids) <= self._max_length:
            return row
        ids, labels = row.input_ids[: self._max_length], row.labels[: self._max_length]
        image_token = getattr(self._processor, "image_token_id", None)
        cut_image = image_token is not None and image_token in row.input_ids[self._max_length :]
        if cut_image or not (labels != IGNORED).any():
            raise RowError(
                f"Sample {sample.id!r} has {len(row.input_ids)} tokens, the limit is "
                f"{self._max_length} and no answer would be left: raise max_length."
            )
        extras = {
            key: value[:, : self._max_length] if value.shape[1:] == row.input_ids.shape else value
            for key, value in row.extras.items()
        }
        return Row(ids, labels, extras, cut=True)


def instruction_overrides(instructions: Mapping[str, str] | None) -> dict[AnswerFormat, str]:
    """Return a spec's instruction overrides keyed by format."""
    return {AnswerFormat(name): wording for name, wording in (instructions or {}).items()}


def _refuse_other_beginning(prompt: str, answered: str) -> None:
    if answered.startswith(prompt):
        return
    shared = next(at for at in range(len(prompt)) if not answered.startswith(prompt[: at + 1]))
    raise InputError(
        f"The base's chat template ends a prompt with {prompt[shared:]!r}, which it leaves out "
        "once the answer is there: training would learn answers to other prompts than are asked. "
        "Change the base's chat_template.jinja so that a prompt (add_generation_prompt) is the "
        "beginning of the answered chat, or use a base that answers without such text."
    )


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _stacked(value: Any) -> Any:
    if isinstance(value, list) and value and hasattr(value[0], "shape"):
        return torch.stack([torch.as_tensor(item) for item in value])
    return value
