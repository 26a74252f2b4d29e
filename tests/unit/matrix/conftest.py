"""A small vocabulary, and files to load with it."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pytest_thor.cell import ArtifactFormat, EngineTraits, Kind
from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Matrix, Vocabulary, expand, load
from pytest_thor.measurement import METRICS

Load = Callable[[str], Matrix]
Problems = Callable[[str], list[str]]


class BenchSettings(BaseModel):
    """Settings of an engine that takes files."""

    model_config = ConfigDict(extra="forbid")

    n_gpu_layers: int | Literal["all"] | None = Field(None, description="Layers on the GPU.")
    threads: int | None = Field(None, ge=1)
    flash_attn: Literal["on", "off", "auto"] | None = None
    no_kv_offload: bool | None = None
    tensor_split: tuple[float, ...] | None = None
    alias: str | None = None


class ServerSettings(BenchSettings):
    """Settings of an engine that serves."""

    ctx_size: int | None = None
    parallel: int | None = None
    no_op_offload: bool | None = None
    mmap: bool | None = None
    mlock: bool | None = None
    jinja: bool | None = None
    reasoning_budget: int | None = None
    reasoning_format: str | None = None
    max_model_len: int | None = None
    load_format: str | None = None
    enforce_eager: bool | None = None
    cpu_kvcache_space_gib: int | None = None
    extra_args: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    gguf: frozenset[ArtifactFormat] = frozenset({"gguf", "synthetic"})
    hf: frozenset[ArtifactFormat] = frozenset({"hf", "synthetic"})
    benched: frozenset[Kind] = frozenset({"prefill", "decode"})
    served: frozenset[Kind] = frozenset({"serving"})
    traits = [
        EngineTraits(name="llama-bench", formats=gguf, kinds=benched, settings=BenchSettings),
        EngineTraits(name="llama-cpp-python", formats=gguf, kinds=benched, settings=BenchSettings),
        EngineTraits(name="llama-server", formats=gguf, kinds=served, settings=ServerSettings),
        EngineTraits(name="llama-perplexity", formats=gguf, kinds=frozenset({"quality"}), settings=BenchSettings),
        EngineTraits(name="vllm", formats=hf, kinds=served, settings=ServerSettings, synthetic="hf"),
    ]
    sizes = ("qwen3-tiny", "qwen3-0.6b", "qwen3-8b", "qwen3-32b", "qwen3-30b-a3b", "gpt-oss-120b")
    return Vocabulary(
        engines=MappingProxyType({trait.name: trait for trait in traits}),
        architectures=frozenset(sizes),
        metrics=METRICS,
    )


@pytest.fixture
def load_text(tmp_path: Path, vocabulary: Vocabulary) -> Load:
    """Load a matrix from its text."""

    def load_text(text: str) -> Matrix:
        path = tmp_path / "m.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, vocabulary)

    return load_text


@pytest.fixture
def problems(load_text: Load) -> Problems:
    """Return what loading and expanding a text complains of, each as ``line:column: message``."""

    def problems(text: str) -> list[str]:
        with pytest.raises(MatrixError) as caught:
            expand(load_text(text))
        assert {Path(problem.path).name for problem in caught.value.problems} == {"m.yaml"}
        return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]

    return problems
