"""`run.toml` in a results folder: what the files' names do not tell."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from eval.results.errors import ResultsRefused
from eval.results.files import read_text

SETTINGS = "run.toml"


class RunSettings(BaseModel):
    """All of it may be left out.

    `name` is the run's, `tasks` the order of learning, `metrics` scorers by task, `training` what
    was trained and how, as the report shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    tasks: tuple[str, ...] | None = None
    metrics: dict[str, str] = {}
    training: dict[str, JsonValue] = {}


def read_settings(root: Path) -> RunSettings:
    """Return the settings in a folder; raises ResultsRefused if they cannot be read."""
    path = root / SETTINGS
    if not path.exists():
        return RunSettings()
    try:
        return RunSettings.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ResultsRefused(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()
        )
        raise ResultsRefused(
            f"{path}: {problems}. It may hold {', '.join(RunSettings.model_fields)}."
        ) from error
