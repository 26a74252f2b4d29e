"""Which ids are ordinary text is read from a GGUF header or an HF directory, and nothing is believed blindly."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.vocabulary import context_length, ordinary_ids
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing


def gguf_file(path: Path, *, types: list[int] | None, tokens: list[str] | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(4096)
    if tokens is not None:
        writer.add_token_list(tokens)
    if types is not None:
        writer.add_token_types(types)
    writer.add_tensor("a.weight", np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_only_normal_tokens_of_a_gguf_file_are_ordinary(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "a.gguf", types=[2, 1, 1, 3, 4, 5, 6, 1], tokens=list("abcdefgh"))
    assert ordinary_ids(path) == (8, frozenset({0, 3, 4, 5, 6}))
    assert context_length(path) == 4096


def test_a_whole_model_says_its_ordinary_tokens(tiny_model: Path) -> None:
    size, forbidden = ordinary_ids(tiny_model)
    assert (size, forbidden) == (2048, frozenset(range(2022, 2048)))


def test_a_gguf_file_without_types_keeps_to_the_middle(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "a.gguf", types=None, tokens=[f"t{number}" for number in range(100)])
    assert ordinary_ids(path) == (100, frozenset({*range(25), *range(75, 100)}))


def test_a_gguf_file_without_a_vocabulary_makes_no_prompts(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "a.gguf", types=None)
    with pytest.raises(ArtifactInvalid, match=r"a\.gguf: has no vocabulary"):
        ordinary_ids(path)
    with pytest.raises(ArtifactMissing, match="there is no such file"):
        ordinary_ids(tmp_path / "b.gguf")


def test_a_types_key_that_is_no_list_is_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "qwen3")
    writer.add_uint32("tokenizer.ggml.token_type", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ArtifactInvalid, match=r"expected 'tokenizer\.ggml\.token_type' to be an array"):
        ordinary_ids(tmp_path / "a.gguf")


def test_a_truncated_list_is_refused(tmp_path: Path) -> None:
    path = gguf_file(tmp_path / "a.gguf", types=[1] * 1000)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ArtifactInvalid, match="the file ends at byte 600"):
        ordinary_ids(path)


def test_a_directory_and_a_gguf_file_of_one_shape_agree(tiny_model: Path, tmp_path: Path) -> None:
    folder = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert ordinary_ids(folder) == ordinary_ids(tiny_model)
    assert context_length(folder) == context_length(tiny_model) == 40_960


def test_added_tokens_and_padding_of_a_directory_are_not_ordinary(folder: Path) -> None:
    model = {"vocab": {"a": 0, "b": 1, "c": 2, "<s>": 3}}
    added = [{"id": 3, "content": "<s>", "special": True}, {"id": 4, "content": "<tool>", "special": False}]
    write(folder, config={"vocab_size": 8}, tokenizer={"model": model, "added_tokens": added})
    assert ordinary_ids(folder) == (8, frozenset({3, 4, 5, 6, 7}))


def test_a_unigram_tokenizer_counts_its_list(folder: Path) -> None:
    model = {"vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]]}
    write(folder, config={}, tokenizer={"model": model, "added_tokens": [{"id": 0}]})
    assert ordinary_ids(folder) == (3, frozenset({0}))


def test_a_directory_without_a_tokenizer_keeps_to_the_middle(folder: Path) -> None:
    write(folder, config={"vocab_size": 5000, "max_position_embeddings": 77})
    assert ordinary_ids(folder) == (5000, frozenset({*range(1000), *range(4000, 5000)}))
    assert context_length(folder) == 77


def test_the_language_part_of_a_larger_model_counts(folder: Path) -> None:
    write(folder, config={"vision_config": {}, "text_config": {"vocab_size": 40, "max_position_embeddings": 9}})
    assert ordinary_ids(folder)[0] == 40
    assert context_length(folder) == 9


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "has no config.json"),
        ({"config": {}}, "neither config.json"),
        ({"config": []}, "expected a JSON object"),
        ({"config": {"vocab_size": 10**9}}, "claims a vocabulary of 1000000000 tokens"),
        ({"config": {"vocab_size": "8"}}, "neither config.json"),
        ({"config": {"vocab_size": 8}, "tokenizer": {"model": {"vocab": 3}}}, "has no vocabulary in its model"),
        ({"config": {"vocab_size": 8}, "tokenizer": {}}, "has no vocabulary in its model"),
    ],
)
def test_a_directory_that_says_nothing_of_use_is_refused(folder: Path, files: dict[str, Any], expected: str) -> None:
    write(folder, **files)
    with pytest.raises(ArtifactInvalid, match=expected):
        ordinary_ids(folder)


def test_what_is_no_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("<html>")
    with pytest.raises(ArtifactInvalid, match="is not JSON"):
        ordinary_ids(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory"):
        ordinary_ids(folder)


def test_added_tokens_of_any_kind_do_no_harm(folder: Path) -> None:
    model = {"vocab": {"a": 0, "b": 1, "c": "x"}}
    write(folder, config={"vocab_size": 3}, tokenizer={"model": model, "added_tokens": [3, {"id": [1]}, {"id": 1}]})
    assert ordinary_ids(folder) == (3, frozenset({1, 2}))
