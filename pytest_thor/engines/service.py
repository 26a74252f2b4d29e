"""A server that answers, started or attached to, with all that a launch must know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_thor.engines.http_get import Place
from pytest_thor.engines.server import Server
from pytest_thor.measurement import EngineBuild
from pytest_thor.serving.target import Target
from pytest_thor.serving.vllm_result import ServerCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """How many tokens fit into a server: in one request (prompt and output), and in all open ones together.

    None is not known. ``words`` say whose context it is and where it comes from, ``advice`` what makes it larger.
    """

    per_request: int | None = None
    shared: int | None = None
    words: str = "the context"
    advice: str = "shorten the workload"

    def refusal(self, input_len: int, output_len: int, concurrency: int | None) -> str | None:
        """Say why requests of this length, so many at a time (None: not known), do not fit; None where they do."""
        needed = input_len + output_len
        asked = f"{input_len} prompt + {output_len} output = {needed} tokens"
        if self.per_request is not None and needed > self.per_request:
            return f"{asked} do not fit into {self.words} of {self.per_request} tokens: {self.advice}"
        if self.shared is not None and concurrency is not None and needed * concurrency > self.shared:
            return (
                f"{concurrency} requests of {asked} do not fit into {self.words}, which all requests share, "
                f"of {self.shared} tokens: {self.advice}"
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where a server answers, for a check of one's own: ``http://127.0.0.1:8123``, and the model's name there."""

    base_url: str
    model: str

    @property
    def openai_url(self) -> str:
        """What OpenAI's clients take as their base URL."""
        return f"{self.base_url}/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server that is ready.

    ``server`` is None where it was not started here. ``slots`` is how many requests it computes at a time, where it
    says so. ``facts`` is what it says of itself, as JSON. ``cached_tokens`` reads its own count, since its start, of
    prompt tokens that came from its prefix cache; ``count_tokens`` its count of all tokens, from a server that does not
    tell every client of them.
    """

    target: Target
    place: Place
    build: EngineBuild
    server: Server | None = None
    context: Context = field(default_factory=Context)
    slots: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    cached_tokens: Callable[[], int | None] = lambda: None
    count_tokens: Callable[[], ServerCount | None] = lambda: None

    def died(self) -> str | None:
        """Say how the server ended, or return None while it runs (or is not ours to watch)."""
        return self.server.died() if self.server else None

    def gone(self) -> str | None:
        """As ``died``, for certain; it asks the server, so not while it is measured."""
        return self.server.gone() if self.server else None

    def log_tail(self) -> str | None:
        """Return the end of what the server printed, where it was started here."""
        return self.server.log_tail() if self.server else None

    @property
    def served(self) -> Served:
        """Its address, for a user's own checks."""
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        scheme = "https" if self.target.tls else "http"
        return Served(
            base_url=f"{scheme}://{host}:{self.target.port}{self.target.path_prefix}", model=self.target.model
        )


OnStep: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOrder:
    """How a launch gets its server.

    ``open`` takes the deadline (of the monotonic clock) and whom to tell of its steps; entering what it returns may
    raise EngineMissing or EngineFailure. ``context`` is what is known of it before.
    """

    build: EngineBuild
    timeout_s: float
    open: Callable[[float, OnStep], AbstractContextManager[Service]]
    context: Context = field(default_factory=Context)
