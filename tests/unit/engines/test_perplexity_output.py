"""llama-perplexity's lines: what they say, and that no line and no flood of them holds anything up."""

from __future__ import annotations

import math

import pytest

from pytest_thor.engines.perplexity_output import Mode, PerplexityOutput
from pytest_thor.engines.process import LINE_LIMIT, Line, Stream


def said(*lines: str, mode: Mode = "divergence", stream: Stream = "stdout") -> PerplexityOutput:
    output = PerplexityOutput(mode)
    for text in lines:
        output.line(Line(stream=stream, text=text))
    return output


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Mean    KLD:   0.012345 ±   0.000100", "Mean KLD", 0.012345),
        ("Mean PPL(Q)                   :  21.384752 ±   1.000000", "Mean PPL(Q)", 21.384752),
        ("99.9%   KLD:   0.100000", "99.9% KLD", 0.1),
        ("RMS Δp    :  2.151 ± 0.060 %", "RMS Δp", 2.151),
        ("Same top p: 96.774 ± 0.187 %", "Same top p", 96.774),
        ("Minimum KLD:  -0.000004   ", "Minimum KLD", -0.000004),
        ("Share: 12.5 %", "Share", 12.5),
        ("Mean Δp: nan %", "Mean Δp", math.nan),
    ],
)
def test_a_statistic_is_read_under_its_name(line: str, name: str, value: float) -> None:
    assert said(line).statistics == pytest.approx({name: value}, nan_ok=True)


@pytest.mark.parametrize(
    "line", ["Mean KLD 1.0", "Mean KLD: 1.0 2.0", "Mean KLD: one", ": 1.0", "", "Mean KLD: 1.0e5 x"]
)
def test_another_line_is_none(line: str) -> None:
    assert said(line).statistics == {}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line",
    [
        "x" + " " * LINE_LIMIT,
        "x" + " " * LINE_LIMIT + "x",
        "x: 1.0" + " " * LINE_LIMIT + "x",
        "1" * LINE_LIMIT,
        "1 1.0 " + "2." * LINE_LIMIT,
        "Mean KLD: " + "9" * LINE_LIMIT,
    ],
)
@pytest.mark.parametrize("mode", ["perplexity", "divergence"])
def test_the_longest_line_is_passed_over_at_once(line: str, mode: Mode) -> None:
    output = said(line, mode=mode)

    assert (output.perplexities, output.statistics) == ([], {})


@pytest.mark.parametrize(
    "line",
    [
        "perplexity: calculating perplexity over {} chunks, n_ctx=512",
        "perplexity: the data file you provided tokenizes to only {} tokens",
        "inconsistent vocabulary ({} vs 7)",
    ],
)
def test_a_number_without_end_is_none(line: str) -> None:
    output = said(line.format("9" * 5000), stream="stderr")

    assert (output.chunks, output.tokens, output.vocabularies) == (None, None, None)


def test_the_first_figure_that_is_no_number_is_told() -> None:
    output = said("1 10.0 1.0 1.0", "2 nan 1.0 1.0", "3 inf 1.0 1.0", mode="perplexity")

    assert output.no_number is not None
    assert output.no_number[0] == 2
    assert math.isnan(output.no_number[1])
    assert said("1 10.0 1.0 1.0", mode="perplexity").no_number is None


def test_only_so_many_names_are_kept() -> None:
    assert len(said(*(f"name {number}: 1.0" for number in range(3000))).statistics) == 1000
