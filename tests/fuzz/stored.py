"""The readers of what pytest-thor itself wrote, earlier or elsewhere: baselines, histories, journals, reports."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from pytest_thor import journal
from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import read_entry, write_entry
from pytest_thor.baseline.fingerprint import Fingerprint, conditions, differences
from pytest_thor.baseline.place import entry_path, history_path
from pytest_thor.baseline.survey import survey
from pytest_thor.cell import ArtifactReference, Backend, Cell, Model, Workload
from pytest_thor.comparison.source import read_source
from pytest_thor.errors import BaselineError, ReportError, ThorError
from pytest_thor.expectation import expected
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.merging.expected import parse_expected
from pytest_thor.merging.merge import merge
from pytest_thor.merging.shards import Shard
from pytest_thor.report.outputs import FORMATS
from pytest_thor.report.reading import parse, read
from tests.fuzz.target import Target, golden, written
from tests.unit.report.report_documents import cell as record
from tests.unit.report.report_documents import document, failed, regressed, skipped

DEVICE = "jetson-agx-thor"
CELL = Cell(
    matrix="qwen3",
    matrix_path="matrices/qwen3.yaml",
    line=3,
    model=Model(name="qwen3-8b", architecture=None),
    quant="Q4_K_M",
    artifact=ArtifactReference(format="gguf", location="a.gguf"),
    backend=Backend(name="llama.cpp", engine="llama-bench", settings=(), timeout_s=600),
    workload=Workload(name="tg128", kind="decode", parameters=(("n_gen", 128), ("repetitions", 5))),
    thresholds=(),
)


def read_baseline(content: bytes, folder: Path) -> None:
    _store(entry_path(folder, DEVICE, CELL.fields), content, folder)
    with suppress(BaselineError):
        entry = store.load(folder, DEVICE, CELL)
        assert entry is not None
        assert entry.samples
        assert len(conditions(entry.fingerprint)) == 16
        assert differences(entry.fingerprint, entry.fingerprint) == ()
        assert read_entry(write_entry(entry)) == entry


def read_history(content: bytes, folder: Path) -> None:
    _store(history_path(folder, DEVICE, CELL.fields), content, folder)
    with suppress(BaselineError):
        runs = history.load(folder, DEVICE, CELL)
        assert all(run.values for run in runs)
        assert history.read_runs("\n".join(map(history.write_run, runs)), "again") == runs


def _store(path: Path, content: bytes, root: Path) -> None:
    """Put a file into a store, and read the store in every way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    [found] = survey(root)
    assert found.problem is None or str(found.path.parent.parent.name) == DEVICE
    expected([CELL], {CELL.matrix_path: root}, launches=(2, 5))
    with suppress(ThorError):
        read_source(root, name="store")
    assert unquote(path.parent.parent.name) == DEVICE


FINGERPRINT = Fingerprint(must_match=(("device", DEVICE),), under_test=())
KEY = journal.key(matrix="qwen3", cell="c", fingerprint=FINGERPRINT, reference=False)
LAUNCH = Launch(
    started_at="2026-01-01T00:00:00.000+00:00",
    duration_s=2.0,
    engine=EngineBuild(name="llama-bench", path="/b", version="b7"),
    samples={"tg_tps": (40.0, 41.0)},
    evidence={"model_type": "qwen3\u2028\u0085 8B", "notes": ["a\nb"]},
)


@cache
def _journal() -> bytes:
    with TemporaryDirectory() as name:
        path = Path(name) / "journal.jsonl"
        for number in (1, 2):
            journal.append(path, KEY, LAUNCH, device=DEVICE, number=number)
        return path.read_bytes()


def read_journal(content: bytes, folder: Path) -> None:
    path = written(folder, "journal.jsonl", content)
    for entries in journal.read(path).values():
        assert all(isinstance(entry.number, int) for entry in entries)
    journal.append(path, KEY, LAUNCH, device=DEVICE, number=3)  # goes on whatever stands there
    assert journal.read(path)[KEY][-1] == journal.Entry(number=3, launch=LAUNCH)


REPORTS = tuple(
    each.model_dump_json(by_alias=True).encode()
    for each in (
        document(record(), regressed("tg64"), skipped("pp8"), failed("tg9")),
        document(record("load", history=[{"finished_at": "2026-01-01", "verdict": None, "values": {"tg_tps": [1.0]}}])),
    )
)


def read_report(content: bytes, folder: Path) -> None:
    path = written(folder, "report.json", content)
    try:
        found = read(path)
    except ReportError as error:
        assert len(str(error)) < 3000  # noqa: PT017
        return
    for form in FORMATS.values():
        form.content(found)
    with suppress(ThorError):
        merge([Shard(name="a", document=found), Shard(name="b", document=parse(REPORTS[0], source="b"))])
    with suppress(ThorError):
        read_source(path, name="side")


EXPECTED = (
    b"3",
    json.dumps(
        {"include": [{"name": "1-of-2", "argv": ["-m", "thor_cell(model='x')or(thor_cell(quant='q'))"], "cells": 3}]}
    ).encode(),
    json.dumps([{"matrix": "qwen3", "id": "c"}]).encode(),
)


def read_expected(content: bytes, folder: Path) -> None:
    path = written(folder, "expected", content)
    for text in (content.decode("utf-8", errors="replace").replace("\0", ""), str(path)):
        if text.strip():
            with suppress(ReportError):
                parse_expected(text).missing(["a"], [])


TARGETS = (
    Target(name="baseline", read=read_baseline, seeds=golden("baseline-*.json")),
    Target(name="history", read=read_history, seeds=golden("history-*.jsonl")),
    Target(name="journal", read=read_journal, seeds=(_journal(),)),
    Target(name="report", read=read_report, seeds=REPORTS),
    Target(name="expected", read=read_expected, seeds=EXPECTED),
)
