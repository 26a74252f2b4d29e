"""pytest-benchmark sees the cells too: in its table, JSON, comparison, saved runs and histogram.

A cell's samples were timed by its engine, not by pytest-benchmark; they are handed to its session as rounds of a
virtual clock, in seconds per token, so that its OPS is tokens per second (the harmonic mean). The same happens with and
without pytest-xdist, where pytest-benchmark itself measures nothing: only the process that reports hands them over.

pytest-benchmark has no interface for outside samples: what is used here is its own inside, as of 5.3. Where that has
changed, the cells stay out and one line says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from pytest_thor.collection import cells_of
from pytest_thor.report.document import CellRecord

_SOURCES = {"prefill": ("pp_tps", "rate"), "decode": ("tg_tps", "rate"), "serving": ("tpot_ms", "ms")}
"""The samples that are times per token, by kind."""
_NEVER_SAVED = frozenset({"invalid"})
_SAVED_IF_ACCEPTED = frozenset({"regressed"})
_PRIVATE_CHANGED = (AttributeError, ImportError, TypeError, KeyError)


def virtual_clock() -> float:
    """Stand in, by its name, for the timer that pytest-benchmark shows: the engine timed these rounds."""
    raise NotImplementedError("the engine timed these rounds")


@dataclass(slots=True, kw_only=True)
class _Fixture:
    """What pytest-benchmark's Metadata takes from its fixture."""

    name: str
    fullname: str
    group: str
    param: str
    params: dict[str, str]
    extra_info: dict[str, Any]
    has_error: bool
    cprofile_stats: None = None
    skipped: bool = field(default=False)


class BenchmarkBridge:
    """Hands every finished cell to pytest-benchmark; ``accepts`` where this run's baseline takes what changed."""

    def __init__(self, config: pytest.Config, *, accepts: bool) -> None:
        self._config = config
        self._unsaved = _NEVER_SAVED if accepts else _NEVER_SAVED | _SAVED_IF_ACCEPTED
        self._kept_out: set[str] = set()
        self._fed: set[str] = set()
        self._trouble: str | None = None

    @property
    def _session(self) -> Any:  # noqa: ANN401 - pytest-benchmark is untyped
        return getattr(self._config, "_benchmarksession", None)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Count cells as benchmarks: ``--benchmark-only`` runs them, ``--benchmark-skip`` does not."""
        session = self._session
        if getattr(session, "only", False):
            for item in items:
                if cells_of([item]):
                    item.own_markers[:] = [mark for mark in item.own_markers if not _is_only(mark)]
        elif getattr(session, "skip", False):
            for item in items:
                if cells_of([item]):
                    item.add_marker(pytest.mark.skip(reason="Skipping benchmark (--benchmark-skip active)."))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Keep what regressed out of what pytest-benchmark saves: its next comparison would be against that."""
        session = self._session
        if session is None or not self._is_wanted():
            return
        try:
            storage, save = session.storage, session.storage.save
            storage.save = lambda output_json, name: self._save(save, output_json, name)
        except _PRIVATE_CHANGED as error:
            self._give_up(error)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand a cell's samples over as soon as its test is reported."""
        content = getattr(report, "thor", None)
        if content is None or self._trouble or not self._is_wanted():
            return
        record = CellRecord.model_validate(content)
        rounds_s = seconds_per_token(record)
        if not rounds_s:
            return
        try:
            self._feed(report, record, rounds_s)
        except _PRIVATE_CHANGED as error:
            self._give_up(error)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - untyped to plugins
        """Say why the cells are missing, where they are."""
        if self._trouble:
            terminalreporter.write_line(self._trouble, yellow=True)

    def _is_wanted(self) -> bool:
        """Say whether this process reports, and pytest-benchmark is there and not switched off by the user.

        Under pytest-xdist it switches itself off, since it could not time anything; these rounds were timed already.
        """
        option = self._config.getoption
        off = option("benchmark_disable", False) and not option("benchmark_enable", False)
        skipped = getattr(self._session, "skip", False)
        return self._session is not None and not (off or skipped or hasattr(self._config, "workerinput"))

    def _feed(self, report: pytest.TestReport, record: CellRecord, rounds_s: tuple[float, ...]) -> None:
        stats: Any = import_module("pytest_benchmark.stats")
        benchmarks = self._session.benchmarks
        fixture = _Fixture(
            name=report.location[2],
            fullname=report.nodeid,
            group=f"{record.kind} time per token",
            param=record.id,
            params={name: getattr(record, name) for name in ("matrix", "model", "quant", "backend", "workload")},
            extra_info=_extra_info(record),
            has_error=record.verdict == "invalid",
        )
        # A rerun, or a test of the user's own that has just taken pytest-benchmark's fixture as well.
        if report.nodeid in self._fed or (benchmarks and benchmarks[-1].fullname == report.nodeid):
            return
        self._fed.add(report.nodeid)
        options = {
            "disable_gc": False,
            "timer": virtual_clock,
            "min_rounds": len(rounds_s),
            "max_time": 0.0,
            "min_time": 0.0,
            "warmup": False,
        }
        metadata = stats.Metadata(fixture, iterations=1, options=options)
        for round_s in rounds_s:
            metadata.update(round_s)
        metadata.as_dict(flat=True)  # whatever its inside no longer has shows here, not in the user's summary
        benchmarks.append(metadata)
        if record.verdict in self._unsaved:
            self._kept_out.add(fixture.fullname)

    def _save(self, save: Any, output_json: dict[str, Any], name: str) -> None:  # noqa: ANN401 - untyped
        if self._kept_out:
            kept = [entry for entry in output_json["benchmarks"] if entry["fullname"] not in self._kept_out]
            output_json = {**output_json, "benchmarks": kept}
        if output_json["benchmarks"]:
            save(output_json, name)

    def _give_up(self, error: Exception) -> None:
        self._trouble = (
            f"pytest-thor: cells are not in pytest-benchmark's table: its inside is not that of 5.3 "
            f"({type(error).__name__}: {error})"
        )


def seconds_per_token(record: CellRecord) -> tuple[float, ...]:
    """Return the seconds per token of every repetition, or of every request of a load, in the order they were taken.

    Empty where nothing was measured or what was is no speed, or where a sample is no time (0, negative, not finite).
    """
    if record.kind not in _SOURCES:
        return ()
    metric, form = _SOURCES[record.kind]
    samples = [sample for launch in record.launches for sample in launch.samples.get(metric, ())]
    if 0 in samples:
        return ()
    times_s = tuple(1 / sample if form == "rate" else sample / 1000 for sample in samples)
    return times_s if all(0 < time_s < math.inf for time_s in times_s) else ()


def _extra_info(record: CellRecord) -> dict[str, Any]:
    metrics = {
        name: {"value": metric.value, "unit": metric.unit, "verdict": metric.verdict}
        for name, metric in record.metrics.items()
        if metric.value is not None and math.isfinite(metric.value)
    }
    return {"thor_cell": record.id, "verdict": record.verdict, "device": record.device, "metrics": metrics}


def _is_only(mark: pytest.Mark) -> bool:
    return mark.name == "skip" and "--benchmark-only" in str(mark.kwargs.get("reason", ""))
