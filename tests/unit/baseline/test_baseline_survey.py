"""Everything that a store holds, now and at a revision of git."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry, read_entry
from pytest_thor.baseline.survey import entries_at, survey
from pytest_thor.errors import BaselineError

GOLDEN = Path(__file__).parents[2] / "golden"
ENTRY = read_entry((GOLDEN / "baseline-2.json").read_text(encoding="utf-8"))
[RUN, _] = history.read_runs((GOLDEN / "history-1.jsonl").read_text(encoding="utf-8"), "golden")


def named(model: str, device: str = ENTRY.device) -> BaselineEntry:
    return replace(ENTRY, device=device, cell={**ENTRY.cell, "model": model})


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_each_cell_comes_with_its_anchor_and_its_history_in_order(tmp_path: Path) -> None:
    for entry in (named("b"), named("a"), named("a", "orin"), named("x" * 300)):
        store.save_entry(tmp_path, entry)
    history.append_named(tmp_path, "orin", ENTRY.cell, RUN)
    (tmp_path / "README.md").write_text("not a cell")
    found = list(survey(tmp_path))
    assert [(each.device, each.cell[:2], each.entry is not None, len(each.history)) for each in found] == [
        ("jetson-agx-thor", "a-", True, 0),
        ("jetson-agx-thor", "b-", True, 0),
        ("jetson-agx-thor", "xx", True, 0),
        ("orin", "a-", True, 0),
        ("orin", "qw", False, 1),
    ]
    assert [each.problem for each in found] == [None] * 5


def test_an_empty_store_holds_nothing_and_an_absent_one_is_a_mistake(tmp_path: Path) -> None:
    assert list(survey(tmp_path)) == []
    with pytest.raises(BaselineError, match="no baseline store here"):
        list(survey(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("content", "because"),
    [
        ("{", "is not whole"),
        ("<<<<<<< HEAD\n", "a merge conflict"),
        ((GOLDEN / "baseline-2.json").read_text(), "is the baseline of another cell or device"),
        (
            (GOLDEN / "baseline-2.json").read_text().replace('"workload": "tg128"', '"x": "y"'),
            "lacks the word 'workload'",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_hides_no_other(tmp_path: Path, content: str, because: str) -> None:
    path = store.save_entry(tmp_path, named("a"))
    path.with_name("b.json").write_text(content)
    sound, spoiled = survey(tmp_path)
    assert sound.problem is None
    assert spoiled.entry is None
    assert because in str(spoiled.problem)
    assert str(path.with_name("b.json")) in str(spoiled.problem)


def test_a_revision_is_read_as_it_was_also_where_an_older_version_wrote_it(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "baselines"
    path = store.save_entry(root, ENTRY)
    path.write_text((GOLDEN / "baseline-1.json").read_text())
    store.save_entry(root, named("with space"))
    history.append_named(root, ENTRY.device, ENTRY.cell, RUN)
    git(tmp_path, "init", "--initial-branch", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    path.write_text("no longer")
    entries = entries_at(root, "main")
    assert set(entries) == {path, path.with_name(path.name.replace("qwen3-8b", "with space"))}
    assert entries[path] == replace(ENTRY, note=None, replaces=None)


def test_what_was_corrupt_then_is_named_with_its_revision(tmp_path: Path) -> None:
    store.save_entry(tmp_path, ENTRY).write_text("{")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    with pytest.raises(BaselineError, match=r"^HEAD:.*tg128\.json: is not whole"):
        entries_at(tmp_path, "HEAD")


def test_a_store_outside_git_or_a_revision_that_is_not_there_is_named(tmp_path: Path) -> None:
    store.save_entry(tmp_path, ENTRY)
    with pytest.raises(BaselineError, match="not a git repository"):
        entries_at(tmp_path, "HEAD")
    git(tmp_path, "init")
    with pytest.raises(BaselineError, match="there is no such revision"):
        entries_at(tmp_path, "HEAD")
    with pytest.raises(BaselineError, match="'-x' is no revision of git"):
        entries_at(tmp_path, "-x")
