"""Making a model falls into nobody's measurement: the device is held alone meanwhile, and not while it is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from pytest_thor.artifacts.obtain import Means
from pytest_thor.cell import ArtifactReference, Cell, EngineTraits
from pytest_thor.errors import ArtifactMissing
from pytest_thor.measurement import EngineBuild
from pytest_thor.preparation import Prepared, prepare
from tests.cells import build_cell
from tests.fakes.hub_server import Hub, serving

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
TRAITS = EngineTraits(
    name="llama-bench", formats=frozenset({"gguf", "synthetic"}), kinds=frozenset({"prefill"}), settings=BaseModel
)


def cell_of(reference: ArtifactReference, quant: str = "F16") -> Cell:
    return build_cell("prefill", {"n_prompt": 8}, quant=quant, artifact=reference)


class Device:
    """Notes whether it is held alone whenever a step is told."""

    def __init__(self) -> None:
        self.held = False
        self.steps: list[tuple[bool, str]] = []

    @contextmanager
    def alone(self) -> Iterator[None]:
        assert not self.held, "a lock that is taken twice waits for itself"
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def tell(self, step: str) -> None:
        self.steps.append((self.held, step))


def prepared(
    cell: Cell, device: Device, tmp_path: Path, *, full_hash: bool = False, means: Means | None = None
) -> Prepared:
    return prepare(
        cell,
        traits=TRAITS,
        build=EngineBuild(name="llama-bench", path=""),
        roots=[tmp_path / "models"],
        cache=tmp_path / "cache",
        quantizer=None,
        full_hash=full_hash,
        means=means or Means(),
        on_progress=device.tell,
        alone=device.alone,
    )


def test_a_synthetic_model_is_made_while_nobody_measures(tmp_path: Path) -> None:
    device = Device()
    cell = cell_of(ArtifactReference(format="synthetic", location="qwen3-tiny"))
    found = prepared(cell, device, tmp_path, full_hash=True)
    assert found.artifact is not None
    assert found.artifact.sha256 is not None
    assert device.steps
    assert all(held for held, _ in device.steps)
    assert not device.held


def test_a_download_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra pytest-thor[download] is not installed")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    made = prepared(cell_of(ArtifactReference(format="synthetic", location="qwen3-tiny")), Device(), tmp_path)
    (tmp_path / "models").mkdir()
    device = Device()
    reference = ArtifactReference(format="gguf", location="Org/tiny-F16.gguf", hub="Org/Tiny", revision=COMMIT)
    with serving(Hub(repository="Org/Tiny", commit=COMMIT, files={"tiny-F16.gguf": made.path.read_bytes()})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        found = prepared(cell_of(reference), device, tmp_path, means=Means(download=True, quantize=True))
    assert found.path == tmp_path / "models" / "Org" / "tiny-F16.gguf"
    assert device.steps
    assert not any(held for held, _ in device.steps)


def test_what_no_means_get_is_missing_and_the_device_is_free_again(tmp_path: Path) -> None:
    device = Device()
    reference = ArtifactReference(format="gguf", location="gone.gguf", hub="Org/Tiny", revision=COMMIT)
    with pytest.raises(ArtifactMissing, match="--thor-download brings it from Org/Tiny"):
        prepared(cell_of(reference), device, tmp_path)
    assert not device.held
