"""What a person sees: live progress, one line per cell, and the summary table."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_thor.report.naming import naming_of
from pytest_thor.units import counted, format_duration, format_percent, format_quantity, format_rate

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_thor.cell import Cell
    from pytest_thor.progress import Status
    from pytest_thor.report.document import CellRecord, MetricRecord, ShiftRecord
    from pytest_thor.verdict import Judgement, MetricJudgement

_COLOURS: dict[str, dict[str, bool]] = {
    "regressed": {"red": True, "bold": True},
    "invalid": {"red": True, "bold": True},
    "error": {"red": True},
    "incomparable": {"yellow": True},
    "inconclusive": {"yellow": True},
    "skipped": {"yellow": True},
    "no-baseline": {"cyan": True},
    "improved": {"green": True, "bold": True},
    "unchanged": {"green": True},
}
_TABLE_ROWS = 60
"""A larger table shows only what wants attention."""
_NOTES = 10


def word(record: CellRecord) -> str:
    """Return the one word for a cell: its verdict, or why it has none."""
    return record.verdict or record.outcome


def describe(status: Status) -> str:
    """Return a status as one line: ``qwen3-8b-Q4_K_M-llama.cpp-tg128 · launch 2 · tokens 3/5 · 40.1 tok/s · …``."""
    parts = [
        status.cell.id if status.cell else None,
        f"launch {status.launch}" if status.launch else None,
        status.step,
        format_rate(status.rate_tps) if status.rate_tps else None,
        f"about {format_duration(status.left_s)} left" if status.left_s else None,
    ]
    return " · ".join(part for part in parts if part)


class Terminal:
    """Writes through pytest's own reporter, so that colours, width and capture stay its business."""

    def __init__(self, config: pytest.Config, *, id_width: int) -> None:
        self._config = config
        self._id_width = id_width
        self._live = False
        self._cleared = False
        self._step = ""

    @property
    def _reporter(self) -> Any:  # noqa: ANN401 - the reporter is untyped to plugins
        return self._config.pluginmanager.get_plugin("terminalreporter")

    @property
    def has_lines(self) -> bool:
        """Whether each cell gets a line of its own; ``-q`` has letters and ``-v`` has words instead."""
        return self._reporter is not None and self._config.get_verbosity() == 0

    def show(self, status: Status) -> None:
        """Show what is going on: a line that rewrites itself on a terminal, a line per launch elsewhere.

        With ``-q`` and ``-v`` only what is waited for: that may take hours.
        """
        if self._reporter is not None and not self.has_lines and status.waits:
            with self._uncaptured():
                self._reporter.write_line(describe(status))
                self._reporter.flush()
        if not self.has_lines:
            return
        text = describe(status)
        with self._uncaptured():
            if self._reporter.isatty:
                self._start_line()
                self._reporter.rewrite(text[: shutil.get_terminal_size().columns - 1], erase=True)
                self._reporter.flush()
                self._live = True
            elif status.finished or self._is_news(status):
                self._start_line()
                self._line(f"  {text}")

    def _is_news(self, status: Status) -> bool:
        """Tell whether a step outside any launch is another one, and not the same with a higher percentage."""
        step = status.step.rstrip(" %0123456789")
        if status.launch is not None or step == self._step:
            return False
        self._step = step
        return True

    def put_off(self, cell: Cell, judgement: Judgement | None) -> None:
        """Write how a cell in doubt stands, which is launched again later."""
        if self._reporter is None or self._config.get_verbosity() < 0:
            return
        told = "in doubt: launched again later"
        if not self.has_lines:
            self._reporter.write(told)
            return
        self._clear()
        self._start_line()
        self._reporter.write(f"  {cell.id:<{self._id_width}}  ")
        metric = judgement.metrics[0] if judgement and judgement.metrics else None
        if metric is not None:
            self._reporter.write(f"{_value(metric):>16}  {_change(metric):>8}  ")
        self._line(told)

    def cell(self, record: CellRecord, *, failed: bool, several_devices: bool = False) -> None:
        """Write a finished cell's line; ``failed`` where its test failed, for whatever reason."""
        if not self.has_lines:
            return
        said = word(record)
        self._clear()
        self._start_line()
        self._reporter.write(f"  {record.id:<{self._id_width}}  ")
        metric = next(iter(record.metrics.values()), None)
        if metric is not None:
            self._reporter.write(f"{_value(metric):>16}  {_change(metric):>8}  ")
        self._reporter.write(said, **_COLOURS[said])
        # The summary tells why cells were skipped, once for all that share a reason.
        test = "  test failed" if failed and record.outcome not in {"failed", "error"} else ""
        self._line((f" on {record.device}" if several_devices else "") + test)

    def summary(
        self,
        records: Sequence[CellRecord],
        *,
        title: str,
        environment: ShiftRecord | None,
        report: Path | None,
        stored: Mapping[Path, CellRecord],
        troubles: Sequence[str],
        annotations: Sequence[str] = (),
        serving_block: bool = False,
    ) -> None:
        """Write the table of all cells, or of those that want attention, and what else a reader must know."""
        reporter = self._reporter
        if reporter is None:
            return
        self._clear()
        reporter.write_sep("=", f"pytest-thor: {title}", bold=True)
        measured = [record for record in records if _judged(record)]
        shown = measured
        if len(measured) > _TABLE_ROWS:
            shown = [record for record in measured if word(record) != "unchanged"][:_TABLE_ROWS]
        if shown:
            self._table(shown)
        self._serving(records, blocks=serving_block)
        if environment is not None:
            reporter.write_line(f"environment: {environment.reason}", yellow=True, bold=True)
        for record in [record for record in records if record.outcome == "warned"][:_NOTES]:
            reporter.write_line(record.reason, **_COLOURS[word(record)])
        reasons = Counter(record.reason for record in records if record.outcome == "skipped")
        for reason, count in reasons.most_common(_NOTES):
            reporter.write_line(f"skipped: {counted(count, 'cell')}: {reason}")
        if len(reasons) > _NOTES:
            reporter.write_line(
                f"skipped: and {counted(sum(reasons.values()), 'cell')} in all; the report names each reason"
            )
        counts = Counter(word(record) for record in records)
        told = ", ".join(f"{counts[name]} {name}" for name in _COLOURS if counts[name])
        reporter.write_line(f"{counted(len(records), 'cell')}: {told}." + (f" Report: {report}" if report else ""))
        if stored:
            reporter.write_line(f"Baseline stored: {counted(len(stored), 'cell')} in {os.path.commonpath(stored)}")
        if slowed := sum(record.slowing is not None for record in stored.values()):
            reporter.write_line(
                f"{slowed} of them had to share the processors with other programs: a baseline that is too slow hides "
                "regressions. Measure again when the machine is quiet, with --thor-update-baseline=accept.",
                yellow=True,
                bold=True,
            )
        for trouble in troubles:
            reporter.write_line(f"ERROR: {trouble}", red=True, bold=True)
        for command in annotations:  # GitHub Actions reads them where they begin a line
            reporter.write_line(command)

    def _serving(self, records: Sequence[CellRecord], *, blocks: bool) -> None:
        """Write where sweeps saturate and, where asked for, each serving cell as ``vllm bench serve`` shows it."""
        serving = [record for record in records if record.kind == "serving"]
        if not serving:
            return
        # With the shapes of the report, which a listing needs none of.
        from pytest_thor.report.saturation import sweep_lines, sweeps_of
        from pytest_thor.report.vllm_bench import last_block

        naming = naming_of(records)
        for sweep in sweeps_of(serving):
            for number, line in enumerate(sweep_lines(sweep, naming)):
                self._reporter.write_line(line, bold=number == 1)
        for record in serving if blocks else ():
            self._reporter.write_line(last_block(record, naming))

    def _table(self, records: Sequence[CellRecord]) -> None:
        widths = [
            max(len(record.backend) for record in records),
            max(len(record.workload) for record in records),
            max((len(name) for record in records for name in _judged(record)), default=0),
        ]
        columns = self._columns(sum(widths) + 6)
        heading = " " * (sum(widths) + 6) + "".join(f"  {title:{form}}" for title, form, _ in columns)
        self._reporter.write_line(heading.rstrip(), bold=True)
        naming = naming_of(records)
        groups: dict[tuple[str, str, str, str], list[CellRecord]] = {}
        for record in records:  # not groupby: cells in doubt come in late, and stand with their model all the same
            groups.setdefault((record.matrix, record.device, record.model, record.quant), []).append(record)
        for (_, _, model, quant), group in groups.items():
            aside = naming.aside(group[0])
            self._reporter.write_line(f"{model} {quant}" + (f" ({aside})" if aside else ""))
            for record in group:
                names = [record.backend, record.workload]
                for name, metric in _judged(record).items():
                    labels = zip([*names, name], widths, strict=True)
                    self._reporter.write("".join(f"  {label:<{width}}" for label, width in labels))
                    self._reporter.write("".join(f"  {show(metric):{form}}" for _, form, show in columns) + "  ")
                    self._reporter.write_line(metric.verdict or "", **_COLOURS.get(metric.verdict or "", {}))
                    names = ["", ""]

    def _columns(self, labels_width: int) -> list[_Column]:
        """Return the columns that fit: on a narrow terminal those that the others follow from are left out."""
        needed = labels_width + sum(_WIDTHS) + 2 * (len(_WIDTHS) + 1) + len("inconclusive")
        narrow = self._reporter.isatty and self._config.get_terminal_writer().fullwidth < needed
        return [_COLUMNS[0], _COLUMNS[2]] if narrow else _COLUMNS

    def _start_line(self) -> None:
        """End the line that pytest began, without making it name the file anew after ours."""
        if not (self._live or self._cleared) and self._config.get_terminal_writer().width_of_current_line:
            self._config.get_terminal_writer().line()
        self._cleared = False

    def _line(self, text: str = "", **markup: bool) -> None:
        self._config.get_terminal_writer().line(text, **markup)
        self._reporter.flush()  # a pipe, such as a CI job's log, shows it when it happens

    def _clear(self) -> None:
        if self._live:
            self._reporter.rewrite("", erase=True)
            self._reporter.write("\r")
            self._live = False
            self._cleared = True  # the writer counts the spaces that erased the line as text

    def _uncaptured(self) -> Any:  # noqa: ANN401 - the capture manager is untyped to plugins
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        return capture.global_and_fixture_disabled() if capture else nullcontext()


def _judged(record: CellRecord) -> dict[str, MetricRecord]:
    return {name: metric for name, metric in record.metrics.items() if metric.verdict}


def _value(metric: MetricRecord | MetricJudgement) -> str:
    return "?" if metric.value is None else format_quantity(metric.value, metric.unit)


def _baseline(metric: MetricRecord) -> str:
    return "" if metric.baseline is None else format_quantity(metric.baseline, metric.unit)


def _change(metric: MetricRecord | MetricJudgement) -> str:
    return "" if metric.change is None else format_percent(metric.change, signed=True)


def _interval(metric: MetricRecord) -> str:
    if metric.change_low is None or metric.change_high is None:
        return ""
    low, high = (format_percent(bound, signed=True) for bound in (metric.change_low, metric.change_high))
    return f"{low.removesuffix(' %')} to {high}"


_Column: TypeAlias = tuple[str, str, Callable[["MetricRecord"], str]]
_WIDTHS = (15, 15, 8, 19)
_COLUMNS: list[_Column] = [
    ("measured", ">15", _value),
    ("baseline", ">15", _baseline),
    ("change", ">8", _change),
    ("90 % interval", "^19", _interval),
]
