"""report.json: the one document that every other output is a pure function of.

The classes below define it, check it when it is read back, and generate the JSON Schema that ships with the
package. Missing is null, never 0.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic_core import to_json

from pytest_thor.errors import ReportError
from pytest_thor.files import atomic_write
from pytest_thor.measurement import Better

SCHEMA: Literal["pytest-thor/report/1"] = "pytest-thor/report/1"
"""The version of the format. History: 1, the first.

A field may be added without another version if it has a default, so that older reports are read.
"""

VerdictName = Literal["regressed", "invalid", "incomparable", "inconclusive", "no-baseline", "improved", "unchanged"]
Outcome = Literal["passed", "warned", "failed", "error", "skipped"]
Json = Any
_FIRST = FailFast()
"""Of a list, the first item that is wrong is told: one of a million wrong ones would cost gigabytes and minutes."""
_Figures: TypeAlias = Annotated[list[float], _FIRST]


class _Record(BaseModel):
    # Infinities and NaN are not JSON: they are written as the strings "Infinity" and "NaN", so that an invalid
    # launch keeps what the engine really said.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


class EngineRecord(_Record):
    """The build that measured, as it names itself."""

    name: str
    path: str
    version: str | None = None
    commit: str | None = None


class LaunchRecord(_Record):
    """One start of an engine: raw samples by metric, or why there are none."""

    started_at: str = Field(description="UTC, ISO 8601")
    duration_s: float
    engine: EngineRecord
    samples: dict[str, _Figures] = Field(
        default_factory=dict, description="raw samples by metric, in its unit, in the order they were taken"
    )
    telemetry: dict[str, Json] | None = None
    failure: str | None = None
    log_tail: str | None = Field(default=None, description="the end of the engine's log, where it failed")
    doubts: list[str] = Field(default_factory=list, description="why the figures cannot be what they claim")
    evidence: dict[str, Json] = Field(default_factory=dict, description="what else the engine reported")


class RecentRecord(_Record):
    """The same metric held against the last runs that were stored, rather than against the accepted anchor."""

    runs: int
    launches: int
    baseline: float
    change: float
    change_low: float
    change_high: float
    verdict: VerdictName


class MetricRecord(_Record):
    """One metric; changes are relative (-0.05 is 5 % lower) and signed as the figure moved."""

    unit: str
    better: Better
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    baseline: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    threshold: float | None = None
    verdict: VerdictName | None = Field(default=None, description="null where the metric is shown, not judged")
    reason: str = ""
    minimum_detectable_effect: float | None = None
    p_value: float | None = Field(default=None, description="of no change at all, two-sided, adjusted for the looks")
    q_value: float | None = Field(default=None, description="the false discovery rate at which it counts as changed")
    recent: RecentRecord | None = Field(default=None, description="null where no recent run is stored")
    limit: float | None = Field(default=None, description="what the device can reach at most")
    efficiency: float | None = Field(default=None, description="value as a share of limit")


class ArtifactRecord(_Record):
    """The files that were measured."""

    path: str
    format: Literal["gguf", "hf", "synthetic"]
    size_bytes: int | None = None
    header_sha256: str | None = None
    sha256: str | None = Field(default=None, description="of the whole content, where it was asked for")
    parameters: int | None = None
    tensor_bytes: int | None = None
    provenance: dict[str, Json] | None = Field(
        default=None, description="of files that were made or brought for this run: from what, by which build or commit"
    )


class PastRunRecord(_Record):
    """One stored run of a cell: one value per launch of every metric, latencies by their summaries."""

    finished_at: str
    verdict: VerdictName | None
    version: str | None = Field(default=None, description="of the engine")
    values: dict[str, _Figures] = Field(description="by metric (`tg_tps`, `ttft_ms.p99`), one per launch")


class CellRecord(_Record):
    """One cell: what was asked, what was measured, and what was concluded."""

    id: str
    matrix: str
    model: str
    quant: str
    backend: str
    engine: str
    workload: str
    kind: Literal["prefill", "decode", "serving", "quality"]
    architecture: str | None = Field(
        default=None, description="the known shape that the model has, by its name in the matrix or by its weights"
    )
    weights: int | None = Field(default=None, description="how many the model has, by its files or its known shape")
    bits_per_weight: float | None = Field(
        default=None, description="on average, by the files; where they do not tell, as the quant is known to have"
    )
    device: str = Field(
        description="the device on which every launch of it was made, by the name that baselines are stored under"
    )
    location: str = Field(description="path:line of the model in the matrix")
    outcome: Outcome
    verdict: VerdictName | None = Field(default=None, description="null where nothing could be measured")
    reason: str
    left_over: bool = Field(default=False, description="whether the run's budget ended before the cell's turn")
    parameters: dict[str, Json] = Field(default_factory=dict, description="of the workload")
    settings: dict[str, Json] = Field(default_factory=dict, description="of the backend")
    artifact: ArtifactRecord | None = None
    fingerprint: dict[str, Json] | None = None
    differences: list[str] = Field(
        default_factory=list, description="where the fingerprint differs from the baseline's"
    )
    launches: Annotated[list[LaunchRecord], _FIRST] = Field(default_factory=list)
    reference_launches: Annotated[list[LaunchRecord], _FIRST] = Field(
        default_factory=list, description="of the engine that --thor-against names, in the order they alternated"
    )
    history: Annotated[list[PastRunRecord], _FIRST] = Field(
        default_factory=list, description="earlier runs, oldest first"
    )
    advice: list[str] = Field(default_factory=list, description="what a reader should know and no verdict says")
    slowing: str | None = Field(
        default=None,
        description="what explains a slower figure as well as the engine does, so that no regression is called",
    )
    metrics: dict[str, MetricRecord] = Field(default_factory=dict)
    shards: list[str] = Field(default_factory=list, description="in a merged report, the shards that measured it")

    @property
    def place(self) -> tuple[str, str, str]:
        """What a cell is found by in a report: its matrix, its id, its device."""
        return self.matrix, self.id, self.device


class MatrixRecord(_Record):
    """A matrix file that was run."""

    name: str
    path: str
    sha256: str


class EnvironmentRecord(_Record):
    """The machine and the software; ``engines`` are those that measured."""

    device: str = Field(description="the names of all devices that measured, sorted, with commas between them")
    fingerprint: dict[str, Json] = Field(description="of the machine; of several devices what is the same of all")
    power_mode: str | None = None
    engines: Annotated[list[EngineRecord], _FIRST] = Field(default_factory=list)
    software: dict[str, str | None] = Field(default_factory=dict)


class ShiftRecord(_Record):
    """The cells moved together: the machine changed, not what is under test. Relative: -0.05 is 5 % slower."""

    shift: float
    low: float
    high: float
    cells: int = Field(description="how many were compared")
    canary: str | None = Field(default=None, description="the cell that tells, where one is pinned")
    judged_relative: bool = Field(default=False, description="whether the verdicts leave the shift out")
    reason: str


class PolicyRecord(_Record):
    """What follows from a verdict, as the run was asked."""

    inconclusive: Literal["pass", "warn", "fail"] = "warn"
    invalid: Literal["warn", "fail"] = "fail"
    strict: bool = False


class SummaryRecord(_Record):
    """Counts, and the exit status that follows from them."""

    cells: int
    verdicts: dict[str, int]
    outcomes: dict[str, int]
    environment: ShiftRecord | None = Field(default=None, description="null where the machine did not change")
    exit_status: int | None = None
    policy: PolicyRecord | None = Field(default=None, description="null where it is not known")


class ShardRecord(_Record):
    """One of the reports that a merged report was made of."""

    name: str
    device: str
    power_mode: str | None = None
    started_at: str
    finished_at: str
    exit_status: int | None = None
    cells: int
    fingerprint: dict[str, Json] = Field(default_factory=dict, description="of the machine")
    software: dict[str, str | None] = Field(default_factory=dict)
    shift: ShiftRecord | None = Field(default=None, description="null where the machine did not change")
    policy: PolicyRecord | None = None
    notes: list[str] = Field(default_factory=list, description="what that run noted")


class ReportDocument(_Record):
    """A whole run."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings", title="pytest-thor report")

    schema_: Literal["pytest-thor/report/1"] = Field(default=SCHEMA, alias="schema")
    started_at: str
    finished_at: str
    environment: EnvironmentRecord
    matrix: Annotated[list[MatrixRecord], _FIRST]
    summary: SummaryRecord
    reference_quant: str | None = Field(
        default=None, description="what the other quants are told as percent of; null for the widest of each model"
    )
    notes: list[str] = Field(default_factory=list, description="what a reader must know of how the report came about")
    shards: Annotated[list[ShardRecord], _FIRST] = Field(
        default_factory=list, description="of a merged report, in order of their start"
    )
    cells: Annotated[list[CellRecord], _FIRST]


def summarize(
    cells: Iterable[CellRecord],
    *,
    exit_status: int | None,
    environment: ShiftRecord | None = None,
    policy: PolicyRecord | None = None,
) -> SummaryRecord:
    """Count cells by verdict and by outcome; ``environment`` is how far all of them moved together."""
    cells = list(cells)
    return SummaryRecord(
        cells=len(cells),
        verdicts=dict(sorted(Counter(cell.verdict for cell in cells if cell.verdict).items())),
        outcomes=dict(sorted(Counter(cell.outcome for cell in cells).items())),
        environment=environment,
        exit_status=exit_status,
        policy=policy,
    )


def engines_of(cells: Iterable[CellRecord]) -> list[EngineRecord]:
    """Return every build that measured, once each, by name and path."""
    seen = {
        (launch.engine.name, launch.engine.path, launch.engine.version): launch.engine
        for cell in cells
        for launch in cell.launches
    }
    return [seen[key] for key in sorted(seen, key=str)]


_NUMBERS = re.compile(rb"\[\n[-+.0-9eE,\s]*\]")
"""An array of numbers only; no string holds a line's end, so that it can stand in none."""
_NO_CELLS = b"[]\n}"


def write(report: ReportDocument, path: Path) -> None:
    """Write report.json in one step.

    Raises:
        ReportError: the folder cannot be written.
    """
    try:
        atomic_write(path, _content(report))
    except OSError as error:
        raise ReportError(
            f"{path}: cannot write the report: {error.strerror}; give another folder with --thor-report DIR"
        ) from error


def _content(report: ReportDocument) -> bytearray:
    """Return the report's JSON: a line for each field, and one for each array of numbers, of which there are many.

    Cell by cell, since 10,000 of them are large: the whole is never held twice.
    """
    frame = _json(report.model_copy(update={"cells": []}))
    content = bytearray(frame.removesuffix(_NO_CELLS))
    for number, cell in enumerate(report.cells):
        content += b",\n  " if number else b"[\n  "
        content += _NUMBERS.sub(_on_one_line, _json(cell)).replace(b"\n", b"\n  ")
    content += b"\n ]\n}\n" if report.cells else _NO_CELLS + b"\n"
    return content


def _json(record: BaseModel) -> bytes:
    return to_json(record, by_alias=True, indent=1, inf_nan_mode="strings")


def _on_one_line(numbers: re.Match[bytes]) -> bytes:
    return b"[" + b", ".join(numbers[0][1:-1].translate(None, b" \n").split(b",")) + b"]"


def schema_text() -> str:
    """Return the JSON Schema of report.json, as it ships in report.schema.json."""
    schema = ReportDocument.model_json_schema(by_alias=True, mode="serialization")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
