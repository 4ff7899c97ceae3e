"""What a review does to a rewrite report: rejected turns count as what they are again, native."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from asd_rewriter.formats import AnswerFormat
from service.rewrites.changes import Change

_ANSWERS = {AnswerFormat.YES_NO: "yes_no", AnswerFormat.MULTIPLE_CHOICE: "letters"}


def revised(report: Mapping[str, Any], rejected: Iterable[Change]) -> dict[str, Any]:
    """Return a report in which the rejected turns are native, counted as `rejected_by_review`.

    Where wrong answers came from, and how texts were worded, is not known of single turns: these
    counts stay those of what was written.
    """
    changes = list(rejected)
    keys = {change.key for change in changes}
    went = Counter(change.format.value for change in changes)
    back = Counter(change.before.format.value for change in changes)
    answers = Counter(
        (_ANSWERS[change.format], change.after.answer)
        for change in changes
        if change.format in _ANSWERS
    )
    return {
        **report,
        "converted": report["converted"] - len(changes),
        "converted_by_format": _less(report["converted_by_format"], went),
        "counts": _less({**dict.fromkeys(back, 0), **report["counts"]}, went - back, back - went),
        **{
            name: _less(
                report[name], Counter({k: n for (it, k), n in answers.items() if it == name})
            )
            for name in _ANSWERS.values()
        },
        "examples": {
            name: [example for example in shown if example["key"] not in keys]
            for name, shown in report["examples"].items()
        },
        "rejected_by_review": len(changes),
    }


def _less(
    counts: Mapping[str, int], minus: Counter[str], plus: Counter[str] | None = None
) -> dict[str, int]:
    changed = {name: n - minus[name] + (plus or Counter())[name] for name, n in counts.items()}
    return {name: n for name, n in changed.items() if n}
