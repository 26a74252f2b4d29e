"""llama-server: its cells can be declared; this version does not measure serving, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn

from pydantic import Field

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.llama_settings import Count, LlamaSettings, Switch, Whole, Word
from pytest_thor.engines.serving_pending import refuse
from pytest_thor.measurement import Launch


class LlamaServerSettings(LlamaSettings):
    """``settings:`` of a llama-server backend; names follow its long options."""

    ctx_size: Whole | None = Field(None, description="Context over all slots; 0 is the model's own.")
    parallel: Count | None = Field(None, description="Slots: requests served at once.")
    mlock: Switch | None = Field(None, description="Keep the model in memory.")
    jinja: Switch | None = Field(None, description="Use the model's chat template.")
    reasoning_budget: int | None = Field(None, ge=-1, description="Tokens of thought; -1 is no limit.")
    reasoning_format: Word | None = Field(None, description="What becomes of thoughts: none, auto, deepseek.")
    alias: Word | None = Field(None, description="Name of the model in its API.")
    extra_args: tuple[str, ...] = Field((), description="Further arguments, handed over as they are.")


class LlamaServer:
    """The engine ``llama-server``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="llama-server",
        formats=frozenset({"gguf", "synthetic"}),
        kinds=frozenset({"serving"}),
        settings=LlamaServerSettings,
    )

    def __init__(self, override: Path | None = None) -> None:
        self._override = override

    def identify(self) -> NoReturn:
        """Raise EngineMissing: serving is not measured yet."""
        refuse(self.traits.name)

    def batches(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Return the cells as one batch: a server answers them all."""
        return [tuple(cells)] if cells else []

    def launch(
        self,
        cells: Sequence[Cell],  # noqa: ARG002 - the protocol's
        artifact: Path,  # noqa: ARG002
        on_progress: ProgressCallback,  # noqa: ARG002
    ) -> Iterator[tuple[Cell, Launch]]:
        """Raise EngineMissing: serving is not measured yet."""
        refuse(self.traits.name)
