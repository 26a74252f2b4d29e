"""How long a cell will take follows from what is stored of it, and from nothing that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.baseline.history import StoredRun, append
from pytest_thor.baseline.place import history_path
from pytest_thor.cell import Cell, Kind, Model, Setting
from pytest_thor.expectation import START_S, expected, seconds_of
from tests.cells import build_cell


def cell(kind: Kind, *, model: str = "m", **parameters: Setting) -> Cell:
    return build_cell(kind, parameters, workload=kind, model=model)


def keep(root: Path, of: Cell, *values: Mapping[str, float], device: str = "thor", day: int = 1) -> None:
    append(root, device, of, run(values, day=day))


def run(values: tuple[Mapping[str, float], ...], *, day: int) -> StoredRun:
    return StoredRun(
        finished_at=f"2026-01-{day:02d}T00:00:00+00:00",
        verdict="unchanged",
        version=None,
        commit=None,
        conditions="c",
        values=values,
    )


PREFILL = cell("prefill", n_prompt=500, n_depth=500, repetitions=4)
DECODE = cell("decode", n_gen=100, n_depth=1000, repetitions=4)
SERVING = cell("serving", num_prompts=19, warmup=1, duration_s=None, ramp_up_s=None)


@pytest.mark.parametrize(
    ("of", "values", "work_s"),
    [
        (PREFILL, {"pp_tps": 1000.0}, 5.0),
        (DECODE, {"tg_tps": 50.0}, 10.0),
        (SERVING, {"request_rps": 2.0}, 10.0),
        (cell("serving", num_prompts=None, warmup=1, duration_s=60, ramp_up_s=5), {"request_rps": 2.0}, 65.0),
        (SERVING, {"output_tps": 2.0}, None),
        (DECODE, {"pp_tps": 100.0}, None),
    ],
)
def test_work_is_what_is_asked_over_the_stored_speed(
    tmp_path: Path, of: Cell, values: dict[str, float], work_s: float | None
) -> None:
    keep(tmp_path, of, values)
    device, known = expected([of], {"m.yaml": tmp_path}, launches=(1, 6))
    assert device == "thor"
    assert known[of].work_s == work_s
    assert known[of].start_s == START_S


def test_filling_a_depth_costs_what_the_same_engine_takes_to_prefill(tmp_path: Path) -> None:
    keep(tmp_path, PREFILL, {"pp_tps": 1000.0})
    keep(tmp_path, DECODE, {"tg_tps": 50.0})
    _, known = expected([PREFILL, DECODE], {"m.yaml": tmp_path}, launches=(1, 6))
    assert known[DECODE].work_s == pytest.approx(5 * (2 + 1))


def test_the_newest_run_tells_speed_starts_and_load_time(tmp_path: Path) -> None:
    keep(tmp_path, DECODE, {"tg_tps": 1.0}, day=1)
    keep(tmp_path, DECODE, {"tg_tps": 50.0, "load_s": 4.0}, {"tg_tps": 50.0, "load_s": 6.0}, {"tg_tps": 50.0}, day=2)
    _, known = expected([DECODE], {"m.yaml": tmp_path}, launches=(1, 6))
    assert (known[DECODE].launches, known[DECODE].start_s) == (3, 5.0)
    assert seconds_of([DECODE], known) == 3 * 10 + 3 * 5
    _, known = expected([DECODE], {"m.yaml": tmp_path}, launches=(1, 2))
    assert known[DECODE].launches == 2


def test_cells_of_one_engine_start_share_its_cost(tmp_path: Path) -> None:
    keep(tmp_path, PREFILL, {"pp_tps": 1000.0}, {"pp_tps": 1000.0})
    keep(tmp_path, DECODE, {"tg_tps": 50.0})
    _, known = expected([PREFILL, DECODE], {"m.yaml": tmp_path}, launches=(1, 6))
    assert seconds_of([PREFILL, DECODE], known) == 2 * 5 + 15 + 2 * START_S


def test_a_cell_without_a_past_takes_most_launches_and_a_typical_time(tmp_path: Path) -> None:
    new = cell("decode", model="new", n_gen=1, n_depth=0, repetitions=0)
    keep(tmp_path, DECODE, {"tg_tps": 50.0})
    keep(tmp_path, SERVING, {"request_rps": 0.01})
    _, known = expected([DECODE, SERVING, new], {"m.yaml": tmp_path}, launches=(1, 6))
    assert known[new].work_s is None
    assert seconds_of([new], known) == 6 * (10 + START_S)


def test_a_quality_cell_is_launched_once(tmp_path: Path) -> None:
    quality = cell("quality", ctx_size=512, chunks=8)
    keep(tmp_path, DECODE, {"tg_tps": 50.0})
    _, known = expected([DECODE, quality], {"m.yaml": tmp_path}, launches=(2, 6))
    assert (known[quality].launches, known[quality].work_s) == (1, None)
    keep(tmp_path, quality, {"perplexity": 7.0})
    _, known = expected([DECODE, quality], {"m.yaml": tmp_path}, launches=(2, 6))
    assert (known[quality].launches, known[DECODE].launches) == (1, 2)


def test_where_nothing_is_stored_nothing_is_expected(tmp_path: Path) -> None:
    device, known = expected([DECODE], {"m.yaml": tmp_path / "absent"}, launches=(1, 6))
    assert device is None
    assert seconds_of([DECODE], known) is None


def test_the_device_of_which_most_is_stored_is_expected(tmp_path: Path) -> None:
    keep(tmp_path, DECODE, {"tg_tps": 1.0}, device="a desk/of mine")
    keep(tmp_path, DECODE, {"tg_tps": 50.0}, device="thor")
    keep(tmp_path, PREFILL, {"pp_tps": 50.0}, device="thor")
    device, known = expected([DECODE, PREFILL], {"m.yaml": tmp_path}, launches=(1, 6))
    assert device == "thor"
    assert known[DECODE].work_s == 5 * (2 + 20)


@pytest.mark.parametrize("content", ["{", '{"schema": "pytest-thor/history/99"}', "\0", "<<<<<<< HEAD\n"])
def test_what_cannot_be_read_counts_as_not_stored(tmp_path: Path, content: str) -> None:
    keep(tmp_path, PREFILL, {"pp_tps": 1000.0})
    history_path(tmp_path, "thor", DECODE.fields).write_text(content)
    _, known = expected([PREFILL, DECODE], {"m.yaml": tmp_path}, launches=(1, 6))
    assert known[DECODE].work_s is None
    assert known[PREFILL].work_s == 5.0


def test_an_anchor_without_a_history_tells_the_speed_too(tmp_path: Path) -> None:
    from pytest_thor.baseline import store
    from pytest_thor.baseline.entry import read_entry

    text = (Path(__file__).parents[1] / "golden" / "baseline-2.json").read_text(encoding="utf-8")
    entry = read_entry(text)
    words: dict[str, Any] = dict(entry.cell)
    of = cell("decode", n_gen=128, n_depth=0, repetitions=1)
    of = replace(
        of,
        matrix=words["matrix"],
        model=Model(name=words["model"], architecture=None),
        quant=words["quant"],
        backend=replace(of.backend, name=words["backend"]),
        workload=replace(of.workload, name=words["workload"]),
    )
    store.save_entry(tmp_path, entry)
    _, known = expected([of], {"m.yaml": tmp_path}, launches=(1, 6))
    assert known[of].work_s is not None
    assert known[of].launches == 1
