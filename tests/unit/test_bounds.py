"""From a cell and its files to limits, and from figures beyond them to a doubt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.bounds import Bounds, advice_on, bounds_of, confirmed_doubt, with_limits
from pytest_thor.cell import Model, Workload
from pytest_thor.host import measured_roof as measuring
from pytest_thor.host.device import Device, Gpu
from pytest_thor.report.document import CellRecord, MetricRecord, VerdictName
from tests.cells import QWEN3

THOR = Device(
    slug="jetson-agx-thor",
    name="NVIDIA Jetson AGX Thor Developer Kit",
    cpu="aarch64 0xd83",
    logical_cpus=14,
    memory_bytes=131 * 10**9,
    gpus=(Gpu(name="NVIDIA Thor", memory_bytes=None),),
    power_mode="MAXN",
    l4t="38.4",
    driver=None,
    cuda=None,
    kernel="6.8",
    machine="aarch64",
)
BARE = replace(THOR, slug="cpu-2c", name="Some CPU", cpu="Some CPU", gpus=(), logical_cpus=2)
ELSEWHERE = Path("/nonexistent/qwen3-8b.gguf")


def thor_bounds() -> Bounds:
    found = bounds_of(QWEN3, path=ELSEWHERE, device=THOR, cache=Path("/nonexistent"))
    assert found is not None
    return found


def test_the_limits_of_a_cell_on_a_known_device() -> None:
    bounds = thor_bounds()

    assert bounds.limits["tg_tps"].value == pytest.approx(64.6, rel=0.01)
    assert bounds.doubt({"tg_tps": (40.07,)}) is None
    doubt = bounds.doubt({"tg_tps": (80.14,)})
    assert doubt is not None
    assert "qwen3-8b Q4_K_M reaches on Jetson AGX Thor (T5000)" in doubt


def test_a_file_tells_its_cost_where_the_matrix_names_no_architecture(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_weights(path, ARCHITECTURES["qwen3-tiny"], "F16", seed=1, on_progress=lambda _step: None)
    cell = replace(QWEN3, model=Model(name="mystery", architecture=None))

    found = bounds_of(cell, path=path, device=THOR, cache=tmp_path)

    assert found is not None
    assert found.cost.head_parameters == 256 * 2048
    assert found.limits["tg_tps"].bound == "arithmetic", "the cache of a Thor holds so small a model"


def test_what_is_not_known_has_no_bounds(tmp_path: Path) -> None:
    mystery = replace(QWEN3, model=Model(name="mystery", architecture=None))
    card = Gpu(name="NVIDIA Something New", memory_bytes=None)

    assert bounds_of(QWEN3, path=None, device=THOR, cache=tmp_path) is None
    assert bounds_of(mystery, path=ELSEWHERE, device=THOR, cache=tmp_path) is None
    assert bounds_of(QWEN3, path=ELSEWHERE, device=replace(BARE, name=card.name, gpus=(card,)), cache=tmp_path) is None


def test_no_device_limits_how_well_a_text_is_predicted() -> None:
    quality = replace(QWEN3, workload=Workload(name="text", kind="quality", parameters=(("ctx_size", 512),)))
    assert bounds_of(quality, path=ELSEWHERE, device=THOR, cache=Path("/nonexistent")) is None


def test_limits_from_the_table_need_no_confirmation(tmp_path: Path) -> None:
    bounds, doubt = confirmed_doubt(thor_bounds(), QWEN3, {"tg_tps": (1000.0,)}, device=THOR, cache=tmp_path)

    assert bounds == thor_bounds()
    assert doubt is not None
    assert confirmed_doubt(None, QWEN3, {"tg_tps": (1000.0,)}, device=THOR, cache=tmp_path) == (None, None)


def test_a_toy_that_a_processors_cache_holds_is_not_worth_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: pytest.fail("measured"))
    toy = replace(QWEN3, model=Model(name="toy", architecture="qwen3-tiny"))

    assert bounds_of(toy, path=ELSEWHERE, device=BARE, cache=tmp_path) is None


@pytest.mark.parametrize(("second", "believed"), [(40e9, False), (300e9, True)])
def test_a_measured_limit_is_measured_again_before_a_figure_is_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: float, believed: bool
) -> None:
    rates = iter([30e9, second])
    steps: list[str] = []

    def measure(*_: object) -> tuple[float, float]:
        steps.append("measured")
        return next(rates), 1e15

    @contextmanager
    def alone() -> Iterator[None]:
        steps.append("held")
        yield
        steps.append("free")

    monkeypatch.setattr(measuring, "_measure", measure)
    monkeypatch.setattr(measuring, "cache_bytes", lambda _root=None: 32 << 20)
    bounds = bounds_of(QWEN3, path=ELSEWHERE, device=BARE, cache=tmp_path)

    again, doubt = confirmed_doubt(bounds, QWEN3, {"tg_tps": (40.0,)}, device=BARE, cache=tmp_path, alone=alone)

    assert steps == ["measured", "held", "measured", "free"]
    assert again is not None
    assert again.roof.bandwidth == second
    assert (doubt is None) == believed


def test_a_believed_figure_costs_no_second_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([300e9])
    monkeypatch.setattr(measuring, "_measure", lambda *_: (next(rates), 1e15))
    bounds = bounds_of(QWEN3, path=ELSEWHERE, device=BARE, cache=tmp_path)

    assert confirmed_doubt(bounds, QWEN3, {"tg_tps": (1.0,)}, device=BARE, cache=tmp_path) == (bounds, None)


def metric(value: float | None, efficiency: float | None = None) -> MetricRecord:
    return MetricRecord(unit="tok/s", better="higher", value=value, efficiency=efficiency)


def test_metrics_tell_their_limit_and_their_share_of_it() -> None:
    metrics = {"tg_tps": metric(32.3), "load_s": metric(3.0)}

    told = with_limits(metrics, thor_bounds())

    assert told["tg_tps"].limit == pytest.approx(64.6, rel=0.01)
    assert told["tg_tps"].efficiency == pytest.approx(0.5, rel=0.01)
    assert told["load_s"] == metrics["load_s"]
    assert with_limits(metrics, None) == metrics
    assert with_limits({"tg_tps": metric(None)}, thor_bounds())["tg_tps"].efficiency is None


def record(name: str, efficiency: float, verdict: VerdictName = "unchanged") -> CellRecord:
    return CellRecord(
        id=name,
        matrix="qwen3",
        model="qwen3-8b",
        quant=name,
        backend="vllm",
        engine="vllm",
        workload="high-load",
        kind="serving",
        device="thor",
        location="qwen3.yaml:1",
        outcome="passed",
        verdict=verdict,
        reason="",
        metrics={"output_tps": metric(100.0, efficiency)},
    )


def test_advice_names_the_cell_that_is_far_behind_in_its_matrix() -> None:
    records = [record("a", 0.6), record("b", 0.5), record("c", 0.7), record("slow", 0.05)]

    assert list(advice_on(records)) == [("qwen3", "slow")]
    assert advice_on([*records[:3], record("slow", 0.05, "invalid")]) == {}
    elsewhere = [each.model_copy(update={"device": "other"}) for each in records[3:]]
    assert advice_on([*records[:3], *elsewhere]) == {}
