"""What is said of two sides: the change, its interval, its verdict, and when there is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.comparison.contrast import Comparison, Contrast, contrast
from pytest_thor.comparison.matching import By, match
from pytest_thor.comparison.subject import of_record
from pytest_thor.comparison.tables import page
from pytest_thor.judge.compare import judge_cell
from pytest_thor.report.document import CellRecord, MetricRecord
from pytest_thor.verdict import Verdict
from tests.unit.comparison.compared_documents import measured, published, taken


def compared(
    *sides: list[CellRecord], by: By = "report", reference: str = "a", metrics: tuple[str, ...] = ()
) -> Comparison:
    named = dict(zip("abc", sides, strict=False))
    subjects = [of_record(record, source=name) for name, records in named.items() for record in records]
    found = match(subjects, by, columns=named if by == "report" else ())
    return contrast(found, by, reference=reference, metrics=metrics)


def only(comparison: Comparison, column: str = "b", metric: str = "tg_tps") -> Contrast:
    (row,) = comparison.rows
    return row.by_column[column][metric]


def test_a_change_is_what_the_judge_says_of_both_sides_launches() -> None:
    a, b = measured(), measured(speeds=(36.0, 36.1, 35.9))
    found = only(compared([a], [b]))
    alone = judge_cell(
        title="x",
        kind="decode",
        thresholds={"tg_tps": 0.03},
        baseline=of_record(a, source="a").samples,
        launches=of_record(b, source="b").samples,
        look=3,
        looks=3,
    ).metrics[0]

    assert found.verdict is Verdict.REGRESSED
    assert found.change == pytest.approx(-0.1, abs=1e-6)
    assert found.change == alone.change
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.1 < found.high < -0.03
    assert found.q_value == found.p_value


def test_the_thresholds_are_those_of_the_reports() -> None:
    small = measured(speeds=(39.2, 39.3, 39.1))
    wide = small.model_copy(deep=True)
    wide.metrics["tg_tps"].threshold = 0.1

    assert only(compared([measured()], [small])).threshold == 0.03
    assert only(compared([measured()], [wide])).threshold == 0.1
    assert only(compared([measured()], [wide])).verdict is Verdict.UNCHANGED


def test_a_side_against_itself_has_not_changed() -> None:
    found = only(compared([measured()], [measured()]))

    assert found.change == 0
    assert found.verdict in {Verdict.UNCHANGED, Verdict.INCONCLUSIVE}


def test_a_published_side_gets_a_ratio_and_no_interval_and_no_verdict() -> None:
    found = only(compared([measured()], [published(speed=50.0, parameters={"n_gen": 128})]))

    assert found.change == pytest.approx(0.25, abs=1e-3)
    assert (found.low, found.high, found.verdict, found.p_value) == (None, None, None, None)
    assert "no launches" in found.reason


def test_what_is_invalid_on_either_side_is_shown_and_not_compared() -> None:
    bad = measured(speeds=(80.0, 80.1, 80.2), verdict="invalid", reason="It is faster than the memory.")
    for sides in (([measured()], [bad]), ([bad], [measured()])):
        found = only(compared(*sides))
        assert found.verdict is Verdict.INVALID
        assert found.change is None
        assert "faster than the memory" in found.reason
        assert found.value is not None

    theirs = published(parameters={"n_gen": 128}, verdict="invalid", reason="beyond its device")
    assert only(compared([measured()], [theirs])).change is None
    assert only(compared([measured()], [theirs])).verdict is Verdict.INVALID


@pytest.mark.parametrize("by", ["quant", "report"])
def test_a_metric_that_the_reference_lacks_has_no_verdict(by: By) -> None:
    def quality(quant: str, **samples: float) -> CellRecord:
        launch = taken(1.0).model_copy(update={"samples": {name: [value] for name, value in samples.items()}})
        return measured("text", quant=quant, kind="quality", launches=[launch], metrics={})

    if by == "quant":
        sides = [[quality("BF16", perplexity=10.0), quality("Q4_K_M", perplexity=10.5, kl_divergence=0.01)]]
    else:
        sides = [[quality("Q4_K_M", perplexity=10.0)], [quality("Q4_K_M", perplexity=10.5, kl_divergence=0.01)]]
    reference, other = ("BF16", "Q4_K_M") if by == "quant" else ("a", "b")
    comparison = compared(*sides, by=by, reference=reference)
    (row,) = comparison.rows
    assert row.by_column[other]["perplexity"].verdict is Verdict.REGRESSED
    far = row.by_column[other]["kl_divergence"]
    assert (far.reference, far.change, far.verdict) == (None, None, None)
    assert far.reason == "the reference has no such figure"
    (sheet,) = page(comparison, ()).sheets
    told = [text for line in sheet.rows for text in line]
    assert not [text for text in told if "no-baseline" in text or "published" in text]


def test_other_work_under_the_same_name_is_not_compared() -> None:
    longer = measured(conditions={"workload.n_gen": 512})
    shorter = measured(conditions={"workload.n_gen": 128})
    found = only(compared([shorter], [longer]))

    assert found.verdict is Verdict.INCOMPARABLE
    assert found.change is None
    assert "workload.n gen: 128 → 512" in found.reason.replace("n_gen", "n gen")


def test_other_devices_and_builds_are_compared_and_named() -> None:
    a = [measured("tg128"), measured("tg64")]
    b = [measured("tg128", device="orin", version="b8"), measured("tg64", version="b8")]
    found = compared(a, b)

    assert len(found.rows) == 2
    assert found.differences == {"b: device: jetson-agx-thor → orin": 1, "b: engine.version: b7 → b8": 2}


def test_what_is_compared_is_not_named_as_a_difference() -> None:
    quants = [measured(quant="Q4_0", size_bytes=4), measured(quant="Q8_0", size_bytes=8)]
    found = compared(quants, by="quant", reference="Q4_0")

    assert found.differences == {}
    assert found.rows[0].row.subjects["Q8_0"].size_bytes == 8


def test_rows_without_the_reference_are_listed() -> None:
    found = compared([measured()], [measured("tg64")], [measured("tg64")])

    assert not found.rows
    assert [each.why for each in found.left_out] == ["has no counterpart", *["has no counterpart in a"] * 2]


def test_metrics_that_do_not_gate_are_compared_when_they_are_asked_for() -> None:
    def loaded(seconds: float) -> CellRecord:
        record = measured()
        for launch in record.launches:
            launch.samples["load_s"] = [seconds]
        record.metrics["load_s"] = MetricRecord(unit="s", better="lower", value=seconds)
        return record

    sides = [loaded(2.0)], [loaded(4.0)]
    assert list(compared(*sides).rows[0].by_column["b"]) == ["tg_tps"]
    found = only(compared(*sides, metrics=("load*",)), metric="load_s")
    assert found.change == pytest.approx(1.0)
    assert found.verdict is Verdict.REGRESSED
    assert found.threshold == 0.25
    assert list(compared(*sides, metrics=("load*",)).rows[0].by_column["b"]) == ["load_s"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -3.0, None])
def test_a_figure_that_is_none_gives_no_change(value: float | None) -> None:
    theirs = published(parameters={"n_gen": 128})
    theirs.metrics["tg_tps"].value = value
    ours = measured()
    found = compared([ours], [theirs])

    changes = [each.change for row in found.rows for each in row.by_column["b"].values()]
    assert changes in ([], [None])


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
def test_an_impossible_sample_makes_the_comparison_invalid_or_impossible(value: float) -> None:
    broken = measured()
    broken.launches[1].samples["tg_tps"] = [value]

    new = only(compared([measured()], [broken]))
    old = only(compared([broken], [measured()]))
    assert new.verdict is Verdict.INVALID
    assert old.verdict is Verdict.INCOMPARABLE
    assert new.change is old.change is None


def test_many_comparisons_call_fewer_changes_than_one() -> None:
    quiet = [measured(f"tg{number}") for number in range(2, 60)]
    slower = measured("tg1", speeds=(38.2, 38.3, 38.1))
    alone = only(compared([measured("tg1")], [slower]))
    found = compared([measured("tg1"), *quiet], [slower, *quiet])
    among = next(row for row in found.rows if row.row.title.endswith("tg1")).by_column["b"]["tg_tps"]

    assert alone.p_value is not None
    assert alone.q_value == alone.p_value
    assert among.p_value is not None
    assert among.q_value is not None
    assert among.q_value > among.p_value


@given(
    st.lists(st.floats(30.0, 50.0), min_size=1, max_size=4),
    st.lists(st.floats(30.0, 50.0), min_size=1, max_size=4),
)
def test_swapping_the_sides_inverts_the_change(first: list[float], second: list[float]) -> None:
    there = only(compared([measured(speeds=first)], [measured(speeds=second)]))
    back = only(compared([measured(speeds=second)], [measured(speeds=first)]))

    assert there.change is not None
    assert back.change is not None
    assert (1 + there.change) * (1 + back.change) == pytest.approx(1.0)
    assert there.low is not None
    assert there.high is not None
    assert there.low <= there.change <= there.high


json_like: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.none() | st.dictionaries(st.sampled_from(["must_match", "under_test", "x"]), json_like, max_size=3))
def test_a_fingerprint_of_any_form_stops_nothing(data: Any) -> None:
    found = compared([measured()], [measured(fingerprint=data)])

    assert len(found.rows) == 1


def test_a_failed_launch_beside_finished_ones_does_not_count() -> None:
    record = measured()
    record.launches.append(taken(1.0).model_copy(update={"failure": "killed"}))

    assert len(of_record(record, source="a").samples) == 3
