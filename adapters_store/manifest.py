"""What a version is: one frozen record, named by the digest of its content.

A version's digest is the SHA-256 of the canonical JSON of the whole manifest except `created_at`.
Stream and number are part of it, so a digest names exactly one version, even when two streams
hold equal weights; the time is not, so publishing the same version again after a crash gives the
same digest. `parent` is a digest too: a version's digest thereby fixes its whole lineage.

A field that a later release adds needs a default, and is left out of the JSON while it has it: the
digests of versions stored before stay what they were.

Canonical JSON: UTF-8, keys sorted, no spaces, no NaN or infinity, floats as Python's shortest
form that reads back equal.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
)

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hex."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A stream's or task's name; never a path and never with `@`."""
RelativePath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}$")
]
"""A file's place in its folder, `/` between at most four parts, none starting with a dot."""
DeltaKind = Literal["add", "replace", "weights"]


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of `value` that digests are made of.

    Raises ValueError for what JSON cannot say: NaN, infinity, unpaired surrogates.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def _sayable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    canonical_json(value)
    return value


Settings = Annotated[dict[str, JsonValue], AfterValidator(_sayable)]
"""Free-form settings: anything JSON can say."""


def digest_of(content: dict[str, Any]) -> str:
    """Return the digest of a version whose manifest is `content`, as JSON values."""
    named = {name: value for name, value in content.items() if name != "created_at"}
    return hashlib.sha256(canonical_json(named)).hexdigest()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Stored(_Frozen):
    """Part of a manifest. `always_written` names the first release's fields with a default."""

    always_written: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if not self._is_unused(name)}

    def _is_unused(self, name: str) -> bool:
        field = type(self).model_fields[name]
        if field.is_required() or name in self.always_written:
            return False
        return bool(getattr(self, name) == field.get_default(call_default_factory=True))


class BaseRef(_Stored):
    """The base model: a hub id or folder, its revision if any, the digest of its files."""

    always_written = frozenset({"revision"})

    source: str = Field(min_length=1)
    revision: str | None = None
    digest: Digest


class DataRef(_Stored):
    """The data a version was made from: digests of train corpus and evaluation items."""

    always_written = frozenset({"evaluation"})

    train: Digest
    evaluation: Digest | None = None


class FileRef(_Stored):
    """A stored file: its blob's digest and its length in bytes."""

    sha256: Digest
    size: int = Field(ge=0)


class DeltaRef(_Stored):
    """What the task changed. `rank` is the largest LoRA rank of any module; 0: no LoRA."""

    kind: DeltaKind
    rank: int = Field(ge=0, le=65_536)
    files: dict[RelativePath, FileRef] = Field(min_length=1)


class VersionFields(_Frozen):
    """What the caller of `publish` knows about a version; the rest is read from the attempt.

    `number` starts at 1 (`stream@0` is the base and is not stored); `parent` is the parent's
    digest, None when the version stands on the base itself.
    """

    stream: Name
    number: int = Field(ge=1, lt=2**31)
    parent: Digest | None = None
    base: BaseRef
    task: Name
    data: DataRef
    method: str = Field(min_length=1, max_length=64)
    method_config: Settings = Field(default_factory=dict)
    hyperparameters: Settings = Field(default_factory=dict)
    seed: int = Field(ge=0)
    delta_kind: DeltaKind
    code_version: str = Field(min_length=1, max_length=200)


class VersionManifest(_Stored):
    """An immutable version; see the module's text for what its digest covers."""

    always_written = frozenset({"schema_version", "state", "created_at"})

    schema_version: Literal[1] = 1
    stream: Name
    number: int = Field(ge=1, lt=2**31)
    parent: Digest | None
    base: BaseRef
    task: Name
    data: DataRef
    method: str = Field(min_length=1, max_length=64)
    method_config: Settings
    hyperparameters: Settings
    seed: int = Field(ge=0)
    delta: DeltaRef
    state: dict[RelativePath, FileRef] = Field(default_factory=dict)
    canary: FileRef
    code_version: str = Field(min_length=1, max_length=200)
    created_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def digest(self) -> str:
        """The version's name among all versions, 64 hex digits."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def name(self) -> str:
        """The version as people write it: `stream@number`."""
        return f"{self.stream}@{self.number}"

    def stored_files(self) -> dict[str, FileRef]:
        """Return every file the version owns, by its place in the attempt folder."""
        files = {f"delta/{path}": ref for path, ref in self.delta.files.items()}
        files |= {f"state/{path}": ref for path, ref in self.state.items()}
        return files | {"canary.json": self.canary}

    def referenced_digests(self) -> frozenset[str]:
        """Return every digest the version keeps alive: its files and its data."""
        data = {d for d in (self.data.train, self.data.evaluation) if d is not None}
        return frozenset({ref.sha256 for ref in self.stored_files().values()} | data)
