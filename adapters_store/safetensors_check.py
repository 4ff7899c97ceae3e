"""Judge safetensors and JSON files by their bytes, before any tensor library parses them.

A safetensors file is: header length (8 bytes, little-endian), a JSON header naming each tensor's
dtype, shape and byte range, then the tensors without gap or overlap. Anything else is refused
with `UnsafeFile`, and nothing is allocated by what the header claims.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters_store.errors import UnsafeFile

MAX_HEADER_BYTES = 8 << 20
MAX_JSON_BYTES = 16 << 20
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 512
MAX_ELEMENTS = 1 << 40

DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""The dtypes accepted, with bytes per element."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checked header; `begin` and `end` are bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def check_safetensors(path: Path) -> dict[str, TensorInfo]:
    """Return the tensors of a well-formed file by name; raises `UnsafeFile` otherwise.

    Refused: a header over 8 MiB or longer than the file, JSON that does not parse or repeats a
    key, unknown dtypes, more than 8 dimensions, 2**40 elements or 100,000 tensors, byte ranges
    that do not fit the shape, overlap, leave a gap or leave bytes over.
    """
    header, data_bytes = _read_header(path)
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise _refuse(path, f"it names {len(header)} tensors, the limit is {MAX_TENSORS}")
    tensors = {name: _tensor(path, name, entry) for name, entry in header.items()}
    _check_layout(path, tensors, data_bytes)
    return tensors


def check_json(path: Path) -> Any:
    """Return a JSON file's value; raises `UnsafeFile` over 16 MiB, on NaN or repeated keys."""
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise _refuse(path, f"it has {size} bytes, the limit for JSON is {MAX_JSON_BYTES}")
    return _parse(path, path.read_bytes())


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            what = f"its header claims {length} bytes; the file has {size}, the limit is"
            raise _refuse(path, f"{what} {MAX_HEADER_BYTES}")
        raw = file.read(length)
    if not raw.startswith(b"{"):
        raise _refuse(path, "its header is not a JSON object")
    header = _parse(path, raw)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _refuse(path, "its __metadata__ is not a map of texts")
    return header, size - 8 - length


def _parse(path: Path, raw: bytes) -> Any:
    try:
        return json.loads(
            raw.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_no_constant
        )
    except RecursionError:
        raise _refuse(path, "its JSON is nested too deeply") from None
    except ValueError as error:
        raise _refuse(path, f"its JSON does not parse ({str(error)[:120]})") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers may keep different ones of two equal keys: what was checked must be what is read.
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return found


def _no_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _tensor(path: Path, name: str, entry: Any) -> TensorInfo:
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise _refuse(path, f"the tensor name {name[:60]!r} is empty, too long or not printable")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _refuse(path, f"tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _refuse(path, f"tensor {name!r} has dtype {str(dtype)[:40]!r}, which is not known")
    if not _is_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise _refuse(path, f"tensor {name!r} has the shape {str(shape)[:60]}")
    if not _is_counts(offsets) or len(offsets) != 2:
        raise _refuse(path, f"tensor {name!r} has the offsets {str(offsets)[:60]}")
    _check_range(path, name, entry)
    return TensorInfo(dtype, tuple(shape), *offsets)


def _check_range(path: Path, name: str, entry: dict[str, Any]) -> None:
    elements = math.prod(entry["shape"])
    if elements > MAX_ELEMENTS:
        raise _refuse(path, f"tensor {name!r} has {elements} elements, the limit is {MAX_ELEMENTS}")
    begin, end = entry["data_offsets"]
    needed = elements * DTYPE_BYTES[entry["dtype"]]
    if end - begin != needed:
        raise _refuse(path, f"tensor {name!r} needs {needed} bytes but has {begin}..{end}")


def _check_layout(path: Path, tensors: dict[str, TensorInfo], data_bytes: int) -> None:
    position = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != position:
            what = f"tensor {name!r} begins at byte {info.begin}, the one before ends at {position}"
            raise _refuse(path, what)
        position = info.end
    if position != data_bytes:
        raise _refuse(path, f"its tensors fill {position} bytes, the file holds {data_bytes}")


def _is_counts(value: Any) -> bool:
    # The bound keeps products small: Python would multiply huge numbers for as long as it takes.
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in value)


def _refuse(path: Path, what: str) -> UnsafeFile:
    return UnsafeFile(f"{path.name!r} is refused: {what}; write it again with safetensors or json")
