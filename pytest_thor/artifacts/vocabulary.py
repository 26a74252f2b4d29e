"""Which token ids of a model are ordinary text: what random prompts may be made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_thor.artifacts.gguf_header import read_header, read_integers
from pytest_thor.artifacts.hf_config import read_config, read_json, whole_number
from pytest_thor.errors import ArtifactInvalid

_NORMAL = 1  # GGUF's type of a token that is neither control, byte, unknown, user defined nor unused
_MOST = 10_000_000
_EDGE = 1000
"""Where no tokenizer.json says which ids are special: they stand among the first or the last thousand."""


def ordinary_ids(path: Path) -> tuple[int, frozenset[int]]:
    """Return the size of a model's vocabulary, and the ids below it that are no ordinary tokens.

    ``path`` is a GGUF file (the first of its shards) or an HF directory. Not ordinary are special, added, byte and
    unused tokens, and the padding that a model's tables have beyond its tokenizer.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactInvalid: it is not a sound model, or has no vocabulary.
        ArtifactError: it cannot be read.
    """
    return _of_directory(path) if path.is_dir() else _of_gguf(path)


def context_length(path: Path) -> int | None:
    """Return the tokens that a model was made for, as its files say it, or None.

    Raises:
        ArtifactMissing: there is no such file.
        ArtifactInvalid: it is not a sound model.
        ArtifactError: it cannot be read.
    """
    if path.is_dir():
        return whole_number(read_config(path), "max_position_embeddings")
    return read_header(path).context_length


def _of_gguf(path: Path) -> tuple[int, frozenset[int]]:
    found = read_integers(path, "tokenizer.ggml.token_type")
    size, types = found or (0, None)
    if types is not None:
        return size, frozenset(token for token, kind in enumerate(types) if kind != _NORMAL)
    tokens = read_integers(path, "tokenizer.ggml.tokens")
    if tokens is None:
        raise ArtifactInvalid(f"{path}: has no vocabulary; expected tokenizer.ggml.tokens in its header")
    return tokens[0], _edges(tokens[0])


def _of_directory(folder: Path) -> tuple[int, frozenset[int]]:
    size = whole_number(read_config(folder), "vocab_size")
    tokenizer = read_json(folder / "tokenizer.json")
    known = None if tokenizer is None else set(_text_ids(folder, tokenizer))
    if size is None:
        if known is None:
            raise ArtifactInvalid(
                f"{folder}: neither config.json (vocab_size) nor a tokenizer.json says its vocabulary"
            )
        size = max(known, default=-1) + 1
    if size > _MOST:
        raise ArtifactInvalid(f"{folder}: claims a vocabulary of {size} tokens, more than any model has")
    return size, _edges(size) if known is None else frozenset(range(size)) - known


def _text_ids(folder: Path, tokenizer: Mapping[str, Any]) -> Iterator[int]:
    """Yield the ids of a tokenizer's own vocabulary, less those of its added tokens."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    listed = tokenizer.get("added_tokens")
    # Begin of text and end of turn, tools, images: they mean something, special by name or not.
    added = [token.get("id") for token in listed if isinstance(token, dict)] if isinstance(listed, list) else []
    ids: Iterable[object]
    if isinstance(vocabulary, dict):
        ids = vocabulary.values()
    elif isinstance(vocabulary, list):  # Unigram: pairs of text and score, in the order of their ids
        ids = range(len(vocabulary))
    else:
        raise ArtifactInvalid(f"{folder / 'tokenizer.json'}: has no vocabulary in its model; fetch it again")
    special = {token for token in added if isinstance(token, int)}
    yield from (token for token in ids if isinstance(token, int) and token not in special)


def _edges(size: int) -> frozenset[int]:
    """Return the ids that may be special where nothing says so; of a small vocabulary a quarter at either end."""
    edge = min(_EDGE, size // 4)
    return frozenset((*range(edge), *range(size - edge, size)))
