"""A link in a store that leads out of it: nothing is read or written through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import read_entry
from pytest_thor.baseline.survey import survey
from pytest_thor.errors import BaselineError
from tests.cells import QWEN3

GOLDEN = (Path(__file__).parents[2] / "golden" / "baseline-2.json").read_text(encoding="utf-8")
PAST = (Path(__file__).parents[2] / "golden" / "history-1.jsonl").read_text(encoding="utf-8")
DEVICE = "jetson-agx-thor"
SECRET = "root:x:0:0"

Linked = Callable[[Path, Path], None]


def as_file(root: Path, outside: Path) -> None:
    place = store.path_of(root, DEVICE, QWEN3)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside / "anchor")
    place.with_name(place.name.replace(".json", ".history.jsonl")).symlink_to(outside / "past")


def as_matrix(root: Path, outside: Path) -> None:
    folder = store.path_of(root, DEVICE, QWEN3).parent
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)


def as_device(root: Path, outside: Path) -> None:
    root.mkdir()
    (root / DEVICE).symlink_to(outside)


@pytest.fixture(params=[as_file, as_matrix, as_device])
def linked(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of which a part is a link to a folder beside it."""
    outside = tmp_path / "outside"
    for folder in (outside, outside / QWEN3.matrix):
        folder.mkdir()
    (outside / "anchor").write_text(SECRET)
    (outside / "past").write_text(SECRET)
    request.param(tmp_path / "baselines", outside)
    return tmp_path / "baselines"


def content(folder: Path) -> dict[Path, str | None]:
    return {path: path.read_text() if path.is_file() else None for path in folder.rglob("*")}


def test_nothing_is_read_or_written_through_a_link_that_leads_out(linked: Path) -> None:
    before = content(linked.parent / "outside")
    [run] = history.read_runs(PAST.splitlines()[0], "past")
    for use in (
        lambda: store.load(linked, DEVICE, QWEN3),
        lambda: store.save(linked, DEVICE, QWEN3, read_entry(GOLDEN)),
        lambda: history.load(linked, DEVICE, QWEN3),
        lambda: history.append(linked, DEVICE, QWEN3, run),
    ):
        with pytest.raises(BaselineError, match="leads out of the baseline store by a link") as refused:
            use()
        assert SECRET not in str(refused.value)
    assert SECRET not in "".join(str(found) for found in survey(linked))
    assert content(linked.parent / "outside") == before


def test_the_rule_for_git_is_not_written_through_a_link(tmp_path: Path) -> None:
    root, outside = tmp_path / "baselines", tmp_path / "outside"
    root.mkdir()
    outside.write_text("kept\n")
    (root / ".gitattributes").symlink_to(outside)
    [run] = history.read_runs(PAST.splitlines()[0], "past")

    with pytest.raises(BaselineError, match="leads out of the baseline store by a link"):
        history.append(root, DEVICE, QWEN3, run)

    assert outside.read_text() == "kept\n"


def test_a_store_may_be_reached_by_a_link_and_have_links_inside(tmp_path: Path) -> None:
    root = tmp_path / "real"
    (root / "one-name").mkdir(parents=True)
    (root / DEVICE).symlink_to(root / "one-name")
    (tmp_path / "baselines").symlink_to(root)

    saved = store.save(tmp_path / "baselines", DEVICE, QWEN3, read_entry(GOLDEN))

    assert store.load(tmp_path / "baselines", DEVICE, QWEN3) == read_entry(saved.read_text())
