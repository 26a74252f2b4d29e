"""The made-up vocabulary as the tokenizer files of an HF directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_thor.artifacts.synthetic_vocabulary import ADDED_TOKENS, CHAT_TEMPLATE, CONTROL_TOKENS, make_vocabulary

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizers cut text into words before any merging."""


def tokenizer_files(size: int) -> Mapping[str, Mapping[str, Any]]:
    """Return the content of tokenizer.json and tokenizer_config.json for a model whose tables have ``size`` rows.

    As in the published models, the tokenizer has no tokens for the padding at the end of the tables.
    """
    vocabulary = make_vocabulary(size)
    special_start = vocabulary.end_of_text
    added = [
        _added_token(special_start + index, text, special=text in CONTROL_TOKENS)
        for index, text in enumerate(CONTROL_TOKENS + ADDED_TOKENS)
    ]
    bytes_only = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    words = {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Isolated", "invert": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words, bytes_only]},
        "post_processor": bytes_only,
        "decoder": bytes_only,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: token for token, text in enumerate(vocabulary.tokens[:special_start])},
            "merges": vocabulary.merges,
        },
    }
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in added
        },
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131_072,
        "chat_template": CHAT_TEMPLATE,
    }
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def _added_token(token: int, text: str, *, special: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token, "content": text, **plain, "special": special}
