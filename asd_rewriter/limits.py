"""Limits on the rows of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from asd_rewriter.images import ImageLimits


@dataclass(frozen=True)
class RowLimits:
    """What a row may hold; `max_problems` is how many problems a report lists."""

    max_problems: int = 1000
    max_row_chars: int = 1024**2
    max_text_chars: int = 32_768
    max_turns: int = 64
    max_images: int = 16
    max_id_chars: int = 256
    image: ImageLimits = field(default_factory=ImageLimits)
