"""The shape of a model from an HF configuration, for the families whose layers are made alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_thor.artifacts.architectures import Architecture
from pytest_thor.artifacts.hf_config import whole_number

_FAMILIES = {
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "gpt_oss": "gpt-oss",
    "qwen2": "qwen2",
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
}
_MOST_LAYERS = 10_000
"""What claims more is no model, and to go through its layers would take hours."""
_EXPERTS = ("num_experts", "num_local_experts")
_EXPERTS_USED = ("num_experts_per_tok", "experts_per_token")


def shape_of_config(config: Mapping[str, Any], *, name: str) -> tuple[Architecture, Mapping[int, int]] | None:
    """Return a model's shape and how many of its layers look back no further than a window, by the window.

    None is returned for a family that is not known here, or a model of one whose layers are not all alike.
    """
    family = _FAMILIES.get(str(config.get("model_type")))
    layers, width = whole_number(config, "num_hidden_layers"), whole_number(config, "hidden_size")
    heads, vocabulary = whole_number(config, "num_attention_heads"), whole_number(config, "vocab_size")
    if family is None or layers is None or width is None or heads is None or vocabulary is None:
        return None
    if layers > _MOST_LAYERS:
        return None
    if config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1:
        return None
    experts, used = _first(config, _EXPERTS), _first(config, _EXPERTS_USED)
    inner = whole_number(config, "intermediate_size")
    expert_inner = whole_number(config, "moe_intermediate_size") or inner
    if (experts is None) != (used is None) or inner is None:
        return None
    shape = Architecture(
        name=name,
        gguf=family,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=whole_number(config, "num_key_value_heads") or heads,
        head_size=whole_number(config, "head_dim") or width // heads,
        vocabulary=vocabulary,
        context=whole_number(config, "max_position_embeddings") or 0,
        tied_embeddings=config.get("tie_word_embeddings") is True,
        ffn=inner if experts is None else None,
        experts=experts,
        experts_used=used,
        expert_ffn=None if experts is None else expert_inner,
    )
    return shape, _windows(config, layers)


def _windows(config: Mapping[str, Any], layers: int) -> Mapping[int, int]:
    window = whole_number(config, "sliding_window")
    if window is None or config.get("use_sliding_window") is False:
        return {}
    kinds = config.get("layer_types")
    windowed = kinds.count("sliding_attention") if isinstance(kinds, list) else layers
    return {window: min(windowed, layers)}


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((found for key in keys if (found := whole_number(config, key)) is not None), None)
