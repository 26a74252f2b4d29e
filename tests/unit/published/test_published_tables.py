"""llama-bench's tables: as it prints them, of every age, and as pages, terminals and locales spoil them."""

from __future__ import annotations

import pytest

from tests.unit.published.samples import HEAD, lines, reasons, row, sample, values


def test_the_table_that_this_llama_bench_prints() -> None:
    reading = sample("llama-bench.md")

    assert reading.unread == ()
    assert [result.line for result in reading.results] == [3, 4, 5, 6, 7, 8]
    assert [result.kind for result in reading.results] == ["prefill", "decode", "mixed"] * 2
    first, last = reading.results[0], reading.results[-1]
    assert (first.label, first.model, first.quant) == ("qwen3 ?B Q4_K - Medium", "qwen3 ?B", "Q4_K_M")
    assert (first.backend, first.build, first.engine) == ("CPU", "0c1e570 (1)", "llama-bench")
    assert dict(first.workload) == {"n_prompt": 64, "n_depth": 0}
    assert dict(last.workload) == {"n_prompt": 32, "n_gen": 8, "n_depth": 32}
    assert dict(first.settings) == {"n_threads": 2}
    speed = first.metrics["pp_tps"]
    assert (speed.value, speed.spread, speed.unit, speed.written) == (37753.57, 2061.70, "tok/s", "37753.57 ± 2061.70")
    assert first.metrics["parameters"].value == 2_100_000
    assert last.metrics["mixed_tps"].value == 1093.41


def test_columns_of_changed_settings_become_settings() -> None:
    reading = sample("llama-bench-settings.md")

    assert [dict(result.settings) for result in reading.results[1:3]] == [
        {"n_threads": 1, "n_batch": 64, "type_k": "q8_0", "flash_attn": 1},
        {"n_threads": 2, "n_batch": 64, "type_k": "q8_0", "flash_attn": 1},
    ]


def test_the_first_tables_had_fewer_columns_and_a_space_in_the_test() -> None:
    reading = lines(
        "| model                          | backend    | ngl |       test |              t/s |",
        "| ------------------------------ | ---------- | --: | ---------: | ---------------: |",
        "| LLaMA 7B mostly Q4_0           | CUDA       |  35 |     pp 512 |  2392.72 ± 36.10 |",
        "| LLaMA 7B mostly Q4_0           | CUDA       |  35 |     tg 128 |    131.66 ± 0.04 |",
    )

    assert [(result.model, result.quant) for result in reading.results] == [("LLaMA 7B", "Q4_0")] * 2
    assert values(reading, "tg_tps") == [None, 131.66]
    assert reading.unread == ()


def test_several_builds_each_name_the_rows_above_them() -> None:
    reading = lines(
        *HEAD,
        row("1.00 ± 0.10"),
        "",
        "build: 0123abc (1)",
        *HEAD,
        row("2.00 ± 0.10"),
        "build: 4567def (2)",
        *HEAD,
        row("3.00 ± 0.10"),
    )

    assert [result.build for result in reading.results] == ["0123abc (1)", "4567def (2)", None]


def test_log_lines_and_colours_between_rows_do_no_harm() -> None:
    reading = lines(
        "ggml_cuda_init: found 1 CUDA devices:",
        "  Device 0: NVIDIA Thor, compute capability 11.0, VMM: yes",
        f"\x1b[1m{HEAD[0]}\x1b[0m",
        HEAD[1],
        row("\x1b[32m40.07 ± 0.02\x1b[0m"),
        "llama_bench: benchmark 2/2: starting | not a row",
        "",
        row("1256.90 ± 0.40", test="pp512"),
    )

    assert values(reading, "tg_tps") == [40.07, None]
    assert values(reading, "pp_tps") == [None, 1256.9]
    assert reading.unread == ()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("| aurora 7B Q8_0 | 4.00 GiB | 7.00 B | CUDA | 99 | tg12", "6 cells under 7 columns"),
        (
            "| aurora 7B Q8_0 | 4.00 GiB | 7.00 B | CUDA | 99 | tg128 | 40.0",
            "cut off: the closing | is missing, so that the last figure may be incomplete",
        ),
        (row("nan ± nan"), "nan is not a number"),
        (row("-4.00 ± 0.10"), "-4.00 is negative"),
        (row("40.07 ± -nan(ind)"), "-nan(ind) is not a number"),
        (row("1,256"), "1,256 may be 1.256 or 1256"),
        (
            row("40.07 ± 0.02", test="xx128"),
            "the test is not one of llama-bench's: expected pp512, tg128 or pp512+tg128",
        ),
        (row("40.07 ± 0.02", test="pp0"), "the test is not one of llama-bench's: expected pp512, tg128 or pp512+tg128"),
        (row("").replace("4.00 GiB", "4.00"), "'' is not a number"),
        (row("1.00 ± 0.10").replace("4.00 GiB", "4.00"), "'4.00' has no unit of size: expected MiB, GiB, MB or GB"),
        (row("1.00 ± 0.10") + " more |", "8 cells under 7 columns"),
    ],
)
def test_a_row_that_cannot_be_trusted_is_listed_and_the_others_stand(bad: str, reason: str) -> None:
    reading = lines(*HEAD, row("40.07 ± 0.02"), bad, row("40.09 ± 0.02"))

    assert values(reading, "tg_tps") == [40.07, 40.09]
    assert reasons(reading) == [(4, reason)]


def test_a_table_cut_off_at_its_top_is_listed_row_by_row() -> None:
    reading = lines(row("40.07 ± 0.02"), row("40.09 ± 0.02"), "| a | b |")

    assert reading.results == ()
    assert reasons(reading) == [(1, "a row without the head of its table"), (2, "a row without the head of its table")]


def test_an_unknown_column_is_kept_as_text_and_said() -> None:
    reading = lines(
        "| model | wobble | test | t/s |", "| --- | --- | --- | --- |", "| aurora 7B Q8_0 | 1.5x | tg8 | 3.00 ± 0.10 |"
    )

    assert dict(reading.results[0].settings) == {"wobble": "1.5x"}
    assert reasons(reading) == [(1, "this column is not known; its cells are kept as text")]


def test_a_column_that_stands_twice_leaves_nothing_to_choose() -> None:
    reading = lines("| model | test | t/s | t/s |", "| - | - | - | - |", "| aurora 7B Q8_0 | tg8 | 3.00 | 4.00 |")

    assert reading.results == ()
    assert reasons(reading) == [(1, "two columns are the same: t/s")]


def test_other_locales_and_code_pages() -> None:
    reading = lines(*HEAD, row("1.256,90 ± 0,40").replace("4.00", "4,00"), row("40.07 Â± 0.02"), row("40.07 � 0.02"))

    assert values(reading, "tg_tps") == [1256.9, 40.07, 40.07]
    assert {result.metrics["model_bytes"].value for result in reading.results} == {4 * 2**30}


@pytest.mark.parametrize("gap", ["\t", "   "])
def test_a_table_that_lost_its_pipes_on_the_way(gap: str) -> None:
    head = gap.join(("model", "size", "params", "backend", "ngl", "test", "t/s"))
    reading = lines(
        head,
        gap.join(("qwen3 8B Q8_0", "8.11 GiB", "8.19 B", "CUDA", "99", "tg128", "28.29 ± 0.25")),
        gap.join(("qwen3 8B Q8_0", "8.11 GiB", "8.1")),
    )

    assert values(reading, "tg_tps") == [28.29]
    assert reasons(reading) == [(3, "3 cells under 7 columns")]


def test_a_table_without_its_line_of_dashes() -> None:
    reading = lines("before", HEAD[0], row("40.07 ± 0.02"), row("nan ± nan"), "", "after")

    assert [(result.line, result.metrics["tg_tps"].value) for result in reading.results] == [(3, 40.07)]
    assert reasons(reading) == [(4, "nan is not a number")]


def test_one_cell_a_line_as_a_web_page_was_copied() -> None:
    reading = sample("stacked.md")

    assert [(result.line, result.model, result.quant) for result in reading.results] == [
        (11, "aurora 3B", "Q4_0"),
        (19, "aurora 3B", "Q4_K_M"),
    ]
    assert {result.device for result in reading.results} == {"EPYC 7702"}
    assert [result.metrics["percent_of.Q4_0"].value for result in reading.results] == [100, 150]
    assert reasons(reading) == [(27, "cut off: 3 of 8 cells")]


def test_box_drawings_are_pipes() -> None:
    reading = lines(*(line.replace("|", "│") for line in (*HEAD, row("40.07 ± 0.02"))))

    assert values(reading, "tg_tps") == [40.07]


def test_a_table_of_something_else_is_listed_once_where_it_holds_figures() -> None:
    reading = lines("| PP | S_TG t/s |", "| --- | --- |", "| 128 | 41.57 |", "", "| a | b |", "| - | - |", "| c | d |")

    assert reasons(reading) == [(1, "1 rows under columns that no reader knows")]


def test_the_commands_file_is_not_believed_against_the_row() -> None:
    reading = lines("```", "llama-bench -m /m/Aurora-13B-Q4_0.gguf", "```", *HEAD, row("40.07 ± 0.02"))

    assert (reading.results[0].model, reading.results[0].quant) == ("aurora 7B", "Q8_0")
    assert reading.results[0].notes == (
        "the command before it names Aurora-13B in Q4_0, the row aurora 7B Q8_0: the row is believed",
    )


def test_one_command_with_several_files_gives_each_row_its_own() -> None:
    reading = lines(
        "llama-bench -m a/Aurora-7B-Q8_0.gguf,a/Aurora-7B-Q4_0.gguf \\",
        "  -m a/Borealis-7B-F16.gguf",
        *HEAD,
        row("1.00 ± 0.10"),
        row("2.00 ± 0.10", model="aurora 7B F16"),
    )

    assert [(result.model, result.quant) for result in reading.results] == [
        ("Aurora-7B", "Q8_0"),
        ("Borealis-7B", "F16"),
    ]


def test_a_command_of_another_section_needs_the_same_family() -> None:
    reading = lines("llama-bench -m Borealis-7B-Q8_0.gguf", "# Later", *HEAD, row("1.00 ± 0.10"))

    assert reading.results[0].model == "aurora 7B"
