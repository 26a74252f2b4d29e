"""llama-perplexity, llama.cpp's own measure of how well a model predicts a text: one process per cell and launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from pytest_thor.cell import Cell, EngineTraits, Setting
from pytest_thor.cores import default_threads
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.further_arguments import DESCRIPTION, leaving_alone
from pytest_thor.engines.llama_program import LlamaProgram, find_llama
from pytest_thor.engines.llama_server_options import SETTING_OPTIONS, read_server_help, server_arguments
from pytest_thor.engines.llama_settings import LlamaSettings
from pytest_thor.engines.perplexity_launch import Order, measure
from pytest_thor.engines.reference_model import FindReference, ReferenceModel
from pytest_thor.errors import EngineFailure
from pytest_thor.measurement import EngineBuild, Launch

_OURS = {
    **dict.fromkeys(("-m", "--model", "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-hff"), "set by the artifact"),
    **dict.fromkeys(("-f", "--file", "-bf", "--binary-file", "-p", "--prompt"), "set by the workload's text"),
    **dict.fromkeys(("-c", "--ctx-size"), "set by the workload's ctx_size"),
    **dict.fromkeys(("--chunks",), "set by the workload's chunks"),
    **dict.fromkeys(
        ("--kl-divergence", "--kl-divergence-base", "--save-all-logits"), "set by the workload's reference"
    ),
    **dict.fromkeys(("--ppl-output-type",), "set by pytest-thor, which reads the output"),
    **dict.fromkeys(("--ppl-stride", "--hellaswag", "--winogrande", "--multiple-choice"), "another measure"),
}
_BATCH = 2048
_NUMERIC = frozenset({"flash_attn", "cache_type_k", "cache_type_v"})
_NEVER_NUMERIC = frozenset({"threads", "poll", "numa", "mmap", "no_host"})


class LlamaPerplexitySettings(LlamaSettings):
    """``settings:`` of a llama-perplexity backend; names follow its long options."""

    extra_args: tuple[str, ...] = Field((), description=DESCRIPTION)

    @field_validator("extra_args")
    @classmethod
    def _leave_the_measure_alone(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return leaving_alone(words, ours=_OURS, settings=SETTING_OPTIONS)


class LlamaPerplexity:
    """The engine ``llama-perplexity``; the logits of references are kept in the folder ``kept``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="llama-perplexity",
        formats=frozenset({"gguf", "synthetic"}),
        kinds=frozenset({"quality"}),
        settings=LlamaPerplexitySettings,
    )

    def __init__(
        self, override: Path | None = None, find_reference: FindReference | None = None, kept: Path | None = None
    ) -> None:
        self._override = override
        self._find_reference = find_reference
        self._kept = kept

    def identify(self) -> EngineBuild:
        """Find llama-perplexity and ask it which build it is.

        Raises:
            EngineMissing: it is not found, does not start, or is another program.
        """
        return self._program.build

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """One process reads one text."""
        return [(cell,) for cell in cells]

    def launch(
        self, cells: Sequence[Cell], artifact: Path, on_progress: ProgressCallback
    ) -> Iterator[tuple[Cell, Launch]]:
        """Measure one cell; the logits of its reference are made first where they are not kept yet.

        Raises:
            EngineMissing: this build lacks an option that the backend asks for.
            EngineFailure: there is nothing to find the reference with.
        """
        help_text = self._program.help_text
        [cell] = cells
        given = LlamaPerplexitySettings.model_validate(dict(cell.backend.settings))
        settings = {**default_threads(), **given.model_dump(exclude_none=True, exclude={"extra_args"})}
        workload = dict(cell.workload.parameters)
        ctx_size = cell.workload.count("ctx_size")
        # A chunk at a time, whether alone or beside a reference: then both calculate alike.
        batch = min(settings.pop("batch_size", _BATCH), ctx_size)
        common = [
            *(["--no-warmup"] if help_text.first("--no-warmup") else []),
            *(help_text.require(("-c", "--ctx-size"), "a quality workload"), str(ctx_size)),
            *(help_text.require(("-b", "--batch-size"), "a quality workload"), str(batch)),
        ]

        def words(chosen: Mapping[str, Setting]) -> tuple[str, ...]:
            return (*common, *server_arguments(chosen, help_text), *given.extra_args)

        plain = {name: value for name, value in settings.items() if name not in _NUMERIC}
        order = Order(
            cell=cell,
            build=self._program.build,
            artifact=artifact.absolute(),
            text=Path(cell.matrix_path).absolute().parent / str(workload["text"]),
            chunks=workload["chunks"],
            words=words(settings),
            words_of_reference=words(plain),
            shaping=words({name: value for name, value in plain.items() if name not in _NEVER_NUMERIC}),
            reference=self._reference(cell),
            kept=self._kept,
        )
        return measure(order, on_progress)

    def _reference(self, cell: Cell) -> ReferenceModel | None:
        if cell.reference is None:
            return None
        if self._find_reference is None or self._kept is None:
            raise EngineFailure(f"{self.traits.name} was made without a way to find the reference of {cell.id}")
        return self._find_reference(cell)

    @cached_property
    def _program(self) -> LlamaProgram:
        return find_llama(self.traits.name, self._override, read=read_server_help, has=("--kl-divergence",))
