"""llama-perplexity, llama.cpp's own measure of how well a model predicts a text: one process per cell and launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from pytest_thor.cell import Cell, EngineTraits, Setting
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.llama_options import HelpText
from pytest_thor.engines.llama_server_options import SETTING_OPTIONS, read_server_help, server_arguments
from pytest_thor.engines.llama_settings import LlamaSettings
from pytest_thor.engines.locate import find
from pytest_thor.engines.perplexity_launch import Order, measure
from pytest_thor.engines.process import run_briefly
from pytest_thor.engines.reference_model import FindReference, ReferenceModel
from pytest_thor.engines.version import ask_version
from pytest_thor.errors import EngineFailure, EngineMissing
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

    extra_args: tuple[str, ...] = Field((), description="Further arguments, handed over as they are.")

    @field_validator("extra_args")
    @classmethod
    def _leave_the_measure_alone(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            option = word.partition("=")[0]
            if option in _OURS:
                raise ValueError(f"{option} is {_OURS[option]}")
            if option in SETTING_OPTIONS:
                raise ValueError(f"{option} has a setting of its own: {SETTING_OPTIONS[option]}")
        return words


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
        self._known: tuple[EngineBuild, HelpText] | None = None

    def identify(self) -> EngineBuild:
        """Find llama-perplexity and ask it which build it is.

        Raises:
            EngineMissing: it is not found, does not start, or is another program.
        """
        return self._probe()[0]

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
        build, help_text = self._probe()
        [cell] = cells
        given = dict(cell.backend.settings)
        settings = LlamaPerplexitySettings.model_validate(given).model_dump(exclude_none=True, exclude={"extra_args"})
        extra = LlamaPerplexitySettings.model_validate(given).extra_args
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
            return (*common, *server_arguments(chosen, help_text), *extra)

        plain = {name: value for name, value in settings.items() if name not in _NUMERIC}
        order = Order(
            cell=cell,
            build=build,
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

    def _probe(self) -> tuple[EngineBuild, HelpText]:
        if self._known is None:
            self._known = _ask(find(self.traits.name, "llama-perplexity", self._override))
        return self._known


def _ask(path: Path) -> tuple[EngineBuild, HelpText]:
    printed, ending = run_briefly([str(path), "--help"])
    help_text = read_server_help(f"llama-perplexity ({path})", printed)
    if help_text.first("--kl-divergence") is None:
        said = next((line for line in reversed(printed.splitlines()) if line.strip()), "it printed nothing")
        raise EngineMissing(
            f"{path} is no llama-perplexity that runs here: its --help lists no --kl-divergence "
            f"({ending.sentence('it', 60)}; {said.strip()[:300]})"
        )
    version, commit = ask_version(path)
    named = f"llama-perplexity {version} ({path})" if version else help_text.program
    build = EngineBuild(name="llama-perplexity", path=str(path), version=version, commit=commit)
    return build, HelpText(program=named, options=help_text.options)
