"""The console blocks that ``vllm bench serve`` prints, one per serving cell and launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_thor.plain_text import one_line
from pytest_thor.report.document import CellRecord, LaunchRecord, ReportDocument
from pytest_thor.report.naming import Naming, naming_of
from pytest_thor.vllm_block import vllm_block

_NEEDED = ("requests", "tokens", "throughput", "latency", "duration_s", "max_concurrency", "request_rate")


def vllm_blocks(document: ReportDocument) -> str:
    """Return a block for every launch of every serving cell, each below a line that names it.

    A launch that failed or kept no evidence says so in its place, and doubts about a figure stand above its block.
    """
    return "\n".join(_blocks(document, naming_of(document.cells)))


def last_block(cell: CellRecord, naming: Naming) -> str:
    """Return the block of a serving cell's last launch below the line that names it, or why there is none."""
    if not cell.launches:
        return f"# {one_line(f'{naming.full(cell)}: {cell.outcome}: {cell.reason}')}"
    return _launch_block(cell, naming, len(cell.launches), cell.launches[-1])


def _blocks(document: ReportDocument, naming: Naming) -> Iterator[str]:
    for cell in document.cells:
        if cell.kind != "serving":
            continue
        for number, launch in enumerate(cell.launches, 1):
            yield f"{_launch_block(cell, naming, number, launch)}\n"
        if not cell.launches:
            yield f"{last_block(cell, naming)}\n"


def _launch_block(cell: CellRecord, naming: Naming, number: int, launch: LaunchRecord) -> str:
    lines = [f"# {naming.full(cell)}, launch {number} of {len(cell.launches)}, {launch.started_at}"]
    lines += [f"# invalid: {doubt}" for doubt in launch.doubts]
    if launch.failure is not None:
        lines.append(f"# failed: {launch.failure}")
    heading = "\n".join(map(one_line, lines))
    return f"{heading}\n{_block(launch.evidence) or '# no figures were kept'}"


def _block(evidence: Mapping[str, Any]) -> str | None:
    """Return the block of a launch's evidence, None where it is not that of a load."""
    if not all(name in evidence for name in _NEEDED):
        return None
    try:
        return vllm_block(evidence)
    except (KeyError, TypeError, ValueError, AttributeError):  # a report that something else has written
        return None
