"""Every call that changes the disk, behind one small class.

Tests replace it to fail or "crash" at the N-th call, for all N. Each method is one fault point,
and none leaves a half-written file under a final name: content goes to a temporary name first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO


class Disk:
    """The real disk. Paths are local; errors are `OSError`s as the system raises them."""

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents; nothing happens when it exists."""
        path.mkdir(parents=True, exist_ok=True)

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Append `data` to an open file."""
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Flush an open file through to the device."""
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable: a rename survives power loss only after this."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Move atomically; replaces a file, refuses a folder that is not empty (`OSError`)."""
        source.rename(target)

    def link_new(self, source: Path, target: Path) -> None:
        """Give a file a second name; `FileExistsError` when the name is taken."""
        os.link(source, target)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file's bytes, through to the device."""
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())

    def touch(self, path: Path, when: float) -> None:
        """Set a file's time, in POSIX seconds."""
        os.utime(path, (when, when))

    def remove(self, path: Path) -> None:
        """Delete a file; nothing happens when it is gone."""
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Delete a folder of our own with all it holds; nothing happens when it is gone."""
        shutil.rmtree(path, ignore_errors=True)
