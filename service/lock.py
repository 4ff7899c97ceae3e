"""One service per state folder, kept by a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from service.errors import PermanentConflict


class StateLock:
    """An exclusive lock on a state folder; raises PermanentConflict when it is taken."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise PermanentConflict(
                f"another service (process {owner}) uses the state folder {path.parent}. "
                "Stop it, or set RETAIN_STATE_DIR to a folder of its own."
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let the next service have the folder."""
        self._file.close()
