"""``pytest-thor compare``: what may stand on a side, and what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.anchors import entry_of
from pytest_thor.baseline import store
from pytest_thor.command import main
from pytest_thor.report.document import CellRecord, write
from tests.unit.comparison.compared_documents import measured, published
from tests.unit.report.report_documents import document

REPOSITORY = Path(__file__).parents[3]
TG128 = "qwen3-8b-Q4_K_M-llama.cpp-tg128"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def report(folder: Path, *cells: CellRecord) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write(document(*cells), folder / "report.json")
    return folder


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return (
        report(tmp_path / "before", measured(), measured("tg64")),
        report(tmp_path / "after", measured(speeds=(36.0, 36.1, 35.9), version="b8")),
    )


def test_two_reports_by_folder_or_file_as_a_plain_table(sides: tuple[Path, Path]) -> None:
    before, after = sides
    result = run(before, after)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "after against before"
    assert "after: engine.version: b7 → b8" in result.stdout
    row = next(line for line in result.stdout.splitlines() if TG128 in line)
    assert row.split()[1:5] == ["regressed", TG128, "tg_tps", "40.00"]
    assert "-10.0 %" in row
    assert "before: qwen3-8b-Q4_K_M-llama.cpp-tg64: has no counterpart" in result.stdout
    assert run(before / "report.json", after / "report.json").stdout == result.stdout


def test_a_side_may_be_given_a_name_and_be_the_reference(sides: tuple[Path, Path]) -> None:
    before, after = sides
    result = run(f"old={before}", f"new={after}", "--reference", "new")

    assert result.stdout.splitlines()[0] == "old against new"
    assert "+11.1 %" in result.stdout


def test_an_unknown_reference_is_told_with_what_there_is(sides: tuple[Path, Path]) -> None:
    result = run(*sides, "--reference", "befor")

    assert result.exit_code == 2
    assert "did you mean before?" in result.stderr


def test_a_store_stands_beside_a_report(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    entry = entry_of(measured(), accepted_at="2025-12-01T00:00:00.000+00:00")
    store.save_entry(tmp_path / "baselines", entry)
    data = json.loads(run(tmp_path / "baselines", sides[1], "--json").stdout)

    (row,) = data["rows"]
    assert row["columns"]["after"]["metrics"]["tg_tps"]["verdict"] == "regressed"
    assert row["columns"]["baselines"]["launches"] == 3


def test_a_store_stands_beside_published_figures_by_the_work_that_its_fingerprint_names(tmp_path: Path) -> None:
    stored = measured(conditions={"workload.n_gen": 128})
    store.save_entry(tmp_path / "baselines", entry_of(stored, accepted_at="2025-12-01T00:00:00.000+00:00"))
    theirs = report(tmp_path / "theirs", published(speed=50.0, parameters={"n_gen": 128}))

    assert "+25.0 %" in run(tmp_path / "baselines", theirs).stdout


def test_a_corrupt_store_is_refused_with_its_file(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    entry = entry_of(measured(), accepted_at="2025-12-01T00:00:00.000+00:00")
    store.save_entry(tmp_path / "baselines", entry).write_text("{", encoding="utf-8")
    result = run(tmp_path / "baselines", sides[1])

    assert result.exit_code == 2
    assert "tg128.json" in result.stderr


def test_published_quants_of_this_repository_are_percent_of_their_reference_as_published() -> None:
    path = REPOSITORY / "baselines" / "published" / "qwen3-8b-gguf-quants.json"
    data = json.loads(run(path, "--reference", "Q4_0", "--json").stdout)
    stated = {
        (result["quant"], figure["value"]): result["metrics"]["percent_of.Q4_0"]["value"]
        for result in json.loads(path.read_text(encoding="utf-8"))["results"]
        for name, figure in result["metrics"].items()
        if name in {"pp_tps", "tg_tps"} and "percent_of.Q4_0" in result["metrics"]
    }
    ours = {
        (quant, metric["value"]): 100 * (1 + metric["change"])
        for row in data["rows"]
        for quant, column in row["columns"].items()
        for metric in column["metrics"].values()
        if quant != "Q4_0"
    }

    assert len(ours) == 12
    # The document cuts or rounds to whole percents, and prints 83 % for 24.46 of 39.31, which is 62 %.
    assert {key for key, percent in ours.items() if abs(percent - stated[key]) > 1.2} == {("Q4_K_M", 24.46)}
    assert ours["Q4_K_M", 24.46] == pytest.approx(62.2, abs=0.1)
    assert data["rows"][0]["columns"]["Q4_0"]["size_bytes"] == 1_825_361_101


def test_a_published_report_beside_ours(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    theirs = report(tmp_path / "theirs", published(speed=50.0, parameters={"n_gen": 128, "n_depth": 0}))
    result = run(sides[0], theirs)

    row = next(line for line in result.stdout.splitlines() if TG128 in line)
    assert row.startswith("published")
    assert "+25.0 %" in row
    assert "nothing is judged" in result.stdout


@pytest.mark.parametrize(("form", "begin"), [("markdown", "## after against before"), ("html", "<!doctype html>")])
def test_other_forms_go_to_the_terminal_or_a_file(
    sides: tuple[Path, Path], tmp_path: Path, form: str, begin: str
) -> None:
    shown = run(*sides, "--format", form)
    written = run(*sides, "--format", form, "-o", tmp_path / "out" / "page")

    assert shown.stdout.startswith(begin)
    assert (tmp_path / "out" / "page").read_text(encoding="utf-8") == shown.stdout
    assert written.stdout == ""


def test_nothing_in_common_ends_with_status_1(tmp_path: Path) -> None:
    result = run(report(tmp_path / "a", measured()), report(tmp_path / "b", measured("tg9")))

    assert result.exit_code == 1
    assert "there is nothing to compare" in result.stdout


def test_only_some_cells(sides: tuple[Path, Path]) -> None:
    assert "tg64" not in run(*sides, "-k", "tg128").stdout


def test_what_is_no_side_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        result = run(path)
        assert result.exit_code == 2
        assert str(path) in result.stderr


def test_sides_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    paths = [report(tmp_path / place / "thor-report", measured()) for place in ("a", "b")]
    data = json.loads(run(*paths, "--json").stdout)

    assert data["columns"] == [str(path) for path in paths]
    assert json.loads(run(paths[0], paths[0], "--json").stdout)["columns"] == [
        f"{paths[0]} (1)",
        f"{paths[0]} (2)",
    ]


def test_without_a_reference_quants_are_percent_of_the_widest(tmp_path: Path) -> None:
    folder = report(
        tmp_path / "run",
        measured(speeds=(60.0, 60.1, 59.9), quant="Q4_K_M", bits_per_weight=4.9),
        measured(speeds=(36.0, 36.1, 35.9), quant="Q8_0", bits_per_weight=8.5),
    )

    assert "% of Q8_0" in run(folder).stdout
    assert "% of Q4_K_M" in run(folder, "--reference", "Q4_K_M").stdout
