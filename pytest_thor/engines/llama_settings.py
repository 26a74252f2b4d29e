"""The settings that llama.cpp's engines have in common, and how a matrix may write them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Whole: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
Layers: TypeAlias = Annotated[int, Field(strict=True, ge=-1)]
Switch: TypeAlias = Annotated[bool, Field(strict=True)]
Word: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/+][A-Za-z0-9_.:/+-]*$")]
Shares: TypeAlias = Annotated[tuple[float, ...], Field(min_length=1)]


def _on_off(value: object) -> object:
    """YAML 1.1 reads ``on`` as true, and older builds take 1 and 0."""
    return {1: "on", 0: "off"}.get(value, value) if isinstance(value, int) else value


OnOffAuto: TypeAlias = Annotated[Literal["on", "off", "auto"], BeforeValidator(_on_off)]


class LlamaSettings(BaseModel):
    """What every way of running llama.cpp takes; what is left out is the engine's own default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_gpu_layers: Layers | None = Field(None, description="Layers held on the GPU; 99 or -1 is all.")
    threads: Count | None = Field(None, description="CPU threads.")
    flash_attn: OnOffAuto | None = Field(None, description="Flash attention.")
    batch_size: Count | None = Field(None, description="Logical batch: tokens in one decode call.")
    ubatch_size: Count | None = Field(None, description="Physical batch: tokens computed at once.")
    cache_type_k: Word | None = Field(None, description="Type of the K cache, such as f16 or q8_0.")
    cache_type_v: Word | None = Field(None, description="Type of the V cache.")
    no_kv_offload: Switch | None = Field(None, description="Keep the KV cache in host memory.")
    no_op_offload: Switch | None = Field(None, description="Do not compute host tensors on the GPU.")
    mmap: Switch | None = Field(None, description="Map the file instead of reading it.")
    main_gpu: Whole | None = Field(None, description="The GPU of a model that is not split.")
    split_mode: Word | None = Field(None, description="How to split over GPUs: none, layer, row or tensor.")
    tensor_split: Shares | None = Field(None, description="Share of the model on each GPU.")
    no_host: Switch | None = Field(None, description="Bypass the host buffer.")
    repack: Switch | None = Field(None, description="Repack weights for this CPU while loading.")
    poll: Annotated[int, Field(strict=True, ge=0, le=100)] | None = Field(
        None, description="How eagerly threads poll for work, 0 to 100."
    )
    numa: Literal["distribute", "isolate", "numactl"] | None = Field(None, description="NUMA strategy.")
