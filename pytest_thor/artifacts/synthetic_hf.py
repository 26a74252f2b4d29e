"""Checkpoints without weights: a known shape as an HF directory, for engines that make dummy weights themselves.

Everything is there but the weights: configuration, tokenizer, chat template. vLLM fills the shape with random numbers
when it is told to (``--load-format dummy``), and runs at the real model's speed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_thor.artifacts.architectures import (
    GPT_OSS_ROPE_BASE,
    GPT_OSS_TRAINED_CONTEXT,
    GPT_OSS_WINDOW,
    Architecture,
)
from pytest_thor.artifacts.hf_config import read_json, whole_number
from pytest_thor.artifacts.synthetic import known_architecture
from pytest_thor.artifacts.synthetic_tokenizer import tokenizer_files
from pytest_thor.artifacts.synthetic_vocabulary import special_ids
from pytest_thor.errors import ArtifactError, ArtifactInvalid
from pytest_thor.files import atomic_write_text

GENERATOR_VERSION = 2
"""Counts what changes the content of a directory. 1: the first."""

_MXFP4 = {
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
    }
}

_LAST = "config.json"
_NAMES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "provenance.json", _LAST)
_CLASSES = {
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "qwen3moe": ("qwen3_moe", "Qwen3MoeForCausalLM"),
    "gpt-oss": ("gpt_oss", "GptOssForCausalLM"),
}


def make_synthetic_hf(architecture: str, *, cache: Path, quant: str = "BF16") -> Path:
    """Return an HF directory in a known shape, made below the folder ``cache`` unless it is there.

    ``architecture`` is a name in :data:`~pytest_thor.artifacts.architectures.ARCHITECTURES`; the weights that an engine
    makes for it are BF16, or of gpt-oss MXFP4, as it is published. The directory holds ``config.json``,
    ``generation_config.json``, ``tokenizer.json``, ``tokenizer_config.json`` and ``provenance.json``, which says how it
    was made. Any number of processes may ask at once.

    Raises:
        ArtifactInvalid: no engine makes dummy weights of that shape in that quant.
        ArtifactError: the name is not known, or the disk is full. Nothing half-written is left.
    """
    config = _config(_dummy_shape(architecture, quant), quant)
    digest = hashlib.sha256(json.dumps([GENERATOR_VERSION, config]).encode()).hexdigest()[:8]
    folder = cache / f"{architecture}-hf"
    target = folder / f"{architecture}-{quant}-synthetic-{digest}"
    if _is_whole(target):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not _is_whole(target):  # another process may have made it meanwhile
                _make(target, architecture, config)
    except OSError as error:
        raise ArtifactError(
            f"{target}: cannot be made: {error.strerror or error}; free some space or choose another cache"
        ) from error
    return target


def _make(target: Path, architecture: str, config: Mapping[str, Any]) -> None:
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    files: Mapping[str, Mapping[str, Any]] = {
        **tokenizer_files(config["vocab_size"]),
        "generation_config.json": {**ids, "pad_token_id": config["bos_token_id"], "do_sample": False},
        "provenance.json": {"architecture": architecture, "generator_version": GENERATOR_VERSION},
        _LAST: config,
    }
    with _unfinished(target) as folder:
        for name, content in files.items():
            atomic_write_text(folder / name, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)  # what stands there has lost a file
        folder.rename(target)
    for superseded in _superseded(target, architecture):
        shutil.rmtree(superseded, ignore_errors=True)


def _superseded(target: Path, architecture: str) -> Iterator[Path]:
    """Yield what an earlier version of the generator made in the place of ``target``, as its provenance says."""
    stem = target.name[:-8]
    for folder in target.parent.iterdir():
        if folder != target and re.fullmatch(re.escape(stem) + "[0-9a-f]{8}", folder.name):
            with contextlib.suppress(ArtifactError):
                told = read_json(folder / "provenance.json") or {}
                version = whole_number(told, "generator_version")
                if told.get("architecture") == architecture and version and version < GENERATOR_VERSION:
                    yield folder


@contextlib.contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside the target, and leave nothing under its name, nor of makers that were killed."""
    for leftover in target.parent.glob(".*.unfinished"):
        shutil.rmtree(leftover)
    folder = target.parent / f".{target.name}.{os.getpid()}.unfinished"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_whole(target: Path) -> bool:
    return all((target / name).is_file() for name in _NAMES)


def _dummy_shape(architecture: str, quant: str) -> Architecture:
    shape = known_architecture(architecture)
    quants = ("BF16", "MXFP4") if shape.gguf == "gpt-oss" else ("BF16",)
    if quant not in quants:
        raise ArtifactInvalid(
            f"{architecture}: an engine makes the weights of a synthetic checkpoint itself, in {' or '.join(quants)}; "
            f"quant {quant} needs a real checkpoint (hf:)"
        )
    return shape


def _config(shape: Architecture, quant: str) -> dict[str, Any]:
    """Return config.json as the published models of the family have it."""
    model_type, class_name = _CLASSES[shape.gguf]
    special = special_ids(shape.vocabulary)
    config: dict[str, Any] = {
        "architectures": [class_name],
        "model_type": model_type,
        "transformers_version": "4.51.0",  # as in the published files; without it a newer one warns
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",  # what older releases of transformers call it
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn or (shape.expert_ffn or 0) * (shape.experts_used or 0),
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied_embeddings,
        "rope_theta": 1_000_000,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "use_sliding_window": False,
        "sliding_window": None,
        "bos_token_id": special["<|endoftext|>"],
        "eos_token_id": special["<|im_end|>"],
    }
    if shape.gguf == "gpt-oss":
        return {**config, **_gpt_oss(shape), **(_MXFP4 if quant == "MXFP4" else {})}
    if shape.experts is not None:
        config |= {
            "num_experts": shape.experts,
            "num_experts_per_tok": shape.experts_used,
            "moe_intermediate_size": shape.expert_ffn,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "output_router_logits": False,
            "router_aux_loss_coef": 0.001,
        }
    return config


def _gpt_oss(shape: Architecture) -> dict[str, Any]:
    """Return what gpt-oss has otherwise: windows, sinks, YaRN, and experts without a dense width beside theirs."""
    return {
        "intermediate_size": shape.expert_ffn,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.experts_used,
        "experts_per_token": shape.experts_used,
        "layer_types": [("sliding_attention", "full_attention")[layer % 2] for layer in range(shape.layers)],
        "sliding_window": GPT_OSS_WINDOW,
        "use_sliding_window": True,
        "attention_bias": True,
        "rope_theta": GPT_OSS_ROPE_BASE,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": shape.context / GPT_OSS_TRAINED_CONTEXT,
            "original_max_position_embeddings": GPT_OSS_TRAINED_CONTEXT,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
        },
        "initial_context_length": GPT_OSS_TRAINED_CONTEXT,
        "rms_norm_eps": 1e-5,
        "swiglu_limit": 7.0,
        "output_router_logits": False,
        "router_aux_loss_coef": 0.9,
        "transformers_version": "4.55.0",
    }
