"""Imports point down only: the floors of the package, and the few doors between rooms of one floor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_thor"
FLOORS = {
    0: {"cell", "measurement", "verdict", "errors", "roofline", "plain_text"},
    1: {
        *("units", "files", "foreign_json", "request_trace", "evaluation_text", "vllm_block", "redaction"),
        *("cores", "foreign_file", "speculation", "inheritance", "orphans", "folder_lock"),
    },
    2: {"matrix", "artifacts", "engines", "serving", "judge", "baseline", "host", "report", "published"},
    3: {
        *("session", "measure", "jury", "pace", "journal", "preparation", "record", "acceptance"),
        *("checkup", "beside", "believable", "published_report", "bounds", "anchors", "anchor_changes", "past"),
        *("published_beside", "weights", "fitting", "reference_quant", "stock", "starter"),
        *("comparison", "merging"),
        *("expectation", "sharding", "setup", "progress", "opening", "seat", "resuming"),
    },
    4: {
        *("plugin", "declaration", "options", "collection", "suite", "fixtures", "scheduling", "terminal", "command"),
        *("run", "measuring", "results", "listing", "schemas", "benchmark_bridge", "distribution", "finishing"),
        "report_folder",
    },
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
DOORS = {("engines", "serving")}
"""On floor 2, a serving engine starts its server and asks the serving room to load it."""
WORKERS = {
    "engines/llama_cpp_worker.py",
    "engines/supervisor.py",
    "engines/vllm_client_worker.py",
    "artifacts/quantize_worker.py",
}
"""Scripts that another interpreter runs: they import nothing of the package."""
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room_of(file: str) -> str:
    return file.split("/", maxsplit=1)[0].removesuffix(".py")


def imported(file: str) -> Iterator[str]:
    """Yield every module that a file imports, those inside functions included, ``TYPE_CHECKING`` blocks too."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(file: str) -> set[str]:
    names = {name.split(".")[1] for name in imported(file) if name.startswith("pytest_thor.")}
    return {name for name in names if name in FLOOR}


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_only_from_floors_below_and_through_drawn_doors(file: str) -> None:
    room = room_of(file)
    assert room in FLOOR, f"{file} stands on no floor"
    for other in rooms_imported(file) - {room}:
        same_room_floor = FLOOR[other] == FLOOR[room] and FLOOR[room] in {0, 1, 3, 4}
        assert FLOOR[other] < FLOOR[room] or same_room_floor or (room, other) in DOORS, f"{file} imports {other}"


@pytest.mark.parametrize("file", [file for file in FILES if FLOOR.get(room_of(file), 4) < 4])
def test_only_the_top_floor_knows_pytest(file: str) -> None:
    assert not {name.split(".")[0] for name in imported(file)} & {"pytest", "_pytest", "xdist"}


@pytest.mark.parametrize("file", [file for file in FILES if FLOOR.get(room_of(file)) == 0])
def test_the_words_need_the_standard_library_only(file: str) -> None:
    import sys

    roots = {name.split(".")[0] for name in imported(file)}
    assert roots <= {*sys.stdlib_module_names, "pytest_thor"}


@pytest.mark.parametrize("file", sorted(WORKERS))
def test_a_workers_script_imports_nothing_of_the_package(file: str) -> None:
    assert not [name for name in imported(file) if name.split(".")[0] == "pytest_thor"]


def test_there_is_no_room_for_odds_and_ends() -> None:
    stems = {Path(file).stem for file in FILES}
    assert not stems & {"utils", "helpers", "common", "types", "models", "misc"}
