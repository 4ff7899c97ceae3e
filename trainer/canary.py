"""Canary prompts: how an engine proves that it serves this version and not its parent.

The version's lineage is composed as a servable is, asked greedily, and compared with the
answers of its parent and of the base. Kept are prompts on which they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asd_rewriter.formats import with_instruction
from asd_rewriter.samples import Sample
from trainer.greedy import Prompter, Question, alike, generate, until_end
from trainer.modeling import DTYPES, load_base
from trainer.rows import instruction_overrides
from trainer.spec import BaseModelSpec, Canary, CanaryPrompt, Precision, comparable

NUM_CANDIDATES = 32
NUM_PROMPTS = 4
NUM_FALLBACK = 2
MAX_TOKENS = 32
CLEAR_MARGIN: dict[Precision, float] = {"fp32": 0.05, "bf16": 0.5}
"""Least gap (nats) between best and second-best token for an answer to count as stable: more
than rounding moves it."""
_BATCH = 8


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
    """Asks a model questions at temperature 0 and keeps how sure it was."""

    def __init__(self, processor: Any, blob_dir: Path) -> None:
        """Encode with `processor`; images are read from `blob_dir`."""
        self._prompter = Prompter(processor, blob_dir)

    def answers(self, model: Any, questions: Sequence[Question]) -> list[Answer]:
        """Return the model's greedy answers, at most `MAX_TOKENS` tokens each."""
        found: dict[Question, Answer] = {}
        for batch in alike(questions, _BATCH):
            found.update(zip(batch, self._ask(model, batch), strict=True))
        return [found[question] for question in questions]

    def _ask(self, model: Any, questions: Sequence[Question]) -> list[Answer]:
        inputs = self._prompter.encode(questions, model)
        output = generate(
            model, inputs, MAX_TOKENS, return_dict_in_generate=True, output_logits=True
        )
        logits_TBV = torch.stack(output.logits)
        tokens_BT = output.sequences[:, -len(output.logits) :]
        return [
            self._answer(until_end(model, tokens.tolist()), logits_TBV[:, index].float())
            for index, tokens in enumerate(tokens_BT)
        ]

    def _answer(self, ids: list[int], logits_TV: Tensor) -> Answer:
        logprobs_TV = logits_TV[: len(ids) + 1].log_softmax(dim=-1)
        best_two = logprobs_TV.topk(2).values
        chosen = logprobs_TV[range(len(ids)), ids]
        margin = float((best_two[:, 0] - best_two[:, 1]).min())
        logprobs = tuple(round(value, 6) for value in chosen.tolist())
        return Answer(self._prompter.decode(ids), logprobs, margin)


def make_canary(
    base: BaseModelSpec,
    parent: Sequence[str],
    this: Sequence[str],
    questions: Sequence[Question],
    *,
    reader: GreedyReader,
    dtype: Precision,
    device: torch.device,
) -> Canary:
    """Return prompts on which a version differs from its parent and the base.

    `parent` and `this` are the deltas that make up either one on the base.
    """

    def answers(deltas: Sequence[str]) -> list[Answer]:
        model = load_base(base, dtype=DTYPES[dtype], lineage=deltas).to(device)
        return reader.answers(model, questions)

    of_base = answers(())
    of_parent = answers(parent) if parent else of_base
    return choose(questions, answers(this), of_parent, of_base, dtype=dtype)


def choose(
    questions: Sequence[Question],
    of_this: Sequence[Answer],
    of_parent: Sequence[Answer],
    of_base: Sequence[Answer],
    *,
    dtype: Precision = "fp32",
) -> Canary:
    """Return up to four reliable prompts: those that tell most apart first, then short ones.

    Without any difference, two prompts stand for the version and both flags are false.
    """
    prompts = [
        CanaryPrompt(
            question=question.text,
            images=question.images,
            answer=this.text,
            logprobs=this.logprobs,
            parent_answer=parent.text,
            base_answer=base.text,
        )
        for question, this, parent, base in zip(questions, of_this, of_parent, of_base, strict=True)
    ]
    reliable = [prompts[index] for index in _reliable(of_this, CLEAR_MARGIN[dtype])]
    ranked = sorted(reliable, key=lambda it: (-_differences(it), len(it.logprobs)))
    telling = [prompt for prompt in ranked if _differences(prompt)]
    chosen = telling[:NUM_PROMPTS] or ranked[:NUM_FALLBACK]
    return Canary(
        prompts=tuple(chosen),
        max_tokens=MAX_TOKENS,
        distinguishes_parent=any(_differ(it.answer, it.parent_answer) for it in chosen),
        distinguishes_base=any(_differ(it.answer, it.base_answer) for it in chosen),
        dtype=dtype,
    )


def _reliable(answers: Sequence[Answer], clear_margin: float) -> list[int]:
    """Return which answers an engine will repeat, in order: stable ones of whole characters if
    there are any, else stable ones, else those with the widest margins."""
    stable = [at for at, answer in enumerate(answers) if answer.margin >= clear_margin]
    whole = [at for at in stable if "\ufffd" not in answers[at].text]
    widest = sorted(range(len(answers)), key=lambda at: -answers[at].margin)[:NUM_PROMPTS]
    return whole or stable or sorted(widest)


def _differences(prompt: CanaryPrompt) -> int:
    others = (prompt.parent_answer, prompt.base_answer)
    return sum(_differ(prompt.answer, other) for other in others)


def _differ(left: str, right: str) -> bool:
    return comparable(left) != comparable(right)
