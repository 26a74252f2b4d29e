"""The columns of llama-bench's tables, through the years and in the languages that pages were translated to."""

from __future__ import annotations

import re

_NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("model", ("model", "模型", "modell", "modèle", "modelo", "モデル", "모델")),
    ("size", ("size", "model size", "大小", "größe", "taille", "tamaño", "サイズ")),
    ("params", ("params", "parameters", "参数", "参数量", "parameter", "paramètres", "パラメータ")),
    ("backend", ("backend", "后端", "バックエンド")),
    ("test", ("test", "测试", "测试类型", "测试项", "テスト")),
    ("t/s", ("t/s", "tok/s", "tokens/s", "token/s", "令牌/秒", "词元/秒", "トークン/秒")),
    ("n_gpu_layers", ("ngl", "n_gpu_layers")),
    ("n_threads", ("threads", "n_threads", "线程", "线程数", "th")),
    ("n_batch", ("n_batch", "batch")),
    ("n_ubatch", ("n_ubatch", "ubatch")),
    ("type_k", ("type_k", "ctk")),
    ("type_v", ("type_v", "ctv")),
    ("f16_kv", ("f16_kv",)),
    ("split_mode", ("sm", "split_mode")),
    ("main_gpu", ("mg", "main_gpu")),
    ("no_kv_offload", ("nkvo", "no_kv_offload")),
    ("flash_attn", ("fa", "flash_attn")),
    ("use_mmap", ("mmap", "use_mmap")),
    ("use_direct_io", ("dio", "use_direct_io")),
    ("load_mode", ("lm", "load_mode")),
    ("lazy_mode", ("lzm", "lazy_mode")),
    ("embeddings", ("embd", "embeddings")),
    ("tensor_split", ("ts", "tensor_split")),
    ("tensor_buft_overrides", ("ot", "tensor_buft_overrides")),
    ("devices", ("dev", "devices")),
    ("no_op_offload", ("nopo", "no_op_offload")),
    ("no_host", ("noh", "no_host")),
    ("repack", ("rpk", "repack")),
    ("fit_target", ("fitt", "fit_target")),
    ("fit_min_ctx", ("fitc", "fit_min_ctx")),
    ("n_cpu_moe", ("ncmoe", "n_cpu_moe")),
    ("mul_mat_q", ("mmq", "mul_mat_q")),
    ("cpu_mask", ("cpu_mask",)),
    ("cpu_strict", ("cpu_strict",)),
    ("poll", ("poll",)),
)
COLUMNS = {name: field for field, names in _NAMES for name in names}
"""llama-bench's own field by a column's title in lower case."""

_PERCENT = re.compile(r"%|percent|百分比|prozent", re.IGNORECASE)
_REFERENCE = re.compile(r"I?Q\d_[A-Z0-9_]+|BF16|F16|F32", re.IGNORECASE)


def column(title: str) -> str | None:
    """Return the field that a column holds, ``percent_of:Q4_0`` for a share, None where the title is not known."""
    name = " ".join(title.split()).strip("*`").casefold()[:80]
    if name in COLUMNS:
        return COLUMNS[name]
    reference = _REFERENCE.search(title[:80])
    if reference and _PERCENT.search(title[:80]):
        return f"percent_of:{reference.group(0).upper().rstrip('_')}"
    return None


def is_bench(titles: tuple[str, ...]) -> bool:
    """Say whether a head is llama-bench's: it has a test and its speed."""
    fields = {column(title) for title in titles}
    return {"test", "t/s"} <= fields
