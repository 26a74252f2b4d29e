"""llama-bench, llama.cpp's own benchmark: one process per artifact and launch for all cells of one depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pytest_thor.cell import Backend, Cell, EngineTraits
from pytest_thor.cores import default_threads
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.bench_launch import Order, measure
from pytest_thor.engines.bench_rows import BenchTest, test_of
from pytest_thor.engines.further_arguments import DESCRIPTION, leaving_alone
from pytest_thor.engines.llama_options import SETTING_OPTIONS, HelpText, arguments, read_help
from pytest_thor.engines.llama_program import LlamaProgram, find_llama
from pytest_thor.engines.llama_settings import LlamaSettings, Switch, Whole, Word
from pytest_thor.errors import EngineFailure, EngineMissing
from pytest_thor.measurement import EngineBuild, Launch

_OURS = {
    **dict.fromkeys(("-m", "--model", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file"), "set by the artifact"),
    **dict.fromkeys(("-p", "--n-prompt", "-n", "--n-gen", "-pg", "-d", "--n-depth", "-gp"), "set by the workload"),
    **dict.fromkeys(("-r", "--repetitions"), "set by the workload's repetitions"),
    **dict.fromkeys(("-o", "--output", "-oe", "--output-err"), "set by pytest-thor, which reads the output"),
}
_REPORTED_AS = {
    "n_gpu_layers": "n_gpu_layers",
    "threads": "n_threads",
    "batch_size": "n_batch",
    "ubatch_size": "n_ubatch",
    "cache_type_k": "type_k",
    "cache_type_v": "type_v",
}


class LlamaBenchSettings(LlamaSettings):
    """``settings:`` of a llama-bench backend; names follow its long options."""

    load_mode: Word | None = Field(None, description="How to load the file: auto, none, mmap, mlock, dio, …")
    n_cpu_moe: Whole | None = Field(None, description="Layers whose experts stay in host memory.")
    device: Word | None = Field(None, description="Devices to use, as dev0/dev1.")
    cpu_mask: Word | None = Field(None, description="CPUs to run on, a hexadecimal mask.")
    cpu_strict: Switch | None = Field(None, description="Bind each thread to one CPU of the mask.")
    prio: Literal[-1, 0, 1, 2, 3] | None = Field(None, description="Priority of process and threads.")
    delay: Whole | None = Field(None, description="Seconds to cool off before each test.")
    extra_args: tuple[str, ...] = Field((), description=DESCRIPTION)

    @field_validator("extra_args")
    @classmethod
    def _leave_the_test_alone(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if "," in word:
                raise ValueError(f"{word!r}: a comma asks llama-bench for several tests; a cell is one")
        return leaving_alone(words, ours=_OURS, settings=SETTING_OPTIONS)

    @model_validator(mode="after")
    def _one_way_to_load(self) -> LlamaBenchSettings:
        if self.mmap is not None and self.load_mode is not None:
            raise ValueError("mmap and load_mode say the same thing; keep load_mode")
        return self


class LlamaBench:
    """The engine ``llama-bench``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="llama-bench",
        formats=frozenset({"gguf", "synthetic"}),
        kinds=frozenset({"prefill", "decode"}),
        settings=LlamaBenchSettings,
    )

    def __init__(self, override: Path | None = None) -> None:
        self._override = override

    def identify(self) -> EngineBuild:
        """Find llama-bench and ask it which build it is; builds without ``--version`` say so in their rows only.

        Raises:
            EngineMissing: it is not found, does not start, or is another program.
        """
        return self._program.build

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Group by depth and repetitions: llama-bench applies both to every test of a process."""
        groups: dict[tuple[int, int], list[Cell]] = {}
        for cell in cells:
            test = test_of(cell)
            groups.setdefault((test.n_depth, test.repetitions), []).append(cell)
        return [tuple(group) for group in groups.values()]

    def launch(
        self, cells: Sequence[Cell], artifact: Path, on_progress: ProgressCallback
    ) -> Iterator[tuple[Cell, Launch]]:
        """Measure one batch in one process; see the protocol.

        Raises:
            EngineMissing: this build lacks an option that the backend or the workload asks for.
            EngineFailure: the artifact's path cannot be said to llama-bench.
        """
        build, help_text = self._program.build, self._program.help_text
        backend = cells[0].backend
        settings = LlamaBenchSettings.model_validate(dict(backend.settings))
        tests = _tests(cells)
        order = Order(
            command=_command(build.path, artifact, tests, settings, help_text),
            tests=tests,
            build=build,
            timeout_s=backend.timeout_s,
            expected=_expected(backend),
        )
        return measure(order, on_progress)

    @cached_property
    def _program(self) -> LlamaProgram:
        return find_llama(self.traits.name, self._override, read=read_help, has=("--n-prompt",))


def _tests(cells: Sequence[Cell]) -> Mapping[BenchTest, Sequence[Cell]]:
    """Collect the cells of each test, in llama-bench's order: all prompts, then all generations."""
    tests: dict[BenchTest, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.kind != "prefill"):
        tests.setdefault(test_of(cell), []).append(cell)
    return tests


def _command(
    program: str,
    artifact: Path,
    tests: Mapping[BenchTest, Sequence[Cell]],
    settings: LlamaBenchSettings,
    help_text: HelpText,
) -> tuple[str, ...]:
    path = str(artifact.absolute())
    if "," in path:
        raise EngineFailure(f"llama-bench splits its arguments at commas: move or rename {path}")
    first = next(iter(tests))
    depth = []
    if first.n_depth:
        depth = [help_text.require(("-d", "--n-depth"), "a workload with n_depth"), str(first.n_depth)]
    output = help_text.require(("-o", "--output"), "reading the results")
    if "jsonl" not in help_text.options[output]:
        raise EngineMissing(f"{help_text.program} cannot write jsonl; use a build of November 2024 or later")
    given = {**default_threads(), **settings.model_dump(exclude_none=True, exclude={"extra_args"})}
    return (
        program,
        *("-m", path, output, "jsonl"),
        *("-p", ",".join(str(test.n_prompt) for test in tests if test.n_prompt) or "0"),
        *("-n", ",".join(str(test.n_gen) for test in tests if test.n_gen) or "0"),
        *depth,
        *("-r", str(first.repetitions)),
        *(["--progress"] if help_text.first("--progress") else []),
        *arguments(given, help_text),
        *settings.extra_args,
    )


def _expected(backend: Backend) -> dict[str, Any]:
    return {_REPORTED_AS[name]: value for name, value in backend.settings if name in _REPORTED_AS}
