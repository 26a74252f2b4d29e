"""Hostile input: whatever it is given, a reader ends, invents nothing, and hands on finite figures only."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.published import reference
from pytest_thor.published.page import decode
from pytest_thor.published.read import FORMATS, Format, read
from pytest_thor.published.records import Reading
from tests.unit.published.samples import FOLDER

SAMPLES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.iterdir())}
PIECES = tuple(dict.fromkeys(line for text in SAMPLES.values() for line in text.split("\n") if line.strip()))
SIGNS = "|:-=±.,\t {}[]\"'\\()#`;\n\r\x1b\x00é量½\u202e0123456789"


def check(reading: Reading, text: str) -> None:
    count = text.count("\n") + 1
    for result in reading.results:
        assert 1 <= result.line <= count
        assert result.metrics
        for figure in result.metrics.values():
            assert math.isfinite(figure.value)
            assert figure.value >= 0
            assert figure.spread is None or (math.isfinite(figure.spread) and figure.spread >= 0)
            assert all(math.isfinite(sample) for sample in figure.samples)
    for problem in reading.unread:
        assert 1 <= problem.line <= count
        assert problem.reason
        assert len(problem.text) <= 120
    assert "\x1b" not in repr(reading)
    assert reference.dump(reading).startswith('{\n "schema"')


@given(text=st.one_of(st.text(max_size=400), st.text(alphabet=SIGNS, max_size=400)), form=st.sampled_from(FORMATS))
def test_any_text(text: str, form: Format) -> None:
    check(read(text, name="any", format=form), text)


@given(content=st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    text = decode(content)

    check(read(text, name="any"), text)


@given(lines=st.lists(st.sampled_from(PIECES), max_size=12), form=st.sampled_from(FORMATS))
def test_true_lines_in_any_order(lines: list[str], form: Format) -> None:
    text = "\n".join(lines)

    check(read(text, name="shuffled", format=form), text)


@given(
    name=st.sampled_from(sorted(SAMPLES)),
    at=st.floats(min_value=0, max_value=1),
    length=st.integers(min_value=0, max_value=30),
    put=st.text(alphabet=SIGNS, max_size=6),
)
def test_a_true_file_with_a_piece_replaced(name: str, at: float, length: int, put: str) -> None:
    whole = SAMPLES[name]
    start = int(at * len(whole))
    text = whole[:start] + put + whole[start + length :]

    check(read(text, name=name), text)


@given(name=st.sampled_from(sorted(SAMPLES)), at=st.floats(min_value=0, max_value=1))
def test_a_file_cut_off_gives_no_figure_that_the_whole_one_lacks(name: str, at: float) -> None:
    whole = SAMPLES[name]
    cut = whole[: int(at * len(whole))]
    known = {
        (result.line, metric, figure.value)
        for result in read(whole, name=name).results
        for metric, figure in result.metrics.items()
    }

    for result in read(cut, name=name).results:
        for metric, figure in result.metrics.items():
            assert (result.line, metric, figure.value) in known


WITHOUT_END = (
    *("|" * 40, "| - ", "a |\n", "model |\n", "model |\ntest |\nt/s |\n", "| test | t/s |\n# x\n"),
    *("| test | t/s |\n", "a  b  c\n", "a\tb\tc\n", "test\tt/s\tx\n", "model: x\n", "build: 0123456 (1)\n"),
    *("{" * 50, '{"completed":', '{"completed": 1}\n', "[\n", "( ", "- x\n", "`", "```\n", "# x\n", "=" * 60, "\x1b["),
    *("llama-bench -m \\\n", "vllm bench serve --x '\n", "Namespace(num_prompts=1 ", "Successful requests: 1\n"),
    *("INSERT INTO test (", "INSERT INTO test (a) VALUES ('\n", "n_prompt,n_gen,avg_ts\n"),
    *("n_prompt,n_gen,avg_ts\n\n", "=== Benchmark Result ===\n"),
)


@pytest.mark.parametrize("piece", WITHOUT_END)
def test_input_without_end_takes_time_in_proportion(piece: str) -> None:
    """A reader that goes back over what it has read would not come back from this."""
    text = piece * (100_000 // len(piece))

    reading = read(text, name="long")

    assert len(reading.unread) + len(reading.results) <= text.count("\n") + 1
