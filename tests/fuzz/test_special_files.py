"""A named pipe or a device in the place of any file that is read: refused, neither waited for nor read without end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_thor import journal
from pytest_thor.artifacts.found import describe_directory
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.hf_config import read_json
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.artifacts.inventory import take_inventory
from pytest_thor.artifacts.kept import content_sha256
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.artifacts.vocabulary import ordinary_ids
from pytest_thor.baseline import history, store
from pytest_thor.baseline.place import entry_path, history_path
from pytest_thor.collection import vocabulary
from pytest_thor.comparison.source import read_source
from pytest_thor.engines.kept_logits import read_head
from pytest_thor.errors import BaselineError, ThorError
from pytest_thor.evaluation_text import read_evaluation_text
from pytest_thor.matrix import load
from pytest_thor.published import reference
from pytest_thor.report import reading
from pytest_thor.request_trace import read_trace
from tests.fuzz.artifacts import CONFIGS
from tests.fuzz.stored import CELL, DEVICE


@dataclass(frozen=True, slots=True)
class Reader:
    """``read`` is given the folder in which ``place`` is no file; ``beside`` are sound files there."""

    place: str
    read: Callable[[Path], object]
    beside: Mapping[str, bytes]


_CONFIG = {"config.json": CONFIGS[0]}
_ENTRY, _HISTORY = (str(path(Path(), DEVICE, CELL.fields)) for path in (entry_path, history_path))
READERS = {
    "matrix": Reader("m.yaml", lambda folder: load(folder / "m.yaml", vocabulary()), {}),
    "request trace": Reader("t.jsonl", lambda folder: read_trace(folder / "t.jsonl"), {}),
    "evaluation text": Reader("t.txt", lambda folder: read_evaluation_text(folder / "t.txt"), {}),
    "GGUF": Reader("a.gguf", lambda folder: read_header(folder / "a.gguf"), {}),
    "GGUF in a listing": Reader("a.gguf", lambda folder: take_inventory([folder]), {}),
    "imatrix": Reader("a.imatrix", lambda folder: content_sha256(folder / "a.imatrix", folder, print), {}),
    "config": Reader("config.json", describe_directory, {}),
    "identity of a config": Reader("generation_config.json", content_identity, _CONFIG),
    "identity of weights": Reader("a.safetensors", lambda folder: content_identity(folder, full=True), _CONFIG),
    "weights": Reader("a.safetensors", describe_directory, _CONFIG),
    "safetensors": Reader("a.safetensors", lambda folder: read_safetensors(folder / "a.safetensors"), {}),
    "index": Reader("model.safetensors.index.json", describe_directory, _CONFIG),
    "tokenizer": Reader("tokenizer.json", ordinary_ids, _CONFIG),
    "provenance": Reader("a.json", lambda folder: read_json(folder / "a.json"), {}),
    "logits": Reader("a.logits", lambda folder: read_head(folder / "a.logits"), {}),
    "baseline": Reader(_ENTRY, lambda folder: store.load(folder, DEVICE, CELL), {}),
    "history": Reader(_HISTORY, lambda folder: history.load(folder, DEVICE, CELL), {}),
    "journal": Reader("journal.jsonl", lambda folder: journal.read(folder / "journal.jsonl"), {}),
    "journal's counts": Reader("j.jsonl", lambda folder: journal.launches_by_device(folder / "j.jsonl"), {}),
    "report": Reader("report.json", reading.read, {}),
    "compared": Reader("report.json", lambda folder: read_source(folder / "report.json", name="a"), {}),
    "published reference": Reader("r.json", lambda folder: reference.load(folder / "r.json"), {}),
    "published references": Reader("r.json", reference.load_all, {}),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", READERS)
def test_no_reader_waits_for_it_or_reads_it_without_end(name: str, kind: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for beside, content in reader.beside.items():
        (tmp_path / beside).write_bytes(content)
    path = tmp_path / reader.place
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    with suppress(ThorError, OSError):
        found = reader.read(tmp_path)
        assert name in {"GGUF in a listing", "journal's counts", "logits", "weights", "index"}, found


@pytest.mark.timeout(30)
def test_a_run_is_not_written_into_a_pipe(tmp_path: Path) -> None:
    path = history_path(tmp_path, DEVICE, CELL.fields)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    run = history.StoredRun(
        finished_at="2026-01-01", verdict=None, version=None, commit=None, conditions="c", values=({"tg_tps": 1.0},)
    )

    with pytest.raises(BaselineError, match="not a file"):
        history.append(tmp_path, DEVICE, CELL, run)
