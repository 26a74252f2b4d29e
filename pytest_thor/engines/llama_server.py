"""llama-server: one server per model × quant × backend and launch, its workloads one after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.cores import default_threads
from pytest_thor.engines.http_get import get
from pytest_thor.engines.llama_options import HelpText
from pytest_thor.engines.llama_program import LlamaProgram, find_llama
from pytest_thor.engines.llama_server_options import read_server_help, server_arguments
from pytest_thor.engines.llama_server_settings import LlamaServerSettings
from pytest_thor.engines.server import Server, ServerOrder, running
from pytest_thor.engines.service import Context, OnStep, Service, ServiceOrder
from pytest_thor.engines.serving_engine import ModelFacts, ServingEngine
from pytest_thor.measurement import EngineBuild
from pytest_thor.redaction import names_a_secret, redacted
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.target import Target
from pytest_thor.serving.vllm_result import ServerCount

_CONTEXT_STEP = 256  # llama.cpp rounds a slot's context up to a multiple of it
_SLOTS = re.compile(r"n_slots = \d+, n_ctx_slot = \d+, kv_unified = '(true|false)'")
_THREADS_HTTP = "--threads-http"
_METRICS = "--metrics"
_COUNTER = re.compile(
    r"^llamacpp:(prompt_tokens|prompt_tokens_cached|tokens_predicted)_total (\d{1,18})$", re.MULTILINE
)
_OPEN_LOOP_CONNECTIONS = 256
_MOST_HTTP_THREADS = 2048
_UNIFIED = frozenset({"-kvu", "--kv-unified", "--kv-unified-per-slot"})


class LlamaServer(ServingEngine):
    """The engine ``llama-server``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="llama-server",
        formats=frozenset({"gguf", "synthetic"}),
        kinds=frozenset({"serving"}),
        settings=LlamaServerSettings,
    )

    def identify(self) -> EngineBuild:
        """Find llama-server and ask it which build it is.

        Raises:
            EngineMissing: it is not found, does not start, or is another program.
        """
        return self._program.build

    def _order(self, cells: Sequence[Cell], artifact: Path, facts: ModelFacts | None) -> ServiceOrder:
        build, help_text = self._program.build, self._program.help_text
        backend = cells[0].backend
        settings = LlamaServerSettings.model_validate(dict(backend.settings))
        model = settings.alias or cells[0].model.name
        arguments = _arguments(settings, help_text, model, cells)

        def command(port: int) -> Sequence[str]:
            host = settings.host or "127.0.0.1"
            return (build.path, "-m", str(artifact.absolute()), "--host", host, "--port", str(port), *arguments)

        server_order = ServerOrder(
            name="llama-server",
            command=command,
            host=settings.host or "127.0.0.1",
            port=settings.port,
            environment={"LLAMA_API_KEY": None},  # else it asks us for a key that we do not know
        )

        @contextmanager
        def open_service(deadline: float, on_step: OnStep) -> Iterator[Service]:
            with running(server_order, deadline=deadline, on_step=on_step) as server:
                yield _service(server, build, model)

        return ServiceOrder(
            build=build,
            timeout_s=backend.timeout_s,
            open=open_service,
            context=_context_before(settings, facts),
        )

    @cached_property
    def _program(self) -> LlamaProgram:
        found = find_llama(self.traits.name, self._override, read=read_server_help, has=("--port", "--model"))
        # Variables that llama-server reads: each is a setting that the matrix does not show.
        variables = {
            name: "***" if names_a_secret(name) else redacted(value)
            for name, value in sorted(os.environ.items())
            if name.startswith("LLAMA_ARG_")
        }
        details = {"environment": variables} if variables else {}
        return replace(found, build=replace(found.build, details=details))


def _arguments(
    settings: LlamaServerSettings, help_text: HelpText, model: str, cells: Sequence[Cell]
) -> tuple[str, ...]:
    given = {
        **default_threads(),
        **settings.model_dump(exclude_none=True, exclude={"extra_args", "host", "port", "alias"}),
    }
    alias = help_text.first("-a", "--alias")
    no_page = help_text.first("--no-ui", "--no-webui")
    return (
        *([alias, model] if alias else []),
        *([no_page] if no_page else []),
        *_counters(settings, help_text),
        *([] if _THREADS_HTTP in settings.extra_args else _http_threads(cells, help_text)),
        *server_arguments(given, help_text),
        *settings.extra_args,
    )


def _counters(settings: LlamaServerSettings, help_text: HelpText) -> list[str]:
    """Ask for the server's own count of tokens, which its answers are held against; it counts either way."""
    return [] if _METRICS in settings.extra_args or help_text.first(_METRICS) is None else [_METRICS]


def _http_threads(cells: Sequence[Cell], help_text: HelpText) -> list[str]:
    """Ask for threads enough that no request waits for one.

    llama-server keeps a thread for every open connection, idle ones too, and has few where slots or cores are few:
    what would be measured is then its HTTP library's queue.
    """
    if help_text.first(_THREADS_HTTP) is None:
        return []
    most = max((Asked.of(cell.workload).max_concurrency or _OPEN_LOOP_CONNECTIONS) for cell in cells)
    return [_THREADS_HTTP, str(min(2 * most + 8, _MOST_HTTP_THREADS))]


def _context_before(settings: LlamaServerSettings, facts: ModelFacts | None) -> Context:
    """Return the most that one request can have, as far as settings and model tell it before the start."""
    if settings.ctx_size == 0:
        return Context(
            per_request=facts.context_length if facts else None,
            words="the model's own context (ctx_size 0)",
            advice="shorten the workload, or give a larger ctx_size if the model bears it",
        )
    if settings.ctx_size is None:
        return Context()
    slots = 1 if _UNIFIED.intersection(settings.extra_args) else settings.parallel or 1
    share = -(-settings.ctx_size // slots)
    return Context(
        per_request=-(-share // _CONTEXT_STEP) * _CONTEXT_STEP,
        words=f"a slot's context (ctx_size {settings.ctx_size} over {slots} slots)" if slots > 1 else "the context",
        advice="raise ctx_size" + (", of which each slot gets its share, or lower parallel" if slots > 1 else ""),
    )


def _service(server: Server, build: EngineBuild, model: str) -> Service:
    """Ask a server that is ready what it serves with."""
    props = get(server.place, "/props").json()
    known: Mapping[str, Any] = props if isinstance(props, dict) else {}
    generation = known.get("default_generation_settings")
    n_ctx = _count(generation.get("n_ctx")) if isinstance(generation, dict) else None
    slots = _count(known.get("total_slots"))
    told = _SLOTS.search(server.log_tail())
    unified = told is not None and told[1] == "true"
    words = "the context" if slots in (None, 1) or unified else f"the context of one of {slots} slots"
    return Service(
        target=Target(host=server.place.host, port=server.place.port, model=model, dialect="llama-server"),
        place=server.place,
        build=build,
        server=server,
        context=Context(
            per_request=n_ctx,
            shared=n_ctx if unified else None,
            words=words,
            advice="raise ctx_size" + ("" if slots in (None, 1) else " or lower parallel"),
        ),
        slots=slots,
        count_tokens=lambda: _token_count(server),
        facts={"slots": slots, "context_per_request": n_ctx, "context_shared": unified if told else None},
    )


def _token_count(server: Server) -> ServerCount | None:
    """Read how many tokens it has taken in and generated since its start, or None where it does not tell."""
    found = {name: int(value) for name, value in _COUNTER.findall(get(server.place, "/metrics").body)}
    if not {"prompt_tokens", "tokens_predicted"} <= found.keys():
        return None
    return ServerCount(
        prompt=found["prompt_tokens"] + found.get("prompt_tokens_cached", 0), output=found["tokens_predicted"]
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
