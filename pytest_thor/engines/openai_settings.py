"""The settings of an openai backend: where a server runs that somebody else has started."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pytest_thor.engines.http_get import Place
from pytest_thor.engines.llama_settings import Count
from pytest_thor.serving.target import Dialect

Path: TypeAlias = Annotated[str, Field(pattern=r"^/[!-~]*$")]
Variable: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class OpenAiSettings(BaseModel):
    """``settings:`` of an openai backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Where it answers, such as http://127.0.0.1:8000 or https://example.org/llm/v1.")
    model: str | None = Field(None, min_length=1, description="The model's name there; may be left out if it has one.")
    api_key_env: Variable | None = Field(
        None, description="Name of the environment variable that holds the key; the key itself never stands here."
    )
    health: Path = Field("/v1/models", description="Route that answers 200 when it is ready.")
    ready_timeout_s: float = Field(30, gt=0, description="How long to wait until it is ready.")
    dialect: Dialect = Field("openai", description="Whose extras its requests may carry: openai, vllm, llama-server.")
    vocabulary_size: Count | None = Field(
        None, description="Ids for prompts lie below; else the artifact's vocabulary, or 1,000 to 29,999."
    )
    context_size: Count | None = Field(None, description="Longest prompt and output together, if it is known.")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = _split(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"{url!r} is no address: write http://HOST:PORT or https://HOST, with a path if it has one"
            )
        if parts.username or parts.password:
            raise ValueError("no name and password in an address: put a key into an environment variable (api_key_env)")
        if parts.query or parts.fragment:
            raise ValueError(f"{url!r}: an address ends with its path; leave out what follows ? or #")
        return url

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


def _split(url: str) -> SplitResult:
    """Split an address.

    Raises:
        ValueError: its port is no port, or its brackets do not match.
    """
    parts = urlsplit(url)
    _ = parts.port  # read here, so that a wrong one is told at once
    return parts
