"""The settings of an openai backend: where a server runs that somebody else has started."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pytest_thor.engines.http_get import Place
from pytest_thor.engines.llama_settings import Count
from pytest_thor.redaction import redacted
from pytest_thor.serving.target import Dialect

_PATH = re.compile(r"/[!-~]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LETTERS = re.compile(r"[!-~]+")
"""What an HTTP request can carry unchanged."""
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_ELSEWHERE = "put a key into an environment variable and name that (api_key_env)"


class OpenAiSettings(BaseModel):
    """``settings:`` of an openai backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Where it answers, such as http://127.0.0.1:8000 or https://example.org/llm/v1.")
    model: str | None = Field(None, min_length=1, description="The model's name there; may be left out if it has one.")
    api_key_env: str | None = Field(
        None,
        json_schema_extra={"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"},
        description="Name of the environment variable that holds the key; the key itself never stands here.",
    )
    health: str = Field(
        "/v1/models",
        json_schema_extra={"pattern": r"^/[!-~]*$"},
        description="Route that answers 200 when it is ready.",
    )
    ready_timeout_s: float = Field(30, gt=0, description="How long to wait until it is ready.")
    dialect: Dialect = Field("openai", description="Whose extras its requests may carry: openai, vllm, llama-server.")
    vocabulary_size: Count | None = Field(
        None, description="Ids for prompts lie below; else the artifact's vocabulary, or 1,000 to 29,999."
    )
    context_size: Count | None = Field(None, description="Longest prompt and output together, if it is known.")

    # What is refused may hold a key by mistake, so that no message repeats it: the matrix's line and column say where.

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        _holds_no_key("an address", url)
        try:
            parts = _split(url)
        except ValueError:
            raise ValueError("this is no address: its port is no number up to 65535, or its [ ] hold no IPv6") from None
        if (
            not _LETTERS.fullmatch(url)
            or parts.scheme not in {"http", "https"}
            or not _HOST.fullmatch(parts.hostname or "")
        ):
            raise ValueError("this is no address: write http://HOST:PORT or https://HOST, with a path if it has one")
        return url

    @field_validator("health")
    @classmethod
    def _is_a_route(cls, health: str) -> str:
        _holds_no_key("a route", health)
        if not _PATH.fullmatch(health):
            raise ValueError("health is a route on the server: write what follows HOST:PORT, such as /health")
        return health

    @field_validator("api_key_env")
    @classmethod
    def _is_a_variables_name(cls, name: str | None) -> str | None:
        if name is not None and (not _VARIABLE.fullmatch(name) or redacted(name, {}) != name):
            raise ValueError(
                "api_key_env is the name of an environment variable, of letters, digits and _; if this is the key "
                "itself, take it out of the file"
            )
        return name

    def place(self, headers: dict[str, str]) -> Place:
        """Return where it answers; a ``/v1`` at the end of the address is not part of the prefix."""
        parts = _split(self.url)
        tls = parts.scheme == "https"
        return Place(
            host=parts.hostname or "",
            port=parts.port or (443 if tls else 80),
            prefix=parts.path.rstrip("/").removesuffix("/v1").rstrip("/"),
            tls=tls,
            headers=headers,
        )


def _holds_no_key(what: str, text: str) -> None:
    if "@" in text:
        raise ValueError(f"no name and password in {what}: {_ELSEWHERE}")
    if {"?", "#", ";"} & set(text):
        raise ValueError(f"{what} ends with its path, and no ? # or ; follows it: {_ELSEWHERE}")


def _split(url: str) -> SplitResult:
    """Split an address.

    Raises:
        ValueError: its port is no port, or its brackets do not match.
    """
    parts = urlsplit(url)
    _ = parts.port  # read here, so that a wrong one is told at once
    return parts
