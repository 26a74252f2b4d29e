"""A cell's stored runs: which are comparable, what the judge gets of them, and what a reader is told."""

from __future__ import annotations

from dataclasses import replace

from pytest_thor.baseline.history import StoredRun
from pytest_thor.judge.history import PastRun
from pytest_thor.past import advice, comparable_runs, levels, past_runs


def run(
    day: int, *speeds: float, conditions: str = "same", version: str | None = "b7", commit: str | None = "abc"
) -> StoredRun:
    return StoredRun(
        finished_at=f"2026-01-{day:02}T00:00:00Z",
        verdict="unchanged",
        version=version,
        commit=commit,
        conditions=conditions,
        values=tuple({"tg_tps": speed} for speed in speeds) or ({"load_s": 1.0},),
    )


def test_only_runs_under_the_same_conditions_are_compared() -> None:
    runs = (run(1, 40), run(2, 40, conditions="other"), run(3, 41))
    assert comparable_runs(runs, "same") == (runs[0], runs[2])
    assert comparable_runs(runs, "none") == ()


def test_the_judge_gets_every_launch() -> None:
    assert past_runs([run(1, 40, 41)]) == (
        PastRun(finished_at="2026-01-01T00:00:00Z", values=({"tg_tps": 40}, {"tg_tps": 41})),
    )


def test_a_change_of_what_is_under_test_is_told_from_one_of_the_machine() -> None:
    old, slower, still, back = (
        replace(run(day, speed), verdict=verdict, tested=tested)
        for day, speed, verdict, tested in (
            (1, 40, "unchanged", "b7"),
            (2, 30, "regressed", "b8"),
            (3, 30, "regressed", "b8"),
            (4, 40, "unchanged", "b9"),
        )
    )
    by_itself = replace(run(2, 30), verdict="regressed", tested="b7")
    assert [past.changed for past in past_runs([old, slower, still, back])] == [False, True, False, False]
    assert [past.changed for past in past_runs([old, by_itself])] == [False, False]


def test_the_level_of_a_run_is_the_median_of_its_launches_and_runs_without_the_metric_have_none() -> None:
    runs = [run(1, 40, 44, 41), run(2), run(3, 39)]
    assert [(level.run, level.value) for level in levels(runs, "tg_tps")] == [(runs[0], 41), (runs[2], 39)]


def test_advice_names_the_metric_the_run_and_its_engine() -> None:
    before = [run(day, 40 + day % 2 * 0.1) for day in range(1, 13)]
    after = [run(day, 36 + day % 2 * 0.1, version="b8", commit=None) for day in range(14, 26)]
    [sentence] = advice([*before, run(13), *after], "tg_tps")
    assert sentence == "tg_tps changed its level by -10.0 % with the run of 2026-01-14, engine b8 (run 13 of 24)"
    unnamed = [run(day, 36, version=None, commit=None) for day in range(14, 26)]
    assert "engine" not in advice([*before, *unnamed], "tg_tps")[0]
    assert advice(before, "tg_tps") == ()
