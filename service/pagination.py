"""Lists on the wire: OpenAI's shape with an opaque cursor."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel

from service.errors import InvalidRequest

Item = TypeVar("Item")
Limit = Annotated[int, Query(ge=1, le=200, description="at most this many items")]
After = Annotated[str | None, Query(description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[Item]):
    """One page of a list. `next_cursor` is given as `after` to get the next one."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool = False
    next_cursor: str | None = None


def page_of(rows: Sequence[Item], limit: int, cursor: Callable[[Item], str]) -> Page[Item]:
    """Return a page from up to `limit + 1` rows; the extra one only says that there is more."""
    data = list(rows[:limit])
    more = len(rows) > limit
    return Page(data=data, has_more=more, next_cursor=cursor(data[-1]) if more else None)


def cursor_number(after: str | None) -> int | None:
    """Return a cursor of a list that is ordered by numbers; raises InvalidRequest."""
    if after is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", after):
        raise InvalidRequest(
            f"cursor {after[:80]!r} is refused: send the `next_cursor` of the page before.",
            param="after",
        )
    return int(after)
