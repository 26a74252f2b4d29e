"""Where faults strike: someone's repository on the disk, and runs of it in processes of their own.

Every process of a run, however far it has gone from its parents, is known by a variable of its environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from pytest_thor.engines.locate import find
from pytest_thor.host.device import identify
from pytest_thor.orphans import MARK as ENGINE_MARK

Part: TypeAlias = Literal["pytest", "worker", "supervisor", "engine"]

STUB = Path(__file__).parents[1] / "fakes" / "stub_llama_bench.py"
MARK = "THOR_FAULT_SCENE"
PATIENCE_S = 300.0
"""After that a run counts as one that hangs."""
GONE_S = 10.0
"""What a killed run leaves behind has so long to end."""
# As `python -m pytest`, with Ctrl-C working also where a shell started this in the background, which ignores it.
_PYTEST = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
_PLUGINS = ("-p", "pytest_thor.plugin", "-p", "xdist", "-p", "no:cacheprovider")
_EXECNET = "exec(eval("  # what a process that execnet started has on its command line
_TOLD = re.compile(r"^  (\S+) · launch \d+ · measured", re.MULTILINE)

MATRIX = """\
name: faults
models:
  tiny: {gguf: "tiny-{quant}.gguf", quants: [F16]}
backends:
"""
BACKEND = "  backend{number}: {{engine: llama-bench, settings: {{threads: 1, batch_size: {batch}}}}}\n"
WORKLOADS = """\
workloads:
  pp64: {kind: prefill, n_prompt: 64, repetitions: 2}
  tg8: {kind: decode, n_gen: 8, repetitions: 2}
  tg16: {kind: decode, n_gen: 16, repetitions: 2}
"""
SPEEDS = {"pp64": 4000.0, "tg8": 400.0, "tg16": 800.0}
SLOWER = 0.75
"""What the engine's speed at tg16 is from the second run on, as a share of the baseline's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of a run, as /proc has it."""

    pid: int
    parent: int
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended; ``code`` is None where it did not, within :data:`PATIENCE_S`, and had to be killed."""

    code: int | None
    output: str

    @property
    def told(self) -> list[str]:
        """Which cells it said were measured, one for each launch."""
        return _TOLD.findall(self.output)


class Running:
    """One run of pytest."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, mark: str) -> None:
        self.pid = process.pid
        self._process = process
        self._output = output
        self._mark = mark

    @property
    def alive(self) -> bool:
        """Whether pytest itself still runs."""
        return self._process.poll() is None

    def parts(self, part: Part) -> list[int]:
        """Return the process ids that play this part now."""
        if part == "pytest":
            return [self.pid] if self.alive else []
        found = {process.pid: process for process in processes(self._mark)}
        watching = {pid for pid, process in found.items() if "supervisor.py" in process.command}
        if part == "supervisor":
            return sorted(watching)
        if part == "worker":
            return [pid for pid, process in found.items() if process.parent == self.pid and _EXECNET in process.command]
        return [pid for pid, process in found.items() if process.parent in watching and pid not in watching]

    def has_lock(self, folder: Path) -> bool:
        """Tell whether a process of this run says that it has the device for itself."""
        for path in folder.glob("*.lock"):
            with suppress(OSError, ValueError):
                holder = json.loads(path.read_text())["pid"]
                if _mark_bytes(self._mark) in Path(f"/proc/{holder}/environ").read_bytes():
                    return True
        return False

    def wait_for(self, condition: Callable[[], object], *, limit_s: float = PATIENCE_S) -> bool:
        """Wait until something is so; False where the run ended before, or the time did."""
        end = time.monotonic() + limit_s
        while self.alive and time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.002)
        return False

    def end(self) -> Ended:
        """Wait for its end; kill what hangs."""
        code: int | None
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for process in processes(self._mark):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self._process.wait()
            code = None
        return Ended(code=code, output=self._output.read_text(errors="replace"))


class Scene:
    """A repository with a matrix of ``backends`` × three workloads, each to be launched ``launches`` times.

    Its engine is a stub that takes its time, or the real llama-bench. The stub's baseline is stored before anything
    goes wrong; afterwards one of its workloads is slower, so that both verdicts, good and bad, can be got wrong.
    """

    def __init__(self, root: Path, model: Path, *, backends: int = 1, launches: int = 2, real: bool = False) -> None:
        self.root = root.resolve()
        self.real = real
        self.launches = launches
        self.mark = uuid4().hex
        self.report = self.root / "thor-report"
        self.locks = self.root / "locks"
        self.locks.mkdir(parents=True)
        (self.root / "models").mkdir()
        shutil.copy(model, self.root / "models" / "tiny-F16.gguf")
        (self.root / "pytest.ini").write_text("[pytest]\n")
        self.engine = find("llama-bench", "llama-bench", None) if real else self._stub()
        self._runs = 0
        self.resize(backends=backends)

    def resize(self, *, backends: int) -> None:
        """Have this many backends; those that were there stay the same."""
        self.cells = {
            f"tiny-F16-backend{number}-{workload}": workload for number in range(backends) for workload in SPEEDS
        }
        made = "".join(BACKEND.format(number=number, batch=2048 - 32 * number) for number in range(backends))
        (self.root / "faults.yaml").write_text(MATRIX + made + WORKLOADS)

    def _stub(self) -> Path:
        program = self.root / "bin" / "llama-bench"
        program.parent.mkdir()
        program.write_text(STUB.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS", 1))
        program.chmod(0o755)
        return program

    def script(self, **more: object) -> None:
        """Say how the stub behaves from now on, beside its speeds and taking its time."""
        speeds = {"pp_tps": SPEEDS["pp64"], "tg_tps": {"8": SPEEDS["tg8"], "16": self.expected_tps("tg16")}}
        behaviour = {**speeds, "in_time": True, **more}
        (self.root / "bin" / "llama-bench.json").write_text(json.dumps(behaviour))

    def expected_tps(self, workload: str) -> float:
        """Return what the stub says that it reached, but for the 0.1 % between two repetitions."""
        slower = workload == "tg16" and (self.root / "baselines").exists()
        return SPEEDS[workload] * (SLOWER if slower else 1)

    def store_baseline(self) -> Ended:
        """Run once in peace and store the baseline; from then on tg16 is slower. The real engine gets none."""
        if self.real:
            return Ended(code=0, output="")
        shutil.rmtree(self.root / "baselines", ignore_errors=True)
        self.script(in_time=False)
        ended = self.start("--thor-update-baseline=missing").end()
        assert ended.code == 0, ended.output
        self.script()
        return ended

    def anew(self) -> None:
        """Forget every run; baselines stay."""
        shutil.rmtree(self.report, ignore_errors=True)

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> Running:
        """Start pytest over the matrix; ``wrapper`` is a command that executes what follows it."""
        self._runs += 1
        output = self.root / f"output-{self._runs}.txt"
        command = [
            *wrapper,
            *(sys.executable, "-c", _PYTEST, *_PLUGINS, "--thor-matrix", "faults.yaml", "--thor-models", "models"),
            *("--thor-engine", f"llama-bench={self.engine}", "--thor-launches", f"{self.launches}:{self.launches}"),
            *arguments,
        ]
        with output.open("wb") as opened:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**_environment(), "THOR_LOCK_DIR": str(self.locks), MARK: self.mark, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, output, self.mark)

    @property
    def journal(self) -> list[dict[str, Any]]:
        """Every whole line of the journal."""
        entries = []
        with suppress(FileNotFoundError):
            for line in (self.report / "journal.jsonl").read_text(errors="replace").splitlines():
                with suppress(ValueError):
                    entries.append(json.loads(line))
        return entries

    @property
    def finished(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every launch in the journal that measured, by its cell and when it began."""
        return {
            (entry["cell"], entry["launch"]["started_at"]): entry["launch"]["samples"]
            for entry in self.journal
            if entry["launch"]["failure"] is None
        }

    @property
    def total(self) -> int:
        """How many launches there are when all is done."""
        return self.launches * len(self.cells)

    def orphans(self) -> list[Process]:
        """Return what still lives of any run here, after it had time to end."""
        end = time.monotonic() + GONE_S
        while (left := list(processes(self.mark))) and time.monotonic() < end:
            time.sleep(0.01)
        return left

    def engines(self) -> list[Process]:
        """Return what lives of engines that measure, and what they started; who only says its version is none."""
        found = processes(self.mark, f"{ENGINE_MARK}=".encode())
        return [process for process in found if not re.search("--(version|help)", process.command)]

    def baseline_file(self, cell: str) -> Path:
        """Return where the baseline of a cell stands."""
        return self.root / "baselines" / identify().slug / "faults" / f"{cell}.json"


def processes(mark: str, also: bytes = b"") -> Iterator[Process]:
    """Find every living process that carries the mark of a scene, and something more; this one may carry none."""
    wanted = _mark_bytes(mark)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (folder / "environ").read_bytes()
            if wanted in environment and also in environment:
                parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(pid=int(folder.name), parent=parent, command=command)


def _mark_bytes(mark: str) -> bytes:
    return f"{MARK}={mark}".encode()


def _environment() -> dict[str, str]:
    """Return this process's environment without what would change a run."""
    others = ("THOR_", "GITHUB_", "PYTEST_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "160"}
