from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts.gguf_header import header_sha256, read_header
from pytest_thor.artifacts.gguf_model import headers_sha256, read_model, shard_paths
from pytest_thor.errors import ArtifactInvalid, ArtifactMissing


def write_shards(folder: Path, name: str = "model", tensors: int = 5, architecture: str = "qwen3") -> list[Path]:
    """Write a model of ``tensors`` tensors, two to a shard, as the converter splits it."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / f"{name}.gguf", architecture, split_max_tensors=2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(4096)
    for number in range(tensors):
        writer.add_tensor(f"blk.{number}.weight", np.full((number + 1, 32), number, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(folder.glob(f"{name}-*.gguf"))


def test_a_single_file_is_a_model_of_its_own(tiny_model: Path) -> None:
    model, header = read_model(tiny_model), read_header(tiny_model)
    assert model.headers == (header,)
    assert (model.path, model.parameters) == (tiny_model, header.parameters)
    assert headers_sha256(model) == header_sha256(header)


def test_shards_count_as_one_model_whichever_is_given(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)
    models = [read_model(shard) for shard in shards]
    assert len(shards) == 3
    assert models[0] == models[1] == models[2]
    model = models[0]
    assert model.path == shards[0]
    assert model.parameters == 32 * (1 + 2 + 3 + 4 + 5)
    assert model.tensor_bytes == 2 * model.parameters
    assert model.size_bytes == sum(shard.stat().st_size for shard in shards)
    assert (model.architecture, model.quant, model.context_length) == ("qwen3", "F16", 4096)
    assert [tensor.name for tensor in model.tensors] == [f"blk.{number}.weight" for number in range(5)]


def test_shards_that_are_links_into_a_store_are_found_by_the_names_of_the_links(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "blobs")
    for number, shard in enumerate(shards):
        (tmp_path / shard.name).symlink_to(shard.rename(shard.with_name(f"sha-{number}")))
    assert read_model(tmp_path / shards[1].name).parameters == 32 * 15


def test_missing_shards_are_each_named(tmp_path: Path) -> None:
    first, second, third = write_shards(tmp_path)
    second.unlink()
    third.unlink()
    with pytest.raises(ArtifactMissing, match=f"2 of its 3 shards are missing: {second.name}, {third.name}"):
        read_model(first)


def test_a_missing_first_shard_is_named_from_any_other(tmp_path: Path) -> None:
    first, second, _ = write_shards(tmp_path)
    first.unlink()
    with pytest.raises(ArtifactMissing, match=f"1 of its 3 shards are missing: {first.name}"):
        read_model(second)


def test_a_renamed_shard_is_told_how_it_has_to_be_called(tmp_path: Path) -> None:
    renamed = write_shards(tmp_path)[1].rename(tmp_path / "mine.gguf")
    with pytest.raises(ArtifactInvalid, match=r"is shard 2 of 3 .* end like …-00002-of-00003\.gguf"):
        read_model(renamed)


def from_a_model_with_fewer_tensors(shards: list[Path], folder: Path) -> None:
    shutil.copy(write_shards(folder, tensors=6)[2], shards[2])


def twice_the_same(shards: list[Path], folder: Path) -> None:
    shutil.copy(shards[1], shards[2])


def of_two_names_for_one_tensor(shards: list[Path], folder: Path) -> None:
    content = shards[2].read_bytes()
    shards[2].write_bytes(content.replace(b"blk.4.weight", b"blk.0.weight"))


def without_one_tensor(shards: list[Path], folder: Path) -> None:
    for shard in shards:
        content, total = shard.read_bytes(), b"split.tensors.count\x05\0\0\0"
        assert total in content
        shard.write_bytes(content.replace(total + b"\x05", total + b"\x06"))


@pytest.mark.parametrize(
    ("disturb", "problem"),
    [
        (from_a_model_with_fewer_tensors, "the shards are not of one model"),
        (twice_the_same, r"expected .* = \(2, 3, 5\)"),
        (of_two_names_for_one_tensor, "'blk.0.weight' is in more than one shard"),
        (without_one_tensor, "expected 6 tensors in all shards, found 5"),
    ],
)
def test_shards_that_disagree_are_refused(
    tmp_path: Path, disturb: Callable[[list[Path], Path], None], problem: str
) -> None:
    shards = write_shards(tmp_path)
    disturb(shards, tmp_path / "other")
    with pytest.raises(ArtifactInvalid, match=problem):
        read_model(shards[0])


def test_a_shard_that_is_no_shard_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    shards = write_shards(tmp_path)
    shutil.copy(tiny_model, shards[1])
    with pytest.raises(ArtifactInvalid, match=r"expected .* found None"):
        read_model(shards[0])


def test_a_vocabulary_without_weights_is_no_model(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "vocabulary.gguf", "qwen3")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with pytest.raises(ArtifactInvalid, match="a vocabulary only"):
        read_model(tmp_path / "vocabulary.gguf")


def test_a_file_that_does_not_say_its_architecture_is_no_model(tmp_path: Path) -> None:
    lone = tmp_path / "lone.gguf"
    lone.write_bytes(b"GGUF" + bytes([3, 0, 0, 0]) + bytes(16))
    with pytest.raises(ArtifactInvalid, match=r"does not say its general\.architecture"):
        read_model(lone)


def test_names_of_shards_come_from_any_of_them() -> None:
    names = [path.name for path in shard_paths(Path("m/a-b-00002-of-00002.gguf"))]
    assert names == ["a-b-00001-of-00002.gguf", "a-b-00002-of-00002.gguf"]
    assert shard_paths(Path("m/a.gguf")) == (Path("m/a.gguf"),)
