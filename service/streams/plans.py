"""Resolving what is asked for: defaults filled in, unknown fields refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adapters_store.servable import check_rank
from asd_rewriter.cards import TaskCard
from asd_rewriter.plan import RewritePlan
from eval.scorers import caption
from service.db.tables import StreamRow
from service.errors import InvalidRequest
from service.problems import MAX_SHOWN_CHARS, describe, shown
from service.settings import Settings
from service.streams.bases import BaseSize, layer_names, measure_base
from service.streams.schemas import AsdOptions, TaskOptions, TaskPlan
from trainer.catalog import METHODS, MethodEntry, declared
from trainer.plan import TrainPlan, plan_training
from trainer.spec import Hyperparameters

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


def find_method(name: str) -> MethodEntry:
    """Return a method by name; raises InvalidRequest that lists the known ones."""
    if name not in METHODS:
        raise InvalidRequest(
            f"unknown method {shown(name)}: use one of {', '.join(sorted(METHODS))}.",
            param="method",
        )
    return METHODS[name]


def resolve_method_config(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's whole config; raises InvalidRequest for an unknown or bad field."""
    entry = find_method(method)
    config = checked(entry.config, given, "method_config", f"method {method!r}")
    return config.model_dump(mode="json")


def check_targets(config: Mapping[str, Any], base: Path) -> None:
    """Raise InvalidRequest for a target module that no tensor of the base can belong to.

    Only the last part of a name is compared: paths in a checkpoint and in the loaded model differ.
    """
    wanted = config.get("target_modules")
    known = layer_names(base) if wanted else frozenset()
    unknown = [name for name in wanted or () if name.rpartition(".")[2] not in known]
    if unknown and known:
        usable = sorted(name for name in known if "embed" not in name and name != "lm_head")
        raise InvalidRequest(
            f"method_config.target_modules: the base has no layer {shown(unknown[0])}. Its layers "
            f"are {', '.join(usable[:40])}. Name some of these, or leave target_modules out.",
            param="method_config.target_modules",
        )


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


def resolve_asd(given: Mapping[str, Any]) -> AsdOptions:
    """Return how rows are rewritten; raises InvalidRequest for what no RewritePlan may have."""
    owner = "answer style diversification"
    options = checked(AsdOptions, given, "asd", owner)
    checked(RewritePlan, options.for_plan(), "asd", owner)
    return options


def check_engine(asd: AsdOptions, settings: Settings) -> None:
    """Raise InvalidRequest for rewriting by a model that the service's settings do not name."""
    if asd.engine == "llm" and (missing := settings.missing_for_llm()):
        raise InvalidRequest(
            f"asd.engine 'llm' needs a model to ask, but {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set at the service. Set "
            f"{'it' if len(missing) == 1 else 'them'} and start it again, or use engine 'rules'.",
            param="asd.engine",
        )


def check_metric(card: TaskCard) -> None:
    """Raise CaptionPartMissing for a task that could be trained, but not evaluated."""
    if card.metric == "caption":
        caption.require_packages()


def rewrite_plan(plan: TaskPlan) -> RewritePlan:
    """Return a task's plan as the rewriter takes it."""
    return RewritePlan(x_percent=plan.x_percent, seed=plan.seed, **plan.asd.for_plan())


def resolve_plan(stream: StreamRow, options: TaskOptions, parent: int | None) -> TaskPlan:
    """Return a task's request with the stream's values where the options are silent."""
    seed = _given(options.seed, stream.rewrite["seed"])
    overrides = dict(options.hyperparameters)
    if options.seed is not None:
        overrides.setdefault("seed", options.seed)
    asd = resolve_asd({**stream.rewrite.get("asd", {}), **options.asd})
    merge = find_method(stream.method).config.overridden
    config = resolve_method_config(
        stream.method, merge(stream.method_config, options.method_config)
    )
    check_targets(config, Path(stream.base_path))
    return TaskPlan(
        method=stream.method,
        method_config=config,
        hyperparameters=resolve_hyperparameters({**stream.hyperparameters, **overrides}, seed),
        x_percent=_given(options.x_percent, stream.rewrite["x_percent"]),
        asd=asd,
        seed=seed,
        eval_limit=options.eval_limit or stream.eval_limit,
        probe_limit=_given(options.probe_limit, stream.probe_limit),
        future_tasks=_given(options.future_tasks, stream.future_tasks),
        parent=parent,
    )


def _given(wanted: Value | None, otherwise: Value) -> Value:
    return otherwise if wanted is None else wanted


def new_rank(plan: TaskPlan) -> int:
    """Return what the task adds to its lineage's rank in the engine; 0 for no plain LoRA."""
    return _rank_of(plan.method, plan.method_config)


def replaces(plan: TaskPlan) -> bool:
    """Say whether the task's adapter stands for its whole lineage, so that no rank is added."""
    return declared(plan.method, plan.method_config).delta_kind == "replace"


def check_own_rank(method: str, config: Mapping[str, Any], limit: int) -> None:
    """Raise RankLimitExceeded when not even a stream's first task would fit the engine."""
    rank = _rank_of(method, config)
    if rank > 0:
        check_rank(0, rank, limit)


def _rank_of(method: str, config: Mapping[str, Any]) -> int:
    return int(config["rank"]) if declared(method, config).servable_by == "lora" else 0


def _trained_parameters(plan: TaskPlan, size: BaseSize) -> int:
    """Return about how many numbers a task trains: a LoRA's, or the whole base's."""
    if declared(plan.method, plan.method_config).delta_kind == "weights":
        return size.parameters
    return max(1, size.lora_parameters_per_rank * int(plan.method_config.get("rank", 0)))


def estimate(
    plan: TaskPlan, rows: int, base_path: str, seconds_per_row: float | None = None
) -> TrainPlan:
    """Return an estimate of steps, time and memory for `rows` training rows.

    `seconds_per_row` is what an earlier run took; without it the time is a guess.
    """
    size = measure_base(Path(base_path))
    found = plan_training(
        max(rows, 1),
        Hyperparameters.model_validate(plan.hyperparameters),
        base_parameters=size.parameters,
        trained_parameters=_trained_parameters(plan, size),
    )
    if seconds_per_row is None:
        return found
    seconds = found.steps * found.rows_per_step * seconds_per_row
    return found.model_copy(update={"seconds": seconds})


def checked(model: type[Model], values: Mapping[str, Any], where: str, owner: str) -> Model:
    """Return JSON `values` as `model`; all problems are named together, unknown fields with the
    known. A number has to be a JSON number: neither true nor "3" stands for one.

    Raises InvalidRequest; `where` names the field of the request, `owner` whose fields they are.
    """
    unknown = [name[:MAX_SHOWN_CHARS] for name in sorted(set(values) - set(model.model_fields))]
    if unknown:
        raise InvalidRequest(
            f"{where} has unknown fields: {', '.join(unknown[:10])}. The fields of {owner} are "
            f"{', '.join(sorted(model.model_fields))}.",
            param=f"{where}.{unknown[0]}",
        )
    try:
        return model.model_validate_json(_as_json(values, where), strict=True)
    except ValidationError as error:
        message, param = describe(error.errors(include_url=False), where)
        raise InvalidRequest(message, param=param) from error


def _as_json(values: Mapping[str, Any], where: str) -> str:
    try:
        return json.dumps(values, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"{where} holds NaN or Infinity, or is nested too deeply: JSON knows finite numbers "
            "only. Send such ones, less deep.",
            param=where,
        ) from error
