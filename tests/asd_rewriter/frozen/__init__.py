"""Varied rows, written by hand without sight of the rules, and what the rules make of them.

`rows.jsonl` holds 500 rows, `styles.jsonl` 60 rows of ten further question styles; each has an
`.expected.jsonl` beside it with the rewritten turn. After a change of the rules

    python -m tests.asd_rewriter.frozen

writes these anew; every changed line is then to be read (`git diff`) before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asd_rewriter.cards import TaskCard
from asd_rewriter.mix import RewriteResult, rewrite
from asd_rewriter.plan import RewritePlan
from asd_rewriter.samples import Sample, Turn

FOLDER = Path(__file__).parent
SETS = ("rows", "styles")
CARD = TaskCard(
    name="frozen",
    answer_format="short_answer",  # type: ignore[arg-type]
    metric="exact_match",
    ocr_prefix="Reference OCR token:",
)


def samples(name: str) -> Iterator[Sample]:
    """Yield a set's rows; each has an image."""
    for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        turn = {key: row[key] for key in ("question", "answer", "format", "references")}
        yield Sample(id=row["id"], images=("0" * 64,), turns=(Turn.model_validate(turn),))


def rewritten(name: str) -> RewriteResult:
    """Return a set with every row rewritten that can be."""
    return rewrite(samples(name), CARD, RewritePlan(x_percent=100))


def lines(name: str) -> list[str]:
    """Return what is expected of a set: a line per row, None for a row that stays native."""
    pairs = zip(samples(name), rewritten(name).samples, strict=True)
    return [json.dumps(_line(before, after), ensure_ascii=False) for before, after in pairs]


def _line(before: Sample, after: Sample) -> dict[str, Any]:
    new = after.turns[0]
    if new == before.turns[0]:
        return {"id": before.id, "after": None}
    return {"id": before.id, "after": [new.format.value, new.question, new.answer]}
