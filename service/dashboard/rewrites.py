"""The part of a job's page that shows what was rewritten: the report, and rows side by side."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from asd_rewriter.formats import ASD_FORMATS, AnswerFormat
from service.deps import Services
from service.errors import NotFound
from service.jobs.queries import find_phase
from service.rewrites.operations import Look, list_rewrites

View = dict[str, Any]
_ROWS = 10


class LookQuery(BaseModel):
    """Which rows the page shows. An empty format: all."""

    format: AnswerFormat | str = ""
    seed: int = Field(default=0, ge=0, lt=2**31)
    offset: int = Field(default=0, ge=0, lt=2**31)

    def url(self, **changes: Any) -> str:
        """Return this as a query string, changed."""
        return urlencode({**self.model_dump(), **changes})


def report_view(session: Session, job_id: str) -> View | None:
    """Return a job's rewrite report for the page; None before there is one."""
    row = find_phase(session, job_id, "rewrite")
    if row is None or row.state == "cancelled" or "report" not in row.result:
        return None
    report = row.result["report"]
    converted = report["converted"] or 1
    return {
        "facts": _facts(report),
        "formats": [
            {"name": name, "number": number, "percent": 100 * number / converted}
            for name, number in report["converted_by_format"].items()
        ],
        "lists": _lists(report),
    }


def rows_view(services: Services, job_id: str, look: LookQuery) -> View | None:
    """Return a sample of the rewritten rows with the links to others; None when there are none."""
    only = AnswerFormat(look.format) if look.format in set(AnswerFormat) else None
    wanted = Look(only, look.seed, look.offset, _ROWS)
    try:
        page = list_rewrites(services, job_id, wanted)
    except NotFound:
        return None
    return {
        "page": page,
        "here": look.url(),
        "earlier": look.url(offset=max(0, look.offset - _ROWS)) if look.offset else None,
        "later": look.url(offset=look.offset + _ROWS) if page.has_more else None,
        "others": look.url(seed=look.seed + 1, offset=0),
        "formats": [
            {"name": name, "url": look.url(format=value, offset=0), "here": value == (only or "")}
            for name, value in (("all formats", ""), *((it.value, it.value) for it in ASD_FORMATS))
        ],
    }


def _facts(report: View) -> list[tuple[str, Any, str]]:
    facts = [
        ("turns", report["turns"], "in the training split"),
        ("asked for", report["requested"], "turns to rewrite"),
        ("rewritten", report["converted"], "turns in another format"),
        ("rejected", report.get("rejected_by_review"), "by review, native again"),
        ("fallback wordings", report.get("fallback_wordings"), 'Is the answer "..."?'),
        ("template explanations", report.get("template_explanations"), "not from the image"),
        ("fewer options", report.get("fewer_options"), "than four"),
    ]
    return [fact for fact in facts if fact[1] is not None]


def _lists(report: View) -> list[View]:
    """Return small tables: what is counted under which names."""
    named = (
        ("yes_no", "Yes and no"),
        ("letters", "Right letters"),
        ("distractors", "Wrong answers from"),
        ("rejects", "Attempts that failed, by format and reason"),
    )
    return [
        {"title": title, "rows": _shares(report[name])} for name, title in named if report.get(name)
    ]


def _shares(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    total = sum(counts.values())
    return [(name.replace(":", ": "), n, 100 * n / total) for name, n in counts.items()]
