"""What lies under model roots: told apart, described, and where it cannot be used, said why."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import header_sha256, read_header
from pytest_thor.artifacts.inventory import Inventory, take_inventory
from pytest_thor.artifacts.safetensors import read_safetensors
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.errors import ArtifactInvalid, ArtifactMissing
from tests.unit.artifacts.conftest import Powerless


def write_gguf(path: Path, architecture: str = "qwen3", describe: Callable[[Any], None] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    if describe is not None:
        describe(writer)
    writer.add_tensor("a.weight", np.ones((4, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_shards(folder: Path, stem: str, count: int) -> list[Path]:
    def describe(number: int) -> Callable[[Any], None]:
        def add(writer: Any) -> None:
            writer.add_uint16("split.no", number)
            writer.add_uint16("split.count", count)
            writer.add_int32("split.tensors.count", count)

        return add

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf"
        writer = gguf.GGUFWriter(path, "qwen3")
        describe(number)(writer)
        writer.add_tensor(f"t{number}.weight", np.ones((4, 32), np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    return paths


def write_safetensors(path: Path, elements: int = 64) -> Path:
    table = {"w": {"dtype": "BF16", "shape": [elements], "data_offsets": [0, 2 * elements]}, "__metadata__": {}}
    header = json.dumps(table).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2 * elements))
    return path


def write_checkpoint(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"model_type": "new-family", "architectures": ["NewForCausalLM"], "torch_dtype": "bfloat16", **config}
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def locations(inventory: Inventory) -> list[str]:
    return [each.location for each in inventory.models]


def sentences(inventory: Inventory) -> str:
    return "\n".join(each.sentence for each in inventory.troubles)


def test_a_gguf_model_is_described_and_its_shape_recognized(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "any name.gguf"
    path.parent.mkdir()
    write_weights(path, ARCHITECTURES["qwen3-tiny"], "F16", seed=1, on_progress=lambda _: None)
    [found] = take_inventory([tmp_path]).models
    model = found.model
    assert (found.location, found.root) == ("deep/any name.gguf", tmp_path)
    assert (model.format, model.kind, model.architecture, model.shape) == ("gguf", "language", "qwen3", "qwen3-tiny")
    assert (model.quant, model.parameters) == ("F16", ARCHITECTURES["qwen3-tiny"].parameters)
    assert (model.context_length, model.files, model.size_bytes) == (40_960, 1, path.stat().st_size)


def test_kinds_are_told_apart_by_what_the_header_says(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a-language.gguf")
    write_gguf(tmp_path / "b-embedding.gguf", describe=lambda writer: writer.add_uint32("qwen3.pooling_type", 3))
    write_gguf(tmp_path / "c-bert.gguf", "nomic-bert")
    write_gguf(tmp_path / "d-mmproj.gguf", "clip")
    write_gguf(tmp_path / "e-lora.gguf", describe=lambda writer: writer.add_type("adapter"))
    write_gguf(tmp_path / "f-imatrix.gguf", describe=lambda writer: writer.add_type("imatrix"))
    kinds = [each.model.kind for each in take_inventory([tmp_path]).models]
    assert kinds == ["language", "embedding", "embedding", "projector", "adapter", "imatrix"]


def test_shards_are_one_model(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, "big-Q8_0", 3)
    inventory = take_inventory([tmp_path])
    assert locations(inventory) == ["big-Q8_0-00001-of-00003.gguf"]
    assert inventory.models[0].model.files == 3
    assert inventory.models[0].model.size_bytes == sum(path.stat().st_size for path in paths)
    assert not inventory.troubles


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_shard_is_named(tmp_path: Path, lost: int) -> None:
    paths = write_shards(tmp_path, "big", 3)
    paths[lost].unlink()
    inventory = take_inventory([tmp_path])
    assert not inventory.models
    [trouble] = inventory.troubles
    assert f"1 of its 3 shards are missing: {paths[lost].name}" in trouble.sentence


def test_half_a_shard_and_a_lying_header_are_troubles_and_nothing_else_suffers(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "half", "big", 2)
    os.truncate(paths[1], paths[1].stat().st_size - 100)
    lying = write_gguf(tmp_path / "lying.gguf")
    os.truncate(lying, lying.stat().st_size - 1)
    (tmp_path / "page.gguf").write_text("<!DOCTYPE html>")
    (tmp_path / "x.gguf.incomplete").touch()
    write_gguf(tmp_path / "sound.gguf")
    inventory = take_inventory([tmp_path])
    assert locations(inventory) == ["sound.gguf"]
    said = sentences(inventory)
    assert f"{paths[1]}: byte" in said
    assert "lying.gguf" in said
    assert "a web page" in said
    assert "x.gguf.incomplete: is an unfinished download" in said
    assert len(inventory.troubles) == 4


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    write_gguf(tmp_path / "real" / "m.gguf")
    (tmp_path / "a-link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone.gguf").symlink_to("nowhere.gguf")
    inventory = take_inventory([tmp_path])
    assert locations(inventory) == ["real/m.gguf"]
    assert "gone.gguf: is a broken link to nowhere.gguf" in sentences(inventory)
    assert "loop: cannot be followed: Too many levels of symbolic links" in sentences(inventory)


def test_a_store_of_blobs_is_read_through_its_links(tmp_path: Path) -> None:
    blob = write_gguf(tmp_path / "blobs" / "0123abcd")
    snapshot = tmp_path / "snapshots" / "rev"
    snapshot.mkdir(parents=True)
    (snapshot / "model-Q8_0.gguf").symlink_to(blob)
    assert locations(take_inventory([tmp_path])) == ["snapshots/rev/model-Q8_0.gguf"]


def test_what_may_not_be_read_is_said_and_the_rest_is_listed(open_folder: Path, powerless: Powerless) -> None:
    write_gguf(open_folder / "sound.gguf")
    write_gguf(open_folder / "closed" / "m.gguf")
    write_gguf(open_folder / "secret.gguf")
    checkpoint = write_checkpoint(open_folder / "checkpoint")
    assert len(take_inventory([open_folder]).models) == 4
    closed = (open_folder / "closed", open_folder / "secret.gguf", checkpoint / "config.json")
    for path in closed:
        path.chmod(0)
    try:
        with powerless():
            inventory = take_inventory([open_folder])
    finally:
        for path in closed:
            path.chmod(0o755)
    assert locations(inventory) == ["sound.gguf"]
    said = sentences(inventory)
    assert f"{open_folder / 'closed'}: cannot be looked into: Permission denied" in said
    assert f"{open_folder / 'secret.gguf'}: cannot be read: Permission denied" in said
    assert f"{checkpoint / 'config.json'}: cannot be read: Permission denied" in said


def test_broken_links_and_loops_in_a_checkpoint_are_said(tmp_path: Path) -> None:
    broken, loop = write_checkpoint(tmp_path / "broken"), write_checkpoint(tmp_path / "loop")
    (broken / "model.safetensors").symlink_to("../blobs/gone")
    (loop / "model.safetensors").symlink_to("model.safetensors")
    index = write_checkpoint(tmp_path / "listed")
    (index / "a.safetensors").symlink_to("gone")
    (index / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    inventory = take_inventory([tmp_path])
    assert not inventory.models
    said = sentences(inventory)
    assert "broken/model.safetensors: is a broken link" in said
    assert "loop/model.safetensors: cannot be read: Too many levels of symbolic links" in said
    assert "1 of its 1 weight files are missing: a.safetensors" in said


def test_a_root_that_is_not_there_is_said_and_the_same_root_twice_is_read_once(tmp_path: Path) -> None:
    write_gguf(tmp_path / "here" / "m.gguf")
    inventory = take_inventory([tmp_path / "gone", tmp_path / "here", tmp_path / "here"])
    assert locations(inventory) == ["m.gguf"]
    assert "gone: cannot be looked into: No such file or directory" in sentences(inventory)


def test_names_with_spaces_and_letters_of_any_kind(tmp_path: Path) -> None:
    for name in ("Größe 30B – Q8_0.gguf", "模型.gguf", "a'b\"c.gguf"):
        write_gguf(tmp_path / "sub folder" / name)
    raw = os.fsencode(tmp_path) + b"/bad-\xff.gguf"
    shutil.copyfile(tmp_path / "sub folder" / "模型.gguf", raw)
    inventory = take_inventory([tmp_path])
    assert not inventory.troubles
    assert len(inventory.models) == 4


def test_progress_is_told_before_each_model(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        write_gguf(tmp_path / name)
    told: list[tuple[int, str]] = []
    take_inventory([tmp_path], on_progress=lambda number, path: told.append((number, path.name)))
    assert told == [(1, "a.gguf"), (2, "b.gguf")]


@pytest.mark.parametrize(
    ("scheme", "quant"),
    [
        (None, "BF16"),
        ({"quant_method": "fp8"}, "FP8"),
        ({"quant_method": "awq", "bits": 4}, "AWQ"),
        ({"quant_method": "awq", "bits": 8}, "AWQ-8bit"),
        ({"quant_method": "gptq", "bits": 8}, "GPTQ-Int8"),
        ({"quant_method": "mxfp4"}, "MXFP4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 4, "type": "int"}, "input_activations": None}},
            },
            "W4A16",
        ),
        ({"quant_method": "brand-new"}, "BRAND-NEW"),
    ],
)
def test_a_checkpoint_is_named_by_its_scheme(tmp_path: Path, scheme: object, quant: str) -> None:
    folder = write_checkpoint(tmp_path / "m", **({"quantization_config": scheme} if scheme else {}))
    write_safetensors(folder / "model.safetensors", elements=64)
    [found] = take_inventory([tmp_path]).models
    assert (found.model.format, found.model.kind, found.model.quant) == ("hf", "language", quant)
    assert found.model.parameters == (64 if quant == "BF16" else None)


def test_a_checkpoint_of_a_known_shape_and_one_for_embeddings(tmp_path: Path) -> None:
    shape = ARCHITECTURES["qwen3-8b"]
    write_checkpoint(
        tmp_path / "Qwen3-8B",
        model_type="qwen3",
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        vocab_size=shape.vocabulary,
        max_position_embeddings=40_960,
    )
    write_checkpoint(tmp_path / "e5", architectures=["BertModel"])
    inventory = take_inventory([tmp_path])
    first, second = (each.model for each in inventory.models)
    assert (first.shape, first.parameters, first.context_length) == ("qwen3-8b", shape.parameters, 40_960)
    assert (first.files, second.kind) == (0, "embedding")


def test_weights_that_an_index_lists_and_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m")
    write_safetensors(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    inventory = take_inventory([tmp_path])
    assert "1 of its 2 weight files are missing: model-00002-of-00002.safetensors" in sentences(inventory)
    write_safetensors(folder / "model-00002-of-00002.safetensors")
    os.truncate(folder / "model-00002-of-00002.safetensors", 100)
    assert "truncated or still being downloaded" in sentences(take_inventory([tmp_path]))


def test_a_config_that_is_no_models_is_passed_over_and_broken_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text('{"theme": "dark"}')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.json").write_text("{")
    inventory = take_inventory([tmp_path])
    assert not inventory.models
    assert "config.json: is not JSON" in sentences(inventory)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 16, (2).to_bytes(8, "little") + b"[]", b"\x09" + bytes(7) + b"{" * 9]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArtifactInvalid):
        read_safetensors(tmp_path / "x")
    with pytest.raises(ArtifactMissing):
        read_safetensors(tmp_path / "y")


def test_an_array_that_was_walked_before_is_skipped_only_where_it_is_equal(tmp_path: Path) -> None:
    def vocabulary(last: str) -> Callable[[Any], None]:
        tokens = [f"token {number:09d}" for number in range(5000)] + [last]
        return lambda writer: writer.add_array("tokenizer.ggml.tokens", tokens)

    paths = [
        write_gguf(tmp_path / f"{n}.gguf", describe=vocabulary(last)) for n, last in enumerate(("x", "x", "y" * 99))
    ]
    walked = [read_header(path) for path in paths]
    assert header_sha256(walked[0]) == header_sha256(walked[1])
    assert walked[2].header_bytes == walked[0].header_bytes + 98
    assert [header.parameters for header in walked] == [128] * 3
    os.truncate(paths[1], 70_000)
    with pytest.raises(ArtifactInvalid):
        read_header(paths[1])
