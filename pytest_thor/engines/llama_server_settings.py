"""The settings of a llama-server backend."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, field_validator, model_validator

from pytest_thor.engines.further_arguments import DESCRIPTION, leaving_alone
from pytest_thor.engines.llama_server_options import SETTING_OPTIONS
from pytest_thor.engines.llama_settings import Count, Layers, LlamaSettings, Switch, Whole, Word

Port: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=65535)]
PORT_DESCRIPTION = "Port to listen on; a free one where it is left out."
HOST_DESCRIPTION = "Address to listen on; 127.0.0.1 where it is left out."

_MODEL = (
    "-m",
    "--model",
    "-mu",
    "--model-url",
    "-dr",
    "--docker-repo",
    "-hf",
    "-hfr",
    "--hf-repo",
    "-hff",
    "--hf-file",
)
_PRIVATE = ("--api-key", "--api-key-file", "--api-prefix", "--ssl-key-file", "--ssl-cert-file")
_OURS = {
    **dict.fromkeys(_MODEL, "set by the artifact"),
    **dict.fromkeys(
        _PRIVATE, "not for a server that pytest-thor starts for itself; attach to yours with engine: openai"
    ),
}


class LlamaServerSettings(LlamaSettings):
    """``settings:`` of a llama-server backend; names follow its long options."""

    gpu_layers: Layers | None = Field(None, description="Another name of n_gpu_layers.")
    ctx_size: Whole | None = Field(None, description="Context over all slots; 0 is the model's own.")
    parallel: Count | None = Field(None, description="Slots: requests served at once.")
    mlock: Switch | None = Field(None, description="Keep the model in memory.")
    jinja: Switch | None = Field(None, description="Use the model's chat template.")
    reasoning_budget: int | None = Field(None, ge=-1, description="Tokens of thought; -1 is no limit.")
    reasoning_format: Word | None = Field(None, description="What becomes of thoughts: none, auto, deepseek.")
    alias: Word | None = Field(None, description="Name of the model in its API.")
    host: Word | None = Field(None, description=HOST_DESCRIPTION)
    port: Port | None = Field(None, description=PORT_DESCRIPTION)
    extra_args: tuple[str, ...] = Field((), description=DESCRIPTION)

    @field_validator("extra_args")
    @classmethod
    def _leave_the_rest_alone(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return leaving_alone(words, ours=_OURS, settings=SETTING_OPTIONS)

    @model_validator(mode="after")
    def _one_name_for_the_layers(self) -> LlamaServerSettings:
        if self.gpu_layers is not None and self.n_gpu_layers is not None:
            raise ValueError("gpu_layers and n_gpu_layers say the same thing; keep one")
        return self
