"""Browser sessions. A browser signs in with an API key or a one-time link, then reads pages."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Literal

from service.keys.operations import Caller

COOKIE = "retain_session"
SESSION_SECONDS = 12 * 3600
LINK_SECONDS = 600
Kind = Literal["session", "link"]


class Sessions:
    """Sessions and one-time links, in memory: a restart signs everybody out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[tuple[Kind, str], tuple[float, Caller]] = {}

    def open(self, caller: Caller, seconds: float = SESSION_SECONDS, kind: Kind = "session") -> str:
        """Return a new secret that stands for `caller` for that long."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            moment = time.monotonic()
            self._entries = {k: v for k, v in self._entries.items() if v[0] > moment}
            self._entries[kind, secret] = (moment + seconds, caller)
        return secret

    def find(self, secret: str | None) -> Caller | None:
        """Return the caller behind a session that is still valid."""
        with self._lock:
            return _valid(self._entries.get(("session", secret or "")))

    def take(self, secret: str) -> Caller | None:
        """Return the caller behind a one-time link and use it up."""
        with self._lock:
            return _valid(self._entries.pop(("link", secret), None))


def _valid(entry: tuple[float, Caller] | None) -> Caller | None:
    return entry[1] if entry is not None and entry[0] > time.monotonic() else None
