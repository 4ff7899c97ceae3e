"""Reports and matrices over REST."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from eval.report import ForgettingReport
from eval.report_markdown import to_markdown
from eval.report_page import content_security_policy
from service.deps import Reader, Services, ServicesDep
from service.reports import operations
from service.reports.schemas import MatrixRead

router = APIRouter(tags=["reports"])

Format = Annotated[Literal["json", "markdown", "html", "csv"], Query(description="how to write it")]
Table = Annotated[
    Literal["accuracy", "figures"],
    Query(description="for csv: the matrix, or changes, splits, formats and summaries"),
]


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
    table: Table = "accuracy",
) -> Response:
    """Return what a version learned and forgot: JSON, Markdown, one HTML page or CSV."""
    with services.db.read() as session:
        report = operations.get_report(session, stream, version)
    return _rendered(services, report, format, table)


@router.get("/v1/reports/{digest}", response_model=ForgettingReport)
def read_report_by_digest(
    digest: str,
    services: ServicesDep,
    caller: Reader,
    format: Format = "json",  # noqa: A002  the query parameter's name
    table: Table = "accuracy",
) -> Response:
    """Return a report by its version's digest: a link that always means the same version."""
    with services.db.read() as session:
        report = operations.get_report_by_digest(session, digest)
    return _rendered(services, report, format, table)


def _rendered(
    services: Services, report: ForgettingReport, written_as: str, table: str
) -> Response:
    match written_as:
        case "markdown":
            return PlainTextResponse(to_markdown(report), media_type="text/markdown")
        case "html":
            return html(services, report)
        case "csv":
            return PlainTextResponse(operations.as_csv(report, table), media_type="text/csv")
    return JSONResponse(report.model_dump(mode="json"))


def html(services: Services, report: ForgettingReport) -> Response:
    """Return the report's page with a policy that lets exactly its own scripts run."""
    page = operations.as_html(services, report)
    return HTMLResponse(page, headers={"content-security-policy": content_security_policy(page)})
