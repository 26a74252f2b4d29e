"""Baseline files that are corrupt, foreign, newer or meant to harm: refused, named, and left as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.baseline import store
from pytest_thor.baseline.entry import read_entry
from pytest_thor.errors import BaselineError
from tests.cells import QWEN3

GOLDEN = (Path(__file__).parents[2] / "golden" / "baseline-1.json").read_text(encoding="utf-8")
GOLDEN_2 = (Path(__file__).parents[2] / "golden" / "baseline-2.json").read_text(encoding="utf-8")
DEVICE = "jetson-agx-thor"


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(GOLDEN)
    edit(data)
    return json.dumps(data)


def edited_2(edit: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(GOLDEN_2)
    edit(data)
    return json.dumps(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = store.path_of(tmp_path, DEVICE, QWEN3)
    path.parent.mkdir(parents=True)
    return path


def refusal(root: Path, path: Path, content: bytes) -> str:
    """Return the message with which loading and saving over this content are refused."""
    path.write_bytes(content)
    with pytest.raises(BaselineError) as refused:
        store.load(root, DEVICE, QWEN3)
    with pytest.raises(BaselineError):
        store.save(root, DEVICE, QWEN3, read_entry(GOLDEN))
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]
    return str(refused.value)


def test_the_sound_file_is_read(tmp_path: Path, path: Path) -> None:
    path.write_text(GOLDEN)
    assert store.load(tmp_path, DEVICE, QWEN3) == read_entry(GOLDEN)


@pytest.mark.parametrize(
    ("content", "because"),
    [
        (b"", "is not whole"),
        (GOLDEN.encode()[: len(GOLDEN) // 2], "is not whole"),
        (GOLDEN.encode() + b"}", "is not whole: Extra data"),
        (b"\x00\xff\xfe binary", "is not text"),
        (b"not json", "is not whole"),
        (b"[]", "is not a baseline of pytest-thor"),
        (b"null", "is not a baseline of pytest-thor"),
        (b'{"schema": "pytest-thor/report/1"}', "is not a baseline of pytest-thor"),
        (b'{"schema": "pytest-thor/baseline/3"}', "was written by a newer pytest-thor"),
        (b'{"schema": "pytest-thor/baseline/1-beta"}', "unknown schema"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"schema": NaN}', "holds NaN, which is no number"),
        (b'{"a": 1, "a": 2}', "holds 'a' twice"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "holds a number of 10000 digits"),
        (GOLDEN.replace('  "device"', '<<<<<<< ours\n  "device"').encode(), "a merge conflict that was not resolved"),
    ],
    ids=range(16),
)
def test_what_is_not_a_whole_baseline_is_refused(tmp_path: Path, path: Path, content: bytes, because: str) -> None:
    message = refusal(tmp_path, path, content)
    assert because in message
    assert message.startswith(f"{path}: ")
    assert "git checkout -- " in message


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (edited(lambda data: data.pop("device")), "the entry lacks 'device'"),
        (edited(lambda data: data.update(extra=1)), "the entry has the unknown field 'extra'"),
        (edited(lambda data: data.update(device=7)), "device holds '7' (int)"),
        (edited(lambda data: data.update(device="orin")), "is the baseline of the device 'orin'"),
        (edited(lambda data: data["cell"].update(quant="Q8_0")), "its quant is 'Q8_0', not 'Q4_K_M'"),
        (edited(lambda data: data["cell"].pop("workload")), "its workload is None"),
        (edited(lambda data: data["cell"].update(model=["a"])), "cell.model holds (list)"),
        (edited(lambda data: data.update(launches=[])), "holds no launch"),
        (edited(lambda data: data.update(launches={})), "launches holds (dict)"),
        (edited(lambda data: data["launches"].append(3)), "launches[3] holds '3' (int)"),
        (edited(lambda data: data["launches"][1].pop("engine")), "launches[1] lacks 'engine'"),
        (edited(lambda data: data["launches"][1]["engine"].update(name=None)), "launches[1].engine.name"),
        (edited(lambda data: data["launches"][0]["samples"].update(tg_tps=40.0)), "launches[0].samples.tg_tps"),
        (edited(lambda data: data["launches"][0]["samples"].update(tg_tps=["40"])), "holds '40' (str)"),
        (edited(lambda data: data["launches"][0]["samples"].update(tg_tps=[True])), "holds 'True' (bool)"),
        (edited(lambda data: data["launches"][0]["samples"].update(tg_tps=[None])), "holds 'None' (NoneType)"),
        (edited(lambda data: data["launches"][0]["samples"].update(tg_tps=[10**399])), "(int)"),
        (GOLDEN.replace("39.98", "1e999"), "holds 'inf' (float)"),
        (GOLDEN.replace("39.98", "Infinity"), "holds Infinity, which is no number"),
        (edited(lambda data: data.update(note=None)), "the entry has the unknown field 'note'"),
        (edited_2(lambda data: data.pop("note")), "the entry lacks 'note'"),
        (edited_2(lambda data: data.update(note=["a"])), "note holds (list)"),
        (edited_2(lambda data: data.update(replaces=1)), "replaces holds '1' (int)"),
        (edited_2(lambda data: data["replaces"].pop("verdict")), "replaces lacks 'verdict'"),
        (edited_2(lambda data: data["replaces"].update(launches=-1)), "replaces.launches holds '-1' (int)"),
        (edited_2(lambda data: data["replaces"]["changes"].update(a=[])), "replaces.changes.a holds (list)"),
        (edited_2(lambda data: data["replaces"]["changes"]["tg_tps"].update(to="1")), "tg_tps.to holds '1' (str)"),
        (edited(lambda data: data.update(fingerprint={})), "a fingerprint has the groups"),
        (edited(lambda data: data["fingerprint"].update(must_match={"gpu": {}})), "must_match is not a table"),
    ],
    ids=range(29),
)
def test_what_is_not_of_its_form_is_refused_with_the_place(tmp_path: Path, path: Path, text: str, because: str) -> None:
    assert because in refusal(tmp_path, path, text.encode())


def test_a_huge_file_is_not_read(tmp_path: Path, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(store.MAX_FILE_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(BaselineError, match="too much for a baseline"):
        store.load(tmp_path, DEVICE, QWEN3)


def test_a_pipe_is_not_waited_for(tmp_path: Path, path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(BaselineError, match="is not a file"):
        store.load(tmp_path, DEVICE, QWEN3)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(BaselineError, match=r"tg128\.json: cannot be read"):
        store.load(tmp_path, DEVICE, QWEN3)
