"""What the store keeps of a measured cell, whoever stores it."""

from __future__ import annotations

import pytest

from pytest_thor.anchors import decide, entry_of, moves, run_of, verdicts_of, words_of
from pytest_thor.baseline.entry import read_entry, write_entry
from pytest_thor.baseline.fingerprint import conditions
from pytest_thor.report.document import CellRecord, MetricRecord
from pytest_thor.verdict import Verdict
from tests.unit.report.report_documents import cell, launch

FINGERPRINT = {"must_match": {"device": "jetson-agx-thor"}, "under_test": {}}


def measured(*speeds: float, verdict: str = "no-baseline") -> CellRecord:
    return cell(
        verdict=verdict,
        fingerprint=FINGERPRINT,
        launches=[launch({"tg_tps": [speed, speed + 1, speed - 1], "ttft_ms": [1, 2, 30]}) for speed in speeds],
        metrics={
            "tg_tps": MetricRecord(unit="tok/s", better="higher", verdict=verdict),
            "ttft_ms.p99": MetricRecord(unit="ms", better="lower", verdict="unchanged"),
            "ttft_ms.median": MetricRecord(unit="ms", better="lower"),
        },
    )


def test_an_anchor_holds_every_raw_sample_and_survives_its_file() -> None:
    entry = entry_of(measured(40, 41), accepted_at="2026-02-01T00:00:00Z", note="why")
    assert [launch["tg_tps"] for launch in entry.samples] == [(40, 41, 39), (41, 42, 40)]
    assert (entry.device, entry.cell["workload"], entry.note, entry.replaces) == (
        "jetson-agx-thor",
        "tg128",
        "why",
        None,
    )
    assert read_entry(write_entry(entry)) == entry


def test_what_was_replaced_is_told_by_judged_metric() -> None:
    old = entry_of(measured(40, 40), accepted_at="2026-01-01T00:00:00Z")
    new = entry_of(measured(36, verdict="regressed"), accepted_at="2026-02-01T00:00:00Z", replacing=old)
    assert new.replaces is not None
    assert (new.replaces.accepted_at, new.replaces.launches, new.replaces.version) == ("2026-01-01T00:00:00Z", 2, "b7")
    assert new.replaces.verdict == "regressed"
    assert sorted(new.replaces.changes) == ["tg_tps", "ttft_ms.p99"]
    assert new.replaces.changes["tg_tps"].change == pytest.approx(-0.1)
    assert moves(old, new, ["pp_tps"]) == {}
    assert read_entry(write_entry(new)) == new


def test_a_run_has_a_value_per_launch_and_is_the_same_whenever_it_is_stored() -> None:
    run = run_of(measured(40, 41))
    assert [values["tg_tps"] for values in run.values] == [40, 41]
    assert run.values[0]["ttft_ms.median"] == 2
    assert run.values[0]["ttft_ms.p99"] == pytest.approx(29.44)
    assert run.finished_at == "2026-01-01T00:00:02.000+00:00"
    assert run.conditions == conditions(entry_of(measured(40), accepted_at="").fingerprint)
    assert (run.version, run.commit, run.verdict) == ("b7", "abcdef0", "no-baseline")
    assert run_of(measured(40, 41)) == run


def test_a_launch_that_failed_is_no_part_of_either() -> None:
    record = measured(40)
    record.launches.append(launch({}, failure="it ended with 1"))
    assert len(entry_of(record, accepted_at="").launches) == 1
    assert len(run_of(record).values) == 1
    record.launches.pop(0)
    with pytest.raises(ValueError, match=r"no launch of .*tg128 finished"):
        run_of(record)
    assert decide(record, None).why == "was not measured"


def test_the_verdict_of_the_cell_comes_first() -> None:
    assert verdicts_of(measured(40, verdict="improved")) == [Verdict.IMPROVED, Verdict.IMPROVED, Verdict.UNCHANGED]
    assert verdicts_of(cell(verdict=None)) == []
    assert words_of(measured(40))["backend"] == "llama.cpp"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_may_replace_an_anchor_without_a_word(verdict: Verdict) -> None:
    existing = entry_of(measured(40), accepted_at="2025-01-01T00:00:00Z")
    freely = {Verdict.NO_BASELINE, Verdict.IMPROVED, Verdict.INCOMPARABLE}
    record = measured(40, verdict=verdict.value)
    assert decide(record, existing).accepted is (verdict in freely)
    assert decide(record, existing, also=list(Verdict)).accepted is (verdict is not Verdict.INVALID)
    assert decide(record, None).accepted is (verdict is not Verdict.INVALID)


def test_what_an_a_b_run_measured_is_no_anchor() -> None:
    record = measured(40)
    record.reference_launches.append(launch({"tg_tps": [40.0]}))
    assert decide(record, None, also=list(Verdict)).why.startswith("was judged against another engine in pairs")
