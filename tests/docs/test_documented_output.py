"""What README and docs show as printed is what is printed; and no example stands there that no test reads."""

from __future__ import annotations

import configparser
import fnmatch
import importlib
import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_thor.baseline.entry import read_entry, write_entry
from pytest_thor.command import main
from pytest_thor.host.hygiene import DROP_CACHES
from pytest_thor.host.lock import Claim, exclusive
from pytest_thor.report.naming import Naming
from pytest_thor.report.saturation import sweep_lines, sweeps_of
from pytest_thor.serving import delivery
from tests.docs.documented import ROOT, Block, blocks
from tests.plugin.project import FAST, SLOW_TG16, TG16, Project
from tests.unit.baseline.test_baseline_store import entry
from tests.unit.report.report_documents import cell, metric

UNREAD = {"y = level + run + launch", "s̃² = ", "δ  = ", "P(∪ A_k)", "mde = "}
"""Formulas, by how they begin: the only examples that no test reads."""
READ = {
    "matrices/mine.yaml\n": "test_the_first_page_shows_a_run_as_it_is_printed",
    "baselines/<device>/": "test_the_files_of_a_store_are_where_the_page_says",
    "# yaml-language-server": "test_an_editor_finds_the_schema",
    "matrix.yaml:3:28: ": "tests/unit/matrix/test_matrix_docs.py",
    "page.md:160: ": "test_an_impossible_figure_is_told_as_the_page_says",
    "# /etc/systemd/system/": "test_the_unit_is_one",
    "qwen3-8b Q4_K_M llama-server load": "test_a_sweep_is_shown_as_the_page_says",
    "decode speed, threshold 3 %": "test_a_table_has_the_head_that_its_script_prints",
    "1 % between launches": "test_a_table_has_the_head_that_its_script_prints",
    "| slowdown asked": "test_a_table_has_the_head_that_its_script_prints",
    "30 pairs, 270 cells": "test_what_identical_runs_were_called_is_printed_so",
    "gw0: left is being measured": "test_who_has_to_wait_is_told_whom_for",
    "e2el_ms > ": "test_what_is_held_back_has_the_limits_of_the_page",
    "runner ALL=(root)": "test_the_one_command_of_root_is_the_one_that_is_run",
}
"""Examples that are no matrix, workflow, Python, JSON or command, by how they begin, and what reads them."""


def shown(beginning: str) -> Block:
    """Return the one example that begins so."""
    [block] = [block for block in blocks() if block.text.startswith(beginning)]
    return block


def test_every_example_is_read_by_a_test() -> None:
    others = [block for block in blocks() if block.kind == "other"]
    begun = {start for start in (*READ, *UNREAD) if any(block.text.startswith(start) for block in others)}
    assert begun == {*READ, *UNREAD}
    assert [block.place for block in others if not block.text.startswith((*READ, *UNREAD))] == []
    assert [name for name in READ.values() if name not in globals() and not (ROOT / name).is_file()] == []


def unnumbered(text: str) -> str:
    """Return a text with every figure, cell and version as a placeholder, on one line."""
    text = re.sub(r"\S+-(?:llama\.cpp|llama-server|llama-cpp-python)-\S+", "CELL", text)
    text = re.sub(r"[+-]?\d[\d.]*", "#", text)
    return " ".join(text.split())


def test_the_first_page_shows_a_run_as_it_is_printed(project: Project) -> None:
    text = shown("matrices/mine.yaml\n").text
    lines = [line for line in text.splitlines() if line.startswith("  ") and "…" not in line]
    paragraph = text.partition("…\n")[2]
    project.script(**{**FAST, "tg_tps": {"8": [100.0, 100.4, 99.7, 100.1], "16": [90.0, 90.3, 89.8]}})
    project.run("--thor-update-baseline=missing", "--thor-launches=5")

    result = project.run("--thor-launches=1:8", script=SLOW_TG16)

    assert project.cell(TG16)["verdict"] == "regressed"
    printed = result.stdout.str().splitlines()
    for line in lines:
        name, value, change, word = re.fullmatch(r"  (\S+) +(\S+ tok/s) +([+-]\S+ %)  (\w+)", line).groups()  # type: ignore[union-attr]
        assert line == f"  {name:<{len(lines[0].split()[0])}}  {value:>16}  {change:>8}  {word}"
    assert any(re.fullmatch(r"  \S+ +\S+ tok/s +-\S+ %  regressed", line) for line in printed)
    assert unnumbered(paragraph) == unnumbered(project.cell(TG16)["reason"])


def test_the_files_of_a_store_are_where_the_page_says(project: Project) -> None:
    patterns = [re.sub(r"<[^>]+>", "*", line.split("  ")[0]) for line in shown("baselines/<device>/").text.splitlines()]
    project.run("--thor-update-baseline=missing")

    stored = [path.relative_to(project.root).as_posix() for path in (project.root / "baselines").rglob("*")]
    files = [name for name in stored if (project.root / name).is_file()]
    assert all(fnmatch.filter(files, pattern) for pattern in patterns)
    assert [name for name in files if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []


def test_an_editor_finds_the_schema() -> None:
    line = shown("# yaml-language-server").text.strip()
    assert (ROOT / "matrices" / line.partition("$schema=")[2]).is_file()
    assert all(path.read_text(encoding="utf-8").splitlines()[0] == line for path in (ROOT / "matrices").glob("*.yaml"))


def test_what_a_reviewer_sees_of_an_anchor_is_what_is_stored() -> None:
    [block] = [block for block in blocks() if block.text.startswith('"note"')]
    example: dict[str, Any] = json.loads(f"{{{block.text.strip().removesuffix(',')}}}")
    stored = json.loads(write_entry(entry()))

    again = json.loads(write_entry(read_entry(json.dumps({**stored, **example}))))

    assert {key: again[key] for key in example} == example
    assert set(example) < set(stored)


def test_an_impossible_figure_is_told_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = shown("page.md:160: ").text.strip()
    page = (
        "# Jetson AGX Thor\n\n## Qwen3-8B-FP8\n\n### low load\n\n```\nvllm bench serve --model Qwen3-8B-FP8 "
        "--random-input-len 2048 --random-output-len 128 --num-prompts 10 --max-concurrency 1\n```\n\n"
        "```\n============ Serving Benchmark Result ============\n"
        "Successful requests:                     10\nMaximum request concurrency:             1\n"
        "Benchmark duration (s):                  11.52\nTotal input tokens:                      20431\n"
        "Total generated tokens:                  1280\nMedian TPOT (ms):                        8.88\n"
        "==================================================\n```\n"
    )
    before = "\n" * (160 - page[: page.index("====")].count("\n") - 1)
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text(before + page)
    done = CliRunner().invoke(main, ["import", "page.md"])

    [told] = [each for each in done.output.splitlines() if ": invalid: " in each]
    assert told.startswith(line.removesuffix("…"))


def test_the_unit_is_one() -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(shown("# /etc/systemd/system/").text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert unit["Service"]["ExecStart"].startswith("/")


def test_a_sweep_is_shown_as_the_page_says() -> None:
    text = shown("qwen3-8b Q4_K_M llama-server load").text
    rows = re.findall(r"^ +(\d+)  ([\d.]+) tok/s +([\d.]+) ms +([\d.]+) ms +([\d.]+) ms", text, re.MULTILINE)
    cells = [
        cell(
            f"load@c{load}",
            backend="llama-server",
            parameters={"sweep": "max_concurrency", "max_concurrency": int(load)},
            metrics={
                "output_tps": metric(value=float(tps), ci_low=float(tps) * 0.99, ci_high=float(tps) * 1.01),
                "ttft_ms.median": metric(value=float(median), unit="ms", better="lower"),
                "ttft_ms.p99": metric(value=float(p99), unit="ms", better="lower"),
                "tpot_ms.median": metric(value=float(tpot), unit="ms", better="lower"),
            },
        )
        for load, tps, median, p99, tpot in rows
    ]
    [sweep] = sweeps_of(cells)
    assert "\n".join(sweep_lines(sweep, Naming())) == text.rstrip("\n")


@pytest.mark.parametrize(
    ("beginning", "script"),
    [
        ("decode speed, threshold 3 %", "judge_simulation"),
        ("1 % between launches", "judge_cost"),
        ("| slowdown asked", "injected_slowdown"),
        ("python benchmarks/change_points.py", "change_points"),
    ],
)
def test_a_table_has_the_head_that_its_script_prints(beginning: str, script: str) -> None:
    text = shown(beginning).text
    module = importlib.import_module(f"benchmarks.{script}")
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    computed = {*map(str, getattr(module, "SHOWN", ())), *getattr(module, "PEERS", ())}

    heads = [line.partition("  ")[0] for line in re.findall(r"^(?![-+])\S.*  10 +20 +50 .*$", text, re.MULTILINE)]
    tables = re.findall(r"^\| (.*) \|\n\|[-:|]+\|$", text, re.MULTILINE)
    heads += [head for table in tables for head in table.split(" | ")]

    assert heads
    assert [head for head in heads if head not in computed and head not in source] == []


def test_what_identical_runs_were_called_is_printed_so() -> None:
    """The words are the script's; of its verdicts each has a line, and the shares are those of the counts."""
    text = shown("30 pairs, 270 cells").text
    source = (ROOT / "benchmarks" / "real_aa.py").read_text(encoding="utf-8")
    words = [word for line in text.splitlines() for word in re.findall(r"[a-z]+(?: [a-z]+)*", line)]
    verdicts = re.findall(r"^  (\w+) +(\d+)  ([\d.]+)%$", text, re.MULTILINE)

    assert {word for word in words if word not in source} == {name for name, _, _ in verdicts}
    assert sum(int(count) for _, count, _ in verdicts) == 270
    assert [f"{int(count) / 270:.1%}" for _, count, _ in verdicts] == [f"{share}%" for _, _, share in verdicts]


def test_who_has_to_wait_is_told_whom_for() -> None:
    claim = Claim(device="left", parts=("cpu0",))
    told: list[str] = []

    def wait() -> None:
        with exclusive(claim, on_wait=told.append):
            pass

    waiting = threading.Thread(target=wait, daemon=True)
    with exclusive(claim, on_wait=told.append):
        waiting.start()
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            waiting.join(0.01)
    waiting.join(10)

    start, end = shown("gw0: left is being measured").text.strip().removeprefix("gw0: ").split("4711")
    [sentence] = told
    assert sentence.startswith(f"{start}{os.getpid()} since ")
    assert sentence.endswith(end.rpartition(")")[2])


def test_what_is_held_back_has_the_limits_of_the_page() -> None:
    assert f"> {delivery._LONGER:g} × tpot_ms" in shown("e2el_ms > ").text
    assert f"+ {delivery._BESIDE_MS:g} ms" in shown("e2el_ms > ").text
    page = (ROOT / "docs" / "serving-metrics.md").read_text(encoding="utf-8")
    assert f"answers of {delivery._LEAST_TOKENS} tokens or more" in page


def test_the_one_command_of_root_is_the_one_that_is_run() -> None:
    lines = [line for block in blocks() for line in re.findall(r"NOPASSWD: ([^'\n]+)", block.text)]
    assert lines
    assert set(lines) == {" ".join(DROP_CACHES)}
