"""What must hold after every fault, and the sentences that say where it does not."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_thor.baseline.store import parse_entry
from pytest_thor.errors import BaselineError, ReportError
from pytest_thor.report.document import CellRecord, ReportDocument
from pytest_thor.report.reading import read as read_report
from tests.faults.scene import GONE_S, Ended, Scene
from tests.faults.undisturbed import Undisturbed, halves, is_false, judged_otherwise, measured_otherwise, true_verdict

COLUMNS = (
    *("orphans", "locks", "overlaps", "torn files", "lost launches", "half launches", "launches too many or few"),
    *("wrong verdicts", "unclear messages", "hung"),
)
_INTERNALS = re.compile(r"Traceback \(most recent call last\)|INTERNALERROR|pytest_thor/\S+\.py:\d+: (?!Keyboard)")


@dataclass(slots=True)
class Findings:
    """What did not hold, by column."""

    by_column: dict[str, list[str]] = field(default_factory=dict)

    def add(self, column: str, sentences: Iterator[str]) -> None:
        """Add what a check found."""
        found = list(sentences)
        if found:
            self.by_column.setdefault(column, []).extend(found)

    def __str__(self) -> str:
        return "\n".join(f"{column}: {one}" for column, found in self.by_column.items() for one in found)

    def __bool__(self) -> bool:
        return bool(self.by_column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a fault may lead to: exit statuses, and words of which a run that did not go well says at least one.

    ``orderly`` is False where pytest was killed: it cannot say anything then.
    """

    statuses: frozenset[int]
    words: tuple[str, ...]
    orderly: bool = True
    leaves_orphans: bool = False
    """Whether nobody was left who could end the engine's processes before the next run."""


def check(
    scene: Scene, ended: Ended, *, expected: Expected, finished_before: Mapping[tuple[str, str], Any], faults: int
) -> Findings:
    """Look at everything a run left; ``faults`` is how many struck this journal so far."""
    findings = Findings()
    if ended.code is None:
        findings.add("hung", iter(["the run did not end"]))
    if not expected.leaves_orphans:
        findings.add("overlaps", overlaps(scene))
        findings.add("orphans", _orphans(scene))
        findings.add("locks", _locks(scene.locks))
    findings.add("torn files", _torn(scene, faults))
    findings.add("lost launches", _lost(scene, ended, finished_before))
    report = _report(scene)
    if report is not None:
        findings.add("wrong verdicts", _wrong(scene, report))
        failed = any(record.outcome == "failed" for record in report.cells)
        if ended.code == 1 and not failed:
            findings.add("wrong verdicts", iter(["exit status 1, and no cell regressed"]))
    findings.add("unclear messages", _unclear(ended, expected))
    return findings


def check_whole(
    scene: Scene, ended: Ended, *, finished_before: Mapping[tuple[str, str], Any], peace: Undisturbed
) -> Findings:
    """Look at a run that was resumed and left in peace: it has come to what it comes to where nothing strikes."""
    expected = Expected(statuses=frozenset({0, 1}), words=("",))
    findings = check(scene, ended, expected=expected, finished_before=finished_before, faults=len(scene.journal))
    findings.add("lost launches", _incomplete(scene, finished_before))
    findings.add("half launches", halves(scene, peace))
    findings.add("launches too many or few", measured_otherwise(scene, peace))
    report = _report(scene)
    if report is not None:
        findings.add("wrong verdicts", judged_otherwise(scene, ended, report, peace))
    return findings


def overlaps(scene: Scene) -> Iterator[str]:
    """Take the device as soon as it is free, and say what of an engine is still there then."""
    with ExitStack() as held:
        for path in scene.locks.glob("*.lock"):
            file = held.enter_context(path.open())
            end = time.monotonic() + GONE_S
            while not _takes(file) and time.monotonic() < end:
                time.sleep(0.0005)
        for process in scene.engines():
            yield f"the device is free, and process {process.pid} ({process.command[:200]}) lives"


def _takes(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _orphans(scene: Scene) -> Iterator[str]:
    for process in scene.orphans():
        yield f"process {process.pid} ({process.command[:200]}) lives, child of {process.parent}"
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _locks(folder: Path) -> Iterator[str]:
    for path in folder.glob("*.lock"):
        with path.open() as file:
            if not _takes(file):
                yield f"{path.name} is still held"


def _torn(scene: Scene, faults: int) -> Iterator[str]:
    journal = scene.report / "journal.jsonl"
    lines = journal.read_text(errors="replace").splitlines() if journal.exists() else []
    torn = sum(not _is_json(line) for line in lines if line)
    if torn > faults:
        yield f"{torn} lines of the journal are torn by {faults} faults"
    for path in scene.report.glob("*.json"):
        if path.name == "report.json":
            try:
                read_report(path)
            except ReportError as error:
                yield str(error)
        elif not _is_json(path.read_text()):
            yield f"{path.name} is no JSON"
    page = scene.report / "report.html"
    if page.exists() and not page.read_text().rstrip().endswith("</html>"):
        yield "report.html has no end"
    for path in (scene.root / "baselines").rglob("*.json"):
        yield from _torn_baseline(path)
    for path in (scene.root / "baselines").rglob("*.jsonl"):
        if not all(map(_is_json, path.read_text().splitlines())):
            yield f"{path.name} has a torn line"


def _torn_baseline(path: Path) -> Iterator[str]:
    try:
        parse_entry(path.read_text(), path)
    except BaselineError as error:
        yield str(error)


def _lost(scene: Scene, ended: Ended, before: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    now = scene.finished
    for key, samples in before.items():
        if now.get(key) != samples:
            yield f"the launch of {key[0]} at {key[1]} is no longer in the journal"
    new = Counter(cell for cell, _ in now.keys() - before.keys())
    for cell, count in Counter(ended.told).items():
        if count > new[cell]:
            yield f"{count} launches of {cell} were said to be measured, {new[cell]} are in the journal"


def _incomplete(scene: Scene, before: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    report = _report(scene)
    records = {record.id: record for record in report.cells} if report else {}
    for cell in scene.cells.keys() - records.keys():
        yield f"{cell} is not in the report"
    for cell, record in records.items():
        whole = {launch.started_at: launch.samples for launch in record.launches if launch.failure is None}
        if len(record.launches) != len(whole):
            yield f"{cell} has {len(record.launches)} launches, of which {len(whole)} are whole and apart"
        if len(whole) < scene.launches:
            yield f"{cell} has {len(whole)} whole launches of {scene.launches}: {record.reason}"
        for (of, started_at), samples in before.items():
            if of == cell and whole.get(started_at) != samples:
                yield f"the launch of {cell} at {started_at} was finished, and is not in the report"


def _wrong(scene: Scene, report: ReportDocument) -> Iterator[str]:
    for record in report.cells:
        if not scene.real:
            yield from _wrong_verdict(scene, record)
        for launch in record.launches:
            if launch.failure is None:
                yield from _wrong_samples(scene, record, launch.samples)


def _wrong_verdict(scene: Scene, record: CellRecord) -> Iterator[str]:
    if is_false(scene, record.id, record.verdict):
        yield f"{record.id} is {true_verdict(scene, record.id)}, not {record.verdict}: {record.reason}"
    for name, metric in record.metrics.items():
        if name.endswith("_tps") and metric.value is not None:
            true = scene.expected_tps(scene.cells[record.id])
            if abs(metric.value / true - 1) > 0.005:
                yield f"{record.id} is said to reach {metric.value} tok/s, and reached {true}"


def _wrong_samples(scene: Scene, record: CellRecord, samples: Mapping[str, Sequence[float]]) -> Iterator[str]:
    speeds = [value for name, values in samples.items() if name.endswith("_tps") for value in values]
    if not speeds or not all(speed > 0 for speed in speeds):
        yield f"a launch of {record.id} has the samples {samples}"
    elif not scene.real:
        true = scene.expected_tps(scene.cells[record.id])
        if any(abs(speed / true - 1) > 0.005 for speed in speeds):
            yield f"a launch of {record.id} has {speeds} tok/s, and reached {true}"


def _unclear(ended: Ended, expected: Expected) -> Iterator[str]:
    end = ended.output[-3000:]
    if ended.code is not None and ended.code not in expected.statuses:
        yield f"exit status {ended.code}, expected one of {sorted(expected.statuses)}:\n{end}"
    if not expected.orderly or _never_began(ended):
        return
    if found := _INTERNALS.search(ended.output):
        yield f"{found[0]!r} is in the output:\n{end}"
    if ended.code not in {0, 1} and not any(word in ended.output for word in expected.words):
        yield f"none of {expected.words} is in the output:\n{end}"


def _never_began(ended: Ended) -> bool:
    """Tell whether a signal came while Python still imported pytest, which could say nothing of it yet."""
    last = ended.output.rstrip().rpartition("\n")[2]
    return last.startswith("KeyboardInterrupt") and "test session starts" not in ended.output


def _report(scene: Scene) -> ReportDocument | None:
    try:
        return read_report(scene.report)
    except ReportError:
        return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
