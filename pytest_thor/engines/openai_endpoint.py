"""Any OpenAI-compatible server that is running already: SGLang, TensorRT-LLM, Ollama, a container, a hosted one.

Nothing is started or stopped, so that load time and memory are not known. The key comes from the environment, and is
in nothing that is stored, shown or logged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pytest_thor.cell import Cell, EngineTraits
from pytest_thor.engines.http_get import Answer, Place, get
from pytest_thor.engines.openai_settings import OpenAiSettings
from pytest_thor.engines.openai_version import version_of
from pytest_thor.engines.service import Context, OnStep, Service, ServiceOrder
from pytest_thor.engines.serving_engine import ModelFacts, ServingEngine
from pytest_thor.engines.vllm import prefix_hits
from pytest_thor.errors import EngineFailure, EngineMissing
from pytest_thor.measurement import EngineBuild
from pytest_thor.redaction import Secret
from pytest_thor.serving.load import TokenIds
from pytest_thor.serving.target import Target
from pytest_thor.units import format_duration

_FIRST_ORDINARY_ID, _COMMON_SIZE = 1_000, 30_000
"""Ids that are ordinary tokens in practically every LLM: special ones stand at either end, and none has fewer."""
_REFUSED = frozenset({401, 403})
_PAUSE_S = 0.2


class OpenAiEndpoint(ServingEngine):
    """The engine ``openai``."""

    traits: ClassVar[EngineTraits] = EngineTraits(
        name="openai",
        formats=frozenset({"gguf", "hf", "synthetic"}),
        kinds=frozenset({"serving"}),
        settings=OpenAiSettings,
        needs_artifact=False,
    )

    def identify(self) -> EngineBuild:
        """Return what is known of a server before its address is: nothing but the engine's name.

        Raises:
            EngineMissing: the user chose a program for it.
        """
        if self._override is not None:
            raise EngineMissing(
                f"--thor-engine openai={self._override}: this engine has no program; give `settings: {{url: …}}`"
            )
        return EngineBuild(name="openai", path="")

    def identify_for(self, cell: Cell) -> EngineBuild:
        """Return the build that answers at the cell's address now, its version None where it does not tell.

        Raises:
            EngineMissing: the user chose a program for it, or the variable that holds the key is not set.
        """
        self.identify()
        settings = _settings(cell)
        place = settings.place(_headers(settings, cell.backend.name))
        return EngineBuild(name="openai", path=settings.url, version=version_of(place))

    def _facts(self, cells: Sequence[Cell], artifact: Path) -> ModelFacts:
        """Return the ids for prompts; ``artifact`` may be missing, and only lends its vocabulary.

        A relative one is a name that was never looked up: nothing is read from wherever pytest happens to run.
        """
        settings = _settings(cells[0])
        if settings.vocabulary_size is not None:
            return ModelFacts(token_ids=TokenIds(size=settings.vocabulary_size))
        if self._read_model is not None and artifact.is_absolute() and artifact.exists():
            return self._read_model(artifact)
        return ModelFacts(token_ids=TokenIds(size=_COMMON_SIZE, forbidden=frozenset(range(_FIRST_ORDINARY_ID))))

    def _order(self, cells: Sequence[Cell], artifact: Path, facts: ModelFacts | None) -> ServiceOrder:  # noqa: ARG002 - the server has its own
        backend = cells[0].backend
        settings = _settings(cells[0])
        place = settings.place(_headers(settings, backend.name))
        context = Context(per_request=settings.context_size, words="the server's context_size")

        @contextmanager
        def open_service(deadline: float, on_step: OnStep) -> Iterator[Service]:
            _wait(place, settings, min(deadline, time.monotonic() + settings.ready_timeout_s), on_step)
            yield _service(place, settings, context)

        build = EngineBuild(name="openai", path=settings.url)
        return ServiceOrder(build=build, timeout_s=backend.timeout_s, open=open_service, context=context)


def _settings(cell: Cell) -> OpenAiSettings:
    return OpenAiSettings.model_validate(dict(cell.backend.settings))


def _headers(settings: OpenAiSettings, backend: str) -> dict[str, str]:
    name = settings.api_key_env
    if name is None:
        return {}
    key = os.environ.get(name, "").strip()
    if not key:
        raise EngineMissing(
            f"openai: the environment variable {name} (api_key_env of the backend {backend}) is not set"
        )
    if not (key.isascii() and key.isprintable()):
        raise EngineMissing(f"openai: what {name} holds is no key: it has characters that no HTTP header can carry")
    return {"Authorization": Secret(f"Bearer {key}")}


def _wait(place: Place, settings: OpenAiSettings, deadline: float, on_step: OnStep) -> None:
    begin = time.monotonic()
    on_step(f"waits for {settings.url}")
    while True:
        answer = get(place, settings.health, timeout_s=min(5.0, max(deadline - time.monotonic(), 0.1)))
        if answer.ok:
            return
        if answer.status in _REFUSED:
            advice = f"it refuses the key in {settings.api_key_env}" if settings.api_key_env else "give api_key_env"
            raise EngineFailure(f"openai: {settings.url} wants a key ({_said(answer, place)}): {advice}")
        if time.monotonic() >= deadline:
            raise EngineFailure(
                f"openai: {settings.url} was not ready after {format_duration(time.monotonic() - begin)}; its last "
                f"answer to {settings.health}: {_said(answer, place)}. Is it running? A larger ready_timeout_s waits "
                "longer, `health` names another route."
            )
        time.sleep(min(_PAUSE_S, max(deadline - time.monotonic(), 0)))


def _said(answer: Answer, place: Place) -> str:
    """Return an answer without the key, which some servers repeat."""
    text = str(answer)
    for value in place.headers.values():
        text = text.replace(value.rpartition(" ")[2], "***")
    return text


def _service(place: Place, settings: OpenAiSettings, context: Context) -> Service:
    listed = _listed(place)
    model = settings.model or _only_model(listed, settings.url)
    entry = next((entry for entry in listed if entry.get("id") == model), {})
    owner, version = entry.get("owned_by"), version_of(place)
    facts = {"listed_models": [entry.get("id") for entry in listed][:20], "owned_by": owner, "version": version}
    build = EngineBuild(name="openai", path=settings.url, version=version, details={"owned_by": owner})
    told = entry.get("max_model_len")
    return Service(
        target=Target(
            host=place.host,
            port=place.port,
            model=model,
            dialect=settings.dialect,
            path_prefix=place.prefix,
            tls=place.tls,
            headers=place.headers,
        ),
        place=place,
        build=build,
        context=Context(per_request=told, words="the server's max_model_len") if isinstance(told, int) else context,
        facts=facts,
        cached_tokens=lambda: prefix_hits(place) if settings.dialect == "vllm" else None,
    )


def _listed(place: Place) -> list[Mapping[str, Any]]:
    answer = get(place, "/v1/models").json()
    data = answer.get("data") if isinstance(answer, dict) else None
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _only_model(listed: Sequence[Mapping[str, Any]], url: str) -> str:
    names = [str(entry["id"]) for entry in listed if "id" in entry]
    if len(names) == 1:
        return names[0]
    has = f"has several models: {', '.join(names[:8])}" if names else "lists no models at /v1/models"
    raise EngineFailure(f"openai: {url} {has}; say which with `model`")
