"""Wire shapes of API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class KeyCreate(BaseModel):
    """A new key: what it is for, and what it may do."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
    role: Literal["reader", "operator", "admin"] = "operator"


class KeyRead(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["api_key"] = "api_key"
    id: str
    name: str
    role: str
    created_at: datetime
    revoked_at: datetime | None = None


class KeyCreated(KeyRead):
    """A new key with its secret, shown this once."""

    secret: str
