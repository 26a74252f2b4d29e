"""The plain values of whatever was measured."""

from __future__ import annotations

import math

from pytest_thor.judge.describe import describe
from pytest_thor.measurement import Samples


def test_latencies_come_by_their_summaries_and_rates_by_one_value() -> None:
    launches: list[Samples] = [{"ttft_ms": (10.0, 20.0, 30.0), "output_tps": (80.0,)}] * 2
    values = {found.metric: found.value for found in describe(launches)}
    assert list(values) == ["ttft_ms.mean", "ttft_ms.median", "ttft_ms.p90", "ttft_ms.p95", "ttft_ms.p99", "output_tps"]
    assert values["ttft_ms.p90"] == 28.0
    assert values["output_tps"] == 80.0


def test_the_interval_is_there_from_the_first_launch() -> None:
    (found,) = describe([{"tg_tps": (40.0, 41.0, 39.0)}])
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low < found.value == 40.0 < found.ci_high


def test_a_goodput_of_zero_is_a_value_without_an_interval() -> None:
    (found,) = describe([{"goodput_rps": (0.0,)}, {"goodput_rps": (1.0,)}])
    assert (found.value, found.ci_low, found.ci_high) == (0.5, None, None)


def test_what_is_missing_impossible_or_foreign_is_left_out() -> None:
    assert describe([{"tg_tps": (math.nan,), "mystery": (1.0,)}]) == ()
    assert describe([{"tg_tps": (40.0,)}, {}]) == ()
    assert describe([]) == ()


def test_what_has_no_noise_is_what_its_launches_span() -> None:
    (one,) = describe([{"perplexity": (7.0,)}])
    assert (one.value, one.ci_low, one.ci_high) == (7.0, 7.0, 7.0)
    (two,) = describe([{"perplexity": (7.0,)}, {"perplexity": (7.5,)}])
    assert (two.ci_low, two.ci_high) == (7.0, 7.5)
