"""Shards become one report: every cell once, honest judgements, and the exit status of the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.anchors import entry_of
from pytest_thor.baseline import store
from pytest_thor.comparison.contrast import contrast
from pytest_thor.comparison.matching import match
from pytest_thor.comparison.source import of_report
from pytest_thor.errors import ReportError
from pytest_thor.judge.compare import judge_cell, judge_pairs
from pytest_thor.merging.expected import Expected, ExpectedJob
from pytest_thor.merging.merge import Merged, merge
from pytest_thor.merging.shards import Shard
from pytest_thor.record import metric_record
from pytest_thor.report.document import (
    CellRecord,
    EnvironmentRecord,
    MatrixRecord,
    PolicyRecord,
    ReportDocument,
    ShiftRecord,
    summarize,
)
from pytest_thor.report.markdown import markdown
from tests.unit.comparison.compared_documents import DEVICE, measured, published, taken
from tests.unit.report.report_documents import HOSTILE, document, failed, hostile, regressed, skipped

ID = "qwen3-8b-Q4_K_M-llama.cpp-tg128"


def shard(name: str, *cells: CellRecord, status: int | None = 0, minute: int = 0, **fields: Any) -> Shard:
    times = {"started_at": f"2026-01-01T00:{minute:02}:00.000+00:00", "finished_at": "2026-01-01T01:00:00.000+00:00"}
    summary = summarize(cells, exit_status=status)
    return Shard(name=name, document=document(*cells, **{**times, "summary": summary, **fields}))


def against(entry_speeds: Sequence[float], record: CellRecord) -> CellRecord:
    """Return a cell as it is judged against an anchor of these speeds."""
    judgement = judge_cell(
        title=record.id,
        kind=record.kind,
        thresholds={"tg_tps": 0.03},
        baseline=[{"tg_tps": tuple(taken(speed).samples["tg_tps"])} for speed in entry_speeds],
        launches=[{"tg_tps": tuple(launch.samples["tg_tps"])} for launch in record.launches],
    )
    return record.model_copy(
        update={
            "verdict": judgement.verdict.value,
            "outcome": "failed" if judgement.verdict.value == "regressed" else "passed",
            "reason": judgement.reason,
            "metrics": {each.metric: metric_record(each) for each in judgement.metrics},
        }
    )


def ids(merged: Merged) -> set[str]:
    return {record.id for record in merged.document.cells}


def test_a_merge_of_one_is_itself() -> None:
    whole = shard("only", measured(), regressed("tg8"), skipped("tg4"), status=1)

    merged = merge([whole])
    assert merged.document == whole.document
    assert merged.exit_status == 1
    assert merge([whole, whole]).document == whole.document
    assert merge([shard("x", published(), status=None)]).document.summary.exit_status is None


SHARDS_OF_MANY = [
    shard("one", measured("tg1"), measured("tg2"), minute=1),
    shard("two", measured("tg3"), skipped("tg4"), minute=2),
    shard("three", regressed("tg5"), measured("tg1", (41.0,), second=30), status=1, minute=3),
    shard("four", failed("tg6"), skipped("tg2"), status=8, minute=3),
]


@settings(deadline=None, max_examples=24)
@given(st.permutations(SHARDS_OF_MANY))
def test_the_order_of_shards_does_not_matter(shuffled: list[Shard]) -> None:
    assert merge(shuffled) == merge(SHARDS_OF_MANY)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=6, max_size=6), st.lists(st.floats(20.0, 60.0), min_size=6, max_size=6))
def test_a_run_in_shards_merges_into_what_the_whole_run_says(dealt: list[int], speeds: list[float]) -> None:
    cells = [measured(f"tg{number}", (speed, speed * 1.01)) for number, speed in enumerate(speeds, 1)]
    whole = document(*cells)
    merged = merge(
        shard(f"{hand}", *(each for each, place in zip(cells, dealt, strict=True) if place == hand), minute=hand)
        for hand in sorted(set(dealt))
    ).document

    subjects = [
        each
        for name, report in (("whole", whole), ("merged", merged))
        for each in of_report(report, name=name).subjects
    ]
    comparison = contrast(match(subjects, "report"), "report", reference="whole")
    assert len(comparison.rows) == len(cells)
    assert not comparison.left_out
    assert {each.change for row in comparison.rows for each in row.by_column["merged"].values()} == {0.0}
    assert merged.summary.verdicts == whole.summary.verdicts
    plain = {record.id: record.model_copy(update={"shards": []}) for record in merged.cells}
    assert plain == {record.id: record for record in cells}
    assert {record.id: record.shards for record in merged.cells} == {
        record.id: [f"{hand}"] if len(set(dealt)) > 1 else [] for record, hand in zip(cells, dealt, strict=True)
    }


def test_the_same_cell_twice_keeps_all_launches_in_the_order_of_their_start() -> None:
    late, early = measured(speeds=(41.0, 41.2), second=20), measured(speeds=(40.0, 40.2))
    merged = merge([shard("b", late), shard("a", early, minute=1)])
    (record,) = merged.document.cells

    assert [launch.samples["tg_tps"][0] for launch in record.launches] == [40.0, 40.2, 41.0, 41.2]
    assert record.verdict == "no-baseline"
    assert record.metrics["tg_tps"].value == pytest.approx(math.prod([40.0, 40.2, 41.0, 41.2]) ** 0.25)
    assert "4 launches come from several shards" in record.reason


def test_a_launch_that_two_reports_tell_of_counts_once() -> None:
    one, other = shard("a", measured(), minute=1), shard("b", measured(speeds=(44.0,), second=30), minute=2)
    both = Shard(name="both", document=merge([one, other]).document)

    again = merge([both, one])
    assert len(again.document.cells[0].launches) == 4
    assert again.document.cells == both.document.cells


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"conditions": {"power_mode": "30W"}}, "power mode: not known → 30W"),
        ({"version": "b8"}, "engine.version: b7 → b8"),
        ({"facts": {"driver": "580"}}, "driver: not known → 580"),
    ],
)
def test_launches_under_other_conditions_are_refused_by_the_cells_name(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ReportError) as raised:
        merge([shard("a", measured()), shard("b", measured(speeds=(41.0,), second=30, **changed), minute=1)])

    message = str(raised.value)
    assert ID in message
    # Which of the two comes first is not told by their times.
    assert told in message or " → ".join(reversed(told.split(": ")[1].split(" → "))) in message


def test_a_cell_without_a_fingerprint_is_refused_rather_than_guessed() -> None:
    with pytest.raises(ReportError, match="no fingerprint"):
        merge([shard("a", measured()), shard("b", measured(speeds=(41.0,), fingerprint=None), minute=1)])


def test_published_figures_that_differ_are_refused() -> None:
    with pytest.raises(ReportError, match="none has launches"):
        merge(
            [
                shard("a", published(speed=1.0, fingerprint=None)),
                shard("b", published(speed=2.0, fingerprint=None), minute=1),
            ]
        )


def test_what_was_measured_stands_before_what_was_not() -> None:
    merged = merge([shard("a", skipped()), shard("b", measured()), shard("c", failed(), status=8)])

    (record,) = merged.document.cells
    assert record.verdict == "no-baseline"
    assert record.advice == ["another shard could not measure it (1 launch): tg128 could not be measured: it crashed"]
    assert merged.exit_status == 0
    assert merge([shard("a", skipped()), shard("c", failed(), status=8)]).document.cells[0].outcome == "error"


def test_launches_held_against_a_baseline_are_judged_again_with_it(tmp_path: Path) -> None:
    anchor = measured(speeds=(40.0, 40.1, 39.9))
    store.save_entry(tmp_path, entry_of(anchor, accepted_at="2025-12-01T00:00:00.000+00:00"))
    first = against((40.0, 40.1, 39.9), measured(speeds=(36.0,), second=10))
    second = against((40.0, 40.1, 39.9), measured(speeds=(36.1, 36.2), second=20))
    shards = [shard("a", first), shard("b", second, minute=1)]
    merged = merge(shards, baselines=tmp_path)

    (record,) = merged.document.cells
    assert len(record.launches) == 3
    assert record.verdict == "regressed"
    assert record.outcome == "failed"
    assert merged.exit_status == 1
    assert record.metrics["tg_tps"].baseline == pytest.approx(first.metrics["tg_tps"].baseline)
    assert record.metrics["tg_tps"].q_value is not None
    with pytest.raises(ReportError, match=f"{ID} was measured by several shards against a baseline"):
        merge(shards)
    with pytest.raises(ReportError, match="against a baseline"):
        merge(shards, baselines=tmp_path / "elsewhere")


def test_a_baseline_that_is_another_by_now_is_refused(tmp_path: Path) -> None:
    accepted = entry_of(measured(speeds=(36.0, 36.1)), accepted_at="2026-02-01T00:00:00.000+00:00")
    store.save_entry(tmp_path, accepted)
    parts = [against((40.0,), measured(speeds=(36.0 + second,), second=second)) for second in (10, 20)]
    with pytest.raises(ReportError, match="not the one that each of its shards"):
        merge([shard("a", parts[0]), shard("b", parts[1], minute=1)], baselines=tmp_path)


def test_one_shard_without_a_baseline_beside_one_with_it_is_refused(tmp_path: Path) -> None:
    store.save_entry(tmp_path, entry_of(measured(speeds=(40.0,)), accepted_at="2025-12-01T00:00:00.000+00:00"))
    parts = [against((40.0,), measured(speeds=(40.0,), second=10)), measured(speeds=(40.1,), second=20)]
    with pytest.raises(ReportError, match="not the one that each of its shards"):
        merge([shard("a", parts[0]), shard("b", parts[1], minute=1)], baselines=tmp_path)


def test_pairs_are_judged_again_from_the_report_alone() -> None:
    def paired(ours: float, theirs: float, second: int) -> CellRecord:
        record = measured(speeds=(ours,), second=second)
        reference = taken(theirs, second=second + 1, version="b6")
        judgement = judge_pairs(
            title=ID,
            kind="decode",
            thresholds={},
            reference=[{"tg_tps": tuple(reference.samples["tg_tps"])}],
            launches=[{"tg_tps": tuple(record.launches[0].samples["tg_tps"])}],
            against="llama-bench b6",
        )
        metrics = {each.metric: metric_record(each) for each in judgement.metrics}
        return record.model_copy(
            update={"reference_launches": [reference], "metrics": metrics, "verdict": judgement.verdict.value}
        )

    parts = [paired(36.0 + number / 10, 40.0 + number / 10, 4 * number) for number in range(4)]
    merged = merge([shard(f"{number}", part, minute=number) for number, part in enumerate(parts)])

    (record,) = merged.document.cells
    assert len(record.launches) == len(record.reference_launches) == 4
    assert record.verdict == "regressed"
    assert "llama-bench b6" in record.reason


def test_an_invalid_launch_makes_all_of_it_invalid() -> None:
    bad = measured(speeds=(900.0,), second=30, verdict="invalid", outcome="failed", reason="Beyond the memory.")
    merged = merge([shard("a", measured()), shard("b", bad, status=1, minute=1)])

    (record,) = merged.document.cells
    assert record.verdict == "invalid"
    assert "Beyond the memory" in record.reason
    assert merged.exit_status == 1


def test_verdicts_that_leave_out_a_shift_are_not_put_together() -> None:
    shift = ShiftRecord(shift=-0.05, low=-0.06, high=-0.04, cells=6, judged_relative=True, reason="it slowed down")
    summary = summarize([measured()], exit_status=0, environment=shift)
    parts = [shard("a", measured(), summary=summary), shard("b", measured(speeds=(44.0,), second=9), minute=1)]
    with pytest.raises(ReportError, match="leave out"):
        merge(parts)

    other = merge([parts[0], shard("b", measured("tg9"), minute=1)])
    assert other.document.summary.environment is not None
    assert other.document.summary.environment.reason == "a: it slowed down"


def test_q_values_are_those_among_all_cells_and_given_verdicts_stay() -> None:
    slower = against((40.0, 40.1), measured("tg1", (36.0, 36.1)))
    quiet = [against((40.0, 40.1), measured(f"tg{number}", (40.0, 40.1))) for number in range(2, 12)]
    merged = merge([shard("a", slower, status=1), shard("b", *quiet, minute=1)])
    alone = slower.metrics["tg_tps"]
    among = next(record for record in merged.document.cells if record.id == slower.id)

    assert alone.q_value is None
    assert alone.p_value is not None
    assert among.metrics["tg_tps"].q_value == pytest.approx(min(1.0, 11 * alone.p_value))
    assert among.verdict == slower.verdict
    assert among.reason == slower.reason


def test_several_devices_stand_in_one_report_with_the_environment_of_each_shard() -> None:
    def on(device: str, mode: str) -> EnvironmentRecord:
        return EnvironmentRecord(device=device, fingerprint={"device": device, "cuda": "13"}, power_mode=mode)

    parts = [
        shard("thor", measured(device="thor"), environment=on("thor", "MAXN")),
        shard("orin", measured(device="orin"), environment=on("orin", "30W"), minute=1),
    ]
    merged = merge(parts).document
    environment = merged.environment

    assert environment.device == "orin, thor"
    assert environment.power_mode is None
    assert environment.fingerprint == {"cuda": "13"}
    assert [(each.name, each.power_mode, each.fingerprint["device"]) for each in merged.shards] == [
        ("thor", "MAXN", "thor"),
        ("orin", "30W", "orin"),
    ]
    assert [record.shards for record in merged.cells] == [["thor"], ["orin"]]
    more = merge([Shard(name="both", document=merge(parts).document), shard("third", measured("tg9"), minute=5)])
    assert [each.name for each in more.document.shards] == ["thor", "orin", "third"]
    assert [record.shards for record in more.document.cells] == [["thor"], ["orin"], ["third"]]


def test_a_report_merged_before_shards_had_a_field_keeps_them() -> None:
    before = merge([shard("a", measured()), shard("b", measured("tg9"), status=2, minute=1)]).document
    kept = [each.model_dump(mode="json", exclude={"policy", "notes"}) for each in before.shards]
    environment = before.environment.model_copy(update={"fingerprint": {"shards": kept}})
    old = before.model_copy(update={"environment": environment, "shards": [], "notes": []})
    again = merge([Shard(name="old", document=old), shard("c", measured("tg8"), minute=2)])

    assert [each.name for each in again.document.shards] == ["a", "b", "c"]
    assert again.told == ("b was interrupted",)
    odd = before.model_copy(
        update={"shards": [], "environment": environment.model_copy(update={"fingerprint": {"shards": [1]}})}
    )
    assert [each.name for each in merge([Shard(name="odd", document=odd), shard("c", minute=2)]).document.shards] == [
        "odd",
        "c",
    ]


def test_what_each_run_noted_and_what_the_merge_notes_stay_in_the_report() -> None:
    parts = [
        shard("a", measured(), notes=["the fan was loud"]),
        shard("b", measured("tg9"), minute=1, notes=["the fan was loud", "the clock fell"]),
    ]
    merged = merge(parts, expected=Expected(shards=3))

    assert merged.document.notes == ["1 of 3 shards left no report"]
    assert [each.notes for each in merged.document.shards] == [
        ["the fan was loud"],
        ["the fan was loud", "the clock fell"],
    ]
    text = markdown(merged.document)
    for told in ("1 of 3 shards left no report", "a: the fan was loud", "b: the clock fell"):
        assert told in text.replace("&#58;", ":")
    whole = merge([Shard(name="ab", document=merged.document), shard("c", measured("tg8"), minute=2)])
    assert whole.document.notes == []
    assert [each.name for each in whole.document.shards] == ["a", "b", "c"]


POLICIES = {
    "lenient": PolicyRecord(inconclusive="pass", invalid="warn"),
    "usual": PolicyRecord(),
    "strict": PolicyRecord(inconclusive="fail", strict=True),
}


@pytest.mark.parametrize(
    ("names", "outcome"),
    [(("lenient", "lenient"), "passed"), (("lenient", "strict"), "failed"), (("usual", "usual"), "passed")],
)
def test_a_cell_judged_again_follows_the_policy_of_its_runs(names: tuple[str, str], outcome: str) -> None:
    parts = []
    for minute, (name, cells) in enumerate(
        zip(names, (measured(speeds=(41.0,)), measured(speeds=(40.0,), second=30)), strict=True)
    ):
        summary = summarize([cells], exit_status=0, policy=POLICIES[name])
        parts.append(shard(f"{minute}", cells, minute=minute, summary=summary))
    merged = merge(parts)

    assert merged.document.cells[0].outcome == outcome
    assert merged.exit_status == (1 if outcome == "failed" else 0)
    told = ("the shards ran under different policies; the strictest counts",) if len(set(names)) > 1 else ()
    assert merged.told == told
    kept = merged.document.summary.policy
    assert kept == POLICIES[names[-1]]


def test_the_doubts_of_launches_are_not_told_again_by_the_shards_that_had_them() -> None:
    cached = "the server counts 5 prompt tokens that came from its prefix cache"
    parts = []
    for minute, speed in enumerate((41.0, 40.0)):
        record = measured(speeds=(speed,), second=30 * minute)
        launches = [launch.model_copy(update={"doubts": [cached]}) for launch in record.launches]
        reason = f"{record.id} is invalid. {cached[:1].upper()}{cached[1:]}."
        doubted = record.model_copy(update={"launches": launches, "verdict": "invalid", "reason": reason})
        parts.append(shard(f"{minute}", doubted, minute=minute))
    [record] = merge(parts).document.cells

    assert record.verdict == "invalid"
    assert record.reason == (
        f"{record.id} is invalid. {cached[:1].upper()}{cached[1:]} (launches 1, 2). "
        "Its 2 launches come from several shards (0, 1)."
    )


def test_matrices_of_one_name_and_other_content_are_told() -> None:
    def ran(sha: str, path: str = "/a/m.yaml") -> list[MatrixRecord]:
        return [MatrixRecord(name="qwen3", path=path, sha256=sha * 64)]

    same = merge([shard("a", measured(), matrix=ran("0")), shard("b", matrix=ran("0", "/b/m.yaml"), minute=1)])
    assert len(same.document.matrix) == 1
    assert same.told == ()
    other = merge([shard("a", measured(), matrix=ran("0")), shard("b", matrix=ran("1"), minute=1)])
    assert other.told == ("the shards ran 2 different versions of the matrix qwen3",)


def test_builds_that_differ_between_shards_of_one_device_are_told() -> None:
    first = shard("a", measured("tg1", version="b7"), measured("tg2", version="b7"))
    other = shard("b", measured("tg3", version="b8"), minute=1)
    elsewhere = shard("c", measured("tg4", version="b8", device="another"), minute=2)

    assert merge([first, elsewhere]).told == ()
    assert merge([first, other]).told == (f"on {DEVICE} the shards ran different builds of llama-bench: b7, b8",)


@pytest.mark.parametrize(
    ("shards", "status"),
    [
        ([shard("a", measured()), shard("b", measured("tg1"), minute=1)], 0),
        ([shard("a", measured()), shard("b", regressed("tg1"), status=1, minute=1)], 1),
        ([shard("a", measured()), shard("b", measured("tg1"), status=1, minute=1)], 1),
        ([shard("a", measured()), shard("b", failed("tg1"), status=8, minute=1)], 8),
        ([shard("a", failed()), shard("b", regressed("tg1"), status=1, minute=1)], 1),
        ([shard("a", measured()), shard("b", skipped("tg1", left_over=True), status=8, minute=1)], 8),
        ([shard("a", measured()), shard("b", skipped("tg1"), status=9, minute=1)], 0),
        ([shard("a", skipped()), shard("b", skipped("tg1"), status=9, minute=1)], 0),
        ([shard("a", skipped(), status=9), shard("b", skipped("tg1"), status=9, minute=1)], 9),
        ([shard("a", status=5), shard("b", status=5, minute=1)], 5),
        ([shard("a", measured()), shard("b", status=5, minute=1)], 0),
        ([shard("a", regressed(), status=1), shard("b", measured("tg1"), status=2, minute=1)], 2),
        ([shard("a", measured(), status=3), shard("b", measured("tg1"), status=4, minute=1)], 3),
    ],
)
def test_the_exit_status_is_that_of_the_whole_run(shards: list[Shard], status: int) -> None:
    merged = merge(shards)

    assert merged.exit_status == merged.document.summary.exit_status == status


def test_an_interrupted_shard_is_named_also_through_a_merge_of_merges() -> None:
    cut = shard("second", measured("tg1"), status=2, minute=1)
    merged = merge([shard("first", measured()), cut])
    again = merge([Shard(name="merged", document=merged.document), shard("third", measured("tg2"), minute=2)])

    assert merged.told == ("second was interrupted",)
    assert again.told == ("second was interrupted",)
    assert again.exit_status == 2
    assert merge([cut]).told == ("second was interrupted",)


def test_missing_shards_and_cells_are_told_and_are_not_success() -> None:
    parts = [shard("report-1-of-3", measured()), shard("report-3-of-3", measured("tg1"), minute=1)]
    dealt = [("1-of-3", 1, "tg128"), ("2-of-3", 3, "tg2"), ("3-of-3", 1, "tg1")]
    jobs = tuple(ExpectedJob(name=name, cells=cells, words=({"workload": word},)) for name, cells, word in dealt)
    merged = merge(parts, expected=Expected(shards=3, jobs=jobs))

    assert merged.told == (
        "1 of 3 shards left no report: no report of 2-of-3",
        "3 of 5 cells are in no report: 3 of 2-of-3",
    )
    assert merged.exit_status == 8
    assert merge(parts, expected=Expected(shards=2)).told == ()
    gone = merge(parts[:1], expected=Expected(ids=(("qwen3", ID), ("qwen3", "other"))))
    assert gone.told == ("1 of 2 cells are in no report: other",)
    assert gone.exit_status == 8
    assert merge([shard("a", regressed(), status=1)], expected=Expected(shards=2)).exit_status == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_merged_as_they_are_and_do_nothing_in_what_is_rendered(text: str) -> None:
    report = hostile(text)
    for number, record in enumerate(report.cells):
        record.id = f"{number} {text}"
    other = report.model_copy(deep=True)
    for record in other.cells:
        record.id = f"other {record.id}"
    merged = merge([Shard(name=text, document=report), Shard(name="b", document=other)])

    assert "<script" not in markdown(merged.document)
    assert "\x1b" not in markdown(merged.document)
    assert ReportDocument.model_validate_json(merged.document.model_dump_json(by_alias=True)) is not None


@pytest.mark.parametrize("text", HOSTILE)
def test_a_refusal_names_a_hostile_cell_on_one_line_without_terminal_sequences(text: str) -> None:
    with pytest.raises(ReportError) as raised:
        merge([Shard(name="a", document=hostile(text)), shard("b", *hostile(text).cells[:1], minute=1)])

    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_a_cell_of_nan_is_merged_and_kept() -> None:
    broken = measured(verdict="invalid", outcome="failed")
    broken.launches[0].samples["tg_tps"] = [math.nan]
    merged = merge([shard("a", broken, status=1), shard("b", measured("tg1"), minute=1)])

    assert math.isnan(merged.document.cells[0].launches[0].samples["tg_tps"][0])
    again = merge([shard("a", broken, status=1), shard("b", measured(speeds=(41.0,), second=30), minute=1)])
    assert again.document.cells[0].verdict == "invalid"
    assert again.document.cells[0].device == DEVICE
