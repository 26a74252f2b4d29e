"""What the jury of a run makes of its launches: only those after which it could stop are looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_thor.baseline.fingerprint import Fingerprint
from pytest_thor.jury import Jury
from pytest_thor.measure import Reference, Trial
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict
from tests.cells import QWEN3

SPEEDS = (40.0, 40.3, 39.8, 40.1, 40.2, 39.9, 40.0, 40.1)


def launch(speed: float) -> Launch:
    engine = EngineBuild(name="llama-bench", path="/x")
    return Launch(started_at="", duration_s=1.0, engine=engine, samples={"tg_tps": (speed,)})


def judged(launches: tuple[int, int], taken: int) -> MetricJudgement:
    """Return what a jury says of so many launches at the baseline's own speeds."""
    reference = Reference(launches=tuple({"tg_tps": (speed,)} for speed in SPEEDS))
    jury = Jury(launches=launches, references={QWEN3: reference})
    trial = Trial(cell=QWEN3, reference=reference, fingerprint=Fingerprint(must_match=(), under_test=()))
    for speed in (SPEEDS * 3)[:taken]:
        trial.launches.append(launch(speed))
        jury.hear(trial)
    assert trial.judgement is not None
    return trial.judgement.metrics[0]


def width(metric: MetricJudgement) -> float:
    assert metric.change_low is not None
    assert metric.change_high is not None
    return metric.change_high - metric.change_low


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_a_fixed_number_of_launches_is_one_look_and_more_of_them_tell_more(count: int) -> None:
    fixed = width(judged((count, count), count))
    assert fixed < width(judged((1, count), count)), "what might have stopped earlier pays for it"
    assert fixed < width(judged((count // 2, count // 2), count // 2))


def test_looks_are_counted_from_the_least_launches_on() -> None:
    assert width(judged((3, 8), 3)) < width(judged((1, 8), 3))
    assert width(judged((8, 8), 3)) == width(judged((3, 3), 3)), "a run that ends early had no look before"


SLOWER = (30.0, 30.1, 29.9)
BUSY = "other processes used 1.0 of 2 CPUs, cc1plus (process 9) most"


def concluded(slowing: str | None, *, reference: Reference, against: str | None = None) -> Judgement:
    """Return the last word on three launches that are a quarter slower."""
    reference = replace(reference, against=against)
    jury = Jury(launches=(3, 3), references={QWEN3: reference})
    trial = Trial(cell=QWEN3, reference=reference, fingerprint=Fingerprint(must_match=(), under_test=()))
    for speed in SLOWER:
        trial.launches.append(launch(speed))
        if against is not None:
            trial.reference_launches.append(launch(40.0 + speed - 30))
        trial.slowing = slowing
        jury.hear(trial)
    jury.conclude(trial)
    assert trial.judgement is not None
    return trial.judgement


def test_a_regression_that_a_busy_machine_explains_is_not_called() -> None:
    stored = Reference(launches=tuple({"tg_tps": (speed,)} for speed in SPEEDS))

    quiet, busy = concluded(None, reference=stored), concluded(BUSY, reference=stored)

    assert quiet.verdict is quiet.metrics[0].verdict is Verdict.REGRESSED
    assert busy.verdict is busy.metrics[0].verdict is Verdict.INCONCLUSIVE
    assert busy.reason.startswith(quiet.reason)
    assert busy.reason.endswith(f"This is a suspicion: {BUSY}; measure again when the machine is quiet.")


def test_two_engines_side_by_side_had_the_same_machine() -> None:
    assert concluded(BUSY, reference=Reference(), against="/old/llama-bench").verdict is Verdict.REGRESSED


def test_a_busy_machine_does_not_explain_that_an_engine_takes_more_memory() -> None:
    cell = replace(QWEN3, thresholds=(("peak_memory_bytes", 0.05),))
    stored = Reference(launches=tuple({"tg_tps": (speed,), "peak_memory_bytes": (1e9,)} for speed in SPEEDS))
    jury = Jury(launches=(3, 3), references={cell: stored})
    trial = Trial(cell=cell, reference=stored, fingerprint=Fingerprint(must_match=(), under_test=()))
    for speed in SPEEDS[:3]:
        trial.launches.append(replace(launch(speed), samples={"tg_tps": (speed,), "peak_memory_bytes": (1.5e9,)}))
        trial.slowing = BUSY
        jury.hear(trial)
    jury.conclude(trial)

    assert trial.judgement is not None
    assert trial.judgement.verdict is Verdict.REGRESSED
