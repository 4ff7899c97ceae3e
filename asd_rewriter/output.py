"""A folder that is there whole or not at all: written under another name first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_rewriter.errors import OutputRefused


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`; it becomes `out` if the block ends without an exception.

    Otherwise nothing is left. Raises OutputRefused when `out` is a file or a link, holds something
    already, or cannot be made.
    """
    out = out.absolute()
    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    except OSError as error:
        raise OutputRefused(f"cannot make a folder in {out.parent}: {error.strerror}.") from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        _rename(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_free(out: Path) -> None:
    """Raise OutputRefused unless `out` is not there, or an empty folder."""
    if out.is_symlink():
        raise OutputRefused(f"{out} is a symbolic link. Name a new folder.")
    if out.exists() and not out.is_dir():
        raise OutputRefused(f"{out} is a file. Name a new folder.")
    if out.is_dir() and any(out.iterdir()):
        raise OutputRefused(f"{out} is not empty, and nothing is overwritten. Name a new folder.")


def _rename(staging: Path, out: Path) -> None:
    try:
        os.replace(staging, out)
    except OSError as error:
        raise OutputRefused(
            f"cannot name the finished folder {out}: {error.strerror}. Name a new folder."
        ) from error


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now
