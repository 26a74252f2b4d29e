"""The engines, by name: adding one is a file beside this and a row here (docs/adding-an-engine.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_thor.engines.base import Engine
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.engines.vllm import Vllm

ENGINES: Mapping[str, type[Engine]] = MappingProxyType(
    {
        "llama-bench": LlamaBench,
        "llama-cpp-python": LlamaCppPython,
        "llama-server": LlamaServer,
        "vllm": Vllm,
    }
)
