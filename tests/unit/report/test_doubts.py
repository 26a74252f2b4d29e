"""A doubt of several launches is told once, with the launches."""

from __future__ import annotations

import pytest

from pytest_thor.report.document import CellRecord
from pytest_thor.report.doubts import doubts_of, with_launches
from pytest_thor.report.markdown import markdown
from tests.unit.report.report_documents import cell, document, launch

CACHED = "the server counts 5 prompt tokens that came from its prefix cache"


def doubtful(reason: str = "tg128 is invalid for another reason.") -> CellRecord:
    return cell(
        reason=reason,
        launches=[launch(doubts=[CACHED]), launch(), launch(doubts=["too fast", CACHED, CACHED])],
        reference_launches=[launch(), launch(doubts=["too fast"])],
    )


def test_a_sentence_stands_once_with_the_launches_that_it_is_said_of() -> None:
    assert doubts_of(doubtful()) == (
        f"launches 1, 3: {CACHED}",
        "launch 3 and reference launch 2: too fast",
    )
    assert markdown(document(doubtful())).count("prefix cache") == 1


def test_a_reason_tells_the_launches_behind_each_sentence() -> None:
    plain = f"tg128 is invalid. T{CACHED[1:]}; too fast; the clock fell. Since the baseline: engine version: b7 → b8."
    record = doubtful(plain)
    told = with_launches(plain, record)

    assert told == (
        f"tg128 is invalid. T{CACHED[1:]} (launches 1, 3); too fast (launch 3 and reference launch 2); the clock fell. "
        "Since the baseline: engine version: b7 → b8."
    )
    assert doubts_of(record) == ()
    assert markdown(document(record.model_copy(update={"reason": told}))).count("prefix cache") == 1


@pytest.mark.parametrize(
    "reason",
    ["tg128 is unchanged.", "tg128 is invalid. Too fast by far.", "tg128 is invalid. Not too fast.", ""],
)
def test_what_only_looks_like_a_doubt_is_left_as_it_is(reason: str) -> None:
    assert with_launches(reason, doubtful(reason)) == reason


def test_a_cell_of_one_launch_needs_no_number() -> None:
    alone = cell(launches=[launch(doubts=[CACHED])])
    reason = f"tg128 is invalid. T{CACHED[1:]}."

    assert with_launches(reason, alone) == reason


def test_without_doubts_nothing_is_told() -> None:
    assert doubts_of(cell()) == ()
