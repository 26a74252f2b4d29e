"""Every format into its file, in one step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_thor.errors import ReportError
from pytest_thor.report.exports import CSV_COLUMNS
from pytest_thor.report.outputs import FORMATS, write_output, write_outputs
from tests.unit.report.report_documents import HOSTILE, cell, document, failed, hostile, regressed, skipped


def test_every_format_has_a_file_of_its_own_and_none_is_written_twice(tmp_path: Path) -> None:
    report = document(cell(), cell("pp512"), cell("load"), regressed("tg8"), failed("tg64"), skipped("pp1"))

    written = write_outputs(report, tmp_path / "out", [*FORMATS, *FORMATS])

    assert [path.name for path in written] == [chosen.file for chosen in FORMATS.values()]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    assert all(path.stat().st_size for path in written)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_report_gives_the_same_bytes(name: str) -> None:
    report = document(cell(), regressed("tg8"), cell("load"))

    assert FORMATS[name].content(report) == FORMATS[name].content(report.model_copy(deep=True))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", ["", "\ud800", *HOSTILE])
def test_no_text_keeps_a_file_from_being_written(name: str, text: str, tmp_path: Path) -> None:
    assert write_output(hostile(text), tmp_path / "file", name).exists()


def test_an_empty_report_can_be_written_in_every_format(tmp_path: Path) -> None:
    assert len(write_outputs(document(), tmp_path, FORMATS)) == len(FORMATS)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ReportError, match="'pdf' is no format of a report: expected one of markdown, html, comment"):
        write_outputs(document(), Path("nowhere"), ["pdf"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(ReportError, match=r"report\.md: cannot write it"):
        write_outputs(document(), tmp_path / "file", ["markdown"])


def test_the_page_about_exports_has_every_format_with_its_file_and_every_column() -> None:
    page = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `([a-z-]+)` \| `([a-z.-]+)` \|", page, flags=re.MULTILINE)
    assert rows == [(name, chosen.file) for name, chosen in FORMATS.items()]
    assert [column for column in CSV_COLUMNS if f"`{column}`" not in page] == []
