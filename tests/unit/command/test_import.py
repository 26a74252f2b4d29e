"""``pytest-thor import``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.command import main
from pytest_thor.published import reference

GOLDEN = Path(__file__).parents[2] / "golden" / "published"
BLOCK = """
============ Serving Benchmark Result ============
Successful requests:                     10
Maximum request concurrency:             1
Benchmark duration (s):                  11.52
Total input tokens:                      20480
Total generated tokens:                  1280
Median TPOT (ms):                        8.88
==================================================
"""


def run(*words: str, text: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["import", *words], input=text)


def test_a_page_is_read_shown_and_its_gaps_are_listed() -> None:
    result = run(str(GOLDEN / "page.md"))

    assert result.exit_code == 0
    assert "page.md: 5 results, 32 figures (Two engines on one RTX 4090, 2025-03-01)" in result.output
    assert "9000.00 ± 9.00 tok/s" in result.output
    assert "1024 → 64 ×50, 4 at a time" in result.output
    assert "page.md:98: not read: 1 rows under columns that no reader knows: | Prompts | Watts |" in result.output
    assert "page.md: 5 not held: the shape of Aurora-7B is not known" in result.output


def test_a_figure_that_no_device_reaches_is_one_line() -> None:
    result = run("-", "--device", "jetson-agx-thor", "--model", "Qwen3-8B-FP8", text=BLOCK)

    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if ": invalid: " in line]
    assert line.startswith(
        "standard input:2: invalid: Qwen3-8B-FP8: median time per output token of 8.880 ms is below "
    )
    assert "standard input: 1 held against a device's limit, 1 invalid" in result.output


def test_json_says_the_same() -> None:
    result = run("-", "--device", "jetson-agx-thor", "--model", "Qwen3-8B-FP8", "--json", text=BLOCK)

    (document,) = json.loads(result.output)
    assert document["schema"] == "pytest-thor/published/1"
    (stored,) = document["results"]
    assert (stored["verdict"], stored["line"], stored["quant"]) == ("invalid", 2, "FP8")
    assert stored["efficiency"]["tpot_ms.median"] > 3
    assert stored["metrics"]["duration_s"]["value"] == 11.52


def test_the_users_words_are_for_what_the_source_does_not_say() -> None:
    result = run(str(GOLDEN / "page.md"), "--model", "Borealis-9B-Q8_0", "--device", "jetson-agx-thor", "--json")

    (document,) = json.loads(result.output)
    assert {(each["model"], each["device"]) for each in document["results"]} == {("Aurora-7B", "RTX 4090")}


def test_references_are_written_one_to_a_file(tmp_path: Path) -> None:
    names = ("llama-bench.md", "llama-bench-settings.md")
    result = run(*(str(GOLDEN / name) for name in names), "--output", str(tmp_path / "published"))

    assert result.exit_code == 0
    found = reference.load_all(tmp_path / "published")
    assert [(each.source.name, len(each.results)) for each in found] == [(names[1], 4), (names[0], 6)]

    run(str(GOLDEN / "quants.md"), "--output", str(tmp_path / "one.json"))
    assert len(reference.load(tmp_path / "one.json").results) == 3


def test_a_report_is_written_of_what_is_a_cell(tmp_path: Path) -> None:
    result = run(str(GOLDEN / "page.md"), "--report", str(tmp_path / "theirs.json"))

    assert result.exit_code == 0
    written = json.loads((tmp_path / "theirs.json").read_text())
    assert written["schema"] == "pytest-thor/report/1"
    assert [cell["location"] for cell in written["cells"]] == [f"page.md:{line}" for line in (37, 64, 87, 88, 94)]


@pytest.mark.parametrize("form", ["md", "block", "json", "jsonl", "csv", "sql"])
def test_nothing_readable_is_status_1(form: str) -> None:
    result = run("-", "--format", form, text="nothing to see here\n")

    assert result.exit_code == 1
    assert "standard input: 0 results, 0 figures" in result.output


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (["/nowhere/at-all.md"], "", "/nowhere/at-all.md: cannot read it: No such file or directory"),
        (["-", "--device", "toaster"], "", "--device toaster: no limits of it are known"),
        (["-"], "SQLite format 3\0", "-: a database; give its rows instead: sqlite3 - .dump | pytest-thor import -"),
        (["-", "-", "--output", "x.json"], BLOCK, "--output x.json: one file for 2 inputs; give a folder"),
        (
            ["-", "-", "--output", "x"],
            BLOCK,
            "--output x: two inputs are called standard-input; import them one by one",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words: list[str], text: str, message: str) -> None:
    result = run(*words, text=text)

    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_markup_and_control_characters_of_a_source_stay_text() -> None:
    text = "| model | test | t/s |\n| - | - | - |\n| [red]a\x1b[2J[/] 7B Q8_0 | tg8 | 3.00 ± 0.10 |\n"

    result = run("-", text=text)

    assert "[red]a[/] 7B" in result.output
    assert "\x1b" not in result.output


def test_help_lists_it_under_its_own_name() -> None:
    assert "import" in CliRunner().invoke(main, ["--help"]).output
    assert run("--help").output.startswith("Usage: main import [OPTIONS] FILE...")
