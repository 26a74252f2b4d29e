"""Known shapes of models: what they consist of, without any of their files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

TensorShapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Tensor names as llama.cpp has them, with shapes, row length first."""

GPT_OSS_WINDOW = 128
"""Every second layer of gpt-oss looks no further back (its model card; config.json: sliding_window)."""

GPT_OSS_ROPE_BASE = 150_000.0
GPT_OSS_TRAINED_CONTEXT = 4096
"""Tokens that its positions were made for before YaRN stretched them (config.json)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The shape of one model.

    ``gguf`` is llama.cpp's name for the family (``qwen3``, ``qwen3moe``, ``gpt-oss``). ``ffn`` is the width of the
    dense feed-forward layer, ``expert_ffn`` that of one expert; one of the two is None.
    """

    name: str
    gguf: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    tied_embeddings: bool
    ffn: int | None = None
    experts: int | None = None
    experts_used: int | None = None
    expert_ffn: int | None = None

    @property
    def tensors(self) -> TensorShapes:
        """Every weight of the model, in the order of a converted file; a tied output is no tensor of its own."""
        return tuple(_tensors(self))

    @property
    def parameters(self) -> int:
        """How many weights there are; a table used for both input and output counts once."""
        return sum(math.prod(shape) for _, shape in self.tensors)


def _tensors(a: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (a.width, a.vocabulary)
    for layer in range(a.layers):
        parts = (*_attention(a), *(_dense(a) if a.experts is None else _mixture(a, a.experts)))
        yield from ((f"blk.{layer}.{name}", shape) for name, shape in parts)
    yield "output_norm.weight", (a.width,)
    if not a.tied_embeddings:
        yield "output.weight", (a.width, a.vocabulary)


def _attention(a: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    inner, kv = a.heads * a.head_size, a.kv_heads * a.head_size
    yield "attn_norm.weight", (a.width,)
    yield "attn_q.weight", (a.width, inner)
    yield "attn_k.weight", (a.width, kv)
    yield "attn_v.weight", (a.width, kv)
    yield "attn_output.weight", (inner, a.width)
    if a.gguf == "gpt-oss":
        yield "attn_q.bias", (inner,)
        yield "attn_k.bias", (kv,)
        yield "attn_v.bias", (kv,)
        yield "attn_output.bias", (a.width,)
        yield "attn_sinks.weight", (a.heads,)
        yield "post_attention_norm.weight", (a.width,)
    else:
        yield "attn_q_norm.weight", (a.head_size,)
        yield "attn_k_norm.weight", (a.head_size,)
        yield "ffn_norm.weight", (a.width,)


def _dense(a: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    assert a.ffn is not None
    yield "ffn_gate.weight", (a.width, a.ffn)
    yield "ffn_up.weight", (a.width, a.ffn)
    yield "ffn_down.weight", (a.ffn, a.width)


def _mixture(a: Architecture, experts: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    assert a.expert_ffn is not None
    yield "ffn_gate_inp.weight", (a.width, experts)
    yield "ffn_gate_exps.weight", (a.width, a.expert_ffn, experts)
    yield "ffn_up_exps.weight", (a.width, a.expert_ffn, experts)
    yield "ffn_down_exps.weight", (a.expert_ffn, a.width, experts)
    if a.gguf == "gpt-oss":
        yield "ffn_gate_inp.bias", (experts,)
        yield "ffn_gate_exps.bias", (a.expert_ffn, experts)
        yield "ffn_up_exps.bias", (a.expert_ffn, experts)
        yield "ffn_down_exps.bias", (a.width, experts)


def _qwen3(name: str, layers: int, width: int, ffn: int, heads: int, *, tied: bool) -> Architecture:
    return Architecture(
        name=name,
        gguf="qwen3",
        layers=layers,
        width=width,
        ffn=ffn,
        heads=heads,
        kv_heads=8,
        head_size=128,
        vocabulary=151_936,
        context=40_960,
        tied_embeddings=tied,
    )


def _gpt_oss(name: str, layers: int, experts: int) -> Architecture:
    return Architecture(
        name=name,
        gguf="gpt-oss",
        layers=layers,
        width=2880,
        heads=64,
        kv_heads=8,
        head_size=64,
        vocabulary=201_088,
        context=131_072,
        tied_embeddings=False,
        experts=experts,
        experts_used=4,
        expert_ffn=2880,
    )


_ALL = (
    _qwen3("qwen3-0.6b", 28, 1024, 3072, 16, tied=True),
    _qwen3("qwen3-1.7b", 28, 2048, 6144, 16, tied=True),
    _qwen3("qwen3-4b", 36, 2560, 9728, 32, tied=True),
    _qwen3("qwen3-8b", 36, 4096, 12_288, 32, tied=False),
    _qwen3("qwen3-14b", 40, 5120, 17_408, 40, tied=False),
    _qwen3("qwen3-32b", 64, 5120, 25_600, 64, tied=False),
    Architecture(
        name="qwen3-30b-a3b",
        gguf="qwen3moe",
        layers=48,
        width=2048,
        heads=32,
        kv_heads=4,
        head_size=128,
        vocabulary=151_936,
        context=40_960,
        tied_embeddings=False,
        experts=128,
        experts_used=8,
        expert_ffn=768,
    ),
    _gpt_oss("gpt-oss-20b", 24, 32),
    _gpt_oss("gpt-oss-120b", 36, 128),
    # Toys: not published by anybody, a few MB, for trying the whole way in milliseconds. Rows are multiples of 256
    # elements long, so that the K-quants apply to all of them as they do to the real ones; those of gpt-oss are
    # multiples of 32 only, as the real ones are.
    Architecture(
        name="qwen3-tiny",
        gguf="qwen3",
        layers=2,
        width=256,
        ffn=768,
        heads=4,
        kv_heads=2,
        head_size=64,
        vocabulary=2048,
        context=40_960,
        tied_embeddings=True,
    ),
    Architecture(
        name="qwen3moe-tiny",
        gguf="qwen3moe",
        layers=2,
        width=256,
        heads=4,
        kv_heads=2,
        head_size=64,
        vocabulary=2048,
        context=40_960,
        tied_embeddings=False,
        experts=8,
        experts_used=2,
        expert_ffn=256,
    ),
    Architecture(
        name="gpt-oss-tiny",
        gguf="gpt-oss",
        layers=2,
        width=288,
        heads=8,
        kv_heads=2,
        head_size=64,
        vocabulary=2048,
        context=131_072,
        tied_embeddings=False,
        experts=6,
        experts_used=4,
        expert_ffn=288,
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({each.name: each for each in _ALL})
"""Every known shape, by name."""
