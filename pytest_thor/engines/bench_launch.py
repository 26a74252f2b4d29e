"""One launch of an engine that writes llama-bench's rows: its output becomes a Launch for each cell."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Progress, ProgressCallback
from pytest_thor.engines.bench_clock import RepetitionClock, contradiction
from pytest_thor.engines.bench_rows import METRIC, BenchTest, Row, UnreadableRowError, differences, read_row, speeds_tps
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.process import Ending, Line, run
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.plain_text import one_line
from pytest_thor.redaction import redacted

GRACE_S = 5.0
"""Seconds that an engine has to end by itself when it is asked to."""

_PROGRESS = re.compile(r"llama-bench: benchmark ([1-9]\d{0,8})/\d+: (.{1,500})")
_TIMED = re.compile(r"(?:prompt|generation) run \d+/\d+")
_MOST_NOTES = 100
_BUILD_FIELDS = ("build_commit", "build_number", "cpu_info", "gpu_info", "backends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process is asked to measure.

    ``tests`` come in the order in which the process runs them, each with the cells that it answers (several where
    two workloads ask for the same). ``expected`` are the settings as the rows should report them.
    """

    command: tuple[str, ...]
    tests: Mapping[BenchTest, Sequence[Cell]]
    build: EngineBuild
    timeout_s: float
    request: bytes | None = None
    expected: Mapping[str, Any] = field(default_factory=dict)


def measure(order: Order, on_progress: ProgressCallback) -> Iterator[tuple[Cell, Launch]]:
    """Run the process and yield every cell once: measured as its row arrives, or failed once there is no hope.

    Each launch's interval (``started_at``, ``duration_s``) is its own share of the process's life, so those of one
    process do not overlap: the first begins with the start, and holds the loading of the model.
    """
    reading = _Reading(order, on_progress)
    events = run(order.command, timeout_s=order.timeout_s, request=order.request, grace_s=GRACE_S)
    with closing(events):
        for event in events:
            if isinstance(event, Ending):
                yield from reading.end(event)
            else:
                yield from reading.line(event)
                if not reading.waiting and reading.surplus:
                    return  # all is measured; what the process still does was not asked for


class _Reading:
    """The state of one launch: which tests are unanswered, when the last one was answered, what was odd."""

    def __init__(self, order: Order, on_progress: ProgressCallback) -> None:
        self.waiting = dict(order.tests)
        self.surplus = False
        self._order = order
        self._sequence = tuple(order.tests.items())
        self._on_progress = on_progress
        self._log = LogTail()
        self._notes: list[str] = []
        self._build = order.build
        self._step = "start"
        self._begin()

    def line(self, line: Line) -> Iterator[tuple[Cell, Launch]]:
        """Take one line: a row, a step, or something for the log."""
        if line.stream == "stderr":
            if not self._progress(line.text):
                self._log.add(line.text)
            return
        try:
            row = read_row(line.text)
        except UnreadableRowError as problem:
            self._note(f"a row could not be read: {problem}")
            self._log.add(redacted(line.text)[:1000])
            return
        if row is None:
            self._log.add(redacted(line.text)[:1000])
        else:
            yield from self._answer(row)

    def end(self, ending: Ending) -> Iterator[tuple[Cell, Launch]]:
        """Fail what was not answered, with one sentence."""
        if not self.waiting:
            return
        name = self._order.build.name
        if ending.ok:
            sentence = f"{name} ended well but gave no row for "
            sentence += ", ".join(str(test) for test in self.waiting)
            sentence += "".join(f"; {note}" for note in self._notes[:3])
        else:
            sentence = ending.sentence(name, self._order.timeout_s) + f" (last step: {self._step})"
            if not ending.timed_out and self._log.last:
                sentence += f": {self._log.last[:300]}"
        for cells in self.waiting.values():
            for cell in cells:
                yield cell, self._launch(failure=sentence)
        self.waiting.clear()

    def _answer(self, row: Row) -> Iterator[tuple[Cell, Launch]]:
        test = self._test_of(row)
        if test is None:
            self.surplus = True
            self._note(
                f"a row that nobody asked for: n_prompt {row.n_prompt}, n_gen {row.n_gen}, n_depth {row.n_depth}"
            )
            return
        self._build = _build_of(self._build, row)
        notes = [*self._notes, *differences(row, self._order.expected)]
        evidence = row.evidence() | ({"notes": notes} if notes else {})
        speeds = speeds_tps(row, test)
        self._clock.row()
        observed_s = self._clock.observed_s()
        if observed_s:
            evidence["observed_s"] = [round(each, 6) for each in observed_s]
        windows = self._clock.windows(row)
        for cell in self.waiting.pop(test):
            if isinstance(speeds, str):
                yield cell, self._launch(failure=speeds, evidence=evidence)
            else:
                doubt = contradiction(self._order.build.name, test, speeds, observed_s)
                samples, doubts = {METRIC[cell.kind]: speeds}, () if doubt is None else (doubt,)
                yield cell, self._launch(samples=samples, doubts=doubts, evidence=evidence, windows=windows)
        self._begin()

    def _test_of(self, row: Row) -> BenchTest | None:
        """Find the unanswered test of a row: that with as many repetitions, where several differ in nothing else."""
        found = [test for test in self.waiting if row.matches(test)]
        count = len(row.samples_ns or row.samples_ts or ())
        return next((test for test in found if test.repetitions == count), found[0] if found else None)

    def _progress(self, text: str) -> bool:
        match = _PROGRESS.match(text)
        if match is None:
            return False
        self._clock.line(begins=_TIMED.fullmatch(match[2].strip()) is not None)
        index = int(match[1]) - 1
        if index < len(self._sequence):
            test, cells = self._sequence[index]
            self._step = one_line(redacted(f"{test}: {match[2].replace(' run', '')}"))
            self._on_progress(Progress(cell=cells[0], step=self._step))
        return True

    def _note(self, what: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(what)

    def _begin(self) -> None:
        self._clock = RepetitionClock()
        # In this order: where the process is stopped in between, the launch seems no longer than it was.
        self._started_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._started = time.monotonic()

    def _launch(
        self,
        *,
        samples: Mapping[str, tuple[float, ...]] | None = None,
        failure: str | None = None,
        doubts: tuple[str, ...] = (),
        evidence: Mapping[str, Any] | None = None,
        windows: tuple[tuple[float, float], ...] = (),
    ) -> Launch:
        return Launch(
            started_at=self._started_at,
            duration_s=time.monotonic() - self._started,
            engine=self._build,
            samples=samples or {},
            windows=windows,
            failure=failure,
            doubts=doubts,
            log_tail=None if failure is None else str(self._log),
            evidence=evidence if evidence is not None else ({"notes": list(self._notes)} if self._notes else {}),
        )


def _build_of(build: EngineBuild, row: Row) -> EngineBuild:
    """Complete what the program said of itself with what its rows say."""
    said = {name: text for name in _BUILD_FIELDS if (text := row.text(name)) is not None}
    number = said.get("build_number")
    return replace(
        build,
        version=build.version or (f"b{number}" if number else None),
        commit=said.get("build_commit") or build.commit,
        details={**build.details, **said},
    )
