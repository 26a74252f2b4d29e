"""Files from elsewhere: plain ones only, and never more of one than can be meant."""

from __future__ import annotations

import hashlib
import os
import socket
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.foreign_file import UnfitFileError, file_sha256, open_plain, plain_lines, read_plain


def special(folder: Path, kind: str) -> Path:
    path = folder / "there"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path is short
        try:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
        finally:
            os.chdir(here)
    return path


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_read(kind: str, tmp_path: Path) -> None:
    path = special(tmp_path, kind)

    with pytest.raises(UnfitFileError, match=rf"it is a (named )?{kind}, not a file"):
        open_plain(path)
    with pytest.raises(UnfitFileError):
        read_plain(path, at_most_bytes=10)
    with pytest.raises(UnfitFileError):
        file_sha256(path)
    with pytest.raises(UnfitFileError):
        list(plain_lines(path, begin=b"", at_most_bytes=10))


def test_a_folder_and_a_missing_file_are_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_plain(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "gone")


@pytest.mark.parametrize("content", [b"", b"a", b"0123456789"])
def test_a_file_is_read_up_to_its_limit(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert read_plain(path, at_most_bytes=10) == content
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_longer_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789A")

    with pytest.raises(UnfitFileError, match="larger than 10 B"):
        read_plain(path, at_most_bytes=10)


def test_a_file_that_says_nothing_of_its_size_is_read_up_to_the_limit_too() -> None:
    with pytest.raises(UnfitFileError, match="larger than 10 B"):
        read_plain(Path("/proc/self/maps"), at_most_bytes=10)


@pytest.mark.parametrize("at_most_bytes", [1 << 20, 1 << 40])
def test_a_gigabyte_of_zeros_takes_no_memory(at_most_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 10**9)
    tracemalloc.start()
    try:
        with pytest.raises(UnfitFileError, match="begins with zeros"):
            read_plain(path, at_most_bytes=at_most_bytes)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.lists(st.text("{a\r\u2028é", max_size=5)), st.booleans())
def test_lines_that_begin_so_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ends: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes("\n".join(lines).encode() + (b"\n" if ends else b""))

    found = [line.decode().removesuffix("\n") for line in plain_lines(path, begin=b"{", at_most_bytes=100)]

    assert found == [line for line in lines if line.startswith("{")]


def test_lines_too_long_or_with_zeros_are_left_out_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        file.write(b"{1}\n")
        file.truncate(48 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\n{2}\n{" + b"a" * (9 << 20) + b"}\n{3}")
    tracemalloc.start()
    try:
        assert list(plain_lines(path, begin=b"{", at_most_bytes=8 << 20)) == [b"{1}\n", b"{2}\n", b"{3}"]
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
