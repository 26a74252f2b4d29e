"""What a finished run leaves beside report.json: report.md, report.html, the exports, and what GitHub Actions shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_thor.report.document import ReportDocument
from pytest_thor.report.github import annotation_lines, append_step_summary
from pytest_thor.report.outputs import write_outputs
from pytest_thor.report.published_figure import Published


def publish(
    document: ReportDocument,
    *,
    folder: Path,
    formats: Iterable[str],
    environ: Mapping[str, str],
    published: Published | None = None,
) -> list[str]:
    """Write the files, and add to the job's summary where ``environ`` is that of GitHub Actions.

    ``published`` are figures of others, for the formats that show them beside ours.

    Returns the workflow commands that annotate the worst cells, to be printed each on a line of its own; none outside
    GitHub Actions.

    Raises:
        ReportError: a file cannot be written.
    """
    write_outputs(document, folder, ["markdown", "html", *formats], published=published)
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    if environ.get("GITHUB_STEP_SUMMARY"):
        append_step_summary(document, Path(environ["GITHUB_STEP_SUMMARY"]), published=published)
    return annotation_lines(document, root=Path(environ.get("GITHUB_WORKSPACE") or Path.cwd()))
