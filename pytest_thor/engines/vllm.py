"""vLLM: one server per model × quant × backend and launch, its workloads one after the other."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.engines.http_get import Place, get
from pytest_thor.engines.server import Server, ServerOrder, running
from pytest_thor.engines.service import Context, OnStep, Service, ServiceOrder
from pytest_thor.engines.serving_engine import ModelFacts, ReadModel, ServingEngine
from pytest_thor.engines.vllm_install import find_vllm
from pytest_thor.engines.vllm_settings import VllmSettings
from pytest_thor.errors import EngineFailure, EngineMissing
from pytest_thor.measurement import EngineBuild
from pytest_thor.serving.target import Target
from pytest_thor.serving.vllm_result import ServerCount

_UNKNOWN_OPTION = re.compile(r"error: (unrecognized arguments: .+|argument \S+: .+)")
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""What keeps it from asking the network for files that are all there, and from telling of its use."""
_PREFIX_HITS = re.compile(
    r"^vllm:(?:gpu_|external_)?prefix_cache_hits_total(?:\{[^}\n]*\})?[ \t]+(\S{1,40})", re.MULTILINE
)
_TOKENS = re.compile(r"^vllm:(prompt|generation)_tokens_total(?:\{[^}\n]*\})?[ \t]+(\S{1,40})", re.MULTILINE)
_PREFIX_CACHING = re.compile(r'enable_prefix_caching="(\w+)"')
_MOST_TOKENS = 10**15


class Vllm(ServingEngine):
    """The engine ``vllm``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="vllm",
        formats=frozenset({"hf", "synthetic"}),
        kinds=frozenset({"serving"}),
        settings=VllmSettings,
        synthetic="hf",
    )

    def __init__(
        self, override: Path | None = None, read_model: ReadModel | None = None, vllm: Path | None = None
    ) -> None:
        super().__init__(override, read_model, vllm or override)

    def identify(self) -> EngineBuild:
        """Find vLLM and ask the environment that it is in which build it is.

        Raises:
            EngineMissing: it is not found, or what the user chose has no vLLM.
        """
        return self._found[0]

    def _order(self, cells: Sequence[Cell], artifact: Path, facts: ModelFacts | None) -> ServiceOrder:  # noqa: ARG002 - max_model_len says it
        build, start = self._found
        backend = cells[0].backend
        settings = VllmSettings.model_validate(dict(backend.settings))
        model = settings.served_model_name or cells[0].model.name
        arguments = settings.arguments()
        if cells[0].artifact.format == "synthetic" and settings.load_format is None:
            arguments += ["--load-format", "dummy"]  # a synthetic model has no weights
        host = settings.host or "127.0.0.1"

        def command(port: int) -> Sequence[str]:
            named = ("--served-model-name", model, "--host", host, "--port", str(port))
            return (*start, str(artifact.absolute()), *named, "--enable-prompt-tokens-details", *arguments)

        server_order = ServerOrder(
            name="vllm",
            command=command,
            host=host,
            port=settings.port,
            environment={
                **{name: value for name, value in _ENVIRONMENT.items() if name not in os.environ},
                **settings.environment(),
                "VLLM_API_KEY": None,  # else it asks us for a key that we do not know
            },
        )

        @contextmanager
        def open_service(deadline: float, on_step: OnStep) -> Iterator[Service]:
            with _naming_unknown_options(build), running(server_order, deadline=deadline, on_step=on_step) as server:
                yield _service(server, build, model)

        context = _context(settings.max_model_len)
        return ServiceOrder(build=build, timeout_s=backend.timeout_s, open=open_service, context=context)

    @cached_property
    def _found(self) -> tuple[EngineBuild, tuple[str, ...]]:
        return find_vllm(self._override)


@contextmanager
def _naming_unknown_options(build: EngineBuild) -> Iterator[None]:
    """Make of an option that this build does not know what it is: an engine that lacks something.

    Asking ``--help`` first, as for llama.cpp, would cost each start another 10 s of imports.
    """
    try:
        yield
    except EngineFailure as failure:
        refused = _UNKNOWN_OPTION.search(failure.log_tail)
        if refused is None:
            raise
        raise EngineMissing(
            f"vllm {build.version} ({build.path}) refuses its options: {refused[1][:300]}; use a build that knows "
            "them, or change the backend's settings"
        ) from failure


def _context(tokens: int | None) -> Context:
    return Context(per_request=tokens, words="vLLM's max_model_len", advice="raise max_model_len")


def _service(server: Server, build: EngineBuild, model: str) -> Service:
    """Ask a server that is ready what it serves with."""
    place = server.place
    listed = get(place, "/v1/models").json()
    data = listed.get("data") if isinstance(listed, dict) else None
    first = data[0] if isinstance(data, list) and data else None
    told = first.get("max_model_len") if isinstance(first, dict) else None
    tokens = told if isinstance(told, int) and 0 < told < _MOST_TOKENS else None
    caching = _PREFIX_CACHING.search(get(place, "/metrics").body)
    return Service(
        target=Target(host=place.host, port=place.port, model=model, dialect="vllm"),
        place=place,
        build=build,
        server=server,
        context=_context(tokens),
        facts={"max_model_len": tokens, "prefix_caching": caching and caching[1] == "True"},
        cached_tokens=lambda: prefix_hits(place),
        count_tokens=lambda: _token_count(place),
    )


def _token_count(place: Place) -> ServerCount | None:
    """Read how many tokens vLLM has taken in and generated since its start, or None where it does not tell."""
    found: dict[str, list[float]] = {"prompt": [], "generation": []}
    for name, written in _TOKENS.findall(get(place, "/metrics").body):  # one of each for every engine that it runs
        found[name].append(_figure(written))
    prompt, output = (sum(values) if values else math.nan for values in found.values())
    if not (0 <= prompt < _MOST_TOKENS and 0 <= output < _MOST_TOKENS):  # which NaN is not, either
        return None
    return ServerCount(prompt=round(prompt), output=round(output))


def prefix_hits(place: Place) -> int | None:
    """Read how many prompt tokens vLLM has taken from its prefix cache since its start, or None."""
    found = [_figure(written) for written in _PREFIX_HITS.findall(get(place, "/metrics").body)]
    total = sum(found)
    return round(total) if found and 0 <= total < _MOST_TOKENS else None  # which NaN is not, either


def _figure(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return math.nan
