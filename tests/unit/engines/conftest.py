"""What the engine tests share: cells, and a llama-bench that does as it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from pytest_thor.cell import Cell, Kind, Setting
from pytest_thor.engines import SERVING_ENGINES
from pytest_thor.engines.base import Progress
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.serving_engine import ModelFacts, ServingEngine
from pytest_thor.measurement import Launch
from pytest_thor.serving.load import TokenIds
from tests.cells import build_cell

FAKES = Path(__file__).parents[2] / "fakes"
STUB = FAKES / "stub_llama_bench.py"
STUB_SERVER = FAKES / "stub_server.py"


class MakeCell(Protocol):
    def __call__(
        self,
        kind: Kind,
        tokens: int,
        *,
        n_depth: int = 0,
        repetitions: int = 2,
        name: str | None = None,
        timeout_s: float = 30.0,
        settings: Mapping[str, Setting] | None = None,
    ) -> Cell: ...


@pytest.fixture
def make_cell() -> MakeCell:
    def make(
        kind: Kind,
        tokens: int,
        *,
        n_depth: int = 0,
        repetitions: int = 2,
        name: str | None = None,
        timeout_s: float = 30.0,
        settings: Mapping[str, Setting] | None = None,
    ) -> Cell:
        counted = "n_prompt" if kind == "prefill" else "n_gen"
        short = "pp" if kind == "prefill" else "tg"
        return build_cell(
            kind,
            {counted: tokens, "n_depth": n_depth, "repetitions": repetitions},
            workload=name or f"{short}{tokens}@{n_depth}",
            backend="stub",
            settings=settings,
            timeout_s=timeout_s,
        )

    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class StubBench:
    """A stub with its script written, an artifact for it, and what it told of its progress."""

    program: Path
    artifact: Path
    steps: list[Progress]

    @property
    def engine(self) -> LlamaBench:
        return LlamaBench(self.program)

    def launch(self, *cells: Cell) -> Iterator[tuple[Cell, Launch]]:
        return self.engine.launch(cells, self.artifact, self.steps.append)

    def measure(self, *cells: Cell) -> list[Launch]:
        """Launch to the end and return the launches in the order of the cells; nothing may be left running."""
        launches = dict(self.launch(*cells))
        assert set(launches) == set(cells)
        assert self.living() == []
        return [launches[cell] for cell in cells]

    def pids(self) -> list[int]:
        return [int(line) for line in Path(f"{self.program}.pids").read_text().splitlines()]

    def living(self) -> list[int]:
        """Which of all processes that the stub ever was or started are still there."""
        return still_there(self.pids(), Path(f"{self.program}.pids"))


def still_there(pids: list[int], noted_in: Path) -> list[int]:
    """Return the processes of a list that still live; one that began after the list was written only has the number."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).create_time() <= noted_in.stat().st_mtime + 1:
                found.append(pid)
    return found


class MakeStub(Protocol):
    def __call__(self, **script: Any) -> StubBench: ...


@pytest.fixture
def make_stub(tmp_path: Path) -> MakeStub:
    def make(**script: Any) -> StubBench:
        program = tmp_path / "llama-bench"
        program.write_text(STUB.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS", 1))
        program.chmod(0o755)
        Path(f"{program}.json").write_text(json.dumps(script))
        artifact = tmp_path / "tiny.gguf"
        artifact.touch()
        return StubBench(program=program, artifact=artifact, steps=[])

    return make


class MakeServingCell(Protocol):
    def __call__(
        self,
        name: str = "low",
        *,
        engine: str = "llama-server",
        settings: Mapping[str, Setting] | None = None,
        timeout_s: float = 60.0,
        **parameters: Setting,
    ) -> Cell: ...


@pytest.fixture
def serving_cell(tmp_path: Path) -> MakeServingCell:
    def make(
        name: str = "low",
        *,
        engine: str = "llama-server",
        settings: Mapping[str, Setting] | None = None,
        timeout_s: float = 60.0,
        **parameters: Setting,
    ) -> Cell:
        asked: dict[str, Setting] = {"input_len": 8, "output_len": 4, "num_prompts": 3, "max_concurrency": 1}
        return build_cell(
            "serving",
            {**asked, **parameters},
            workload=name,
            engine=engine,
            backend="stub",
            settings=settings,
            timeout_s=timeout_s,
            path=tmp_path / "test.yaml",
        )

    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class StubServer:
    """A stub with its script written, to be started as llama-server or vllm, and what it wrote of its life."""

    program: Path
    artifact: Path
    steps: list[Progress]

    def engine(self, name: str = "llama-server") -> ServingEngine:
        facts = ModelFacts(token_ids=TokenIds(size=1000), context_length=4096)
        return SERVING_ENGINES[name](self.program, lambda _: facts)

    def launch(self, *cells: Cell) -> Iterator[tuple[Cell, Launch]]:
        return self.engine(cells[0].backend.engine).launch(cells, self.artifact, self.steps.append)

    def measure(self, *cells: Cell) -> list[Launch]:
        """Launch to the end and return the launches in the order of the cells; nothing may be left running."""
        launches = dict(self.launch(*cells))
        assert set(launches) == set(cells)
        assert self.living() == []
        return [launches[cell] for cell in cells]

    def pids(self) -> list[int]:
        return [int(line) for line in self._lines("pids")]

    def living(self) -> list[int]:
        return still_there(self.pids(), Path(f"{self.program}.pids"))

    def starts(self) -> list[Any]:
        """What each start was given: its arguments and a few variables."""
        return [json.loads(line) for line in self._lines("starts")]

    def _lines(self, file: str) -> list[str]:
        path = Path(f"{self.program}.{file}")
        return path.read_text().splitlines() if path.exists() else []


class MakeStubServer(Protocol):
    def __call__(self, program: str = "llama-server", **script: Any) -> StubServer: ...


@pytest.fixture
def stub_server(tmp_path: Path) -> MakeStubServer:
    def make(program: str = "llama-server", **script: Any) -> StubServer:
        path = tmp_path / program
        # A shell in between, so that it is a program like any other, and no script of this Python.
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {STUB_SERVER} {path} "$@"\n')
        path.chmod(0o755)
        Path(f"{path}.json").write_text(json.dumps(script))
        artifact = tmp_path / "tiny.gguf"
        artifact.touch()
        return StubServer(program=path, artifact=artifact, steps=[])

    return make
