"""What `retain rewrite --engine llm` adds: an endpoint, its budget, its cache, the rows' images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from asd_rewriter.cards import TaskCard
    from asd_rewriter.images import ImageChecker
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
        if self.cache_path.resolve().is_relative_to(self.out.resolve()):
            raise typer.BadParameter(
                f"{self.cache_path} is inside {self.out}, which has to be new. Name a file "
                "elsewhere.",
                param_hint="--cache",
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

    @property
    def cache_path(self) -> Path:
        """The file that keeps the endpoint's answers."""
        return self.cache or self.out.with_name(f"{self.out.name}.cache.db")

    @contextmanager
    def _rewriter(self, card: TaskCard, settings: LlmSettings) -> Iterator[LlmRewriter]:
        from asd_rewriter.images import ImageChecker
        from asd_rewriter.llm.rewriter import LlmRewriter

        is_new, asked = not self.cache_path.exists(), False
        try:
            with (
                ImageChecker() as checker,
                LlmRewriter(
                    card, self.seed, settings, Images(self.image_root, checker), self.cache_path
                ) as rewriter,
            ):
                try:
                    yield rewriter
                finally:
                    asked = rewriter.spent.calls > 0
        finally:
            if is_new and not asked:
                self.cache_path.unlink(missing_ok=True)


@dataclass
class Images:
    """Loads the rows' images; `root` is the folder that their paths begin in."""

    root: Path | None
    checker: ImageChecker
    _good: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> bytes:
        """Return an image's bytes. Raises InputRefused for one that no model could see."""
        from asd_rewriter.sources.errors import InputRefused

        if self.root is None:
            raise InputRefused(
                f"the rows have images, such as {name}, and the model is to see them. Name their "
                "folder with --image-root."
            )
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()) or not path.is_file():
            raise InputRefused(
                f"image {name} is not in {self.root}. Name the folder that the rows' image "
                "paths begin in with --image-root."
            )
        data = path.read_bytes()
        if name not in self._good:
            if rule := self.checker.check(data).rule:
                limits = self.checker.limits
                raise InputRefused(
                    f"image {name} in {self.root} is not sent: {rule}. An image is JPEG, PNG or "
                    f"WebP, with at most {limits.max_bytes:,} bytes and {limits.max_pixels:,} "
                    "pixels. Replace it, or take out its rows."
                )
            self._good.add(name)
        return data
