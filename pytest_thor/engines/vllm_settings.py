"""The settings of a vllm backend, and how they are said on its command line."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pytest_thor.engines.further_arguments import DESCRIPTION, leaving_alone
from pytest_thor.engines.llama_server_settings import HOST_DESCRIPTION, PORT_DESCRIPTION, Port
from pytest_thor.engines.llama_settings import Count, Switch, Word

_OURS = {
    "--model": "set by the artifact",
    "--api-key": "not for a server that pytest-thor starts for itself; attach to yours with engine: openai",
    "--enable-prompt-tokens-details": "always given",
    "--root-path": "not for a server that pytest-thor starts for itself",
    "--uds": "not supported: it listens on a port",
}
_NOT_OPTIONS = frozenset({"extra_args", "host", "port", "served_model_name", "cpu_kvcache_space_gib"})


class VllmSettings(BaseModel):
    """``settings:`` of a vllm backend; names follow its long options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_model_len: Count | None = Field(None, description="Longest prompt and output together.")
    max_num_seqs: Count | None = Field(None, description="Requests served at once.")
    max_num_batched_tokens: Count | None = Field(None, description="Tokens computed in one step.")
    gpu_memory_utilization: float | None = Field(None, gt=0, le=1, description="Share of the memory to take.")
    quantization: Word | None = Field(None, description="Scheme of the weights, where the checkpoint does not say.")
    dtype: Word | None = Field(None, description="Type of the activations.")
    kv_cache_dtype: Word | None = Field(None, description="Type of the KV cache.")
    load_format: Word | None = Field(None, description="How weights are loaded; dummy makes random ones.")
    tensor_parallel_size: Count | None = Field(None, description="GPUs that share the model.")
    enforce_eager: Switch | None = Field(None, description="No CUDA graphs.")
    trust_remote_code: Switch | None = Field(None, description="Run code that comes with the checkpoint.")
    served_model_name: Word | None = Field(None, description="Name of the model in its API; else the matrix's.")
    cpu_kvcache_space_gib: Count | None = Field(None, description="Memory for the KV cache of a CPU build, in GiB.")
    host: Word | None = Field(None, description=HOST_DESCRIPTION)
    port: Port | None = Field(None, description=PORT_DESCRIPTION)
    extra_args: tuple[str, ...] = Field((), description=DESCRIPTION)

    @field_validator("extra_args")
    @classmethod
    def _leave_the_rest_alone(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        settings = {_option(name): name for name in cls.model_fields}
        return leaving_alone(words, ours=_OURS, settings=settings)

    def arguments(self) -> list[str]:
        """Return the options that stand for these settings; a switch that is off is vLLM's default, and not said."""
        words = []
        for name, value in self.model_dump(exclude_none=True, exclude=set(_NOT_OPTIONS)).items():
            if value is True:
                words.append(_option(name))
            elif value is not False:
                words += [_option(name), str(value)]
        return [*words, *self.extra_args]

    def environment(self) -> dict[str, str]:
        """Return the variables that stand for settings without an option."""
        space_gib = self.cpu_kvcache_space_gib
        return {} if space_gib is None else {"VLLM_CPU_KVCACHE_SPACE": str(space_gib)}


def _option(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"
