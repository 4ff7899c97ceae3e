"""Hugging Face `datasets` folders (extra `data`): the one module that loads that library.

Rows are read and written as Arrow tables, piece by piece: images that a folder holds are neither
decoded nor copied one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from asd_rewriter.conversations import kind_of
from asd_rewriter.errors import OutputRefused
from asd_rewriter.readers import RawRow, Spot
from asd_rewriter.sources.base import Kind, Source
from asd_rewriter.sources.errors import InputRefused

_PIECE = 1000


@dataclass(frozen=True)
class HubFolder:
    """A folder that `save_to_disk` wrote, or parquet files."""

    paths: tuple[Path, ...]
    name: str
    kind: Kind = Kind.HF

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows; they have no lines. Raises InputRefused."""
        number, tables = 0, self.open().with_format("arrow").iter(_PIECE)
        while (table := self._next(tables)) is not None:
            for value in table.to_pylist():
                number += 1
                yield RawRow(Spot(0, number), value)

    def _next(self, tables: Iterator[Any]) -> Any:
        try:
            return next(tables, None)
        except (OSError, ValueError) as error:
            raise _unreadable(self.paths, error) from error

    def open(self) -> Any:
        """Return the dataset, not read yet. Raises InputRefused."""
        datasets = _library()
        try:
            if self.paths[0].suffix == ".parquet":
                files = [str(path) for path in self.paths]
                return datasets.load_dataset(
                    "parquet", data_files=files, split="train", streaming=True
                )
            found = datasets.load_from_disk(str(self.paths[0]))
        except (OSError, ValueError, KeyError) as error:
            raise _unreadable(self.paths, error) from error
        if isinstance(found, datasets.DatasetDict):
            return _train_split(found, self.paths[0])
        return found


class HubWriter:
    """Writes `train/`, a folder for `datasets.load_from_disk`, with the source's columns."""

    def __init__(self, folder: Path, source: Source) -> None:
        """Read the source once, unless it is a `datasets` folder, for its columns."""
        self._datasets = _library()
        self._path, self._part = folder / "train", folder / "train.arrow.part"
        self._schema = _schema(source, self._datasets)
        self._pending: list[dict[str, Any]] = []
        self._number = 0

    def __enter__(self) -> Self:
        from pyarrow import ipc

        self._file = ipc.new_stream(str(self._part), self._schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._flush()
        if kind is None:
            with _quiet(self._datasets):
                self._datasets.Dataset.from_file(str(self._part)).save_to_disk(str(self._path))
        self._part.unlink()

    def write(self, row: RawRow) -> None:
        """Take the next row. Raises OutputRefused for one that is not an object."""
        self._number += 1
        if not isinstance(row.value, dict):
            raise OutputRefused(
                f"row {self._number} is {kind_of(row.value)}, and a row of a datasets folder is an "
                "object. Remove it, or write another format: json or jsonl."
            )
        self._pending.append(row.value)
        if len(self._pending) == _PIECE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        try:
            table = pyarrow.Table.from_pylist(self._pending, schema=self._schema)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            raise _misfit(self._number, str(error)) from error
        self._file.write_table(table)
        self._pending.clear()


def _schema(source: Source, datasets: ModuleType) -> Any:
    if isinstance(source, HubFolder):
        features = source.open().features
        if features is not None:
            return features.arrow_schema
    return _inferred(source)


def _inferred(source: Source) -> Any:
    """Return the columns that all rows have between them."""
    import pyarrow

    schema = pyarrow.schema([])
    pending: list[dict[str, Any]] = []

    def merged() -> Any:
        found = pyarrow.schema(list(pyarrow.infer_type(pending))) if pending else schema
        return pyarrow.unify_schemas([schema, found], promote_options="permissive")

    number = 0
    try:
        for row in source.rows():
            number = row.spot.row
            if isinstance(row.value, dict):
                pending.append(row.value)
            if len(pending) == _PIECE:
                schema = merged()
                pending.clear()
        return merged()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise _misfit(number, str(error)) from error


def _unreadable(paths: tuple[Path, ...], error: Exception) -> InputRefused:
    return InputRefused(
        f"cannot read {paths[0]}: {type(error).__name__}: {error}. Name a folder that datasets' "
        "save_to_disk wrote, or one with parquet files."
    )


def _misfit(number: int, reason: str) -> OutputRefused:
    return OutputRefused(
        f"up to row {number}, values of one column have different types ({reason}), which a "
        "datasets folder cannot hold. Write another format: json or jsonl."
    )


def _train_split(found: Any, path: Path) -> Any:
    if "train" in found:
        return found["train"]
    names = ", ".join(found)
    raise InputRefused(
        f"{path} has the splits {names} and no 'train'. Name the split's own folder, such as "
        f"{path / next(iter(found))}."
    )


@contextmanager
def _quiet(datasets: ModuleType) -> Iterator[None]:
    """Keep the library's own progress bars off."""
    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _library() -> ModuleType:
    try:
        import datasets
    except ImportError as error:
        raise InputRefused(
            "Hugging Face datasets folders and parquet files need the extra 'data', which is not "
            "installed: pip install 'retain[data]'. Or give JSON."
        ) from error
    return datasets  # type: ignore[no-any-return]
