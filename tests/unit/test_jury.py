"""What the jury of a run makes of its launches: only those after which it could stop are looks."""

from __future__ import annotations

import pytest

from pytest_thor.baseline.fingerprint import Fingerprint
from pytest_thor.jury import Jury
from pytest_thor.measure import Reference, Trial
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.verdict import MetricJudgement
from tests.cells import QWEN3

SPEEDS = (40.0, 40.3, 39.8, 40.1, 40.2, 39.9, 40.0, 40.1)


def judged(launches: tuple[int, int], taken: int) -> MetricJudgement:
    """Return what a jury says of so many launches at the baseline's own speeds."""
    reference = Reference(launches=tuple({"tg_tps": (speed,)} for speed in SPEEDS))
    jury = Jury(launches=launches, references={QWEN3: reference})
    trial = Trial(cell=QWEN3, reference=reference, fingerprint=Fingerprint(must_match=(), under_test=()))
    for speed in (SPEEDS * 3)[:taken]:
        engine = EngineBuild(name="llama-bench", path="/x")
        trial.launches.append(Launch(started_at="", duration_s=1.0, engine=engine, samples={"tg_tps": (speed,)}))
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
