"""What a report, a page, a store, a model folder or a machine's files say is printed, and no terminal obeys it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.baseline.place import entry_path
from pytest_thor.command import main
from pytest_thor.report.document import write
from pytest_thor.report.outputs import FORMATS
from tests.unit.report.report_documents import cell, document, hostile

HOSTILE = (
    "x\x1b]0;mine\x07\x1b]52;c;bWluZQ==\x07\x1b[2J\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\ \u202eabc\u200b"
    "\x9b31m \b\b\rover [link=https://example.org]y[/link] [/] @someone\n::error::mine\n##[add-mask]mine"
)
IN_A_NAME = HOSTILE.replace("/", "_").replace("\n", " ")
GOLDEN = Path(__file__).parents[2] / "golden" / "baseline-2.json"
VENDORED = {"\u200b", "\xad"}  # in the scripts of a page, which others wrote


def said(*words: str | Path, text: str | None = None) -> str:
    """Return all that a command prints, which must be some words and no traceback."""
    result = CliRunner().invoke(main, [str(word) for word in words], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.output.strip()
    return result.output


def assert_inert(output: str, *, beside: frozenset[str] = frozenset()) -> None:
    letters = {letter for letter in output if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert letters - {"\n", "\t"} <= beside
    assert not re.search(r"(?m)^\s*::\w|##\[", output)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a hostile report and a sound one, ``theirs`` and ``ours``."""
    monkeypatch.chdir(tmp_path)
    write(hostile(HOSTILE), tmp_path / "theirs" / "report.json")
    write(document(cell()), tmp_path / "ours" / "report.json")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "sqlite"])
def test_a_report_is_inert_in_every_format(name: str) -> None:
    output = said("report", "theirs", "--format", name)

    assert_inert(output, beside=frozenset(VENDORED if name == "html" else ()))
    assert "someone" in output or name == "github-smaller"  # which has no cell of this report


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "words",
    [
        ("compare", "theirs"),
        ("compare", "theirs", "ours"),
        ("compare", "theirs", "--format", "markdown"),
        ("compare", "theirs", "--format", "html"),
        ("compare", "theirs", "--json"),
        ("compare", "theirs", "--reference", HOSTILE),
        ("compare", f"{HOSTILE}=theirs", "ours"),
        ("report", "theirs", "--reference-quant", "none"),
        ("merge", "theirs", "ours", "-o", "joined"),
        ("merge", "theirs", "-o", "joined", "--expect", HOSTILE),
        ("baseline", "accept", "theirs", "--baseline", "store"),
        ("report", f"nowhere{HOSTILE}"),
        ("merge", f"nowhere{HOSTILE}", "-o", "joined"),
        ("import", f"nowhere{HOSTILE}"),
        ("models", f"nowhere{HOSTILE}"),
        ("models", "--fit", "--report", "theirs", "--shape", "qwen3-8b"),
    ],
    ids=lambda words: " ".join(words)[:30].split("\x1b")[0],
)
def test_what_is_said_of_a_report_is_inert(words: Sequence[str]) -> None:
    assert_inert(said(*words))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report | {HOSTILE: 1},
        lambda report: report | {"schema": HOSTILE},
        lambda report: report | {"schema": f"pytest-thor/report/{HOSTILE}"},
        lambda report: report | {"cells": [{HOSTILE: HOSTILE}]},
    ],
)
def test_why_a_report_is_refused_is_inert(folder: Path, spoil: Callable[[dict[str, object]], object]) -> None:
    report = json.loads((folder / "ours" / "report.json").read_text(encoding="utf-8"))
    (folder / "report.json").write_text(json.dumps(spoil(report)), encoding="utf-8")

    assert_inert(said("report", "report.json"))


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_published_table_is_inert(folder: Path, options: Sequence[str]) -> None:
    flat = HOSTILE.replace("\n", " ").replace("\r", " ").replace("|", "")
    table = (
        f"# {flat}\n\n| model | size | params | backend | ngl | test | t/s |\n"
        "| --- | --: | --: | --- | --: | --: | --: |\n"
        f"| {flat} Q4_0 | 1 GiB | 1 B | {flat} | 99 | pp512 | 100 ± 1 |\n| {flat} | 1 | 1 | C | 9 | {flat} | {flat} |\n"
    )
    page = folder / f"{IN_A_NAME}.md"
    page.write_text(table, encoding="utf-8")

    assert_inert(output := said("import", "-", *options, text=table))
    assert "someone" in output
    assert_inert(output := said("import", page, *options))
    assert "someone" in output


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_store_is_inert(tmp_path: Path, options: Sequence[str]) -> None:
    entry = json.loads(GOLDEN.read_text(encoding="utf-8"))
    entry["cell"] |= dict.fromkeys(("model", "quant", "backend", "workload", "matrix"), HOSTILE)
    entry |= {"device": HOSTILE, "note": HOSTILE}
    place = entry_path(tmp_path, HOSTILE, entry["cell"])
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(entry), encoding="utf-8")
    place.with_name(f"{IN_A_NAME}.json"[:200]).write_text(f'{{"schema": {json.dumps(HOSTILE)}}}', encoding="utf-8")

    assert_inert(output := said("baseline", "show", "--baseline", tmp_path, *options))
    assert "someone" in output


@pytest.mark.parametrize("options", [(), ("--json",), ("--write-matrix", "-")])
def test_a_folder_of_models_is_inert(tmp_path: Path, options: Sequence[str]) -> None:
    for name in (f"{IN_A_NAME}.gguf", f"{IN_A_NAME}-Q4_0.gguf"):
        (tmp_path / name).write_bytes(b"GGUF\x03\0\0\0")
    (tmp_path / IN_A_NAME).mkdir()
    (tmp_path / IN_A_NAME / "config.json").write_text(json.dumps({"model_type": HOSTILE, "architectures": [HOSTILE]}))
    make_synthetic("qwen3-tiny", "F16", cache=tmp_path / "made").rename(tmp_path / f"{IN_A_NAME}-F16.gguf")

    assert_inert(output := said("models", tmp_path, *options))
    assert "someone" in output


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_recorded_machine_is_inert(tmp_path: Path, options: Sequence[str]) -> None:
    for file, content in {
        "proc/cpuinfo": f"processor : 0\nmodel name : {HOSTILE}\n",
        "proc/meminfo": "MemTotal: 1000 kB\n",
        "proc/sys/kernel/osrelease": HOSTILE,
        "proc/device-tree/model": HOSTILE,
        "proc/device-tree/compatible": HOSTILE,
        "etc/nv_tegra_release": f"# R38 (release), REVISION: {HOSTILE}",
        "sys/class/thermal/thermal_zone0/type": IN_A_NAME,
        "sys/class/thermal/thermal_zone0/temp": "41000",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": HOSTILE,
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content, encoding="utf-8")

    assert_inert(output := said("doctor", "--root", tmp_path, *options))
    assert "someone" in output
