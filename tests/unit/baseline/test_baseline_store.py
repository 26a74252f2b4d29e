"""The baseline store: where an entry stands, how its file reads in git, and what may enter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.baseline import store
from pytest_thor.baseline.entry import BaselineEntry, Move, Replaced, StoredLaunch, read_entry, write_entry
from pytest_thor.baseline.fingerprint import take
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from pytest_thor.measurement import EngineBuild
from pytest_thor.verdict import Verdict
from tests.cells import build_cell

GOLDEN = Path(__file__).parents[2] / "golden"
DEVICE = "jetson-agx-thor"
BUILD = EngineBuild(name="llama-bench", path="/opt/bin/llama-bench", version="b7000", commit="c0ffee12")


def cell(model: str = "qwen3-8b", matrix: str = "qwen3", workload: str = "tg128") -> Cell:
    return build_cell(
        "decode",
        {"n_depth": 0, "n_gen": 128, "repetitions": 3},
        workload=workload,
        model=model,
        architecture="qwen3-8b",
        quant="Q4_K_M",
        backend="llama.cpp",
        settings={"flash_attn": "on", "n_gpu_layers": 99},
        timeout_s=600,
        matrix=matrix,
        path=f"matrices/{matrix}.yaml",
    )


def launch(hour: int, *speeds: float) -> StoredLaunch:
    return StoredLaunch(
        started_at=f"2025-11-20T{hour:02}:00:00Z",
        engine=BUILD.name,
        version=BUILD.version,
        commit=BUILD.commit,
        samples={"tg_tps": speeds, "peak_memory_bytes": (5_300_000_000,)},
    )


LAUNCHES = (launch(9, 40.1, 40.0625, 39.98), launch(10, 40.3, 40.2, 40.25), launch(11, 39.8, 39.9, 39.7))


def entry(of: Cell | None = None, device: str = DEVICE, launches: Sequence[StoredLaunch] = LAUNCHES) -> BaselineEntry:
    of = of or cell()
    fingerprint = take(
        machine={
            "device": device,
            "cpu": "Neoverse-V3AE",
            "memory_bytes": 131_881_615_360,
            "gpu": "NVIDIA Thor",
            "power_mode": "MAXN",
            "l4t": "38.4",
            "cuda": None,
        },
        model={"size_bytes": 5_027_783_488, "header_sha256": "ab12"},
        engine=BUILD,
        cell=of,
    )
    return BaselineEntry(
        device=device,
        cell=of.fields,
        accepted_at="2025-11-20T12:00:00Z",
        fingerprint=fingerprint,
        launches=tuple(launches),
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = store.save(tmp_path, DEVICE, cell(), entry())
    assert path == tmp_path / "jetson-agx-thor" / "qwen3" / "qwen3-8b-Q4_K_M-llama.cpp-tg128.json"
    assert store.load(tmp_path, DEVICE, cell()) == entry()


def test_nothing_stored_is_none(tmp_path: Path) -> None:
    assert store.load(tmp_path / "absent", DEVICE, cell()) is None


def test_the_judge_gets_the_raw_samples_by_launch() -> None:
    assert entry().samples[0] == {"tg_tps": (40.1, 40.0625, 39.98), "peak_memory_bytes": (5_300_000_000,)}


REPLACED = Replaced(
    accepted_at="2025-10-02T08:00:00Z",
    version="b6900",
    commit=None,
    launches=5,
    verdict="regressed",
    changes={"tg_tps": Move(before=42.125, after=40.1), "energy_j_per_token": Move(before=0, after=0.5)},
)
REPLACING = replace(entry(), note="b7000 trades decode speed for 30 % less memory", replaces=REPLACED)


def test_the_file_is_what_it_always_was() -> None:
    text = (GOLDEN / "baseline-2.json").read_text(encoding="utf-8")
    assert read_entry(text) == REPLACING
    assert write_entry(REPLACING) == text


def test_a_file_of_the_first_version_is_read_and_becomes_the_present_one_with_the_next_save(tmp_path: Path) -> None:
    path = store.path_of(tmp_path, DEVICE, cell())
    path.parent.mkdir(parents=True)
    path.write_text((GOLDEN / "baseline-1.json").read_text(encoding="utf-8"), encoding="utf-8")
    migrated = store.load(tmp_path, DEVICE, cell())
    assert migrated == entry()
    assert '"schema": "pytest-thor/baseline/1"' in path.read_text()

    store.save(tmp_path, DEVICE, cell(), migrated)
    assert '"schema": "pytest-thor/baseline/2"' in path.read_text()
    assert store.load(tmp_path, DEVICE, cell()) == entry()


def test_what_was_replaced_reads_as_one_line_a_metric() -> None:
    lines = write_entry(REPLACING).splitlines()
    assert '      "tg_tps": {"change": "-4.8 %", "from": 42.125, "to": 40.1}' in lines
    assert '      "energy_j_per_token": {"change": null, "from": 0, "to": 0.5},' in lines
    incomparable = write_entry(replace(REPLACING, replaces=replace(REPLACED, verdict="incomparable")))
    assert '      "tg_tps": {"change": null, "from": 42.125, "to": 40.1}' in incomparable.splitlines()
    bare = replace(REPLACING, replaces=replace(REPLACED, changes={}))
    assert read_entry(write_entry(bare)) == bare


def test_the_file_is_json_with_sorted_keys_and_one_launch_a_line() -> None:
    text = write_entry(entry())
    data = json.loads(text)
    assert json.dumps(data) == json.dumps(data, sort_keys=True)
    assert sum(line.lstrip().startswith('{"engine"') for line in text.splitlines()) == len(LAUNCHES)
    assert text.endswith("}\n")


def test_one_launch_more_is_one_line_more(tmp_path: Path) -> None:
    before = write_entry(entry()).splitlines()
    after = write_entry(entry(launches=(*LAUNCHES, launch(12, 40.0)))).splitlines()
    assert len(after) == len(before) + 1
    assert len(set(after) - set(before)) == 2  # the new line, and the comma after the one before it


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store.save(tmp_path, DEVICE, cell(), entry())
    path = store.save(tmp_path, DEVICE, cell(), entry(launches=LAUNCHES[:1]))
    loaded = store.load(tmp_path, DEVICE, cell())
    assert loaded is not None
    assert len(loaded.launches) == 1
    assert list(path.parent.iterdir()) == [path]


def test_branches_that_touch_different_cells_merge(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch", "main")
    git("commit", "--allow-empty", "-m", "start")
    for branch, model in (("left", "qwen3-4b"), ("right", "qwen3-14b")):
        git("checkout", "-b", branch, "main")
        store.save(tmp_path, DEVICE, cell(model), entry(cell(model)))
        git("add", ".")
        git("commit", "-m", branch)
    git("merge", "left")
    assert [store.load(tmp_path, DEVICE, cell(model)) is None for model in ("qwen3-4b", "qwen3-14b")] == [False] * 2


@pytest.mark.parametrize(
    ("matrix", "model"),
    [
        ("../../etc", "x"),
        ("a/b", "../x"),
        ("..", "."),
        (".hidden", "a\0b"),
        ("m" * 300, "x" * 300),
        ("ü \udc80", "模型"),
    ],
)
def test_no_name_leaves_its_folder(tmp_path: Path, matrix: str, model: str) -> None:
    of = cell(model, matrix=matrix)
    path = store.path_of(tmp_path, DEVICE, of)
    assert path.resolve().parents[2] == tmp_path.resolve()
    assert not path.name.startswith(".")
    assert max(len(part) for part in path.parts) < 255


names = st.text(min_size=1, max_size=240)


@given(one=names, other=names)
def test_different_names_stand_in_different_files(one: str, other: str) -> None:
    paths = {store.path_of(Path("root"), DEVICE, cell(matrix=name)) for name in (one, other)}
    assert len(paths) == len({one, other})


def test_long_names_that_begin_alike_stand_in_different_files(tmp_path: Path) -> None:
    for end in ("a", "b"):
        store.save(tmp_path, DEVICE, cell("x" * 300 + end), entry(cell("x" * 300 + end)))
    assert len(list((tmp_path / DEVICE / "qwen3").iterdir())) == 2


def test_an_entry_of_another_cell_or_device_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="its model is 'qwen3-4b', not 'qwen3-8b'"):
        store.save(tmp_path, DEVICE, cell(), entry(cell("qwen3-4b")))
    with pytest.raises(BaselineError, match="the device 'orin', not 'jetson-agx-thor'"):
        store.save(tmp_path, DEVICE, cell(), entry(device="orin"))
    assert list(tmp_path.iterdir()) == []


def test_an_entry_without_launches_or_with_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="at least one finished launch"):
        store.save(tmp_path, DEVICE, cell(), entry(launches=()))
    with pytest.raises(BaselineError, match="not written"):
        store.save(tmp_path, DEVICE, cell(), entry(launches=(launch(9, float("nan")),)))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_named_with_advice(tmp_path: Path) -> None:
    (tmp_path / DEVICE).write_text("a file where a folder should be")
    with pytest.raises(BaselineError, match=r"jetson-agx-thor/qwen3/.*json"):
        store.save(tmp_path, DEVICE, cell(), entry())


def test_the_engine_behind_a_backend_may_change() -> None:
    other = cell()
    other = replace(other, backend=replace(other.backend, engine="llama-cpp-python"))
    assert store.path_of(Path("root"), DEVICE, other) == store.path_of(Path("root"), DEVICE, cell())


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.INVALID])
def test_where_nothing_is_stored_a_sound_run_may_enter(verdict: Verdict) -> None:
    assert store.may_store(mode="missing", existing=None, verdicts=[verdict])
    assert store.may_store(mode="accept", existing=None, verdicts=[verdict])
    assert not store.may_store(mode=None, existing=None, verdicts=[verdict])


@pytest.mark.parametrize("verdict", list(Verdict))
def test_missing_never_replaces(verdict: Verdict) -> None:
    assert not store.may_store(mode="missing", existing=entry(), verdicts=[verdict])


@pytest.mark.parametrize(
    ("verdict", "replaced"),
    [
        (Verdict.REGRESSED, True),
        (Verdict.IMPROVED, True),
        (Verdict.INCOMPARABLE, True),
        (Verdict.INCONCLUSIVE, True),
        (Verdict.NO_BASELINE, True),
        (Verdict.UNCHANGED, False),
        (Verdict.INVALID, False),
    ],
)
def test_accept_replaces_what_changed_and_keeps_the_anchor_of_what_did_not(verdict: Verdict, replaced: bool) -> None:
    assert store.may_store(mode="accept", existing=entry(), verdicts=[verdict, Verdict.UNCHANGED]) is replaced


def test_what_is_invalid_in_one_metric_failed_or_was_not_judged_never_enters() -> None:
    regressed = [Verdict.REGRESSED, Verdict.REGRESSED, Verdict.INVALID]
    assert not store.may_store(mode="accept", existing=entry(), verdicts=regressed)
    assert not store.may_store(mode="accept", existing=None, verdicts=[Verdict.NO_BASELINE], failed=True)
    assert not store.may_store(mode="accept", existing=None, verdicts=[])
