"""Typed ids (`job_…`) and aware UTC time, in one place."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

ID_PATTERN = r"^(str|task|job|ver|key|req)_[0-9a-z]{20}$"
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """Return a fresh id: prefix, underscore, 20 random base-36 characters (103 bits)."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(20))}"


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)
