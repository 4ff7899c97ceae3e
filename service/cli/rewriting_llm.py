"""What `retain rewrite --engine llm` adds: an endpoint, its budget, its cache, the rows' images."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from asd_rewriter.cards import TaskCard
    from asd_rewriter.llm.rewriter import LlmRewriter
    from asd_rewriter.llm.settings import LlmSettings
    from asd_rewriter.rewriter import Rewriter


@dataclass(frozen=True)
class LlmOptions:
    """What `--engine llm` was given. `out` is the result's folder: the cache lies beside it."""

    url: str | None
    model: str | None
    key_env: str | None
    budget_calls: int | None
    budget_tokens: int | None
    cache: Path | None
    image_root: Path | None
    seed: int
    out: Path

    def engine(self, name: str, stack: ExitStack) -> Callable[[TaskCard], Rewriter] | None:
        """Return what makes the rewriter, closed with `stack`; None for rules.

        Raises BadParameter for options that do not fit together.
        """
        given = {
            "--llm-url": self.url, "--llm-model": self.model, "--llm-key-env": self.key_env,
            "--budget-calls": self.budget_calls, "--budget-tokens": self.budget_tokens,
            "--cache": self.cache, "--image-root": self.image_root,
        }  # fmt: skip
        if name == "rules":
            if idle := [name for name, value in given.items() if value is not None]:
                raise typer.BadParameter(
                    f"{', '.join(idle)} would do nothing: rules ask no endpoint. Add --engine "
                    "llm, or leave it out.",
                    param_hint="--engine",
                )
            return None
        if lacking := [name for name in ("--llm-url", "--llm-model") if given[name] is None]:
            raise typer.BadParameter(
                f"--engine llm needs {' and '.join(lacking)} too.", param_hint="--engine"
            )
        settings = self._settings()
        return lambda card: stack.enter_context(self._rewriter(card, settings))

    def _settings(self) -> LlmSettings:
        from pydantic import ValidationError

        from asd_rewriter.llm.settings import LlmSettings

        key = os.environ.get(self.key_env) if self.key_env else None
        if self.key_env and not key:
            raise typer.BadParameter(
                f"the variable {self.key_env} is not set. Set it to the endpoint's key.",
                param_hint="--llm-key-env",
            )
        try:
            return LlmSettings.model_validate(
                {
                    "base_url": self.url, "model": self.model, "api_key": key,
                    "max_calls": self.budget_calls, "max_tokens": self.budget_tokens,
                }
            )  # fmt: skip
        except ValidationError as error:
            first = error.errors()[0]
            raise typer.BadParameter(
                f"{first['msg'].removeprefix('Value error, ')}, not {self.url!r}",
                param_hint="--llm-url",
            ) from error

    def _rewriter(self, card: TaskCard, settings: LlmSettings) -> LlmRewriter:
        from asd_rewriter.llm.rewriter import LlmRewriter

        cache = self.cache or self.out.with_name(f"{self.out.name}.cache.db")
        return LlmRewriter(card, self.seed, settings, self._image, cache)

    def _image(self, name: str) -> bytes:
        from asd_rewriter.sources.errors import InputRefused

        if self.image_root is None:
            raise InputRefused(
                f"the rows have images, such as {name}, and the model is to see them. Name their "
                "folder with --image-root."
            )
        path = (self.image_root / name).resolve()
        if not path.is_relative_to(self.image_root.resolve()) or not path.is_file():
            raise InputRefused(
                f"image {name} is not in {self.image_root}. Name the folder that the rows' image "
                "paths begin in with --image-root."
            )
        return path.read_bytes()
