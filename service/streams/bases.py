"""Base models: a local folder or a hub id becomes a folder with a digest."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adapters_store.backends import hash_file
from adapters_store.errors import UnsafeFile
from adapters_store.safetensors_check import check_safetensors
from service.errors import InvalidRequest, PermanentConflict

ALLOWED_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja")
"""What a base may consist of; nothing that could carry code is downloaded or digested."""

REFUSED_FILES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.py")
"""What a base must not hold: pickled weights and code run when they are loaded."""

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")

Download = Callable[[str, str | None], Path]
"""Fetch a hub id at a revision; return the local folder."""


@dataclass(frozen=True)
class ResolvedBase:
    """Where a base lies, which revision it is, and the digest of its files.

    `source` is what it is known by: the folder's path or the hub id.
    """

    source: str
    path: Path
    revision: str | None
    digest: str


class BaseChanged(PermanentConflict):
    """The base's files were changed under a stream that stands on them."""

    code = "base_changed"


@dataclass(frozen=True)
class BaseSize:
    """Parameters in all, and how many a LoRA of rank 1 on every projection would train."""

    parameters: int
    lora_parameters_per_rank: int


def download_base(hub_id: str, revision: str | None) -> Path:
    """Fetch a base from the hub into its cache, safetensors and text files only."""
    from huggingface_hub import snapshot_download  # slow to import, and seldom needed

    try:
        allowed = list(ALLOWED_FILES)
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=allowed))
    except Exception as error:  # the hub's errors have no common base
        raise InvalidRequest(
            f"the base {hub_id!r} (revision {revision or 'default'}) cannot be fetched: "
            f"{type(error).__name__}: {str(error)[:300].rstrip(' .')}. Check id, revision and "
            f"network, or give a folder's absolute path.{_near(hub_id)}",
            param="base",
        ) from error


def resolve_base(
    source: str, revision: str | None, download: Download = download_base
) -> ResolvedBase:
    """Return the folder behind a base's name; raises InvalidRequest when there is no usable one.

    An absolute path (or one from `~`) is a folder; anything else is a hub id.
    """
    folder = _as_folder(source)
    if folder is not None:
        _check_revision(source, revision)
        source = str(folder)
    elif _HUB_ID.fullmatch(source):
        folder = download(source, revision)
        revision = folder.name if _COMMIT.fullmatch(folder.name) else revision
    else:
        raise InvalidRequest(
            f"the base {source!r} is neither the absolute path of a folder that the service can "
            f"read nor a hub id like 'owner/model'.{_near(source)}",
            param="base",
        )
    _check_files(source, folder)
    return ResolvedBase(source, folder, revision, digest_base(folder))


def _as_folder(source: str) -> Path | None:
    """Return the folder that a base's name is the absolute path of, or None for a hub id."""
    path = _expanded(source)
    if not path.is_absolute():
        return None
    if _is(path, Path.is_dir):
        return path.resolve()
    found = "is a file, not" if _is(path, Path.is_file) else "is not"
    raise InvalidRequest(
        f"the base {source!r} {found} a folder that the service can read. Give a model's folder, "
        "or a hub id like 'owner/model'.",
        param="base",
    )


def _expanded(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError:  # "~somebody" whom this machine does not know
        return Path(source)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # e.g. a name too long to be one
        return False


def _check_revision(source: str, revision: str | None) -> None:
    if revision is not None:
        raise InvalidRequest(
            f"revision {revision!r} is refused: the base {source!r} is a folder, and only hub ids "
            "have revisions. Leave revision out.",
            param="revision",
        )


def _near(source: str) -> str:
    """Return a hint when a hub id happens to be a path in the service's working directory."""
    path = Path.cwd() / source
    if _is(path, Path.is_dir):
        return f" A folder is named by its absolute path: {str(path)!r} exists."
    if _is(path, Path.is_file):
        return f" {str(path)!r} is a file: give the model's folder by its absolute path."
    return ""


def digest_base(folder: Path) -> str:
    """Return the SHA-256 over names and digests of the base's allowed files."""
    lines = [f"{path.relative_to(folder).as_posix()} {hash_file(path)}" for path in _files(folder)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_base(folder: Path, digest: str) -> None:
    """Raise BaseChanged when the base's files are not those that `digest` was made of.

    Files that look as they did at the last check (size, time of change) are not read again.
    """
    stamp = tuple((str(path), *_stamp(path)) for path in _files(folder))
    if _digest_of(folder, stamp) != digest:
        raise BaseChanged(
            f"the base in {folder} is not what it was when the stream was created: its digest "
            f"was {digest[:16]}… and is now another. Restore its files, or create a new stream."
        )


@lru_cache(maxsize=16)
def _digest_of(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    return digest_base(folder)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def measure_base(folder: Path) -> BaseSize:
    """Return the base's size, read from its safetensors headers alone."""
    parameters = per_rank = 0
    for name, shape in _tensors(folder):
        parameters += math.prod(shape)
        if name.endswith("proj.weight") and len(shape) == 2 and "vision" not in name:
            per_rank += sum(shape)
    return BaseSize(parameters, per_rank)


def layer_names(folder: Path) -> frozenset[str]:
    """Return the last names of the base's layers that hold matrices, e.g. `q_proj`."""
    parts = (name.split(".") for name, shape in _tensors(folder) if len(shape) > 1)
    return frozenset(name for it in parts for name in it[-2:] if name != "weight")


def _tensors(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor; raises InvalidRequest for a damaged file."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            found = check_safetensors(path)
        except UnsafeFile as error:
            raise InvalidRequest(
                f"the base's file {str(path)!r} is damaged: {error}. Copy or download it again.",
                param="base",
            ) from error
        yield from ((name, tensor.shape) for name, tensor in found.items())


def _files(folder: Path, patterns: tuple[str, ...] = ALLOWED_FILES) -> list[Path]:
    found = {path for pattern in patterns for path in folder.rglob(pattern)}
    visible = (p for p in found if not any(x.startswith(".") for x in p.relative_to(folder).parts))
    return sorted(path for path in visible if path.is_file())


def _check_files(source: str, folder: Path) -> None:
    if problem := _problem_of(folder):
        raise InvalidRequest(
            f"the base {source!r} {problem}. Give a folder or hub id with a model that "
            "transformers' AutoModelForImageTextToText loads, saved as safetensors.",
            param="base",
        )


def _is_model_config(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes())["model_type"], str)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _problem_of(folder: Path) -> str | None:
    if not (folder / "config.json").is_file():
        return "has no config.json"
    if not _is_model_config(folder / "config.json"):
        return "has a config.json that is no JSON object with a model_type"
    if not any(folder.glob("*.safetensors")):
        return "has no safetensors weights (pickled weights are never loaded)"
    if not measure_base(folder).parameters:  # raises for a damaged file
        return "has safetensors files without any tensor"
    refused = [path.relative_to(folder).as_posix() for path in _files(folder, REFUSED_FILES)]
    if not refused:
        return None
    others = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
    return (
        f"holds pickled weights or code, which are never loaded: {', '.join(refused[:5])}{others}. "
        f"Remove them from {folder}, or copy the allowed files ({', '.join(ALLOWED_FILES)}) into "
        "a folder of their own"
    )
