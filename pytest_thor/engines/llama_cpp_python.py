"""llama-cpp-python, the in-process engine: llama-bench's procedure in a worker process of its own.

The worker is ``llama_cpp_worker.py``, run by the interpreter that the user chose or by this one, so that another
environment's build can be measured and a crash in native code ends the worker only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ValidationError

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.cores import cores
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.bench_launch import Order, measure
from pytest_thor.engines.bench_rows import BenchTest, test_of
from pytest_thor.engines.llama_settings import LlamaSettings
from pytest_thor.engines.locate import chosen
from pytest_thor.engines.log_tail import last_words
from pytest_thor.engines.process import run_briefly
from pytest_thor.errors import EngineMissing
from pytest_thor.measurement import EngineBuild, Launch

_WORKER = Path(__file__).with_name("llama_cpp_worker.py")
_INSTALL = "pip install 'pytest-thor[llama-cpp-python]' for it, or say --thor-engine llama-cpp-python=/path/to/python"


class _Identity(BaseModel):
    """What the worker says of its library."""

    version: str
    llama_version: str | None
    build_commit: str | None
    system_info: str
    settings: frozenset[str]


class LlamaCppPython:
    """The engine ``llama-cpp-python``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="llama-cpp-python",
        formats=frozenset({"gguf", "synthetic"}),
        kinds=frozenset({"prefill", "decode"}),
        settings=LlamaSettings,
    )

    def __init__(self, override: Path | None = None) -> None:
        self._override = override

    def identify(self) -> EngineBuild:
        """Ask the interpreter which llama-cpp-python and which llama.cpp it has.

        Raises:
            EngineMissing: the interpreter is not there, or cannot import llama_cpp.
        """
        return self._identified[0]

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """One process measures them all: the worker takes any mix of depths and repetitions."""
        return [tuple(cells)] if cells else []

    def launch(
        self, cells: Sequence[Cell], artifact: Path, on_progress: ProgressCallback
    ) -> Iterator[tuple[Cell, Launch]]:
        """Measure one batch in one worker; see the protocol.

        Raises:
            EngineMissing: this build cannot carry a setting of the backend.
        """
        build, carried = self._identified
        backend = cells[0].backend
        settings = LlamaSettings.model_validate(dict(backend.settings)).model_dump(exclude_none=True)
        lacking = sorted(set(settings) - carried)
        if lacking:
            raise EngineMissing(
                f"llama-cpp-python {build.version} ({build.path}) cannot carry the setting {', '.join(lacking)} of "
                f"the backend {backend.name}; use a newer release or leave the setting out"
            )
        tests: dict[BenchTest, list[Cell]] = {}
        for cell in cells:
            tests.setdefault(test_of(cell), []).append(cell)
        request = {
            "model": str(artifact.absolute()),
            "settings": {"threads": cores(), **settings},
            "tests": [asdict(test) for test in tests],
        }
        order = Order(
            command=(build.path, str(_WORKER)),
            tests=tests,
            build=build,
            timeout_s=backend.timeout_s,
            request=json.dumps(request).encode(),
        )
        return measure(order, on_progress)

    @cached_property
    def _identified(self) -> tuple[EngineBuild, frozenset[str]]:
        return _ask(chosen(self.traits.name, self._override) or Path(sys.executable).absolute())


def _ask(python: Path) -> tuple[EngineBuild, frozenset[str]]:
    printed, ending = run_briefly([str(python), str(_WORKER), "--identify"])
    answer = next((line for line in printed.splitlines() if line.startswith('{"version"')), "")
    try:
        identity = _Identity.model_validate_json(answer)
    except ValidationError:
        raise EngineMissing(
            f"llama-cpp-python: {python} cannot run it ({ending.sentence('it', 60)}: {last_words(printed)}); {_INSTALL}"
        ) from None
    build = EngineBuild(
        name="llama-cpp-python",
        path=str(python),
        version=identity.version,
        commit=identity.build_commit,
        details={"llama_cpp_version": identity.llama_version, "system_info": identity.system_info},
    )
    return build, identity.settings
