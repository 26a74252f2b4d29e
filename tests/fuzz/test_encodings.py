"""A byte order mark, lines that end as Windows ends them, and another encoding: read alike, or refused in words."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor import journal
from pytest_thor.artifacts.found import describe_directory
from pytest_thor.baseline import history, store
from pytest_thor.baseline.place import entry_path, history_path
from pytest_thor.collection import vocabulary
from pytest_thor.engines.bench_rows import read_row
from pytest_thor.errors import ThorError
from pytest_thor.matrix import expand, load
from pytest_thor.merging.expected import parse_expected
from pytest_thor.published import reference
from pytest_thor.published.page import decode
from pytest_thor.published.read import read
from pytest_thor.report import reading
from pytest_thor.request_trace import read_trace
from pytest_thor.serving.sse import read_events
from tests.fuzz import artifacts, engines, matrices, published, serving, stored
from tests.fuzz.target import golden


def _page(path: Path) -> object:
    return [(result.model, result.metrics) for result in read(decode(path.read_bytes()), name="page").results]


def _rows(path: Path) -> object:
    return [read_row(line) for line in path.read_text(encoding="utf-8").split("\n")]


def _events(path: Path) -> object:
    return [(event.data, event.is_error) for event in read_events(path.read_bytes())]


def _requests(path: Path) -> object:
    return read_trace(path).requests


_ENTRY, _HISTORY = (str(path(Path(), stored.DEVICE, stored.CELL.fields)) for path in (entry_path, history_path))
_MARKED, _WINDOWS = "a byte order mark", "CRLF"
READERS: dict[str, tuple[str, bytes, Callable[[Path], object], set[str]]] = {
    "matrix": ("m.yaml", matrices._SMALL, lambda path: expand(load(path, vocabulary())), {_MARKED, _WINDOWS}),
    "request trace": ("t.jsonl", matrices.TRACES[0], _requests, {_MARKED, _WINDOWS}),
    "config": ("config.json", artifacts.CONFIGS[0], lambda path: describe_directory(path.parent), set()),
    "published table": ("a.md", golden("published/*.md")[0], _page, {_MARKED, _WINDOWS}),
    "published CSV": ("a.csv", golden("published/*.csv")[0], _page, {_MARKED, _WINDOWS}),
    "published rows": ("a.jsonl", golden("published/*.jsonl")[0], _page, {_MARKED, _WINDOWS}),
    "published reference": ("r.json", published._reference(), reference.load, {_MARKED, _WINDOWS}),
    "report": ("report.json", stored.REPORTS[0], reading.read, {_MARKED, _WINDOWS}),
    "expectation": ("e.json", stored.EXPECTED[1], lambda path: parse_expected(str(path)), {_MARKED, _WINDOWS}),
    "baseline": (
        _ENTRY,
        golden("baseline-*.json")[0],
        lambda path: store.load(path.parents[2], stored.DEVICE, stored.CELL),
        {_WINDOWS},
    ),
    "history": (
        _HISTORY,
        golden("history-*.jsonl")[0],
        lambda path: history.load(path.parents[2], stored.DEVICE, stored.CELL),
        {_WINDOWS},
    ),
    "journal": ("journal.jsonl", stored._journal(), journal.read, {_WINDOWS}),
    "llama-bench's rows": ("rows", b"\n".join(engines._ROWS[:2]), _rows, {_WINDOWS}),
    "events": ("events", b"".join(serving._STREAM), _events, {_MARKED, _WINDOWS}),
}


def _result(name: str, change: Callable[[bytes], bytes], folder: Path) -> object:
    place, content, read, _ = READERS[name]
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(change(content))
    return read(path)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    _MARKED: lambda content: codecs.BOM_UTF8 + content,
    _WINDOWS: lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, (*_, takes) in READERS.items() for change in takes]
)
def test_it_is_read_alike(name: str, change: str, tmp_path: Path) -> None:
    assert _result(name, CHANGES[change], tmp_path) == _result(name, lambda content: content, tmp_path)


@pytest.mark.parametrize("name", ["matrix", "request trace", "baseline", "history", "report", "published reference"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_refused_in_words(name: str, encoding: str, tmp_path: Path) -> None:
    with pytest.raises(ThorError) as refused:
        _result(name, lambda content: content.decode().encode(encoding), tmp_path)

    assert len(str(refused.value)) < 1000


def test_a_page_in_another_encoding_is_read(tmp_path: Path) -> None:
    as_it_is = _result("published table", lambda content: content, tmp_path)

    assert _result("published table", lambda content: content.decode().encode("utf-16"), tmp_path) == as_it_is
