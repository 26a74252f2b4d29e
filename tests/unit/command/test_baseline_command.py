"""``pytest-thor baseline``: what a person sees of the store, and what may be done to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.history import StoredRun
from pytest_thor.command import main
from pytest_thor.command.baseline_tables import age, sparkline
from pytest_thor.report.document import CellRecord, MetricRecord, write
from tests.unit.report.report_documents import cell, document, launch

DEVICE = "jetson-agx-thor"
TG128 = "qwen3-8b-Q4_K_M-llama.cpp-tg128"
WORDS = {
    "matrix": "qwen3",
    "model": "qwen3-8b",
    "quant": "Q4_K_M",
    "backend": "llama.cpp",
    "engine": "llama-bench",
    "workload": "tg128",
    "kind": "decode",
}
MATRIX = """\
name: qwen3
models:
  qwen3-8b: {gguf: "a-{quant}.gguf", quants: [Q4_K_M]}
backends:
  llama.cpp: {engine: llama-bench}
workloads:
  tg128: {kind: decode, n_gen: 128}
"""


def measured(
    workload: str = "tg128",
    speeds: Sequence[float] = (40.0, 40.1, 39.9),
    verdict: str = "no-baseline",
    *,
    day: int = 1,
    **facts: object,
) -> CellRecord:
    """Return a measured cell; ``facts`` are those of its fingerprint that are not as always."""
    must_match = {"device": DEVICE, "power_mode": facts.pop("power_mode", "MAXN")}
    return cell(
        workload,
        verdict=verdict,
        fingerprint={"must_match": must_match, "under_test": {"engine.version": "b7", **facts}},
        launches=[
            launch({"tg_tps": [speed] * 3}, started_at=f"2026-01-{day:02}T00:0{index}:00.000+00:00")
            for index, speed in enumerate(speeds)
        ],
        metrics={"tg_tps": MetricRecord(unit="tok/s", better="higher", value=speeds[0], verdict=verdict)},
    )


class Store:
    """A store in a git repository, and the command run beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "baselines"

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main, ["baseline", *map(str, arguments)])

    def on_root(self, name: str, *arguments: str | Path) -> Result:
        return self.run(name, *arguments, "--baseline", self.root)

    def report(self, *records: CellRecord) -> Path:
        write(document(*records), self.folder / "report" / "report.json")
        return self.folder / "report"

    def accept(self, *records: CellRecord, options: Sequence[str] = ()) -> Result:
        return self.on_root("accept", self.report(*records), *options)

    def json(self, name: str, *arguments: str | Path) -> Any:
        result = self.on_root(name, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def entry(self, workload: str = "tg128") -> BaselineEntry | None:
        return store.load_named(self.root, DEVICE, {**WORDS, "workload": workload})

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(self.folder), *identity, *arguments], check=True, capture_output=True)

    def commit(self) -> None:
        self.git("init")
        self.git("add", ".")
        self.git("commit", "-m", "baselines")


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path)


def anchored(kept: Store, accepted_at: str = "2025-12-31T00:00:00+00:00", *records: CellRecord) -> None:
    """Store records as anchors that were accepted long before any report of these tests."""
    from pytest_thor.anchors import entry_of

    for record in records or (measured(),):
        store.save_entry(kept.root, entry_of(record, accepted_at=accepted_at))


def test_accept_stores_what_is_new_with_its_note_and_its_line_of_history(kept: Store) -> None:
    result = kept.accept(measured(), measured("tg64"), options=["-k", "tg128", "--note", "first figures"])
    entry = kept.entry()
    assert entry is not None
    assert (entry.note, entry.replaces, len(entry.launches)) == ("first figures", None, 3)
    assert kept.entry("tg64") is None
    [run] = history.load_named(kept.root, DEVICE, WORDS)
    assert run.finished_at == "2026-01-01T00:02:02.000+00:00"
    assert [launch["tg_tps"] for launch in run.values] == [40.0, 40.1, 39.9]
    assert f"{TG128}  stored: nothing was stored" in result.stdout
    assert "1 cell of 1 accepted" in result.stdout


def test_an_improvement_replaces_and_says_what_it_replaced_and_by_how_much(kept: Store) -> None:
    anchored(kept)
    result = kept.accept(measured(speeds=(44.0, 44.0, 44.0), verdict="improved"))
    entry = kept.entry()
    assert entry is not None
    assert entry.replaces is not None
    assert entry.replaces.accepted_at == "2025-12-31T00:00:00+00:00"
    assert entry.replaces.verdict == "improved"
    assert entry.replaces.changes["tg_tps"].after == pytest.approx(44)
    assert "replaced: improved" in result.stdout
    assert "+10.0 %" in result.stdout


def test_where_conditions_changed_no_change_is_told(kept: Store) -> None:
    anchored(kept)
    result = kept.accept(measured(speeds=(30.0,), verdict="incomparable", power_mode="70W"))
    [row] = [line for line in result.stdout.splitlines() if line.startswith(TG128)]
    assert row.split()[1:] == ["replaced:", "incomparable", "tg_tps", "40.00", "tok/s", "30.00", "tok/s", "–"]


def test_a_loss_is_accepted_only_by_name_and_with_a_reason(kept: Store) -> None:
    anchored(kept)
    lost = measured(speeds=(36.0, 36.0), verdict="regressed")
    result = kept.accept(lost)
    assert "kept: is regressed: accept it with --also regressed" in result.stdout
    assert "0 cells of 1 accepted" in result.stdout

    refused = kept.accept(lost, options=["--also", "regressed"])
    assert refused.exit_code == 2
    assert "say with --note why" in refused.stderr
    entry = kept.entry()
    assert entry is not None
    assert len(entry.launches) == 3

    assert kept.accept(lost, options=["--also", "regressed", "--note", "for less memory"]).exit_code == 0
    entry = kept.entry()
    assert entry is not None
    assert (len(entry.launches), entry.note) == (2, "for less memory")


@pytest.mark.parametrize("verdict", ["inconclusive", "unchanged"])
def test_an_anchor_does_not_drift_unless_it_is_asked_to(kept: Store, verdict: str) -> None:
    anchored(kept)
    again = measured(speeds=(39.8, 39.9), verdict=verdict)
    assert f"accept it with --also {verdict}" in kept.accept(again).stdout
    assert "1 cell of 1 accepted" in kept.accept(again, options=["--also", verdict]).stdout


@pytest.mark.parametrize(
    ("record", "because"),
    [
        (measured(verdict="invalid"), "is invalid, and never becomes a baseline"),
        (cell("tg128", verdict=None, outcome="error"), "was not measured"),
    ],
)
def test_what_is_invalid_or_was_not_measured_never_enters(kept: Store, record: CellRecord, because: str) -> None:
    options = ["--also", "regressed", "--also", "inconclusive", "--also", "unchanged", "--note", "please"]
    assert because in kept.accept(record, options=options).stdout
    assert not kept.root.exists()


def test_a_cell_with_one_invalid_metric_is_invalid(kept: Store) -> None:
    record = measured()
    record.metrics["ttft_ms.median"] = MetricRecord(unit="ms", better="lower", verdict="invalid")
    assert "is invalid" in kept.accept(record).stdout


def test_a_report_that_is_older_than_the_anchor_says_nothing_about_it(kept: Store) -> None:
    anchored(kept, "2026-06-01T00:00:00Z")
    result = kept.accept(measured(verdict="improved"))
    assert "was measured before the present anchor was accepted" in result.stdout


def test_a_dry_run_stores_nothing(kept: Store) -> None:
    assert "1 cell of 1 would be accepted" in kept.accept(measured(), options=["--dry-run"]).stdout
    assert not kept.root.exists()


def test_a_pattern_that_no_cell_has_is_a_mistake(kept: Store) -> None:
    result = kept.accept(measured(), options=["-k", "tg512"])
    assert result.exit_code == 2
    assert "-k tg512: none of the report's 1 cell" in result.stderr


def test_show_lists_anchors_with_their_history_and_where_its_level_changed(kept: Store) -> None:
    kept.accept(measured(speeds=(40.0, 40.0)))
    [run] = history.load_named(kept.root, DEVICE, WORDS)
    for day in range(1, 25):
        speed = (40.0 if day < 13 else 37.0) + day % 3 * 0.05
        other = StoredRun(
            finished_at=f"2026-02-{day:02}T00:00:00Z",
            verdict="unchanged",
            version="b8",
            commit=None,
            conditions=run.conditions if day % 12 else "other",
            values=({"tg_tps": speed},),
        )
        history.append_named(kept.root, DEVICE, WORDS, other)
    result = kept.on_root("show")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{DEVICE} · qwen3"
    [row] = [line for line in lines if line.startswith(f"{TG128} ")]
    assert "40.00 tok/s         2  just now  llama-bench b7 (abcdef0)    23  " in row
    assert row.endswith("▁")
    assert f"{TG128}: tg_tps changed its level by -7.5 % with the run of 2026-02-13, engine b8 (run 13 of 23)" in (
        result.stdout
    )
    [shown] = kept.json("show", "-k", "*tg128")
    assert (shown["metrics"]["tg_tps"], shown["launches"]) == (pytest.approx(40), 2)
    assert shown["history"]["runs"] == 25
    assert [point["index"] for point in shown["change_points"]] == [12]
    assert kept.json("show", "-k", "nothing") == []
    assert kept.json("show", "--device", "orin*") == []


def test_show_names_every_file_that_cannot_be_used_and_shows_the_others(kept: Store) -> None:
    kept.accept(measured(), measured("tg64"))
    path = kept.root / DEVICE / "qwen3" / f"{TG128}.history.jsonl"
    path.write_text(f"{path.read_text()}>>>>>>> other\n")
    stray = kept.root / DEVICE / "qwen3" / "other.json"
    stray.write_text((path.parent / f"{TG128}.json").read_text())
    result = kept.on_root("show")
    assert result.exit_code == 1
    assert f"{path}:2: a merge conflict was not resolved here" in result.stdout
    assert f"{stray}: is the baseline of another cell or device" in result.stdout
    assert "qwen3-8b-Q4_K_M-llama.cpp-tg64" in result.stdout


def test_a_store_that_is_not_there_is_named(kept: Store) -> None:
    for name in ("show", "diff"):
        result = kept.on_root(name)
        assert result.exit_code == 2
        assert "there is no baseline store here" in result.stderr


def test_prune_lists_what_a_matrix_no_longer_has_and_deletes_only_when_told(kept: Store) -> None:
    kept.accept(measured(), measured("tg64"))
    matrix = kept.folder / "qwen3.yaml"
    matrix.write_text(MATRIX)
    foreign = kept.root / DEVICE / "other" / "a.json"
    foreign.parent.mkdir()
    foreign.write_text("{}")
    notes = kept.root / DEVICE / "qwen3" / "notes.md"
    notes.write_text("mine")

    listed = kept.on_root("prune", "--matrix", matrix)
    assert "tg64.json\n" in listed.stdout
    assert "tg64.history.jsonl\n" in listed.stdout
    assert "tg128" not in listed.stdout
    assert "2 files of cells that are gone; --delete deletes them" in listed.stdout
    assert kept.entry("tg64") is not None

    assert "2 files deleted" in kept.on_root("prune", "--matrix", matrix, "--delete").stdout
    assert kept.entry("tg64") is None
    assert kept.entry() is not None
    assert foreign.exists()
    assert notes.exists()
    assert "0 files" in kept.on_root("prune", "--matrix", matrix).stdout


def test_prune_believes_no_matrix_with_a_mistake(kept: Store) -> None:
    kept.accept(measured())
    matrix = kept.folder / "qwen3.yaml"
    matrix.write_text(MATRIX.replace("kind: decode", "kind: decoding"))
    result = kept.on_root("prune", "--matrix", matrix, "--delete")
    assert result.exit_code == 2
    assert kept.entry() is not None


def test_diff_against_head_shows_each_change_with_its_interval_and_what_else_was_different(kept: Store) -> None:
    anchored(kept, "2025-12-31T00:00:00Z", measured(), measured("tg64"), measured("tg32"), measured("tg8"))
    kept.commit()
    assert kept.on_root("diff").stdout == "No anchor differs.\n"

    anchored(kept, "2026-03-01T00:00:00Z", measured(speeds=(36.0, 36.1, 35.9), kernel="6.9"))
    anchored(kept, "2026-03-01T00:00:00Z", measured("tg64", speeds=(30.0,), power_mode="70W"))
    anchored(kept, "2026-03-01T00:00:00Z", measured("tg16"))
    (kept.root / DEVICE / "qwen3" / "qwen3-8b-Q4_K_M-llama.cpp-tg32.json").unlink()

    shown = kept.on_root("diff").stdout
    [row] = [line for line in shown.splitlines() if line.startswith(TG128)]
    assert row.split()[1:7] == ["tg_tps", "40.00", "tok/s", "36.00", "tok/s", "-10.0"]
    assert "tg16   added" in shown
    assert "tg32   removed" in shown
    assert "not comparable" in shown
    assert "Not comparable: power mode: MAXN → 70W (1 cell)" in shown
    assert "Also different: kernel: not known → 6.9 (1 cell)" in shown
    assert "4 anchors: 1 added, 2 changed (1 not comparable), 1 removed" in shown

    found = {change["cell"]: change for change in kept.json("diff", "HEAD:")}
    changed = found[TG128]["metrics"]["tg_tps"]
    assert changed["change"] == pytest.approx(-0.1, abs=1e-3)
    assert changed["change_low"] < changed["change"] < changed["change_high"] < 0
    blocked = found["qwen3-8b-Q4_K_M-llama.cpp-tg64"]
    assert (blocked["comparable"], blocked["metrics"]["tg_tps"]["change"]) == (False, None)
    assert blocked["metrics"]["tg_tps"]["to"] == pytest.approx(30)
    assert [change["cell"] for change in kept.json("diff", "-k", "tg16")] == ["qwen3-8b-Q4_K_M-llama.cpp-tg16"]


def test_a_name_with_a_line_break_asks_git_for_nothing_else(kept: Store) -> None:
    anchored(kept)
    evil = kept.root / DEVICE / "qwen3" / "a\nHEAD:.json"
    evil.write_text("{}")
    kept.commit()
    evil.unlink()

    result = kept.on_root("diff")

    assert result.exit_code == 2
    assert "has a line break: 'jetson-agx-thor/qwen3/a\\nHEAD:.json'" in result.output


def test_diff_of_two_stores_and_of_a_store_and_a_report(kept: Store) -> None:
    anchored(kept, "2025-12-31T00:00:00Z", measured(), measured("tg64"))
    other = Store(kept.folder / "other")
    anchored(other, "2025-12-31T00:00:00Z", measured(speeds=(44.0, 44.0)))
    assert {change["state"] for change in kept.json("diff", kept.root, other.root)} == {"changed", "removed"}
    report = kept.report(measured(speeds=(38.0, 38.0), verdict="regressed"), measured("tg8", verdict="invalid"))
    [change] = kept.json("diff", kept.root, report)
    assert (change["cell"], change["state"]) == (TG128, "changed")


@pytest.mark.parametrize(
    ("place", "because"),
    [
        ("nowhere", "no store, report or revision; write a revision with a colon"),
        ("no-such-branch:", "there is no such revision"),
        ("--output=x:", "is no revision of git"),
    ],
)
def test_diff_names_what_it_cannot_find(kept: Store, place: str, because: str) -> None:
    anchored(kept)
    kept.commit()
    result = CliRunner().invoke(main, ["baseline", "diff", "--baseline", str(kept.root), "--", place])
    assert result.exit_code == 2
    assert because in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_line_of_bars_runs_from_the_least_to_the_greatest() -> None:
    assert sparkline([]) == ""
    assert sparkline([5.0, 5.0]) == "▄▄"
    assert sparkline([1.0, 2.0, 8.0]) == "▁▂█"
    assert len(sparkline([float(value) for value in range(100)])) == 24


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-01-02T11:30:00Z", "just now"),
        ("2026-01-02T10:00:00+00:00", "2 hours ago"),
        ("2026-01-01T11:00:00", "1 day ago"),
        ("2025-10-02T12:00:00Z", "3 months ago"),
        ("2020-01-02T12:00:00Z", "6 years ago"),
        ("2027-01-02T12:00:00Z", "in the future"),
        ("some day", "some day"),
    ],
)
def test_an_age_is_told_in_the_unit_that_fits(moment: str, said: str) -> None:
    assert age(moment, datetime(2026, 1, 2, 12, tzinfo=timezone.utc)) == said
