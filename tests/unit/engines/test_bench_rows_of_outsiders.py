"""Rows are outside text: whatever is in them, they are read or refused."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.engines.bench_rows import BenchTest, Row, UnreadableRowError, read_row, speeds_tps

TEST = BenchTest(n_prompt=512, n_gen=0, n_depth=0, repetitions=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.text())
def test_any_line_is_a_row_or_nothing_or_refused(text: str) -> None:
    with suppress(UnreadableRowError):
        assert isinstance(read_row("{" + text), Row | None)


@given(
    st.fixed_dictionaries(
        {"n_prompt": st.integers(0, 600), "n_gen": st.integers(0, 2)},
        optional={"samples_ns": st.lists(st.floats() | st.integers()), "samples_ts": st.lists(st.floats()), "x": JSON},
    )
)
def test_any_row_gives_speeds_or_a_sentence_and_evidence_that_json_can_say(fields: dict[str, object]) -> None:
    try:
        row = read_row(json.dumps(fields))
    except UnreadableRowError:
        return
    assert row is not None
    json.dumps(row.evidence(), allow_nan=False)
    speeds = speeds_tps(row, TEST)
    assert isinstance(speeds, str) or len(speeds) == TEST.repetitions


@given(st.lists(st.integers(1, 10**15), min_size=2, max_size=2))
def test_what_llama_bench_itself_writes_is_believed(samples_ns: list[int]) -> None:
    samples_ts = [float(f"{512e9 / sample:.6g}") for sample in samples_ns]  # six digits, as its stream prints them
    row = Row(n_prompt=512, n_gen=0, samples_ns=tuple(samples_ns), samples_ts=tuple(samples_ts))
    assert speeds_tps(row, TEST) == tuple(512e9 / sample for sample in samples_ns)
