"""Stage two: teach the language model to answer; the vision tower stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

from deploy.demo.tiny import tower
from deploy.demo.tiny.mix import EARLY, LATE, Turn, random_turn
from deploy.demo.tiny.model import END, IMAGE, IMAGE_TOKENS
from eval.minicoin.world import random_scene

IMAGE_TEXT = f"<fake_token_around_image><global-img>{IMAGE * IMAGE_TOKENS}<fake_token_around_image>"
"""What the processor puts in the place of one `<image>`."""
EARLY_SHARE = 0.4
"""Share of the steps that use the early mix (copying and option letters first)."""


@dataclass(frozen=True)
class Group:
    """Rows of similar length: `ids` (rows, tokens), `labels` alike (-100: no loss), `image`
    (rows,) the index of each row's picture."""

    ids: Tensor
    labels: Tensor
    image: Tensor


@dataclass(frozen=True)
class Step:
    """One optimizer step: pictures (n, 3, 64, 64) and the groups of rows about them."""

    pixels: Tensor
    groups: list[Group]


def texts_of(turn: Turn) -> tuple[str, str]:
    """Return a turn as prompt and answer text, exactly as the chat template writes them."""
    image = IMAGE_TEXT if turn.image else ""
    return f"User:{image}{turn.prompt}{END}\nAssistant:", f" {turn.answer}{END}"


def _group(rows: list[tuple[list[int], int, int]], pad: int) -> Group:
    width = max(len(ids) for ids, _, _ in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    for row, (tokens, prompt, _) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, prompt : len(tokens)] = ids[row, prompt : len(tokens)]
    return Group(ids, labels, torch.tensor([image for _, _, image in rows]))


def encode(
    tokenizer: PreTrainedTokenizerFast, turns: list[tuple[int, Turn]], groups: int
) -> list[Group]:
    """Tokenize (picture index, turn) pairs and sort them by length into groups."""
    texts = [texts_of(turn) for _, turn in turns]
    prompts = tokenizer([prompt for prompt, _ in texts])["input_ids"]
    answers = tokenizer([answer for _, answer in texts])["input_ids"]
    rows = [
        (prompt + answer, len(prompt), image)
        for prompt, answer, (image, _) in zip(prompts, answers, turns, strict=True)
    ]
    rows.sort(key=lambda row: len(row[0]))
    size = -(-len(rows) // groups)
    pad = cast(int, tokenizer.pad_token_id)
    return [_group(rows[at : at + size], pad) for at in range(0, len(rows), size)]


class Steps(IterableDataset[Step]):
    """The steps from `start` to `steps`, each a function of the seed and its number alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, start: int, steps: int,
                 images: int = 16, turns: int = 8) -> None:  # fmt: skip
        self.tokenizer, self.seed, self.start, self.steps = tokenizer, seed, start, steps
        self.images, self.turns = images, turns

    def __iter__(self) -> Iterator[Step]:
        for step in range(self.start, self.steps):
            yield self.step(step)

    def step(self, step: int) -> Step:
        """Return the material of one step."""
        rng = Random(f"language {self.seed} {step}")
        early = step < EARLY_SHARE * self.steps
        scenes = [random_scene(rng) for _ in range(self.images)]
        turns = [
            (index, random_turn(rng, scene, EARLY if early else LATE))
            for index, scene in enumerate(scenes)
            for _ in range(self.turns)
        ]
        return Step(tower.pixels(scenes), encode(self.tokenizer, turns, groups=6))


def answer_logits(
    model: Idefics3ForConditionalGeneration, tokens: Tensor, group: Group
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (answers, vocabulary), wanted ids and row numbers of all answer tokens.

    `tokens` are the pictures' image tokens (n, 4, hidden). Rows are padded on the right, so
    causal attention alone keeps the padding out.
    """
    text = cast(Any, model.model.text_model)
    embedded = text.embed_tokens(group.ids)
    at_image = group.ids == model.config.image_token_id
    rows = at_image.any(1)
    embedded = embedded.masked_scatter(
        at_image[..., None], tokens[group.image[rows]].to(embedded.dtype)
    )
    hidden = text(inputs_embeds=embedded, use_cache=False).last_hidden_state
    wanted = group.labels[:, 1:]
    at_answer = wanted != -100
    logits = model.lm_head(hidden[:, :-1][at_answer])
    return logits, wanted[at_answer], at_answer.nonzero()[:, 0]


def step_loss(model: Idefics3ForConditionalGeneration, step: Step) -> tuple[Tensor, float]:
    """Return the loss of a step and the share of turns whose every answer token is right.

    A turn weighs the root of its answer's length, so that long answers do not rule.
    """
    with torch.no_grad():
        vision = model.model.vision_model(pixel_values=step.pixels).last_hidden_state
    tokens = model.model.connector(vision)
    loss, right, turns = torch.zeros(()), 0, 0
    for group in step.groups:
        logits, wanted, rows = answer_logits(model, tokens, group)
        lengths = torch.bincount(rows, minlength=len(group.ids)).float()
        each = nn.functional.cross_entropy(logits.float(), wanted, reduction="none")
        loss = loss + (each / lengths[rows].sqrt()).sum()
        wrong = torch.zeros(len(group.ids)).index_add_(0, rows, (logits.argmax(-1) != wanted) * 1.0)
        right += int((wrong == 0).sum())
        turns += len(group.ids)
    return loss / turns, right / turns
