"""The past of a cell as the judge takes it: one value per launch and metric, run by run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_thor.judge.gates import Gate
from pytest_thor.judge.plausibility import implausible
from pytest_thor.judge.statistics import summaries, summarize
from pytest_thor.measurement import METRICS, SUMMARIES, Samples

REMEMBERED_RUNS = 30
"""How many earlier runs are considered, the latest: what a machine did long ago says little of it now."""

UNIT_FACTOR = 500.0
"""Values of one cell do not differ by so much but by their unit: milliseconds and seconds are 1000 apart."""
_UNITS_APART = math.log(UNIT_FACTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One stored run of a cell: per launch, the value of every metric by key (``tg_tps``, ``ttft_ms.p99``).

    ``changed`` says that what is under test changed with this run, and the figures with it: how far it lies from the
    run before tells nothing of the machine.
    """

    finished_at: str
    values: tuple[Mapping[str, float], ...]
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One metric of a cell's past, on the log scale: the launches of its baseline, and of each earlier run.

    ``changed`` are the places in ``earlier`` of the runs with which what is under test changed.
    """

    baseline: tuple[float, ...]
    earlier: tuple[tuple[float, ...], ...]
    changed: frozenset[int] = frozenset()

    @property
    def runs(self) -> tuple[tuple[float, ...], ...]:
        """Every run, oldest first; the baseline's where it was stored, and first where it is not among them."""
        return self.earlier if not self.baseline or self.baseline in self.earlier else (self.baseline, *self.earlier)

    @property
    def levels(self) -> tuple[tuple[tuple[float, ...], ...], ...]:
        """The runs in stretches that only the machine tells apart.

        A new one begins where what is under test changed the figures, and with the baseline: it was accepted as another
        level.
        """
        before = len(self.runs) - len(self.earlier)
        starts = {0, *(place + before for place in self.changed)}
        if self.baseline in self.earlier:
            starts.add(self.earlier.index(self.baseline))
        cuts = sorted(starts)
        return tuple(self.runs[start:end] for start, end in zip(cuts, [*cuts[1:], len(self.runs)], strict=True))

    @property
    def since(self) -> tuple[tuple[float, ...], ...]:
        """The runs after the baseline's own, or all where it is not among them."""
        return self.earlier[self.earlier.index(self.baseline) + 1 :] if self.baseline in self.earlier else self.earlier


def launch_values(samples: Samples) -> dict[str, float]:
    """Return the values of one launch by every key that a gate may ask for: latencies by summary, the others' median.

    What is impossible, empty or not known is left out.
    """
    values: dict[str, float] = {}
    for name, taken in samples.items():
        metric = METRICS.get(name)
        if metric is None or not taken or implausible(name, taken):
            continue
        if metric.unit == "ms":
            values.update((f"{name}.{summary}", value) for summary, value in summaries(taken, SUMMARIES).items())
        else:
            values[name] = summarize(taken)
    return values


def value_key(gate: Gate) -> str:
    """Return the key of :func:`launch_values` that holds what a gate judges."""
    by_summary = gate.metric.unit == "ms" or gate.summary != "median"
    return f"{gate.metric.name}.{gate.summary}" if by_summary else gate.metric.name


def past_of(key: str, baseline: Sequence[float], history: Sequence[PastRun]) -> Past:
    """Return a metric's past; ``baseline`` holds its launches' values.

    What has no logarithm is passed over, and so is what lies so far from the baseline that its unit must be another.
    """
    accepted = _logs(baseline)
    lowest, highest = min(accepted, default=math.inf), max(accepted, default=-math.inf)
    earlier: list[tuple[float, ...]] = []
    changed: list[int] = []
    for run in history[-REMEMBERED_RUNS:]:
        launches = _logs([launch[key] for launch in run.values if key in launch])
        if launches and max(highest, *launches) - min(lowest, *launches) < _UNITS_APART:
            if run.changed:
                changed.append(len(earlier))
            earlier.append(launches)
    return Past(baseline=accepted, earlier=tuple(earlier), changed=frozenset(changed))


def in_other_units(values: Sequence[float]) -> bool:
    """Tell whether positive values of one metric lie so far apart that they cannot be in one unit."""
    return bool(values) and max(values) / min(values) >= UNIT_FACTOR


def _logs(values: Sequence[float]) -> tuple[float, ...]:
    return tuple([math.log(value) for value in values if 0 < value < math.inf])
