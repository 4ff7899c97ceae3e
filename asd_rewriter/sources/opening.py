"""Which source a path is: a JSON file, a CoIN task, a folder of data files or a `datasets` one."""

from __future__ import annotations

from pathlib import Path

from asd_rewriter.sources.base import JsonFiles, Kind, Source, json_kind
from asd_rewriter.sources.errors import InputRefused

COIN_FILES = ("train_ori.json", "train.json")
"""A CoIN task's native rows: CoIN-ASD keeps them in the first beside sets rewritten already."""


def open_source(path: Path) -> Source:
    """Return the dataset at a path. Raises InputRefused when nothing there can be read."""
    if path.is_file():
        if path.suffix == ".parquet":
            return _hub_source((path,), path.stem)
        return JsonFiles((path,), json_kind(path), _file_name(path))
    if not path.is_dir():
        raise InputRefused(f"{path} is not there. Name a dataset's file or folder.")
    if task := _coin_file(path):
        return JsonFiles((task,), json_kind(task), path.resolve().name)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _hub_source((path,), path.resolve().name)
    if (path / "train" / "state.json").is_file():  # a result of rewriting
        return _hub_source((path / "train",), path.resolve().name)
    if files := _data_files(path, "parquet"):
        return _hub_source(files, path.resolve().name)
    if files := _data_files(path, "jsonl"):
        return JsonFiles(files, Kind.JSONL, path.resolve().name)
    raise InputRefused(_nothing_in(path))


def _hub_source(paths: tuple[Path, ...], name: str) -> Source:
    from asd_rewriter.sources.hub import HubFolder

    return HubFolder(paths, name)


def _file_name(path: Path) -> str:
    """Return a file's name, or its folder's where all tasks have files of that name."""
    return path.resolve().parent.name if path.name in COIN_FILES else path.stem


def _coin_file(folder: Path) -> Path | None:
    return next((folder / name for name in COIN_FILES if (folder / name).is_file()), None)


def _data_files(folder: Path, ending: str) -> tuple[Path, ...]:
    """Return data files in a folder or its `data`; those of the train split, if files name it."""
    found = sorted([*folder.glob(f"*.{ending}"), *folder.glob(f"data/*.{ending}")])
    return tuple([it for it in found if it.name.startswith("train")] or found)


def _nothing_in(folder: Path) -> str:
    tasks = [it.parent for name in COIN_FILES for at in ("*", "annotations/*")
             for it in folder.glob(f"{at}/{name}")]  # fmt: skip
    if tasks:
        names = sorted({str(it.relative_to(folder)) for it in tasks})
        return (
            f"{folder} holds {len(names)} tasks: {', '.join(names)}. Name one of them, such as "
            f"{folder / names[0]}."
        )
    return (
        f"{folder} holds no dataset: no {' or '.join(COIN_FILES)}, no .jsonl or .parquet files "
        "(also in data/), nothing that datasets' save_to_disk wrote. Name the file or folder."
    )
