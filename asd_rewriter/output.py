"""Folders and files that are there whole or not at all: written under another name first."""

from __future__ import annotations

import errno
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


def write_whole(path: Path, text: str) -> None:
    """Write a new file in UTF-8. A device or pipe, such as /dev/stdout, is written to as it is.

    Nothing is left otherwise. Raises OutputRefused as `check_free_file` does, and when the text
    cannot be written.
    """
    check_free_file(path)
    try:
        if is_device(path):
            with path.open("a", encoding="utf-8") as device:
                device.write(text)
        else:
            _write_beside(path.absolute(), text)
    except OSError as error:
        raise _unwritable(path, error.strerror) from error


def check_free_file(path: Path) -> None:
    """Raise OutputRefused unless `path` is a device, or not there in a folder that is."""
    if is_device(path):
        return
    if path.is_symlink() or path.exists():
        kind = "a symbolic link" if path.is_symlink() else "a folder" if path.is_dir() else "there"
        raise OutputRefused(f"{path} is {kind}, and nothing is overwritten. Name a new file.")
    if not path.parent.is_dir():
        raise _unwritable(path, os.strerror(errno.ENOENT))


def is_device(path: Path) -> bool:
    """Whether a path names a device or pipe; what /dev/stdout leads to may be a file."""
    if path.is_relative_to("/dev"):
        return not path.is_dir()
    return path.exists() and not path.is_file() and not path.is_dir()


def check_free(out: Path) -> None:
    """Raise OutputRefused unless `out` is not there, or an empty folder."""
    if out.is_symlink():
        raise OutputRefused(f"{out} is a symbolic link. Name a new folder.")
    if out.exists() and not out.is_dir():
        raise OutputRefused(f"{out} is a file. Name a new folder.")
    if out.is_dir() and any(out.iterdir()):
        raise OutputRefused(f"{out} is not empty, and nothing is overwritten. Name a new folder.")


def check_outside(out: Path, read: Path) -> None:
    """Raise OutputRefused if `out` lies in a folder that is read: it would be, the next time."""
    if read.is_dir() and out.resolve().is_relative_to(read.resolve()):
        raise OutputRefused(
            f"{out} is inside {read}, which is read, and would be read with it the next time. Name "
            "a folder elsewhere with --out."
        )


def _write_beside(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.part-", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _unwritable(path: Path, reason: str | None) -> OutputRefused:
    return OutputRefused(
        f"cannot write {path}: {reason}. Name a file in a folder that is there, may be written to "
        "and has room."
    )


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
