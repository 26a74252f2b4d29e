"""A value for every setting that the ways of running llama.cpp have in common."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_thor.cell import Setting
from pytest_thor.engines.llama_settings import LlamaSettings

EVERY_SETTING: Mapping[str, Setting] = MappingProxyType(
    {
        "n_gpu_layers": 99,
        "threads": 1,
        "flash_attn": "on",
        "batch_size": 64,
        "ubatch_size": 32,
        "mmap": False,
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "no_kv_offload": True,
        "no_op_offload": True,
        "poll": 0,
        "split_mode": "none",
        "main_gpu": 0,
        "tensor_split": (1.0,),
        "no_host": True,
        "repack": False,
    }
)
assert EVERY_SETTING.keys() == LlamaSettings.model_fields.keys() - {"numa"}  # which is of the machine
