"""The checks after a fault find what is wrong, where something is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.orphans import MARK as ENGINE_MARK
from tests.faults.checks import overlaps
from tests.faults.scene import MARK, Ended, Scene
from tests.faults.undisturbed import Undisturbed, halves, judged_otherwise, measured_otherwise
from tests.unit.report.report_documents import cell, document

CELL = "tiny-F16-backend0-tg8"
PEACE = Undisturbed(
    status=0,
    verdicts={CELL: {"": "unchanged"}},
    launches={CELL: 2},
    metrics={CELL: frozenset({"tg_tps"})},
    repetitions={CELL: {2}},
)


@pytest.fixture
def quiet(model: Path, tmp_path: Path) -> Scene:
    """A scene in which nothing ran."""
    scene = Scene(tmp_path / "scene", model)
    scene.report.mkdir()
    scene.cells = {CELL: "tg8"}
    return scene


def journal(scene: Scene, *launches: dict[str, list[float]], failure: str | None = None) -> None:
    lines = [
        {"cell": CELL, "launch": {"started_at": str(number), "failure": failure, "samples": samples}}
        for number, samples in enumerate(launches)
    ]
    (scene.report / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


WHOLE: dict[str, list[float]] = {"tg_tps": [1.0, 2.0]}


def test_a_run_as_in_peace_is_right(quiet: Scene) -> None:
    journal(quiet, WHOLE, WHOLE)
    report = document(cell(id=CELL, verdict="unchanged", metrics={}))

    assert [*halves(quiet, PEACE), *measured_otherwise(quiet, PEACE)] == []
    assert list(judged_otherwise(quiet, Ended(code=0, output=""), report, PEACE)) == []


@pytest.mark.parametrize("half", [{"tg_tps": [1.0]}, {"tg_tps": [1.0, 2.0, 3.0]}, {"load_s": [1.0]}, {}])
def test_half_a_launch_is_found_unless_it_is_said_to_have_failed(quiet: Scene, half: dict[str, list[float]]) -> None:
    journal(quiet, WHOLE, half)
    assert f"the launch of {CELL} at 1 has" in next(halves(quiet, PEACE))
    journal(quiet, half, failure="it was killed")
    assert list(halves(quiet, PEACE)) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_launch_too_many_or_few_is_found(quiet: Scene, count: int) -> None:
    journal(quiet, *[WHOLE] * count)
    assert list(measured_otherwise(quiet, PEACE)) == [f"{CELL} was measured by {count} launches, in peace by 2"]


@pytest.mark.parametrize(
    ("code", "fields"),
    [(1, {"verdict": "unchanged"}), (0, {"verdict": "inconclusive"}), (0, {"id": "another", "verdict": "unchanged"})],
)
def test_another_verdict_or_status_than_in_peace_is_found(quiet: Scene, code: int, fields: dict[str, Any]) -> None:
    report = document(cell(**{"id": CELL, "metrics": {}, **fields}))
    assert len(list(judged_otherwise(quiet, Ended(code=code, output=""), report, PEACE))) == 1


def test_an_engine_that_lives_while_its_device_is_free_is_found(quiet: Scene) -> None:
    (quiet.locks / "pytest-thor-machine.lock").touch()
    environment = {**os.environ, MARK: quiet.mark, ENGINE_MARK: "1-2-3"}
    with subprocess.Popen(["sleep", "600"], env=environment) as engine:
        found = list(overlaps(quiet))
        engine.kill()

    assert found == [f"the device is free, and process {engine.pid} (sleep 600 ) lives"]
