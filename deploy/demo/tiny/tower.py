"""Stage one: teach the vision tower and the connector what each grid cell shows."""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Idefics3ForConditionalGeneration

from eval.minicoin.glyphs import LETTERS
from eval.minicoin.world import COLOURS, SHAPES, Scene, Shape, Word, draw, random_scene

HEADS: dict[str, int] = {
    "kind": len(SHAPES) + 2,
    "colour": len(COLOURS) + 1,
    "letter1": 27,
    "letter2": 27,
    "letter3": 27,
    "blur": 2,
    "left": 9,
    "top": 9,
    "right": 9,
    "bottom": 9,
    "place": 4,
}
"""Labels per cell and how many classes each has; class 0 means "does not apply", except
for blur (0 sharp, 1 blurred) and place (index into `PLACES`)."""


def pixels(scenes: list[Scene]) -> Tensor:
    """Draw scenes as the processor would hand them over: (n, 3, 64, 64), -1 to 1."""
    drawn = np.stack([np.asarray(draw(scene)) for scene in scenes])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def cell_labels(scene: Scene) -> NDArray[np.int64]:
    """Return the labels of a scene's cells: int64 of shape (4, len(HEADS))."""
    labels = np.zeros((4, len(HEADS)), np.int64)
    labels[:, 5] = scene.blurred
    labels[:, 10] = range(4)
    for row, content in zip(labels, scene.cells, strict=True):
        if isinstance(content, Shape):
            row[0] = 1 + SHAPES.index(content.shape)
            row[1] = 1 + list(COLOURS).index(content.colour)
            edges = (content.left, content.top)
            row[6:10] = (*edges, *(edge + content.size for edge in edges))
        elif isinstance(content, Word):
            row[0] = len(SHAPES) + 1
            row[2:5] = [1 + LETTERS.index(letter) for letter in content.text]
    return labels


class CellHeads(nn.Module):
    """One linear classifier per label on a cell's token; used for training only."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, sum(HEADS.values()))

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Map tokens (n, 4, hidden) to one tensor of logits (n, 4, classes) per label."""
        return list(self.out(self.norm(tokens)).split(list(HEADS.values()), -1))


def batch(seed: int, step: int, size: int) -> tuple[Tensor, Tensor]:
    """Return pictures (size, 3, 64, 64) and labels (size, 4, len(HEADS)) of one step."""
    rng = Random(f"tower {seed} {step}")
    scenes = [random_scene(rng, word_share=0.5) for _ in range(size)]
    labels = np.stack([cell_labels(scene) for scene in scenes])
    return pixels(scenes), torch.from_numpy(labels)


def cell_tokens(model: Idefics3ForConditionalGeneration, images: Tensor) -> Tensor:
    """Return the image tokens (n, 4, hidden) that the language model will read."""
    tokens = model.model.get_image_features(images[:, None]).pooler_output
    assert isinstance(tokens, Tensor)
    return tokens


def loss_and_accuracy(
    heads: CellHeads, tokens: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Return the summed cross-entropy and, per label, the share of cells that are right."""
    loss = torch.zeros(())
    right = {}
    for index, (name, logits) in enumerate(zip(HEADS, heads(tokens.float()), strict=True)):
        wanted = labels[..., index]
        loss = loss + nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        applies = wanted >= (0 if name in ("blur", "place") else 1)
        right[name] = (logits.argmax(-1) == wanted)[applies].float().mean().item()
    return loss, right
