"""Read an attempt's folder as the trainer left it, and judge every file that would be stored.

Expected: `result.json` (written last; its `files` maps paths in the attempt folder to SHA-256),
`canary.json`, `delta/` and, for methods with state, `state/`. Only well-formed JSON and
safetensors pass; PEFT's `README.md` is left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adapters_store.backends import hash_file
from adapters_store.errors import IncompleteAttempt, UnsafeFile
from adapters_store.manifest import (
    DeltaRef,
    FileRef,
    RelativePath,
    VersionFields,
    VersionManifest,
)
from adapters_store.peft_folder import is_lora_folder, read_lora_folder
from adapters_store.safetensors_check import check_json, check_safetensors

RESULT_FILE = "result.json"
CANARY_FILE = "canary.json"
MAX_FILES = 512
_LEFT_BEHIND = {"README.md"}
_RELATIVE = TypeAdapter[str](RelativePath)


def read_attempt(folder: Path, fields: VersionFields) -> VersionManifest:
    """Return the manifest a complete attempt deserves; nothing is stored.

    Raises `IncompleteAttempt` when a part is missing or differs from what `result.json` says,
    `UnsafeFile` for any file that is not well-formed JSON or safetensors, and `NotComposable`
    when an `add` delta is not a plain LoRA.
    """
    told = _told_files(folder)
    canary = _json_object(folder, CANARY_FILE)
    delta, state = _files(folder, "delta"), _files(folder, "state")
    if not delta:
        raise _incomplete(folder, "delta/ is missing or empty")
    _check_told(folder, told, {**delta, **state, CANARY_FILE: canary})
    common = fields.model_dump(exclude={"delta_kind"})
    return VersionManifest(
        **common,
        delta=DeltaRef(
            kind=fields.delta_kind,
            rank=_delta_rank(folder / "delta", fields),
            files={path.removeprefix("delta/"): ref for path, ref in delta.items()},
        ),
        state={path.removeprefix("state/"): ref for path, ref in state.items()},
        canary=canary,
    )


def _told_files(folder: Path) -> dict[str, str]:
    _json_object(folder, RESULT_FILE)
    told = check_json(folder / RESULT_FILE).get("files")
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise _incomplete(folder, f"{RESULT_FILE} has no map `files` of paths to digests")
    return told


def _json_object(folder: Path, name: str) -> FileRef:
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise _incomplete(folder, f"{name} is missing")
    value: Any = check_json(path)
    if not isinstance(value, dict):
        raise _incomplete(folder, f"{name} is not a JSON object")
    return _ref(path)


def _files(folder: Path, part: str) -> dict[str, FileRef]:
    """Return the checked files of `delta` or `state` by their path in the attempt folder."""
    if (folder / part).is_symlink():
        msg = f"{part}/ is a link: only plain files and folders can be stored"
        raise UnsafeFile(msg)
    found: dict[str, FileRef] = {}
    for path in _walk(folder / part):
        if len(found) >= MAX_FILES:
            msg = f"{part}/ holds more than {MAX_FILES} files: merge them into fewer"
            raise UnsafeFile(msg)
        _check_file(path, path.relative_to(folder / part).as_posix())
        found[path.relative_to(folder).as_posix()] = _ref(path)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.name not in _LEFT_BEHIND:
            yield path


def _check_file(path: Path, relative: str) -> None:
    if path.is_symlink() or not path.is_file():
        msg = f"{relative!r} is a link or a special file: only plain files can be stored"
        raise UnsafeFile(msg)
    try:
        _RELATIVE.validate_python(relative)
    except ValidationError:
        msg = f"{relative[:200]!r} is not a plain relative path of at most four parts: rename it"
        raise UnsafeFile(msg) from None
    if path.suffix == ".safetensors":
        check_safetensors(path)
    elif path.suffix == ".json":
        check_json(path)
    else:
        msg = f"{relative!r} is neither .safetensors nor .json: nothing else is stored or loaded"
        raise UnsafeFile(msg)


def _check_told(folder: Path, told: Mapping[str, str], found: Mapping[str, FileRef]) -> None:
    for path, ref in found.items():
        if path not in told and path != CANARY_FILE:
            raise _incomplete(folder, f"{RESULT_FILE} does not name {path}")
        if (digest := told.get(path, ref.sha256)) != ref.sha256:
            what = f"{path} has SHA-256 {ref.sha256}, {RESULT_FILE} says {digest[:64]}"
            raise _incomplete(folder, what)
    stored = {path for path in told if path.startswith(("delta/", "state/"))}
    named = {path for path in stored if Path(path).name not in _LEFT_BEHIND}
    if missing := sorted(named - set(found)):
        raise _incomplete(folder, f"{missing[0][:200]} is named by {RESULT_FILE} but missing")


def _delta_rank(folder: Path, fields: VersionFields) -> int:
    if fields.delta_kind == "weights":
        return 0
    if fields.delta_kind == "replace" and not is_lora_folder(folder):
        return 0
    return read_lora_folder(folder).rank


def _ref(path: Path) -> FileRef:
    return FileRef(sha256=hash_file(path), size=path.stat().st_size)


def _incomplete(folder: Path, what: str) -> IncompleteAttempt:
    return IncompleteAttempt(
        f"the attempt {folder.name!r} cannot be registered: {what}. Run the attempt again."
    )
