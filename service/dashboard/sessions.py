"""Browser sessions. A browser signs in with an API key or a one-time link, then reads pages."""

from __future__ import annotations

import secrets
import threading
import time

from service.keys.operations import Caller

COOKIE = "retain_session"
SESSION_SECONDS = 12 * 3600
LINK_SECONDS = 600


class Sessions:
    """Sessions and one-time links, in memory: a restart signs everybody out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[float, Caller]] = {}

    def open(self, caller: Caller, seconds: float = SESSION_SECONDS) -> str:
        """Return a new secret that stands for `caller` for that long."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            moment = time.monotonic()
            self._entries = {k: v for k, v in self._entries.items() if v[0] > moment}
            self._entries[secret] = (moment + seconds, caller)
        return secret

    def find(self, secret: str | None) -> Caller | None:
        """Return the caller behind a secret that is still valid."""
        with self._lock:
            expires, caller = self._entries.get(secret or "", (0.0, None))
        return caller if expires > time.monotonic() else None

    def take(self, secret: str) -> Caller | None:
        """Return the caller behind a one-time link and use it up."""
        caller = self.find(secret)
        with self._lock:
            self._entries.pop(secret, None)
        return caller
