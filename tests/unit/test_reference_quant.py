"""The quant that another is held against: which cell would measure it, and what is known of its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactMissing
from pytest_thor.host.device import identify
from pytest_thor.reference_quant import cell_of_reference, reference_model
from tests.cells import build_cell

CELL = build_cell(
    "quality",
    {"ctx_size": 512, "reference": "F16"},
    workload="text",
    architecture="qwen3-tiny",
    quant="Q4_K_M",
    backend="p",
    engine="llama-perplexity",
    reference=ArtifactReference(format="gguf", location="tiny-F16.gguf"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("qwen3-tiny", "F16", cache=tmp_path_factory.mktemp("synthetic"))


def test_the_reference_is_a_quant_of_the_same_model() -> None:
    beside = cell_of_reference(CELL)
    assert (beside.quant, beside.artifact.location, beside.reference) == ("F16", "tiny-F16.gguf", None)
    with pytest.raises(ValueError, match="tiny-F16-p-text is held against no other quant"):
        cell_of_reference(beside)


def test_it_is_known_by_its_whole_content(tiny: Path, tmp_path: Path) -> None:
    beside, told = cell_of_reference(CELL), list[str]()
    copy = tmp_path / "tiny-F16.gguf"
    copy.write_bytes(tiny.read_bytes())
    first = reference_model(beside, copy, device=identify(), kept=tmp_path / "kept", tell=told.append)
    again = reference_model(beside, copy, device=identify(), kept=tmp_path / "kept", tell=told.append)
    assert first == again
    assert (first.path, first.vocabulary, first.too_large) == (copy, 2048, None)
    assert told == ["reading tiny-F16.gguf for its hash"]  # once
    content = bytearray(tiny.read_bytes())
    content[-1] ^= 1
    copy.unlink()
    copy.write_bytes(content)
    other = reference_model(beside, copy, device=identify(), kept=tmp_path / "kept", tell=told.append)
    assert other.sha256 != first.sha256


def test_one_that_does_not_fit_says_so(tiny: Path, tmp_path: Path) -> None:
    device = replace(identify(), gpus=(), l4t=None, memory_bytes=1 << 20)
    model = reference_model(cell_of_reference(CELL), tiny, device=device, kept=tmp_path, tell=print)
    assert model.too_large is not None


def test_what_cannot_be_read_or_kept_is_told(tiny: Path, tmp_path: Path) -> None:
    beside = cell_of_reference(CELL)
    with pytest.raises(ArtifactMissing):
        reference_model(beside, tmp_path / "gone.gguf", device=identify(), kept=tmp_path, tell=print)
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"cannot be kept there: .*THOR_CACHE"):
        reference_model(beside, tiny, device=identify(), kept=file / "kept", tell=print)
