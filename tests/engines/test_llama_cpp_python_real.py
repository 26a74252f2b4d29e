"""The real llama-cpp-python in its worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pytest_thor.engines.base import Progress
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from tests.engines.every_setting import EVERY_SETTING

if TYPE_CHECKING:
    from tests.engines.conftest import MakeCell

pytestmark = pytest.mark.engine


def test_one_worker_measures_every_depth_and_count(
    llama_cpp_python: LlamaCppPython, tiny_model: Path, tiny_cell: MakeCell
) -> None:
    cells = [tiny_cell(n_prompt=100), tiny_cell(n_gen=4, n_depth=32, repetitions=3), tiny_cell(n_gen=4, n_depth=32)]
    steps: list[Progress] = []
    launches = dict(llama_cpp_python.launch(cells, tiny_model, steps.append))

    assert [launches[cell].failure for cell in cells] == [None] * 3
    assert [len(*launches[cell].samples.values()) for cell in cells] == [2, 3, 2]
    assert all(speed > 0 for launch in launches.values() for (speed, *_) in launch.samples.values())
    assert Progress(cell=cells[1], step="tg4 @ d32: depth 3/3") in steps


def test_its_build_names_the_bindings_and_the_library(llama_cpp_python: LlamaCppPython) -> None:
    build = llama_cpp_python.identify()
    assert build.version
    assert "CPU" in build.details["system_info"]


def test_it_describes_a_run_as_llama_bench_does(
    llama_cpp_python: LlamaCppPython, llama_bench: LlamaBench, tiny_model: Path, tiny_cell: MakeCell
) -> None:
    cell = tiny_cell(n_gen=4)
    ((_, ours),) = llama_cpp_python.launch([cell], tiny_model, lambda _: None)
    ((_, theirs),) = llama_bench.launch([cell], tiny_model, lambda _: None)
    shared = (ours.evidence.keys() & theirs.evidence.keys()) - {"observed_s"}  # a time, of each its own
    assert {"n_threads", "n_batch", "n_ubatch", "type_k", "model_type", "model_size", "model_n_params"} <= shared
    assert {name: ours.evidence[name] for name in shared} == {name: theirs.evidence[name] for name in shared}


def test_every_setting_is_carried(llama_cpp_python: LlamaCppPython, tiny_model: Path, tiny_cell: MakeCell) -> None:
    ((_, launch),) = llama_cpp_python.launch([tiny_cell(n_gen=4, settings=EVERY_SETTING)], tiny_model, lambda _: None)
    assert launch.failure is None
    assert launch.evidence["n_threads"] == 1
    assert launch.evidence["type_v"] == "q8_0"


def test_a_file_that_is_no_model_fails_in_the_librarys_words(
    llama_cpp_python: LlamaCppPython, tmp_path: Path, tiny_cell: MakeCell
) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(b"not a model")
    ((_, launch),) = llama_cpp_python.launch([tiny_cell(n_gen=4)], foreign, lambda _: None)
    assert launch.failure is not None
    assert "failed to load model" in launch.failure
    assert launch.log_tail is not None
    assert "gguf" in launch.log_tail


def test_a_crash_in_native_code_is_that_cells_only(
    llama_cpp_python: LlamaCppPython, tiny_model: Path, tiny_cell: MakeCell
) -> None:
    """The worker is hit by the signal of a fault after its first cell, wherever it is in native code."""
    first, second = tiny_cell(n_gen=4), tiny_cell(n_gen=400)

    def crash(progress: Progress) -> None:
        if progress.cell is second and progress.step.endswith("starting"):
            for process in psutil.Process().children(recursive=True):
                if "llama_cpp_worker.py" in process.cmdline()[1]:
                    os.kill(process.pid, signal.SIGSEGV)

    launches = dict(llama_cpp_python.launch([first, second], tiny_model, crash))
    assert launches[first].failure is None
    assert (launches[second].failure or "").startswith("llama-cpp-python crashed (SIGSEGV, a fault in native code)")
    assert psutil.Process().children(recursive=True) == []
