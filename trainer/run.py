"""Wiring of one rank: the spec goes in, delta, state, canary and result come out."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import torch

from trainer.canary import GreedyReader, canary_questions, make_canary
from trainer.data import Collator, Corpus, load_samples, refuse_uneven_gathers
from trainer.distributed import barrier, gathered, prepare_process, rank
from trainer.events import EventLog
from trainer.export import (
    CANARY_FILE,
    DELTA,
    STATE,
    digest_files,
    peak_memory_bytes,
    write_result,
)
from trainer.files import write_atomically
from trainer.loop import count_parameters, train, trained_parameters
from trainer.methods.base import Method, MethodState, build_method
from trainer.modeling import DTYPES, load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import TrainResult, TrainSpec
from trainer.worker import StopRequest


def run(spec: TrainSpec, stop: StopRequest) -> None:
    """Train the spec's task, export it, and write `result.json` as the very last thing."""
    started = time.monotonic()
    gc.freeze()  # the libraries' objects stay: collecting among them takes half a second a time
    prepare_process(spec.hyperparameters)
    folder = Path(spec.output_dir)
    events = EventLog(folder, enabled=rank() == 0)
    result = _train_and_export(spec, stop, events)
    if rank() == 0:
        _write_canary(spec, stop)
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
    folder = Path(spec.output_dir)
    processor = load_processor(spec.base)
    samples = load_samples(Path(spec.corpus))
    refuse_uneven_gathers(samples, hyperparameters)
    corpus = Corpus(samples, _encoder(spec, processor))
    set_seed(hyperparameters.seed)
    method = build_method(spec.method, spec.method_config)
    base = load_base(spec.base, dtype=DTYPES[hyperparameters.precision], lineage=spec.lineage)
    model = method.prepare(base, _parent_state(spec))
    method.mask_gradients(model)
    events.log(f"{len(corpus)} rows, method {spec.method}, {len(spec.lineage)} tasks below")
    trained = train(
        model,
        method,
        corpus,
        Collator(processor.tokenizer.pad_token_id or 0),
        hyperparameters=hyperparameters,
        folder=folder / "checkpoints",
        events=events,
        stop=stop,
    )
    _export(model, method, spec)
    return TrainResult(
        steps=trained.steps,
        seconds=0.0,
        peak_memory_bytes=0,
        final_loss=trained.loss,
        final_penalty=trained.penalty,
        resumed_from_step=trained.resumed_from_step,
        trained_parameters=count_parameters(model),
        files={},
    )


def _export(model: torch.nn.Module, method: Method, spec: TrainSpec) -> None:
    """Write delta and state from rank 0."""
    folder = Path(spec.output_dir)
    with gathered(trained_parameters(model)):
        if rank() == 0:
            method.export(model, folder / DELTA, spec.base)
            method.finish(model).save(folder / STATE)
    barrier()


def _write_canary(spec: TrainSpec, stop: StopRequest) -> None:
    from transformers.integrations import deepspeed as integration

    forget: Any = integration.unset_hf_deepspeed_config
    forget()  # or ZeRO-3 would partition the models loaded below
    gc.collect()
    questions = canary_questions(load_samples(Path(spec.canary_samples)), spec.instructions)
    folder = Path(spec.output_dir)
    canary = make_canary(
        spec.base,
        spec.lineage,
        str(folder / DELTA),
        questions,
        reader=GreedyReader(load_processor(spec.base), Path(spec.blob_dir), stop.check),
        dtype=DTYPES[spec.hyperparameters.precision],
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    write_atomically(folder / CANARY_FILE, canary.model_dump_json(indent=1))


def _parent_state(spec: TrainSpec) -> MethodState:
    return MethodState.load(Path(spec.state_dir)) if spec.state_dir else MethodState()


def _encoder(spec: TrainSpec, processor: Any) -> RowEncoder:
    return RowEncoder(
        processor,
        blob_dir=Path(spec.blob_dir),
        max_length=spec.hyperparameters.max_length,
        instructions=spec.instructions,
    )
