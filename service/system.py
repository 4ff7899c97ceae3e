"""Liveness, readiness and metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from service.db.tables import JobRow
from service.deps import Services, ServicesDep

router = APIRouter(tags=["system"])
_FOR_THE_OPERATOR = ("pid", "port")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(services: ServicesDep) -> JSONResponse:
    """Say whether database and job runner work (200) or not (503); engines start on demand."""
    checks = {"database": _database_answers(services), "runner": services.runner.alive}
    engines = services.engines.status()
    shown = {name: engines[name] for name in engines if name not in _FOR_THE_OPERATOR}
    body = {"ready": all(checks.values()), "checks": checks, "engines": shown}
    return JSONResponse(body, 200 if body["ready"] else 503)


@router.get("/metrics")
def metrics(request: Request, services: ServicesDep) -> Response:
    """Return Prometheus metrics; jobs are counted when asked."""
    gauge = request.app.state.jobs_gauge
    gauge.clear()
    for state, count in _jobs_by_state(services):
        gauge.labels(state).set(count)
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


def _database_answers(services: Services) -> bool:
    try:
        with services.db.read() as session:
            return bool(session.scalar(text("SELECT 1")) == 1)
    except SQLAlchemyError:
        return False


def _jobs_by_state(services: Services) -> list[tuple[Any, ...]]:
    with services.db.read() as session:
        query = select(JobRow.state, func.count()).group_by(JobRow.state)
        return [tuple(row) for row in session.execute(query)]
