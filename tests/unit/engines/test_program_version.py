"""What a program prints for ``--version``, and what it must not cost to read it."""

from __future__ import annotations

import pytest

from pytest_thor.engines.process import LINE_LIMIT
from pytest_thor.engines.version import parse_version
from pytest_thor.engines.vllm_install import _VERSION


@pytest.mark.parametrize(
    ("printed", "version", "commit"),
    [
        ("version: 6123 (79c1160b)\nbuilt with cc for aarch64", "6123", "79c1160b"),
        ("log line\nversion: b7000-1, commit 0123456\r\n", "b7000-1", "0123456"),
        ("version: b5   \n", "b5", None),
        ("version:\n", None, None),
        ("versions: 5", None, None),
    ],
)
def test_version_and_commit_are_told_apart(printed: str, version: str | None, commit: str | None) -> None:
    assert parse_version(printed) == (version, commit)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "printed",
    [
        "version: 1" + " " * LINE_LIMIT + "x",
        "version: 1 (79c1160b)" + " " * LINE_LIMIT + "x",
        "version: " + "(" * LINE_LIMIT,
    ],
)
def test_a_version_without_end_is_cut(printed: str) -> None:
    assert len(parse_version(printed)[0] or "") <= 201


@pytest.mark.timeout(60)
def test_a_number_without_end_is_no_version_of_vllm() -> None:
    assert _VERSION.search("1." + "1" * LINE_LIMIT + " x") is None
