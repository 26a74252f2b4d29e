"""The real llama-bench, and that the stub which stands in for it elsewhere speaks as it does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_options import read_help
from tests.engines.every_setting import EVERY_SETTING

if TYPE_CHECKING:
    from tests.engines.conftest import MakeCell

pytestmark = pytest.mark.engine

STUB = Path(__file__).parents[1] / "fakes" / "stub_llama_bench.py"


def test_each_workload_gets_its_own_samples(llama_bench: LlamaBench, tiny_model: Path, tiny_cell: MakeCell) -> None:
    cells = [tiny_cell(n_prompt=16), tiny_cell(n_prompt=8), tiny_cell(n_gen=4), tiny_cell(n_gen=4, n_depth=32)]
    first, second = llama_bench.batches(cells)
    launches = dict(llama_bench.launch(first, tiny_model, lambda _: None))
    launches |= dict(llama_bench.launch(second, tiny_model, lambda _: None))

    assert [launches[cell].failure for cell in cells] == [None] * 4
    assert [len(*launches[cell].samples.values()) for cell in cells] == [2] * 4
    assert [launches[cell].evidence["n_prompt"] for cell in cells] == [16, 8, 0, 0]
    assert launches[cells[3]].evidence["n_depth"] == 32
    assert all(speed > 0 for launch in launches.values() for (speed, *_) in launch.samples.values())


def test_its_build_is_known_before_and_after_a_launch(
    llama_bench: LlamaBench, tiny_model: Path, tiny_cell: MakeCell
) -> None:
    build = llama_bench.identify()
    ((_, launch),) = llama_bench.launch([tiny_cell(n_gen=4)], tiny_model, lambda _: None)
    assert build.version is not None
    assert build.commit == launch.engine.commit
    assert launch.engine.details["backends"]


SETTINGS = {
    **EVERY_SETTING,
    "prio": 0,
    "n_cpu_moe": 0,
    "cpu_mask": "0x1",
    "cpu_strict": False,
    "delay": 0,
    "extra_args": ("--no-warmup",),
}


def test_every_setting_is_an_option_that_it_takes_and_follows(
    llama_bench: LlamaBench, tiny_model: Path, tiny_cell: MakeCell
) -> None:
    ((_, launch),) = llama_bench.launch([tiny_cell(n_gen=4, settings=SETTINGS)], tiny_model, lambda _: None)
    assert launch.failure is None
    assert "notes" not in launch.evidence
    assert launch.evidence["n_threads"] == 1
    assert launch.evidence["type_v"] == "q8_0"


def test_a_file_that_is_no_model_fails_in_its_words(
    llama_bench: LlamaBench, tmp_path: Path, tiny_cell: MakeCell
) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(b"not a model")
    ((_, launch),) = llama_bench.launch([tiny_cell(n_gen=4)], foreign, lambda _: None)
    assert launch.failure is not None
    assert "exit status 1" in launch.failure
    assert "failed to load model" in launch.failure


def both(llama_bench: LlamaBench, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    programs = (llama_bench.identify().path, str(STUB))
    return [subprocess.run([program, *arguments], capture_output=True, text=True, check=False) for program in programs]


def test_the_stub_prints_the_rows_and_steps_that_the_real_one_prints(llama_bench: LlamaBench, tiny_model: Path) -> None:
    options = ["-o", "jsonl", "-p", "8", "-n", "4", "-d", "16", "-r", "2", "-t", "2", "--progress"]
    real, stub = both(llama_bench, "-m", str(tiny_model), *options)
    real_rows, stub_rows = ([json.loads(line) for line in run.stdout.splitlines()] for run in (real, stub))

    assert [list(row) for row in stub_rows] == [list(row) for row in real_rows]
    measured = {"avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts", "test_time"}
    identity = {"build_commit", "build_number", "cpu_info", "gpu_info", "backends"}
    of_the_model = {"model_type", "model_size", "model_n_params"}
    for real_row, stub_row in zip(real_rows, stub_rows, strict=True):
        assert {name: type(value) for name, value in stub_row.items()} == {
            name: type(value) for name, value in real_row.items()
        }
        same = set(real_row) - measured - identity - of_the_model
        assert {name: stub_row[name] for name in same} == {name: real_row[name] for name in same}
    assert stub.stderr.splitlines() == real.stderr.splitlines()
    assert stub.returncode == real.returncode == 0


def test_the_stub_fails_on_a_missing_model_as_the_real_one_does(llama_bench: LlamaBench) -> None:
    real, stub = both(llama_bench, "-o", "jsonl", "-m", "/nowhere.gguf", "-p", "8", "-n", "0")
    assert (stub.returncode, stub.stdout, stub.stderr) == (real.returncode, real.stdout, real.stderr)


def test_the_stub_has_no_option_that_the_real_one_has_not(llama_bench: LlamaBench) -> None:
    real, stub = (read_help("x", run.stdout).options for run in both(llama_bench, "--help"))
    assert stub.items() <= real.items()
