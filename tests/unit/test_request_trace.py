"""A trace is read whole or refused with its lines, whatever is in it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.errors import MatrixError
from pytest_thor.request_trace import RequestTrace, TracedRequest, read_trace


@pytest.fixture
def trace_path(tmp_path: Path) -> Path:
    return tmp_path / "t.jsonl"


def problems(path: Path) -> list[str]:
    with pytest.raises(MatrixError) as caught:
        read_trace(path)
    assert {problem.path for problem in caught.value.problems} == {str(path)}
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_both_spellings_mean_the_same(trace_path: Path) -> None:
    trace_path.write_text('{"arrival_s": 1.5, "input_len": 5, "output_len": 6}\n')
    ours = read_trace(trace_path)
    trace_path.write_text('{"timestamp": 1500, "input_length": 5, "output_length": 6, "hash_ids": [1, 2]}')
    theirs = read_trace(trace_path)
    assert ours.requests == theirs.requests == (TracedRequest(input_len=5, output_len=6, arrival_s=0.0),)
    assert ours.is_timed
    assert ours.sha256 != theirs.sha256


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["1: the trace is empty: write one request a line"]),
        ("\n \n", ["1: the trace is empty: write one request a line"]),
        ('{"input_len": 1}', ["1: the request has no output_len"]),
        ('\n{"output_length": 1}', ["2: the request has no input_len"]),
        ('[1]\n"x"', ['1: expected an object like {"input_len": 512, "output_len": 64}, got [1]', None]),
        (
            '{"input_len": true, "output_len": 1}',
            ["1: input_len: expected a whole number from 1 to 10000000, got true"],
        ),
        (
            '{"input_length": 1.5, "output_len": 1}',
            ["1: input_length: expected a whole number from 1 to 10000000, got 1.5"],
        ),
        (
            '{"input_len": 1, "output_len": 1, "arrival_s": NaN}',
            ["1: arrival_s: expected a number up to 1000000000000000, got NaN"],
        ),
        (
            '{"input_len": 1, "output_len": 1, "timestamp": "2025-10-12"}',
            ['1: timestamp: expected a number up to 1000000000000000, got "2025-10-12"'],
        ),
        (
            '{"input_len": 1, "output_len": 1, "arrival_s": 1}\n{"input_len": 1, "output_len": 1}',
            ["1: some requests say when they arrive, and some do not: give all of them arrival_s, or none"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(trace_path: Path, content: str, expected: list[str | None]) -> None:
    trace_path.write_text(content)
    told = problems(trace_path)
    assert len(told) == len(expected)
    assert all(one == hoped for one, hoped in zip(told, expected, strict=True) if hoped)


def test_of_many_mistakes_the_first_are_told(trace_path: Path) -> None:
    trace_path.write_text("x\n" * 1000)
    assert [problem.split(":")[0] for problem in problems(trace_path)] == [str(line) for line in range(1, 11)]


def test_what_is_no_file_is_not_read(tmp_path: Path, trace_path: Path) -> None:
    assert problems(trace_path) == ["1: there is no such file; a relative path starts at the matrix's folder"]
    assert problems(tmp_path) == ["1: not a file: a trace is a JSON Lines file"]
    os.mkfifo(trace_path)
    assert problems(trace_path) == ["1: not a file: a trace is a JSON Lines file"]
    assert problems(Path("a\0b")) == ["1: cannot be read: embedded null byte"]


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
RECORDS = st.dictionaries(
    st.sampled_from(["arrival_s", "timestamp", "input_len", "input_length", "output_len", "output_length"]),
    st.integers(-1, 10**17) | ANYTHING,
)


@settings(deadline=None)
@given(content=st.one_of(st.binary(), st.lists(RECORDS).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())))
def test_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    path.write_bytes(content)
    try:
        trace = read_trace(path)
    except MatrixError as error:
        refused = len(error.problems)
        trace = None
    assert 1 <= refused <= 10 if trace is None else is_sound(trace)


def is_sound(trace: RequestTrace) -> bool:
    arrivals = [request.arrival_s for request in trace.requests]
    lengths = [length for request in trace.requests for length in (request.input_len, request.output_len)]
    times = [time for time in arrivals if time is not None]
    in_order = times == sorted(times) and len(times) in (0, len(arrivals)) and min(times, default=0) == 0
    return in_order and min(lengths) >= 1
