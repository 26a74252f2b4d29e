"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pytest_thor import files


def test_a_file_is_replaced_in_one_step_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"

    files.atomic_write_text(path, "old")
    files.atomic_write_text(path, "größer")

    assert path.read_text(encoding="utf-8") == "größer"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "report.json").symlink_to(tmp_path / "elsewhere")

    files.atomic_write_text(tmp_path / "report.json", "new")

    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert not (tmp_path / "report.json").is_symlink()


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    files.atomic_write_text(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.atomic_write_text(path, "new")

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        files.atomic_write_text(tmp_path / "report.json", "x")
    finally:
        os.umask(mask)

    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o640


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    files.append_line(journal, '{"a": 1}')
    with journal.open("a") as file:
        file.write('{"b": ')

    files.append_line(journal, '{"c": 3}')

    assert journal.read_text().splitlines() == ['{"a": 1}', '{"b": ', '{"c": 3}']


def write_many(path: Path, name: str) -> None:
    for number in range(50):
        files.append_line(path, f"{name}{number}" * 200)


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"

    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write_many, [journal] * 2, ["a", "b"]))

    expected = {f"{name}{number}" * 200 for name in "ab" for number in range(50)}
    assert set(journal.read_text().splitlines()) == expected
