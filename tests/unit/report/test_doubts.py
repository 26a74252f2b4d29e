"""A doubt of several launches is told once, with the launches."""

from __future__ import annotations

from pytest_thor.report.doubts import doubts_of
from pytest_thor.report.markdown import markdown
from tests.unit.report.report_documents import cell, document, launch

CACHED = "the server counts 5 prompt tokens that came from its prefix cache"


def test_a_sentence_stands_once_with_the_launches_that_it_is_said_of() -> None:
    record = cell(
        launches=[launch(doubts=[CACHED]), launch(), launch(doubts=["too fast", CACHED, CACHED])],
        reference_launches=[launch(), launch(doubts=["too fast"])],
    )

    assert doubts_of(record) == (
        f"launches 1, 3: {CACHED}",
        "launch 3 and reference launch 2: too fast",
    )
    assert markdown(document(record)).count("prefix cache") == 1


def test_without_doubts_nothing_is_told() -> None:
    assert doubts_of(cell()) == ()
