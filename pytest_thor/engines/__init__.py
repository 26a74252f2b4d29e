"""The engines, by name: adding one is a file beside this and a row here (docs/adding-an-engine.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_thor.engines.base import Engine
from pytest_thor.engines.llama_bench import LlamaBench
from pytest_thor.engines.llama_cpp_python import LlamaCppPython
from pytest_thor.engines.llama_perplexity import LlamaPerplexity
from pytest_thor.engines.llama_server import LlamaServer
from pytest_thor.engines.openai_endpoint import OpenAiEndpoint
from pytest_thor.engines.reference_model import ReferringEngine
from pytest_thor.engines.serving_engine import ServingEngine
from pytest_thor.engines.vllm import Vllm

SERVING_ENGINES: Mapping[str, type[ServingEngine]] = MappingProxyType(
    {
        "llama-server": LlamaServer,
        "vllm": Vllm,
        "openai": OpenAiEndpoint,
    }
)
"""Those whose cells a server answers; each is made with a reader of models, and can serve for a check of one's own."""

REFERRING_ENGINES: Mapping[str, type[ReferringEngine]] = MappingProxyType({"llama-perplexity": LlamaPerplexity})
"""Those that hold a quant against another of its model; each is made with a finder of that one's files."""

ENGINES: Mapping[str, type[Engine]] = MappingProxyType(
    {
        "llama-bench": LlamaBench,
        "llama-cpp-python": LlamaCppPython,
        **REFERRING_ENGINES,
        **SERVING_ENGINES,
    }
)
