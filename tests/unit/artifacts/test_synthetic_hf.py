"""A known shape as an HF directory: all that an engine needs to make dummy weights, and the same every time."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.artifacts import synthetic_hf
from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.artifacts.inventory import take_inventory
from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.synthetic_vocabulary import make_vocabulary, special_ids
from pytest_thor.errors import ArtifactError

FILES = {"config.json", "generation_config.json", "provenance.json", "tokenizer.json", "tokenizer_config.json"}


def read(folder: Path, name: str) -> dict[str, Any]:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_a_directory_has_everything_but_weights(tmp_path: Path) -> None:
    folder = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert {file.name for file in folder.iterdir()} == FILES
    assert folder.name.startswith("qwen3-tiny-BF16-synthetic-")
    assert read(folder, "provenance.json") == {"architecture": "qwen3-tiny", "generator_version": 2}


@pytest.mark.parametrize("name", ["qwen3-tiny", "qwen3-0.6b", "qwen3-8b", "qwen3-32b"])
def test_the_configuration_is_the_shape(tmp_path: Path, name: str) -> None:
    config, shape = read(make_synthetic_hf(name, cache=tmp_path), "config.json"), ARCHITECTURES[name]
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    table = config["vocab_size"] * config["hidden_size"]
    attention = 2 * config["head_dim"] * (config["num_attention_heads"] + config["num_key_value_heads"])
    layer = config["hidden_size"] * (attention + 3 * config["intermediate_size"] + 2) + 2 * config["head_dim"]
    tables = table if config["tie_word_embeddings"] else 2 * table
    assert tables + config["num_hidden_layers"] * layer + config["hidden_size"] == shape.parameters


def test_a_mixture_names_its_experts(tmp_path: Path) -> None:
    config = read(make_synthetic_hf("qwen3-30b-a3b", cache=tmp_path), "config.json")
    assert (config["model_type"], config["architectures"]) == ("qwen3_moe", ["Qwen3MoeForCausalLM"])
    assert (config["num_experts"], config["num_experts_per_tok"], config["moe_intermediate_size"]) == (128, 8, 768)


@pytest.mark.parametrize("name", ["gpt-oss-20b", "gpt-oss-120b", "gpt-oss-tiny"])
def test_gpt_oss_is_described_as_it_is_published(tmp_path: Path, name: str) -> None:
    config, shape = synthetic_hf._config(ARCHITECTURES[name], "MXFP4"), ARCHITECTURES[name]
    assert (config["model_type"], config["architectures"]) == ("gpt_oss", ["GptOssForCausalLM"])
    assert config["layer_types"][:2] == ["sliding_attention", "full_attention"]
    assert (len(config["layer_types"]), config["sliding_window"]) == (shape.layers, 128)
    assert config["quantization_config"]["quant_method"] == "mxfp4"
    (tmp_path / "config.json").write_text(json.dumps(config))
    [found] = take_inventory([tmp_path]).models
    assert (found.model.shape, found.model.quant, found.model.parameters) == (name, "MXFP4", shape.parameters)


def test_gpt_oss_is_made_in_bf16_too(tmp_path: Path) -> None:
    quantized, plain = (make_synthetic_hf("gpt-oss-tiny", cache=tmp_path, quant=quant) for quant in ("MXFP4", "BF16"))
    assert {file.name for file in quantized.iterdir()} == FILES
    assert (quantized.name[:18], plain.name[:17]) == ("gpt-oss-tiny-MXFP4", "gpt-oss-tiny-BF16")
    config = read(quantized, "config.json")
    assert config.pop("quantization_config")["modules_to_not_convert"]
    assert config == read(plain, "config.json")


def test_the_vocabulary_of_gpt_oss_is_padded_as_little_as_the_published_one() -> None:
    vocabulary = make_vocabulary(201_088)
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == 201_088
    assert vocabulary.end_of_text == special_ids(201_088)["<|endoftext|>"] == 199_998


def test_the_tokenizer_has_the_vocabulary_of_the_gguf_files_less_the_padding(tmp_path: Path) -> None:
    folder = make_synthetic_hf("qwen3-0.6b", cache=tmp_path)
    tokenizer, vocabulary = read(folder, "tokenizer.json"), make_vocabulary(151_936)
    ids = {**tokenizer["model"]["vocab"], **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}
    assert ids == {text: token for token, text in enumerate(vocabulary.tokens[:151_669])}
    assert tokenizer["model"]["merges"] == vocabulary.merges
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    assert "<|im_end|>" in special
    assert "<think>" not in special


@pytest.mark.parametrize("size", [2048, 151_936])
def test_the_ids_of_special_tokens_are_those_of_the_vocabulary(size: int) -> None:
    tokens = make_vocabulary(size).tokens
    assert {text: tokens.index(text) for text in special_ids(size)} == special_ids(size)


def test_the_turn_ends_where_the_configuration_says(tmp_path: Path) -> None:
    folder = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    added = {token["content"]: token["id"] for token in read(folder, "tokenizer.json")["added_tokens"]}
    tokenizer_config = read(folder, "tokenizer_config.json")
    for name in ("config.json", "generation_config.json"):
        assert read(folder, name)["eos_token_id"] == added[tokenizer_config["eos_token"]] == added["<|im_end|>"]
    assert "<|im_start|>assistant" in tokenizer_config["chat_template"]


def test_a_directory_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    made = {file: file.stat().st_mtime_ns for file in first.iterdir()}
    assert make_synthetic_hf("qwen3-tiny", cache=tmp_path) == first
    assert {file: file.stat().st_mtime_ns for file in first.iterdir()} == made


def test_the_same_content_is_made_everywhere(tmp_path: Path) -> None:
    first, second = (make_synthetic_hf("qwen3moe-tiny", cache=tmp_path / cache) for cache in ("a", "b"))
    assert first.name == second.name
    assert content_identity(first, full=True) == content_identity(second, full=True)


def test_a_directory_that_lost_a_file_is_made_again(tmp_path: Path) -> None:
    folder = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    (folder / "tokenizer.json").unlink()
    make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert {file.name for file in folder.iterdir()} == FILES


def test_what_an_earlier_version_made_goes_with_the_new_one(tmp_path: Path) -> None:
    parent = tmp_path / "qwen3-tiny-hf"

    def left(name: str, version: int) -> Path:
        folder = parent / name
        folder.mkdir(parents=True)
        told = {"architecture": "qwen3-tiny", "generator_version": version}
        (folder / "provenance.json").write_text(json.dumps(told))
        return folder

    old = left("qwen3-tiny-BF16-synthetic-0123abcd", synthetic_hf.GENERATOR_VERSION - 1)
    later = left("qwen3-tiny-BF16-synthetic-1123abcd", synthetic_hf.GENERATOR_VERSION + 1)
    foreign = left("qwen3-tiny-BF16-synthetic-mine", 1)
    made = make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert set(parent.iterdir()) == {made, later, foreign, parent / ".lock"}
    assert not old.exists()


def test_many_may_ask_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: make_synthetic_hf("qwen3-tiny", cache=tmp_path), range(16)))
    assert len(folders) == 1
    assert {file.name for file in folders.pop().iterdir()} == FILES


def test_nothing_half_made_is_left_nor_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        if path.name == "config.json":
            raise OSError(28, os.strerror(28))
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr(synthetic_hf, "atomic_write_text", full)
        with pytest.raises(ArtifactError, match="cannot be made: No space left on device; free some space"):
            make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert [path.name for path in (tmp_path / "qwen3-tiny-hf").iterdir()] == [".lock"]
    killed = tmp_path / "qwen3-tiny-hf" / ".qwen3-tiny.1.unfinished"
    shutil.copytree(make_synthetic_hf("qwen3-tiny", cache=tmp_path / "other"), killed)
    make_synthetic_hf("qwen3-tiny", cache=tmp_path)
    assert not killed.exists()


@pytest.mark.parametrize(
    ("name", "quant", "expected"),
    [
        ("qwen3-tini", "BF16", r"no known architecture 'qwen3-tini'; did you mean 'qwen3-tiny'\?"),
        ("qwen3-tiny", "FP8", r"itself, in BF16; quant FP8 needs a real checkpoint \(hf:\)"),
        ("qwen3-tiny", "MXFP4", "itself, in BF16; quant MXFP4"),
        ("gpt-oss-20b", "FP8", "itself, in BF16 or MXFP4; quant FP8"),
    ],
)
def test_a_shape_that_cannot_be_made_is_refused(tmp_path: Path, name: str, quant: str, expected: str) -> None:
    with pytest.raises(ArtifactError, match=expected):
        make_synthetic_hf(name, cache=tmp_path, quant=quant)
    assert list(tmp_path.iterdir()) == []
