"""Wiring of one rank: the spec goes in, delta, state, canary and result come out."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from asd_rewriter.samples import Sample
from trainer.canary import GreedyReader, canary_questions, make_canary
from trainer.catalog import declared
from trainer.data import Collator, Corpus, load_samples, refuse_uneven_gathers
from trainer.deltas import refuse_foreign
from trainer.distributed import barrier, forget_engine, gathered, prepare_process, rank
from trainer.events import EventLog
from trainer.export import (
    CANARY_FILE,
    DELTA,
    STATE,
    digest_files,
    peak_memory_bytes,
    refuse_non_finite,
    write_result,
)
from trainer.files import write_atomically
from trainer.loop import Trained, count_parameters, train, trained_parameters
from trainer.methods.base import Method, MethodState, build_method
from trainer.modeling import DTYPES, load_base, load_processor
from trainer.replay import next_buffer, read_buffer, write_buffer
from trainer.rows import RowEncoder
from trainer.spec import Hyperparameters, TrainResult, TrainSpec
from trainer.stopping import StopRequest


def run(spec: TrainSpec, stop: StopRequest) -> None:
    """Train the spec's task, export it, and write `result.json` as the very last thing."""
    started = time.monotonic()
    gc.freeze()  # the libraries' objects stay: collecting among them takes half a second a time
    prepare_process(spec.hyperparameters)
    folder = Path(spec.output_dir)
    events = EventLog(folder, enabled=rank() == 0)
    result = _train_and_export(spec, stop, events)
    if rank() == 0:
        _write_canary(spec)
        files = digest_files(folder)
        seconds = round(time.monotonic() - started, 3)
        peak = peak_memory_bytes()
        update = {"seconds": seconds, "peak_memory_bytes": peak, "files": files}
        write_result(folder, result.model_copy(update=update))
    events.write("end", step=result.steps, total_steps=result.steps, loss=result.final_loss)
    events.close()


def _train_and_export(spec: TrainSpec, stop: StopRequest, events: EventLog) -> TrainResult:
    """Return the result without its files; the trained model is freed on return."""
    from transformers import set_seed
    from transformers.utils import logging

    hide_progress_bars: Any = logging.disable_progress_bar
    hide_progress_bars()
    hyperparameters = spec.hyperparameters
    processor = load_processor(spec.base)
    samples = load_samples(Path(spec.corpus))
    buffer = _replay_buffer(spec)
    replayed = [sample for rows in buffer for sample in rows]
    refuse_uneven_gathers([*samples, *replayed], hyperparameters)
    corpus = Corpus([*samples, *replayed], _encoder(spec, processor))
    method = build_method(spec.method, spec.method_config)
    state = _parent_state(spec)
    events.log(
        f"{len(corpus)} rows, {len(replayed)} of them replayed, method {spec.method}, "
        f"{len(spec.lineage)} tasks below"
    )

    def fit(hyperparameters: Hyperparameters, folder: Path) -> tuple[nn.Module, Trained]:
        set_seed(hyperparameters.seed)
        model = prepared(method, spec, state)
        collator = Collator(processor.tokenizer.pad_token_id or 0)
        trained = train(
            model,
            method,
            corpus,
            collator,
            hyperparameters=hyperparameters,
            folder=folder,
            events=events,
            stop=stop,
        )
        return model, trained

    checkpoints = Path(spec.output_dir) / "checkpoints"
    _calibrate(method, hyperparameters, lambda its: fit(its, checkpoints / "calibration"), events)
    model, trained = fit(hyperparameters, checkpoints)
    _export(model, method, spec)
    num_trained = count_parameters(model)
    trained.release()
    if rank() == 0 and hyperparameters.replay_bytes:
        _keep_for_replay(spec, buffer, samples)
    return TrainResult(
        steps=trained.steps,
        seconds=0.0,
        peak_memory_bytes=0,
        final_loss=trained.loss,
        final_penalty=trained.penalty,
        resumed_from_step=trained.resumed_from_step,
        trained_parameters=num_trained,
        files={},
    )


def prepared(method: Method, spec: TrainSpec, state: MethodState) -> nn.Module:
    """Return the model that the method trains on the spec's base and lineage, hooks registered.

    Raises DeltaError, StateError, TargetError or ConfigError when these do not fit.
    """
    below = method.inherit(spec.lineage)
    for folder in set(spec.lineage) - set(below):  # the others are looked at while loading
        refuse_foreign(Path(folder), spec.base)
    dtype = DTYPES[spec.hyperparameters.precision]
    model = method.prepare(load_base(spec.base, dtype=dtype, lineage=below), state)
    method.mask_gradients(model)
    return model


def _calibrate(
    method: Method,
    hyperparameters: Hyperparameters,
    fit: Callable[[Hyperparameters], tuple[nn.Module, Trained]],
    events: EventLog,
) -> None:
    """Train once for what the method wants to learn beforehand, then drop that model."""
    own = method.calibration(hyperparameters)
    if own is None:
        return
    events.log("calibration begins; the training proper follows")
    model, trained = fit(own)
    with gathered(trained_parameters(model)):
        method.calibrated(model)
    trained.release()
    del model
    gc.collect()
    forget_engine()
    events.log("calibration ended")


def _export(model: nn.Module, method: Method, spec: TrainSpec) -> None:
    """Write delta and state from rank 0."""
    folder = Path(spec.output_dir)
    with gathered(trained_parameters(model)):
        if rank() == 0:
            method.export(model, folder / DELTA, spec.base)
            method.finish(model).of_base(spec.base).save(folder / STATE)
            refuse_non_finite(folder / DELTA)
            refuse_non_finite(folder / STATE)
    barrier()


def _replay_buffer(spec: TrainSpec) -> list[list[Sample]]:
    if not spec.hyperparameters.replay_bytes or spec.state_dir is None:
        return []
    return read_buffer(Path(spec.state_dir))


def _keep_for_replay(
    spec: TrainSpec, buffer: Sequence[Sequence[Sample]], samples: Sequence[Sample]
) -> None:
    tasks = next_buffer(
        buffer,
        samples,
        budget_bytes=spec.hyperparameters.replay_bytes,
        blob_dir=Path(spec.blob_dir),
        seed=spec.hyperparameters.seed,
    )
    write_buffer(Path(spec.output_dir) / STATE, tasks)


def _write_canary(spec: TrainSpec) -> None:
    forget_engine()  # or ZeRO-3 would partition the models loaded below
    gc.collect()
    questions = canary_questions(load_samples(Path(spec.canary_samples)), spec.instructions)
    folder = Path(spec.output_dir)
    replaces = declared(spec.method, spec.method_config).delta_kind == "replace"
    below = () if replaces else spec.lineage
    canary = make_canary(
        spec.base,
        spec.lineage,
        (*below, str(folder / DELTA)),
        questions,
        reader=GreedyReader(load_processor(spec.base), Path(spec.blob_dir)),
        dtype=spec.hyperparameters.precision,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    write_atomically(folder / CANARY_FILE, canary.model_dump_json(indent=1))


def _parent_state(spec: TrainSpec) -> MethodState:
    if spec.state_dir is None:
        return MethodState()
    state = MethodState.load(Path(spec.state_dir))
    state.refuse_foreign(spec.method, spec.base)
    return state


def _encoder(spec: TrainSpec, processor: Any) -> RowEncoder:
    return RowEncoder(
        processor,
        blob_dir=Path(spec.blob_dir),
        max_length=spec.hyperparameters.max_length,
        instructions=spec.instructions,
    )
