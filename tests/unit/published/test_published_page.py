"""A whole page: what its headings, labels and commands say of the results between them."""

from __future__ import annotations

from pytest_thor.published.page import decode, iso_date, lines_of
from pytest_thor.published.records import PublishedResult
from tests.unit.published.samples import lines, reasons, sample


def found(line: int) -> PublishedResult:
    return next(result for result in sample("page.md").results if result.line == line)


def test_the_front_matter_names_the_source() -> None:
    source = sample("page.md").source

    assert source.name == "page.md"
    assert source.title == "Two engines on one RTX 4090"
    assert source.url == "https://example.org/two-engines"
    assert source.date == "2025-03-01"


def test_every_result_stands_on_its_line_with_the_device_of_the_title() -> None:
    results = sample("page.md").results

    assert [(result.line, result.kind) for result in results] == [
        (37, "serving"),
        (64, "serving"),
        (87, "prefill"),
        (88, "decode"),
        (94, "decode"),
    ]
    assert {result.device for result in results} == {"RTX 4090"}
    assert {result.date for result in results} == {"2025-03-01"}


def test_a_load_comes_from_the_command_of_the_same_label_and_the_model_from_the_heading() -> None:
    high = found(37)

    assert (high.label, high.model, high.quant) == ("Aurora-7B-AWQ", "Aurora-7B", "AWQ")
    assert dict(high.workload) == {"max_concurrency": 4, "num_prompts": 50, "input_len": 1024, "output_len": 64}
    assert high.headings == ("Results", "Aurora-7B-AWQ", "High load")
    assert high.notes == ()


def test_what_the_result_counts_is_believed_against_the_command() -> None:
    low = found(64)

    assert low.workload["num_prompts"] == 6
    assert low.notes == (
        "the command asks for 5 prompts, the result has 6",
        "60.0 output tokens a request came of the 64 asked: some ended early",
        "output_tps × duration_s is 450, output_tokens says 360",
    )


def test_rows_take_model_and_quant_from_the_command_before_them_and_the_build_from_behind() -> None:
    assert [(found(line).model, found(line).quant, found(line).build) for line in (87, 88, 94)] == [
        ("Aurora-7B", "Q4_K_L", "0123abc (100)"),
        ("Aurora-7B", "Q4_K_L", "0123abc (100)"),
        ("Aurora-7B", "Q4_K_L", "4567def (200)"),
    ]


def test_a_table_of_other_figures_is_listed() -> None:
    assert reasons(sample("page.md")) == [(98, "1 rows under columns that no reader knows")]


def test_a_command_beside_a_block_is_its_own_even_without_a_label() -> None:
    reading = lines(
        "# Somewhere",
        "$ python benchmarks/benchmark_serving.py --model acme/Aurora-7B-FP8 --num-prompts=2 --random-input-len 10",
        "============ Serving Benchmark Result ============",
        "Successful requests: 2",
        "Total input tokens: 20",
        "==================================================",
        "============ Serving Benchmark Result ============",
        "Successful requests: 2",
        "Total input tokens: 20",
        "==================================================",
    )

    first, second = reading.results
    assert (first.model, first.quant, dict(first.workload)) == ("Aurora-7B", "FP8", {"num_prompts": 2, "input_len": 10})
    assert (second.model, second.quant, dict(second.workload)) == (None, None, {"num_prompts": 2})


def test_two_commands_of_one_section_without_labels_decide_nothing() -> None:
    reading = lines(
        "vllm bench serve --model a/B-1B --random-input-len 10",
        "vllm bench serve --model a/B-1B --random-input-len 20",
        "- third",
        "============ Serving Benchmark Result ============",
        "Successful requests: 2",
        "Total input tokens: 20",
        "==================================================",
    )

    assert dict(reading.results[0].workload) == {"num_prompts": 2}


def test_input_that_is_not_what_was_asked_is_not_called_so() -> None:
    reading = lines(
        "vllm bench serve --model a/B-1B --random-input-len 1000 --random-output-len 5",
        "============ Serving Benchmark Result ============",
        "Successful requests: 2",
        "Total input tokens: 20",
        "Total generated tokens: 40",
        "==================================================",
    )

    assert dict(reading.results[0].workload) == {"num_prompts": 2}
    assert reading.results[0].notes == (
        "the command asks for 1000 input tokens, the result has 10.0 a request",
        "the command asks for 5 output tokens, the result has 20.0 a request",
    )


def test_a_comment_in_a_shell_block_is_no_heading() -> None:
    reading = lines(
        "# Aurora-7B",
        "```bash",
        "# Borealis-9B",
        "```",
        "============ Serving Benchmark Result ============",
        "Successful requests: 2",
        "=" * 50,
    )

    assert reading.results[0].model == "Aurora-7B"


def test_an_unclosed_quote_in_a_command_is_no_reason_to_stop() -> None:
    reading = lines(
        "llama-bench -m 'Aurora-7B-Q8_0.gguf",
        "| model | test | t/s |",
        "| - | - | - |",
        "| aurora 7B Q8_0 | tg8 | 3.00 |",
    )

    assert reading.results[0].metrics["tg_tps"].value == 3


def test_text_of_other_systems() -> None:
    text = "one\r\ntwo\r10%\rdone\n\x1b[31mred\x1b[0m\x1b]0;title\x07\x00!\n"

    assert lines_of(text) == ["one", "done", "red!", ""]
    assert decode("±".encode("utf-16")) == decode(b"\xef\xbb\xbf" + "±".encode()) == "±"
    assert decode(b"1 \xb1 2") == "1 � 2"


def test_dates_in_iso_8601_or_none() -> None:
    assert iso_date("2025-10-12 06:00:00 +0800") == "2025-10-12T06:00:00+08:00"
    assert iso_date("2025-10-12T06:00:00Z") == "2025-10-12T06:00:00Z"
    assert iso_date("2025-10-12") == "2025-10-12"
    assert iso_date("yesterday") is None
    assert iso_date(None) is None
