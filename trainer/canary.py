"""Canary prompts: how an engine proves that it serves this version and not its parent.

The version's lineage is composed as a servable is, asked greedily, and compared with the
answers of its parent and of the base. Kept are prompts on which they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asd_rewriter.formats import with_instruction
from asd_rewriter.samples import Sample
from trainer.modeling import load_base
from trainer.rows import instruction_overrides, load_image, user_message
from trainer.spec import BaseModelSpec, Canary, CanaryPrompt

NUM_CANDIDATES = 32
NUM_PROMPTS = 4
NUM_FALLBACK = 2
MAX_TOKENS = 32
CLEAR_MARGIN = 0.05
"""Least gap (nats) between best and second-best token for an answer to count as stable."""
_BATCH = 8


@dataclass(frozen=True)
class Question:
    """What is asked: the user's whole text with its instruction, and image digests."""

    text: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A greedy answer: its text, natural-log probabilities of its tokens (the end-of-turn token
    left out), and the smallest gap to a second-best token, in nats."""

    text: str
    logprobs: tuple[float, ...]
    margin: float


def canary_questions(samples: Sequence[Sample], instructions: dict[str, str]) -> list[Question]:
    """Return the first turns of the first samples as distinct questions."""
    overrides = instruction_overrides(instructions)
    found: dict[Question, None] = {}
    for sample in samples:
        turn = sample.turns[0]
        text = with_instruction(turn.question, turn.format, overrides)
        found.setdefault(Question(text, sample.images))
        if len(found) == NUM_CANDIDATES:
            break
    return list(found)


class GreedyReader:
    """Asks a model questions at temperature 0."""

    def __init__(self, processor: Any, blob_dir: Path, check: Callable[[], None]) -> None:
        """Encode with `processor`; `check` is called between batches and may raise."""
        self._processor = processor
        self._blob_dir = blob_dir
        self._check = check

    def answers(self, model: Any, questions: Sequence[Question]) -> list[Answer]:
        """Return the model's greedy answers, at most `MAX_TOKENS` tokens each."""
        found: dict[Question, Answer] = {}
        for batch in _alike(questions):
            self._check()
            found.update(zip(batch, self._ask(model, batch), strict=True))
        return [found[question] for question in questions]

    @torch.no_grad()
    def _ask(self, model: Any, questions: Sequence[Question]) -> list[Answer]:
        inputs = self._encode(questions).to(model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(model.dtype)
        output = model.generate(
            **inputs,
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
        logits_TBV = torch.stack(output.logits)
        tokens_BT = output.sequences[:, -len(output.logits) :]
        ends = _end_tokens(model)
        return [
            self._answer(tokens, logits_TBV[:, index].float(), ends)
            for index, tokens in enumerate(tokens_BT)
        ]

    def _encode(self, questions: Sequence[Question]) -> Any:
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

    def _answer(self, tokens_T: Tensor, logits_TV: Tensor, ends: set[int]) -> Answer:
        ids = tokens_T.tolist()
        length = next((at for at, token in enumerate(ids) if token in ends), len(ids))
        logprobs_TV = logits_TV[: length + 1].log_softmax(dim=-1)
        best_two = logprobs_TV.topk(2).values
        chosen = logprobs_TV[range(length), ids[:length]]
        text = self._processor.tokenizer.decode(ids[:length], skip_special_tokens=True)
        margin = float((best_two[:, 0] - best_two[:, 1]).min())
        return Answer(text, tuple(round(value, 6) for value in chosen.tolist()), margin)


def make_canary(
    base: BaseModelSpec,
    lineage: Sequence[str],
    delta: str,
    questions: Sequence[Question],
    *,
    reader: GreedyReader,
    dtype: torch.dtype,
    device: torch.device,
) -> Canary:
    """Return prompts on which base + lineage + delta differs from base + lineage and base."""

    def answers(deltas: Sequence[str]) -> list[Answer]:
        model = load_base(base, dtype=dtype, lineage=deltas).to(device)
        return reader.answers(model, questions)

    of_base = answers(())
    of_parent = answers(lineage) if lineage else of_base
    of_this = answers((*lineage, delta))
    return choose(questions, of_this, of_parent, of_base)


def choose(
    questions: Sequence[Question],
    of_this: Sequence[Answer],
    of_parent: Sequence[Answer],
    of_base: Sequence[Answer],
) -> Canary:
    """Return up to four prompts: those that tell most apart first, then stable, then short.

    Without any difference, two prompts stand for the version and both flags are false.
    """
    ranked = []
    for question, this, parent, base in zip(questions, of_this, of_parent, of_base, strict=True):
        differs = (this.text != parent.text) + (this.text != base.text)
        key = (-differs, this.margin < CLEAR_MARGIN, len(this.logprobs))
        prompt = CanaryPrompt(
            question=question.text,
            images=question.images,
            answer=this.text,
            logprobs=this.logprobs,
            parent_answer=parent.text,
            base_answer=base.text,
        )
        ranked.append((key, prompt))
    ranked.sort(key=lambda pair: pair[0])
    telling = [prompt for (differs, *_), prompt in ranked if differs]
    chosen = telling[:NUM_PROMPTS] or [prompt for _, prompt in ranked[:NUM_FALLBACK]]
    return Canary(
        prompts=tuple(chosen),
        max_tokens=MAX_TOKENS,
        distinguishes_parent=any(prompt.answer != prompt.parent_answer for prompt in chosen),
        distinguishes_base=any(prompt.answer != prompt.base_answer for prompt in chosen),
    )


def _alike(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Yield batches of questions with equally many images: processors want them so."""
    groups: dict[int, list[Question]] = {}
    for question in questions:
        groups.setdefault(len(question.images), []).append(question)
    for group in groups.values():
        for first in range(0, len(group), _BATCH):
            yield group[first : first + _BATCH]


def _end_tokens(model: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
