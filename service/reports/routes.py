"""Reports and matrices over REST."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from eval.plots import content_security_policy
from eval.report import ForgettingReport, to_markdown
from service.deps import Reader, Services, ServicesDep
from service.reports import operations
from service.reports.schemas import MatrixRead

router = APIRouter(tags=["reports"])

Format = Annotated[Literal["json", "markdown", "html"], Query(description="how to write it")]


@router.get("/v1/streams/{stream}/matrix")
def read_matrix(
    stream: str, services: ServicesDep, caller: Reader, version: str | None = None
) -> MatrixRead:
    """Return the accuracy matrix of a version's lineage (default: the newest evaluated one)."""
    with services.db.read() as session:
        return MatrixRead.of(operations.get_matrix(session, stream, version))


@router.get("/v1/streams/{stream}/versions/{version}/report", response_model=ForgettingReport)
def read_report(
    stream: str,
    version: str,
    services: ServicesDep,
    caller: Reader,
    format: Format = "json",  # noqa: A002  the query parameter's name
) -> Response:
    """Return what a version learned and forgot, as JSON, Markdown or one HTML page."""
    with services.db.read() as session:
        report = operations.get_report(session, stream, version)
    return RENDERERS[format](services, report)


def _json(services: Services, report: ForgettingReport) -> Response:
    return JSONResponse(report.model_dump(mode="json"))


def _markdown(services: Services, report: ForgettingReport) -> Response:
    return PlainTextResponse(to_markdown(report), media_type="text/markdown")


def html(services: Services, report: ForgettingReport) -> Response:
    """Return the report's page with a policy that lets exactly its own scripts run."""
    page = operations.as_html(services, report)
    return HTMLResponse(page, headers={"content-security-policy": content_security_policy(page)})


RENDERERS = {"json": _json, "markdown": _markdown, "html": html}
