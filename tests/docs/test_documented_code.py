"""The Python of README and docs runs: tests with a scripted engine, the rest as it stands."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from pytest_thor.cell import EngineTraits
from pytest_thor.engines.base import Engine
from pytest_thor.engines.bench_launch import Order
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.measurement import EngineBuild
from tests.docs.documented import ROOT, Block, of_kind
from tests.fakes.stub_server import Stub

FAKES = ROOT / "tests" / "fakes"


def block_of(page: str, beginning: str) -> Block:
    """Return the one block of Python of a page that has this in it."""
    [block] = [block for block in of_kind("python") if block.page == page and beginning in block.text]
    return block


def test_the_example_of_a_test_passes_and_only_its_cells_are_measured(
    pytester: pytest.Pytester, tiny_models: Mapping[str, Path]
) -> None:
    for quant in ("Q8_0", "F16"):
        os.link(tiny_models[quant], pytester.path / f"tiny-{quant}.gguf")
    shutil.copy(FAKES / "stub_llama_bench.py", "llama-bench")
    Path("llama-bench").chmod(0o755)
    Path("llama-bench.json").write_text(json.dumps({"tg_tps": 11.0}))
    Path("matrix.yaml").write_text(
        "name: mine\n"
        'models: {tiny: {gguf: "tiny-{quant}.gguf", quants: [Q8_0, F16]}}\n'
        "backends: {llama.cpp: {engine: llama-bench}}\n"
        "workloads: {pp64: {kind: prefill, n_prompt: 64}, tg8: {kind: decode, n_gen: 8}}\n"
    )
    pytester.makepyfile(test_speed=block_of("docs/fixtures.md", "thor_cells").text)
    options = ["--thor-matrix=matrix.yaml", "--thor-models=.", "--thor-engine=llama-bench=llama-bench"]

    result = pytester.runpytest(*options, "--thor-launches=1", "-v", "test_speed.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_decode_keeps_up_with_reading?tiny-Q8_0-llama.cpp-tg8?*"])

    Path("llama-bench.json").write_text(json.dumps({"tg_tps": 9.0}))
    pytester.runpytest(*options, "--thor-launches=1", "test_speed.py").assert_outcomes(failed=1)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """The address of a server that runs already and knows one model, named stub."""
    (tmp_path / "server.json").write_text("{}")
    with Stub(str(tmp_path / "server"), []).server(0) as served:
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_the_example_of_a_check_of_a_server_passes(pytester: pytest.Pytester, endpoint: str) -> None:
    Path("matrix.yaml").write_text(
        "name: mine\n"
        "models: {stub: {hf: some/model, quants: [BF16]}}\n"
        f'backends: {{there: {{engine: openai, settings: {{url: "{endpoint}"}}}}}}\n'
        "workloads: {load: {kind: serving, input_len: 8, output_len: 4, num_prompts: 1, max_concurrency: 1}}\n"
    )
    pytester.makepyfile(test_server=block_of("docs/serving.md", "thor_server").text)

    pytester.runpytest("--thor-matrix=matrix.yaml", "test_server.py").assert_outcomes(passed=1)


def test_published_results_are_read_as_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "tests" / "golden" / "published" / "page.md", tmp_path)
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "published").symlink_to(ROOT / "baselines" / "published")
    monkeypatch.chdir(tmp_path)
    block = block_of("docs/published.md", "reference.beside")
    *before, last = block.text.strip().splitlines()
    known: dict[str, Any] = {}

    exec("\n".join([*before, f"beside = {last}"]), known)

    assert len(known["reading"].results) == 5
    assert known["beside"]


# ---- the page about engines


def test_the_outline_of_an_engine_has_the_protocols_members_with_their_parameters() -> None:
    known = executed(
        block_of("docs/adding-an-engine.md", "class MyEngine"),
        ClassVar=ClassVar,
        EngineTraits=EngineTraits,
        EngineBuild=EngineBuild,
        MyEngineSettings=LlamaBench.traits.settings,
        Path=Path,
    )
    outlined = known["MyEngine"]

    members = [name for name in vars(Engine) if not name.startswith("_")] + ["__init__"]
    assert {name for name in vars(outlined) if not name.startswith("__")} | {"__init__"} == {*members, "traits"}
    for name in members:
        promised = getattr(Engine, name, None)
        if inspect.isfunction(promised):
            assert list(inspect.signature(getattr(outlined, name)).parameters) == list(
                inspect.signature(promised).parameters
            )
    assert outlined.traits.name == "my-engine"


def test_the_launch_that_speaks_as_llama_bench_does_orders_every_cell_once() -> None:
    ordered: list[Order] = []
    known = executed(
        block_of("docs/adding-an-engine.md", "Order("),
        Order=Order,
        measure=lambda order, _: ordered.append(order),
        test_of=lambda cell: cell.workload,
    )
    cells = [
        SimpleNamespace(name=name, workload=workload, backend=SimpleNamespace(timeout_s=60.0))
        for name, workload in (("a", "tg8"), ("b", "tg16"), ("c", "tg8"))
    ]
    engine = SimpleNamespace(identify=lambda: EngineBuild(name="my-engine", path="/opt/my-engine"))

    known["launch"](engine, cells, Path("model.gguf"), lambda _: None)

    [order] = ordered
    tests: Mapping[Any, Sequence[Any]] = order.tests
    assert {test: [cell.name for cell in asked] for test, asked in tests.items()} == {"tg8": ["a", "c"], "tg16": ["b"]}
    assert order.timeout_s == 60.0


def test_the_row_of_the_table_is_one() -> None:
    known = executed(
        block_of("docs/adding-an-engine.md", "ENGINES = "),
        MappingProxyType=MappingProxyType,
        LlamaBench=LlamaBench,
        MyEngine=object,
    )
    assert known["ENGINES"]["my-engine"] is object


def executed(block: Block, **known: Any) -> dict[str, Any]:
    """Return the names that a block defines, where these names are known to it."""
    found: dict[str, Any] = {"Callable": Callable, **known}
    exec(compile(block.text, block.place, "exec"), found)
    return found
