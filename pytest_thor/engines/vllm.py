"""vLLM: its cells can be declared; this version does not measure serving, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.engines.base import ProgressCallback
from pytest_thor.engines.llama_settings import Count, Switch, Word
from pytest_thor.engines.serving_pending import refuse
from pytest_thor.measurement import Launch


class VllmSettings(BaseModel):
    """``settings:`` of a vllm backend; names follow its long options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_model_len: Count | None = Field(None, description="Longest prompt and output together.")
    max_num_seqs: Count | None = Field(None, description="Requests served at once.")
    max_num_batched_tokens: Count | None = Field(None, description="Tokens computed in one step.")
    gpu_memory_utilization: float | None = Field(None, gt=0, le=1, description="Share of the memory to take.")
    quantization: Word | None = Field(None, description="Scheme of the weights, where the checkpoint does not say.")
    dtype: Word | None = Field(None, description="Type of the activations.")
    kv_cache_dtype: Word | None = Field(None, description="Type of the KV cache.")
    load_format: Word | None = Field(None, description="How weights are loaded; dummy makes random ones.")
    tensor_parallel_size: Count | None = Field(None, description="GPUs that share the model.")
    enforce_eager: Switch | None = Field(None, description="No CUDA graphs.")
    trust_remote_code: Switch | None = Field(None, description="Run code that comes with the checkpoint.")
    extra_args: tuple[str, ...] = Field((), description="Further arguments, handed over as they are.")


class Vllm:
    """The engine ``vllm``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="vllm", formats=frozenset({"hf"}), kinds=frozenset({"serving"}), settings=VllmSettings
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
