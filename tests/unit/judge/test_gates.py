"""Which metrics of a cell are judged."""

from __future__ import annotations

import math

import pytest

from pytest_thor.cell import Kind
from pytest_thor.judge.gates import gates


@pytest.mark.parametrize(
    ("kind", "thresholds", "judged"),
    [
        ("decode", {}, {"tg_tps": 0.03}),
        ("prefill", {"pp_tps": 0.02}, {"pp_tps": 0.02}),
        ("serving", {}, {"output_tps": 0.05, "ttft_ms.median": 0.10, "tpot_ms.median": 0.05}),
        ("decode", {"tg_tps": 0.01, "pp_tps": 0.02, "ttft_ms.p99": 0.1}, {"tg_tps": 0.01}),
        ("decode", {"load_s": 0.2}, {"tg_tps": 0.03, "load_s": 0.2}),
        ("quality", {"load_s": 0.2, "tg_tps": 0.2}, {"perplexity": 0.01, "kl_divergence": 0.10}),
        ("decode", {"perplexity": 0.2}, {"tg_tps": 0.03}),
    ],
)
def test_each_kind_has_its_own_and_thresholds_add_more(
    kind: Kind, thresholds: dict[str, float], judged: dict[str, float]
) -> None:
    assert {gate.key: gate.threshold for gate in gates(kind, thresholds)} == judged


def test_a_threshold_on_a_metric_holds_for_its_summaries_unless_they_have_one() -> None:
    found = {gate.key: gate.threshold for gate in gates("serving", {"ttft_ms": 0.2, "ttft_ms.p99": 0.3})}
    assert found == {"output_tps": 0.05, "ttft_ms.median": 0.2, "tpot_ms.median": 0.05, "ttft_ms.p99": 0.3}


def test_what_thresholds_add_comes_sorted_after_the_kinds_own() -> None:
    added = {"total_tps": 0.1, "e2el_ms.p95": 0.1, "e2el_ms": 0.1}
    keys = [gate.key for gate in gates("serving", added)]
    assert keys == ["output_tps", "ttft_ms.median", "tpot_ms.median", "e2el_ms", "e2el_ms.p95", "total_tps"]
    assert [gate.required for gate in gates("serving", added)] == [True, True, True, False, False, False]


def test_a_metric_that_is_not_known_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'ttft_ms.p98'.*did you mean ttft_ms\.p9"):
        gates("serving", {"ttft_ms.p98": 0.1})
    with pytest.raises(ValueError, match="the metrics are pp_tps"):
        gates("serving", {"zzz": 0.1})


@pytest.mark.parametrize("threshold", [0, -0.1, 1, 3, math.nan])
def test_a_threshold_that_is_no_fraction_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="not a fraction"):
        gates("decode", {"tg_tps": threshold})
