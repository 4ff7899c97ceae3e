"""The pages that list settings list all of them, with their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

from eval.gate import GatePolicy
from service.cli.commands import app
from service.settings import Settings
from service.streams.schemas import AsdOptions, StreamCreate, TaskOptions
from trainer.catalog import METHODS
from trainer.spec import Hyperparameters

DOCS = Path(__file__).resolve().parents[2] / "docs"
STREAMS = (DOCS / "streams.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "model", [StreamCreate, TaskOptions, AsdOptions, Hyperparameters, GatePolicy]
)
def test_every_setting_is_on_the_page(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in STREAMS] == []


def test_a_stream_is_created_with_any_setting_by_command() -> None:
    command: Any = get_command(app)
    create = command.commands["stream"].commands["create"]
    assert {it.name for it in create.params} >= set(StreamCreate.model_fields)


@pytest.mark.parametrize("model", [Hyperparameters, GatePolicy])
def test_defaults_are_those_of_the_code(model: type[BaseModel]) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", STREAMS, re.MULTILINE))
    for name, field in model.model_fields.items():
        if name != "seed":  # the stream's
            default = field.get_default()
            word = told[name].strip("` ")
            assert (float(word) if isinstance(default, int | float) else word) == default, name


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_a_method_is_on_its_page(method: str) -> None:
    pages = [f"methods/{method}.md", "methods/lora.md"]
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in pages)
    assert [it for it in METHODS[method].config.model_fields if f"`{it}`" not in text] == []


def test_every_setting_of_the_model_that_rewrites_is_on_its_page() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    names = [name.upper() for name in Settings.model_fields if name.startswith("asd_")]
    assert [name for name in names if f"`{name}`" not in text] == []
