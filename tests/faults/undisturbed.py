"""What a run comes to that nothing strikes: a run that was struck and resumed must come to the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pytest_thor.report.document import ReportDocument
from pytest_thor.report.reading import read as read_report
from tests.faults.scene import Ended, Scene

_FALSE = {"unchanged": {"regressed", "improved"}, "regressed": {"unchanged", "improved"}}
"""Verdicts that no fault may turn a true one into; to find out nothing is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The exit status of a run, and by cell: its verdicts, how often it was launched, and what a launch gave."""

    status: int | None
    verdicts: Mapping[str, Mapping[str, str | None]]
    launches: Mapping[str, int]
    metrics: Mapping[str, frozenset[str]]
    repetitions: Mapping[str, Collection[int]]


@cache
def undisturbed(scene: Scene) -> Undisturbed:
    """Run a scene in peace, once for each scene as it is scripted at the first call."""
    scene.anew()
    ended = scene.start().end()
    report = read_report(scene.report)
    if not scene.real:
        wrong = [record for record in report.cells if is_false(scene, record.id, record.verdict)]
        assert not wrong, f"in peace: {[record.reason for record in wrong]}"
    repetitions: dict[str, set[int]] = {}
    for (cell, _), samples in scene.finished.items():
        repetitions.setdefault(cell, set()).add(repetitions_of(samples))
    return Undisturbed(
        status=ended.code,
        verdicts=_verdicts(report),
        launches=Counter(cell for cell, _ in scene.finished),
        metrics={cell: frozenset(samples) for (cell, _), samples in scene.finished.items()},
        repetitions=repetitions,
    )


def repetitions_of(samples: Mapping[str, Sequence[float]]) -> int:
    """Return how many repetitions a launch of llama-bench gave."""
    return sum(len(values) for metric, values in samples.items() if metric in {"pp_tps", "tg_tps"})


def true_verdict(scene: Scene, cell: str) -> str:
    """Return the verdict that a scripted engine deserves."""
    return "regressed" if scene.cells[cell] == "tg16" else "unchanged"


def is_false(scene: Scene, cell: str, verdict: str | None) -> bool:
    """Tell whether a scripted engine's cell got a verdict that says what is not so."""
    return verdict in {*_FALSE[true_verdict(scene, cell)], "invalid", "no-baseline", "incomparable"}


def measured_otherwise(scene: Scene, peace: Undisturbed) -> Iterator[str]:
    """Say which cells of a run that is done were launched more or less often than in peace."""
    launches = Counter(cell for cell, _ in scene.finished)
    for cell in launches.keys() | peace.launches.keys():
        if launches[cell] != peace.launches.get(cell, 0):
            yield f"{cell} was measured by {launches[cell]} launches, in peace by {peace.launches.get(cell, 0)}"


def judged_otherwise(scene: Scene, ended: Ended, report: ReportDocument, peace: Undisturbed) -> Iterator[str]:
    """Say which cells of a run that is done were judged otherwise than in peace."""
    if ended.code != peace.status:
        yield f"exit status {ended.code}, in peace {peace.status}"
    verdicts = _verdicts(report)
    for cell in scene.cells:
        if verdicts.get(cell) != peace.verdicts.get(cell):
            yield f"{cell} was judged {verdicts.get(cell)}, in peace {peace.verdicts.get(cell)}"


def halves(scene: Scene, peace: Undisturbed) -> Iterator[str]:
    """Say which launches of the journal count as whole and are not: a metric or a repetition is missing."""
    for entry in scene.journal:
        launch = entry["launch"]
        if launch["failure"] is not None or entry["cell"] not in peace.metrics:
            continue
        name = f"the launch of {entry['cell']} at {launch['started_at']}"
        if launch["samples"].keys() != peace.metrics[entry["cell"]]:
            yield f"{name} has the metrics {sorted(launch['samples'])}, in peace {sorted(peace.metrics[entry['cell']])}"
        repetitions = peace.repetitions[entry["cell"]]
        if (count := repetitions_of(launch["samples"])) not in repetitions:
            yield f"{name} has {count} repetitions, in peace {', '.join(map(str, sorted(repetitions)))}"


def _verdicts(report: ReportDocument) -> dict[str, dict[str, str | None]]:
    """Return the verdict of each cell, under no name, and those of its metrics."""
    return {
        record.id: {"": record.verdict, **{name: metric.verdict for name, metric in record.metrics.items()}}
        for record in report.cells
    }
