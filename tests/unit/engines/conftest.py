"""What the engine tests share: cells, and a llama-bench that does as it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from pytest_thor.cell import ArtifactReference, Backend, Cell, Kind, Model, Setting, Workload
from pytest_thor.engines.base import Progress
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.measurement import Launch

STUB = Path(__file__).parents[2] / "fakes" / "stub_llama_bench.py"


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
        parameters = {counted: tokens, "n_depth": n_depth, "repetitions": repetitions}
        short = "pp" if kind == "prefill" else "tg"
        return Cell(
            matrix="test",
            matrix_path="test.yaml",
            line=1,
            model=Model(name="tiny", architecture=None),
            quant="F16",
            artifact=ArtifactReference(format="gguf", location="tiny.gguf"),
            backend=Backend(
                name="stub",
                engine="llama-bench",
                settings=tuple(sorted((settings or {}).items())),
                timeout_s=timeout_s,
            ),
            workload=Workload(
                name=name or f"{short}{tokens}@{n_depth}", kind=kind, parameters=tuple(sorted(parameters.items()))
            ),
            thresholds=(),
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
        return [pid for pid in self.pids() if psutil.pid_exists(pid)]


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
