"""Wire shapes of rewritten rows and of decisions on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from asd_rewriter.formats import AnswerFormat
from asd_rewriter.samples import Turn

MAX_DECISIONS = 1000

Verdict = Literal["accept", "reject"]
Key = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class Decisions(RootModel[dict[Key, Verdict]]):
    """Which turns to keep as rewritten (`accept`), and which to put back (`reject`), by key."""

    model_config = ConfigDict(strict=True)

    root: dict[Key, Verdict] = Field(min_length=1, max_length=MAX_DECISIONS)


class ImageRead(BaseModel):
    """An image: its SHA-256, and where its bytes are."""

    digest: str
    url: str


class Decision(BaseModel):
    """What someone decided, last, about one turn."""

    verdict: Verdict
    by: str
    at: datetime


class RewriteRead(BaseModel):
    """A turn before and after rewriting, and what was decided about it. `key` names it."""

    object: Literal["rewrite"] = "rewrite"
    key: str
    sample: str
    turn: int
    images: list[ImageRead]
    before: Turn
    after: Turn
    decision: Decision | None


class RewritePage(BaseModel):
    """A part of all rewritten turns, in an order that `seed` draws.

    `total`: how many there are (into `format`, if one is named). `reviewing`: whether decisions
    are taken now. `accepted`, `rejected`: decisions so far.
    """

    object: Literal["list"] = "list"
    job: str
    task: str
    format: AnswerFormat | None
    seed: int
    offset: int
    total: int
    has_more: bool
    reviewing: bool
    accepted: int
    rejected: int
    data: list[RewriteRead]


class DecisionsRead(BaseModel):
    """All decisions on a job's rows so far; `changed`: how many this request made or changed."""

    object: Literal["rewrite_decisions"] = "rewrite_decisions"
    job: str
    changed: int
    accepted: int
    rejected: int
