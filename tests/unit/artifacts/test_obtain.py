"""A missing model is made or brought where that was asked for, and else it is said what would get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.means import Means
from pytest_thor.artifacts.obtain import obtain
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactMissing
from tests.fakes.hub_server import Hub, serving

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    write_weights(root / "tiny-BF16.gguf", ARCHITECTURES["qwen3-tiny"], "BF16", seed=1, on_progress=lambda _: None)
    return root


def reference(location: str, hub: str | None = None) -> ArtifactReference:
    return ArtifactReference(format="gguf", location=location, hub=hub, revision=COMMIT if hub else None)


def test_what_is_there_is_taken_as_it_is(root: Path, tmp_path: Path) -> None:
    found = obtain(
        reference("tiny-BF16.gguf"), "BF16", [root], cache=tmp_path, means=Means(quantize=True, download=True)
    )
    assert (found.path, found.provenance) == (root / "tiny-BF16.gguf", None)


def test_without_means_the_sentence_says_which_would_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing) as caught:
        obtain(reference("tiny-Q8_0.gguf", "Org/Tiny"), "Q8_0", [root], cache=tmp_path, means=Means())
    assert "no GGUF file at" in str(caught.value)
    assert "; --thor-quantize makes it from tiny-BF16.gguf; --thor-download brings it from Org/Tiny" in str(
        caught.value
    )


def test_a_lost_shard_is_missing_too(root: Path, tmp_path: Path) -> None:
    (root / "big-00001-of-00002.gguf").touch()
    with pytest.raises(ArtifactMissing, match=r"1 of its shards are missing: big-00002-of-00002\.gguf"):
        obtain(reference("big.gguf"), "Q8_0", [root], cache=tmp_path, means=Means(quantize=True, download=True))


def test_a_missing_file_is_brought_with_its_origin(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra pytest-thor[download] is not installed")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(Hub(repository="Org/Tiny", commit=COMMIT, files={"other-Q8_0.gguf": b"x" * 5000})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        wanted = reference("Org/Tiny/other-Q8_0.gguf", "Org/Tiny")
        found = obtain(wanted, "Q8_0", [root], cache=tmp_path, means=Means(download=True))
    assert found.path == root / "Org/Tiny/other-Q8_0.gguf"
    assert found.provenance is not None
    assert (found.provenance["hub"], found.provenance["revision"]) == ("Org/Tiny", COMMIT)


@pytest.mark.engine
def test_a_missing_quant_is_made_of_the_floats_beside_it(root: Path, tmp_path: Path) -> None:
    found = obtain(reference("tiny-Q8_0.gguf"), "Q8_0", [root], cache=tmp_path, means=Means(quantize=True))
    assert found.path.is_relative_to(tmp_path / "quantized")
    assert found.provenance is not None
    assert found.provenance["made_from"] == str(root / "tiny-BF16.gguf")
