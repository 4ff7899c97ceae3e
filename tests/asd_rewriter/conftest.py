"""Builders shared by the tests of asd_rewriter: archives, images, rows, cards."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asd_rewriter.cards import TaskCard

MakeArchive = Callable[..., Path]


def png(red: int = 0, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    """Return an encoded one-colour image."""
    file = io.BytesIO()
    Image.new("RGB", size, (red, 10, 20)).save(file, kind)
    return file.getvalue()


def row(row_id: str, question: str, answer: str, image: str | None = None, **more: Any) -> Any:
    """Return a LLaVA row with one question and answer."""
    value: dict[str, Any] = {
        "id": row_id,
        "conversations": [
            {"from": "human", "value": f"<image>\n{question}" if image else question},
            {"from": "gpt", "value": answer},
        ],
        **more,
    }
    if image:
        value["image"] = image
    return value


def card(**changes: Any) -> TaskCard:
    """Return a short-answer card."""
    return TaskCard.model_validate(
        {"name": "demo", "answer_format": "short_answer", "metric": "exact_match", **changes}
    )


def digest_of(data: bytes) -> str:
    """Stand in for a store: return the SHA-256 of the bytes."""
    return sha256(data).hexdigest()


@pytest.fixture
def pack(tmp_path: Path) -> MakeArchive:
    """Return a function that packs files (bytes, text, or anything for JSON) into an archive."""

    def make(files: Mapping[str, Any], kind: str = "zip") -> Path:
        staging = tmp_path / "staging"
        staging.mkdir(exist_ok=True)
        path = staging / f"upload.{kind}"
        encoded = {name: _encode(content) for name, content in files.items()}
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
                for name, data in encoded.items():
                    zipped.writestr(name, data)
            return path
        mode, _, form = kind.partition("-")
        with tarfile.open(path, "w:gz" if mode == "tgz" else "w", format=_FORMATS[form]) as tar:
            for name, data in encoded.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return path

    return make


_FORMATS = {
    "": tarfile.PAX_FORMAT,
    "pax": tarfile.PAX_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
    "ustar": tarfile.USTAR_FORMAT,
}


def _encode(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()
