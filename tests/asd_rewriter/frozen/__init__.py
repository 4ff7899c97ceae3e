"""Varied rows, written by hand, and what the rules make of them.

`rows.jsonl` holds 500 rows, `styles.jsonl` 60 rows of ten further question styles, `further.jsonl`
63 rows shaped like those of public data sets; each has an `.expected.jsonl` beside it with the
rewritten turn. The rules were mended on all of them. After a change of the rules

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
SETS = ("rows", "styles", "further")
EXAMPLES = FOLDER.parents[2] / "docs" / "asd-examples.md"
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


def examples(number: int = 40) -> str:
    """Return a page that shows rewritten rows before and after, evenly over the kinds of rows."""
    changed = [
        (row, before.turns[0], after.turns[0])
        for row, before, after in zip(
            _kinds(), samples("rows"), rewritten("rows").samples, strict=True
        )
        if before != after
    ]
    changed.sort(key=lambda it: it[0])
    step = len(changed) / number
    shown = [changed[int(step * at + step / 2)] for at in range(number)]
    return _PAGE.format(number=number, rows="\n".join(_shown(*it) for it in shown))


_PAGE = """# {number} rewritten rows

Taken evenly over the kinds of rows in `tests/asd_rewriter/frozen/rows.jsonl`, which were written by
hand without sight of the rules; `python -m tests.asd_rewriter.frozen` writes this page. All kinds
share one pool of answers there, so wrong options are less plausible than those of one task.

{rows}"""


def _kinds() -> list[str]:
    text = (FOLDER / "rows.jsonl").read_text(encoding="utf-8")
    return [json.loads(line)["kind"] for line in text.splitlines()]


def _shown(kind: str, before: Turn, after: Turn) -> str:
    return (
        f"**{kind}**, `{before.format}` to `{after.format}`\n\n"
        f"    {_indented(before.question)}\n    > {before.answer}\n\n"
        f"    {_indented(after.question)}\n    > {after.answer}\n"
    )


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
