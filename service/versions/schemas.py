"""Wire shapes of versions, aliases and journal entries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from service.pagination import Page


def _checked(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError as error:
        if type(value) is int:  # of the right kind: its limit is told
            raise
        raise PydanticCustomError(
            "version_number", "must be a version's number or 'previous'"
        ) from error


VersionWanted = Annotated[
    Annotated[StrictInt, Field(ge=0, lt=2**31)] | Literal["previous"], WrapValidator(_checked)
]


class VersionRead(BaseModel):
    """A version in a list. `name` is how requests name it, `verdict` the gate's outcome."""

    object: Literal["version"] = "version"
    id: str
    name: str
    number: int
    digest: str
    parent: int | None
    task: str | None
    job: str | None
    aliases: list[str]
    verdict: str | None
    servable_by: str
    servable_digest: str
    rank: int
    created_at: datetime


class VersionDetail(VersionRead):
    """A version with its lineage (names, base first) and its records by kind."""

    lineage: list[str]
    records: dict[str, Any]


class AliasRead(BaseModel):
    """An alias and the version it names now."""

    object: Literal["alias"] = "alias"
    name: str
    version: int
    version_name: str
    moved_at: datetime


class AliasMove(BaseModel):
    """A wish to let an alias name another version."""

    model_config = ConfigDict(extra="forbid")

    version: VersionWanted = Field(
        description='a version\'s number, or "previous": what the alias named before'
    )
    reason: str = Field(min_length=1, max_length=1000, description="why; kept in the journal")
    override: bool = Field(
        default=False, description="promote past a gate that does not pass (admin keys only)"
    )


class AliasMoveRead(BaseModel):
    """A journal entry: who moved an alias, when, why, from where to where.

    `previous_id` chains an alias's entries; `switch_ms` is how long the switch itself took.
    `moved` is false in the answer to a move to what the alias named already: then nothing
    changed, and the entry is the one that made it so.
    """

    object: Literal["alias_move"] = "alias_move"
    id: int
    stream: str
    alias: str
    kind: str
    from_: str | None = Field(serialization_alias="from")
    to: str
    actor: str
    reason: str
    job: str | None
    previous_id: int | None
    switch_ms: float | None
    moved: bool = True
    at: datetime


class AliasDetail(AliasRead):
    """An alias with a page of its journal, newest entry first."""

    journal: Page[AliasMoveRead]
