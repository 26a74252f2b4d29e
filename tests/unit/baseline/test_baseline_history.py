"""The history of a cell: what is appended is read back, whatever happened to the file, and git unites two branches."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.baseline import history
from pytest_thor.baseline.history import StoredRun, read_run, read_runs, write_run
from pytest_thor.cell import Cell
from pytest_thor.errors import BaselineError
from tests.cells import build_cell

GOLDEN = Path(__file__).parents[2] / "golden" / "history-1.jsonl"
DEVICE = "jetson-agx-thor"


def cell(model: str = "qwen3-8b") -> Cell:
    return build_cell(workload="tg128", model=model, quant="Q4_K_M", backend="llama.cpp", matrix="qwen3")


def run(day: int, speed: float = 40.0) -> StoredRun:
    return StoredRun(
        finished_at=f"2025-11-{day:02}T12:00:00.000+00:00",
        verdict="unchanged",
        version="b7000",
        commit=None,
        conditions="0123456789abcdef",
        values=({"tg_tps": speed, "ttft_ms.p99": 12.5}, {"tg_tps": speed + 0.25}),
        tested="89abcdef01234567",
    )


def path_in(root: Path) -> Path:
    return root / DEVICE / "qwen3" / "qwen3-8b-Q4_K_M-llama.cpp-tg128.history.jsonl"


def stored(root: Path, text: str) -> Path:
    path = path_in(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_appended_is_loaded_oldest_first(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        path = history.append(tmp_path, DEVICE, cell(), run(day))
    assert path == path_in(tmp_path)
    assert history.load(tmp_path, DEVICE, cell()) == (run(1), run(2), run(3))
    assert [path.name for path in path.parent.iterdir()] == [path.name]


def test_no_history_is_none_at_all(tmp_path: Path) -> None:
    assert history.load(tmp_path / "absent", DEVICE, cell()) == ()


def test_the_line_is_what_it_always_was() -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    assert read_runs(text, GOLDEN) == (run(1), run(2))
    assert "".join(f"{write_run(each)}\n" for each in (run(1), run(2))) == text


def test_a_run_is_one_line_and_one_run_more_is_one_line_more(tmp_path: Path) -> None:
    before = history.append(tmp_path, DEVICE, cell(), run(2)).read_text()
    after = history.append(tmp_path, DEVICE, cell(), run(1)).read_text()
    assert after.startswith(before)
    assert after.count("\n") == 2


def test_the_newest_are_kept_by_their_time_not_their_place(tmp_path: Path) -> None:
    for day in (9, 3, 7, 5):
        history.append(tmp_path, DEVICE, cell(), run(day), keep=3)
    assert history.load(tmp_path, DEVICE, cell()) == (run(5), run(7), run(9))
    with pytest.raises(ValueError, match="at least one run"):
        history.append(tmp_path, DEVICE, cell(), run(1), keep=0)


def test_times_of_other_zones_and_forms_are_ordered_as_times(tmp_path: Path) -> None:
    late = replace(run(1), finished_at="2025-11-01T11:00:00-05:00")
    early = replace(run(1), finished_at="2025-11-01T12:30:00Z")
    local = replace(run(1), finished_at="2025-11-01T13:00:00")
    for each in (late, local, early):
        history.append(tmp_path, DEVICE, cell(), each)
    assert history.load(tmp_path, DEVICE, cell()) == (early, local, late)


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    history.append(tmp_path, DEVICE, cell(), run(1))
    path = history.append(tmp_path, DEVICE, cell(), run(1))
    assert path.read_text().count("\n") == 1
    path.write_text(path.read_text() * 3)
    assert history.load(tmp_path, DEVICE, cell()) == (run(1),)


@pytest.mark.parametrize("kept", [1, 30, -2])
def test_a_last_line_that_was_cut_short_spoils_nothing_and_goes_with_the_next_run(tmp_path: Path, kept: int) -> None:
    path = stored(tmp_path, f"{write_run(run(1))}\n{write_run(run(2))[:kept]}")
    assert history.load(tmp_path, DEVICE, cell()) == (run(1),)
    history.append(tmp_path, DEVICE, cell(), run(3))
    assert path.read_text() == f"{write_run(run(1))}\n{write_run(run(3))}\n"


def test_a_whole_last_line_without_its_end_counts(tmp_path: Path) -> None:
    stored(tmp_path, f"{write_run(run(1))}\r\n\n{write_run(run(2))}")
    assert history.load(tmp_path, DEVICE, cell()) == (run(1), run(2))


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(write_run(run(2))), **fields})


@pytest.mark.parametrize(
    ("line", "because"),
    [
        ("<<<<<<< HEAD", "a merge conflict was not resolved here"),
        ("||||||| base", "a merge conflict was not resolved here"),
        ("=======", "a merge conflict was not resolved here"),
        (">>>>>>> other", "a merge conflict was not resolved here"),
        (write_run(run(2))[:-9], "is not whole"),
        ("7", "is not a baseline of pytest-thor"),
        ("[" * 100_000, "nested too deeply"),
        (changed(schema="pytest-thor/history/2"), "was written by a newer pytest-thor"),
        (changed(schema="pytest-thor/history/01"), "was written by a newer pytest-thor"),
        (changed(schema="pytest-thor/history/x"), "unknown schema"),
        (changed(schema="pytest-thor/baseline/2"), "does not say schema 'pytest-thor/history/1'"),
        (changed(more=1), "the run has the unknown field 'more'"),
        (changed(verdict="fine"), "verdict holds 'fine', which is none of regressed, "),
        (changed(finished_at="yesterday"), "finished_at holds 'yesterday', which is no time"),
        (changed(values=[]), "holds no launch"),
        (changed(values=[{"tg_tps": "40"}]), "values[0].tg_tps holds '40' (str)"),
        (changed(values=[{"tg_tps": True}]), "values[0].tg_tps holds 'True' (bool)"),
        (changed(values=[{"tg_tps": None}]), "values[0].tg_tps holds 'None' (NoneType)"),
        (changed(values=[{"tg_tps": float("nan")}]), "holds NaN, which is no number"),
        (changed(conditions=None), "conditions holds 'None' (NoneType)"),
    ],
    ids=range(20),
)
def test_a_line_that_cannot_be_used_is_named_by_its_number_and_left(tmp_path: Path, line: str, because: str) -> None:
    path = stored(tmp_path, f"{write_run(run(1))}\n{line}\n{write_run(run(3))}\n")
    text = path.read_text()
    with pytest.raises(BaselineError) as refused:
        history.load(tmp_path, DEVICE, cell())
    with pytest.raises(BaselineError):
        history.append(tmp_path, DEVICE, cell(), run(4))
    assert str(refused.value).startswith(f"{path}:2: ")
    assert because in str(refused.value)
    assert "merge=union" in str(refused.value)
    assert path.read_text() == text


def test_a_conflict_at_the_end_is_no_line_that_was_cut_short(tmp_path: Path) -> None:
    stored(tmp_path, f"{write_run(run(1))}\n>>>>>>> other")
    with pytest.raises(BaselineError, match="jsonl:2: a merge conflict"):
        history.load(tmp_path, DEVICE, cell())


def test_files_that_are_no_history_are_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match="is not text"):
        history.load(tmp_path, DEVICE, cell())
    with path.open("wb") as file:
        file.truncate(history.MAX_FILE_BYTES + 1)
    with pytest.raises(BaselineError, match="too much for a baseline"):
        history.append(tmp_path, DEVICE, cell(), run(1))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BaselineError, match="is not a file"):
        history.load(tmp_path, DEVICE, cell())


def test_an_invalid_run_one_without_launches_and_one_of_nan_never_enter(tmp_path: Path) -> None:
    for spoiled, because in (
        (replace(run(1), verdict="invalid"), "the run is invalid"),
        (replace(run(1), values=()), "holds no launch"),
        (replace(run(1), values=({"tg_tps": float("inf")},)), "not written"),
        (replace(run(1), finished_at=""), "no time in ISO 8601"),
    ):
        with pytest.raises(BaselineError, match=because):
            history.append(tmp_path, DEVICE, cell(), spoiled)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_named_with_advice(tmp_path: Path) -> None:
    (tmp_path / DEVICE).write_text("a file where a folder should be")
    with pytest.raises(BaselineError, match=r"history\.jsonl: cannot be written.*--thor-baseline"):
        history.append(tmp_path, DEVICE, cell(), run(1))


def test_a_write_that_fails_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(history, "atomic_write_text", full)
    with pytest.raises(BaselineError, match="No space left"):
        history.append(tmp_path, DEVICE, cell(), run(1))
    assert not path_in(tmp_path).exists()


def _append_some(root: Path, first: int) -> None:
    for day in range(first, first + 5):
        history.append(root, DEVICE, cell(), run(day))


def test_writers_at_the_same_time_lose_no_run(tmp_path: Path) -> None:
    with ProcessPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(_append_some, tmp_path, first) for first in (1, 6, 11)]:
            done.result()
    assert history.load(tmp_path, DEVICE, cell()) == tuple(run(day) for day in range(1, 16))


def test_git_is_told_once_and_a_users_own_rule_stays(tmp_path: Path) -> None:
    rules = tmp_path / ".gitattributes"
    history.append(tmp_path, DEVICE, cell(), run(1))
    history.append(tmp_path, DEVICE, cell("qwen3-4b"), run(1))
    assert rules.read_text() == "*.history.jsonl merge=union\n"

    rules.write_text("*.history.jsonl merge=binary")
    history.append(tmp_path, DEVICE, cell("qwen3-14b"), run(1))
    assert rules.read_text() == "*.history.jsonl merge=binary"

    rules.write_text("*.json -text")
    history.append(tmp_path, DEVICE, cell("qwen3-32b"), run(1))
    assert rules.read_text() == "*.json -text\n*.history.jsonl merge=union\n"


class Repository:
    """A git repository whose baselines two branches write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--initial-branch", "main")
        self.git("commit", "--allow-empty", "-m", "start")

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(self.root), *identity, *arguments], check=True, capture_output=True)

    def branch(self, name: str, *runs: tuple[str, str, StoredRun]) -> None:
        self.git("checkout", "-B", name, "main")
        for device, model, each in runs:
            history.append(self.root, device, cell(model), each, keep=4)
        self.git("add", ".")
        self.git("commit", "-m", name)


@pytest.mark.parametrize("before", [0, 1, 4])
def test_branches_that_append_to_one_history_merge(tmp_path: Path, before: int) -> None:
    repository = Repository(tmp_path)
    repository.branch("base", *((DEVICE, "qwen3-8b", run(day)) for day in range(1, before + 1)), (DEVICE, "x", run(1)))
    repository.git("checkout", "-B", "main", "base")
    repository.branch("left", (DEVICE, "qwen3-8b", run(6, 39.0)), (DEVICE, "qwen3-8b", run(8)))
    repository.branch("right", (DEVICE, "qwen3-8b", run(7, 41.0)), (DEVICE, "qwen3-8b", run(8)))
    repository.git("merge", "left")
    newest = (run(6, 39.0), run(7, 41.0), run(8))
    assert history.load(tmp_path, DEVICE, cell())[-3:] == newest
    history.append(tmp_path, DEVICE, cell(), run(9), keep=4)
    assert history.load(tmp_path, DEVICE, cell()) == (*newest, run(9))


def test_branches_that_each_begin_the_store_merge(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.branch("left", (DEVICE, "qwen3-8b", run(1)), (DEVICE, "qwen3-4b", run(1)), ("orin", "qwen3-8b", run(1)))
    repository.branch("right", (DEVICE, "qwen3-8b", run(2)), (DEVICE, "qwen3-14b", run(2)))
    repository.git("merge", "left")
    assert history.load(tmp_path, DEVICE, cell()) == (run(1), run(2))
    assert history.load(tmp_path, "orin", cell()) == (run(1),)
    assert [history.load(tmp_path, DEVICE, cell(name)) for name in ("qwen3-4b", "qwen3-14b")] == [(run(1),), (run(2),)]


finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
texts = st.none() | st.text(st.characters(exclude_categories=()))
runs = st.builds(
    StoredRun,
    finished_at=st.datetimes().map(lambda moment: f"{moment.isoformat()}+00:00"),
    verdict=st.sampled_from([None, "regressed", "no-baseline"]),
    version=texts,
    commit=texts,
    conditions=st.text(),
    values=st.lists(st.dictionaries(st.text(), finite), min_size=1, max_size=3).map(tuple),
)


@given(runs)
def test_every_run_survives_its_line(each: StoredRun) -> None:
    line = write_run(each)
    assert "\n" not in line
    assert read_run(line) == each


@given(st.lists(runs, max_size=5), st.randoms())
def test_the_order_of_lines_does_not_matter(each: list[StoredRun], order: object) -> None:
    lines = [write_run(one) for one in each]
    shuffled = lines * 2
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    texts = ("".join(f"{line}\n" for line in some) for some in (lines, shuffled))
    one, other = (read_runs(text, "a") for text in texts)
    assert one == other


def outcome_of(text: str) -> tuple[StoredRun, ...] | str:
    try:
        return read_runs(text, "a.history.jsonl")
    except BaselineError as error:
        return str(error)


@given(st.text())
def test_any_text_is_refused_by_name_or_holds_nothing(text: str) -> None:
    outcome = outcome_of(text)
    assert outcome == () or str(outcome).startswith("a.history.jsonl:")
