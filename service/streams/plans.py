"""Resolving what is asked for: defaults filled in, unknown fields refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adapters_store.servable import check_rank
from service.db.tables import StreamRow
from service.errors import InvalidRequest
from service.streams.bases import measure_base
from service.streams.schemas import TaskOptions, TaskPlan
from trainer.catalog import METHODS, MethodEntry
from trainer.plan import TrainPlan, plan_training
from trainer.spec import Hyperparameters

Model = TypeVar("Model", bound=BaseModel)


def find_method(name: str) -> MethodEntry:
    """Return a method by name; raises InvalidRequest that lists the known ones."""
    if name not in METHODS:
        raise InvalidRequest(
            f"unknown method {name!r}: use one of {', '.join(sorted(METHODS))}.", param="method"
        )
    return METHODS[name]


def resolve_method_config(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's whole config; raises InvalidRequest for an unknown or bad field."""
    entry = find_method(method)
    config = checked(entry.config, given, "method_config", f"method {method!r}")
    return config.model_dump(mode="json")


def resolve_hyperparameters(given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return all hyper-parameters; `seed` holds unless one is given among them."""
    values = checked(Hyperparameters, {"seed": seed, **given}, "hyperparameters", "training")
    if values.ranks > 1 and shutil.which("g++") is None:
        raise InvalidRequest(
            f"ranks is {values.ranks}, but this machine has no g++, which DeepSpeed needs for "
            "more than one rank. Install it, or use ranks 1.",
            param="hyperparameters.ranks",
        )
    return values.model_dump(mode="json")


def resolve_plan(stream: StreamRow, options: TaskOptions, parent: int | None) -> TaskPlan:
    """Return a task's request with the stream's values where the options are silent."""
    seed = stream.rewrite["seed"] if options.seed is None else options.seed
    overrides = dict(options.hyperparameters)
    if options.seed is not None:
        overrides.setdefault("seed", options.seed)
    x_percent = stream.rewrite["x_percent"] if options.x_percent is None else options.x_percent
    return TaskPlan(
        method=stream.method,
        method_config=resolve_method_config(
            stream.method, {**stream.method_config, **options.method_config}
        ),
        hyperparameters=resolve_hyperparameters({**stream.hyperparameters, **overrides}, seed),
        x_percent=x_percent,
        seed=seed,
        eval_limit=options.eval_limit or stream.eval_limit,
        parent=parent,
    )


def new_rank(plan: TaskPlan) -> int:
    """Return what the task adds to its lineage's rank in the engine; 0 for no plain LoRA."""
    return _rank_of(plan.method, plan.method_config)


def check_own_rank(method: str, config: Mapping[str, Any], limit: int) -> None:
    """Raise RankLimitExceeded when not even a stream's first task would fit the engine."""
    rank = _rank_of(method, config)
    if rank > 0:
        check_rank(0, rank, limit)


def _rank_of(method: str, config: Mapping[str, Any]) -> int:
    return int(config["rank"]) if METHODS[method].servable_by == "lora" else 0


def estimate(plan: TaskPlan, rows: int, base_path: str) -> TrainPlan:
    """Return a rough estimate of steps, time and memory for `rows` training rows."""
    size = measure_base(Path(base_path))
    return plan_training(
        max(rows, 1),
        Hyperparameters.model_validate(plan.hyperparameters),
        base_parameters=size.parameters,
        trained_parameters=max(1, size.lora_parameters_per_rank * new_rank(plan)),
    )


def checked(model: type[Model], values: Mapping[str, Any], where: str, owner: str) -> Model:
    """Return `values` as `model`; all problems are named together, unknown fields with the known.

    Raises InvalidRequest; `where` names the field of the request, `owner` whose fields they are.
    """
    unknown = sorted(set(values) - set(model.model_fields))
    if unknown:
        raise InvalidRequest(
            f"{where} has unknown fields: {', '.join(unknown)}. The fields of {owner} are "
            f"{', '.join(sorted(model.model_fields))}.",
            param=f"{where}.{unknown[0]}",
        )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error, where) from error


def _invalid(error: ValidationError, where: str) -> InvalidRequest:
    problems = error.errors(include_url=False, include_context=False)
    listed = "; ".join(
        f"{'.'.join([where, *map(str, it['loc'])])}: {it['msg']} (got {str(it['input'])[:80]!r})"
        for it in problems[:10]
    )
    first = ".".join([where, *map(str, problems[0]["loc"])])
    return InvalidRequest(listed, param=first)
