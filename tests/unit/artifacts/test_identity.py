from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_thor.artifacts.gguf_header import header_sha256, read_header
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.errors import ArtifactInvalid, ArtifactMissing


@pytest.fixture
def hf_model(tmp_path: Path) -> Path:
    folder = tmp_path / "Qwen3-8B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    (folder / "model.safetensors.index.json").write_text("{}")
    (folder / "model-00001-of-00001.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("notes")
    (folder / ".cache").mkdir()
    return folder


def test_a_gguf_file_is_identified_by_its_size_and_header(tiny_model: Path) -> None:
    identity = content_identity(tiny_model)
    assert identity.size_bytes == tiny_model.stat().st_size
    assert identity.header_sha256 == header_sha256(read_header(tiny_model))
    assert identity.sha256 is None


def test_other_weights_show_only_in_the_full_hash(tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    content = bytearray(tiny_model.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    assert content_identity(other) == content_identity(tiny_model)
    assert content_identity(other, full=True).sha256 == hashlib.sha256(content).hexdigest()
    assert content_identity(other, full=True) != content_identity(tiny_model, full=True)


def test_the_place_of_a_model_is_not_part_of_it(hf_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(hf_model, copy)
    assert content_identity(copy, full=True) == content_identity(hf_model, full=True)


def test_an_hf_directory_is_identified_by_files_sizes_and_configuration(hf_model: Path) -> None:
    identity = content_identity(hf_model)
    assert identity.size_bytes == sum(
        (hf_model / name).stat().st_size
        for name in ("config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors")
    )
    assert len(identity.header_sha256) == 64
    assert identity.sha256 is None


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "config.json").write_text(json.dumps({"model_type": "qwen4"})),
        lambda folder: (folder / "model.safetensors.index.json").write_text("[]"),
        lambda folder: (folder / "model-00001-of-00001.safetensors").write_bytes(b"more weights"),
        lambda folder: (folder / "chat_template.jinja").write_text(""),
    ],
    ids=["configuration", "index", "size of weights", "another file"],
)
def test_what_changes_an_hf_model_changes_its_identity(hf_model: Path, change: Callable[[Path], object]) -> None:
    before = content_identity(hf_model)
    change(hf_model)
    assert content_identity(hf_model).header_sha256 != before.header_sha256


def test_notes_beside_an_hf_model_are_not_part_of_it(hf_model: Path) -> None:
    before = content_identity(hf_model, full=True)
    (hf_model / "README.md").write_text("other notes")
    (hf_model / ".cache" / "x.json").write_text("{}")
    (hf_model / ".hidden.json").write_text("{}")
    assert content_identity(hf_model, full=True) == before


def test_other_hf_weights_of_one_size_show_in_the_full_hash(hf_model: Path) -> None:
    before = content_identity(hf_model, full=True)
    (hf_model / "model-00001-of-00001.safetensors").write_bytes(b"WEIGHTS")
    after = content_identity(hf_model, full=True)
    assert after.header_sha256 == before.header_sha256
    assert after.sha256 != before.sha256


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match=r"has no config\.json"):
        content_identity(tmp_path)


def test_a_broken_link_in_an_hf_directory_is_named(hf_model: Path) -> None:
    (hf_model / "model-00002-of-00002.safetensors").symlink_to("gone")
    with pytest.raises(ArtifactMissing, match=r"model-00002-of-00002\.safetensors: is a broken link"):
        content_identity(hf_model)


def test_nothing_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        content_identity(tmp_path / "absent.gguf")
