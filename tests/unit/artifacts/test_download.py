"""Models brought from a hub, by its own client, from a server on this machine."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_thor.artifacts.download import STAGING, fetch
from pytest_thor.artifacts.inventory import take_inventory
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from tests.fakes.hub_server import Hub, blob_sha1, serving, sha256

pytest.importorskip("huggingface_hub", reason="the extra pytest-thor[download] is not installed")

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
REPOSITORY = "Org/Model-GGUF"
RANDOM = random.Random(1)
WHOLE = RANDOM.randbytes(3_000_000)
SHARDS = {f"Q8_0/big-Q8_0-{number:05d}-of-00003.gguf": RANDOM.randbytes(50_000) for number in (1, 2, 3)}
CHECKPOINT = {
    "config.json": b"{}",
    "tokenizer.json": RANDOM.randbytes(2000),
    "model.safetensors": RANDOM.randbytes(5000),
    "pytorch_model.bin": b"not wanted",
    "README.md": b"not wanted",
    "original/consolidated.safetensors": b"not wanted",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    files = {"m-Q4_K_M.gguf": WHOLE, **SHARDS, **CHECKPOINT}
    with serving(Hub(repository=REPOSITORY, commit=COMMIT, files=files)) as server:
        yield server


def gguf(name: str, *, revision: str | None = COMMIT, hub: str | None = REPOSITORY) -> ArtifactReference:
    return ArtifactReference(format="gguf", location=name, hub=hub, revision=revision)


def left_over(root: Path) -> list[str]:
    """Return what lies below a root that is no record of a download."""
    return sorted(p.name for p in root.rglob("*") if p.is_file() and p.suffix not in {".lock", ".json"})


def test_a_file_is_brought_and_what_it_is_is_recorded(hub: Hub, tmp_path: Path) -> None:
    told: list[str] = []
    found = fetch(gguf(f"{REPOSITORY}/m-Q4_K_M.gguf"), tmp_path, endpoint=hub.url, on_progress=told.append)
    assert found.path == tmp_path / REPOSITORY / "m-Q4_K_M.gguf"
    assert found.path.read_bytes() == WHOLE
    assert (found.revision, dict(found.files)) == (COMMIT, {"m-Q4_K_M.gguf": sha256(WHOLE)})
    [note] = (tmp_path / STAGING).glob("*.json")
    assert json.loads(note.read_text()) == {
        "hub": REPOSITORY,
        "revision": COMMIT,
        "location": f"{REPOSITORY}/m-Q4_K_M.gguf",
        "files": {"m-Q4_K_M.gguf": sha256(WHOLE)},
    }
    assert "m-Q4_K_M.gguf: 100 % of 2.86 MiB" in told
    assert left_over(tmp_path) == ["m-Q4_K_M.gguf"]


def test_an_interrupted_download_goes_on_where_it_ended(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _s: None)  # the client waits between its own attempts
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 5000)  # it keeps whole chunks, of 10 MB
    hub.break_after = 202_000
    with pytest.raises(ArtifactError, match="what has arrived is kept, so run it again to go on"):
        fetch(gguf("m-Q4_K_M.gguf"), tmp_path, endpoint=hub.url)
    assert not (tmp_path / "m-Q4_K_M.gguf").exists()
    assert not take_inventory([tmp_path]).models
    [arrived] = [path.stat().st_size for path in (tmp_path / STAGING).rglob("*.gguf")]
    assert arrived == 200_000
    hub.break_after = None
    hub.gets.clear()
    fetch(gguf("m-Q4_K_M.gguf"), tmp_path, endpoint=hub.url)
    assert (tmp_path / "m-Q4_K_M.gguf").read_bytes() == WHOLE
    assert hub.gets == [("m-Q4_K_M.gguf", f"bytes={arrived}-")]


@pytest.mark.parametrize("name", ["big-Q8_0-00001-of-00003.gguf", "big-Q8_0.gguf"])
def test_shards_come_together_or_not_at_all(
    hub: Hub, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _s: None)
    last = "Q8_0/big-Q8_0-00003-of-00003.gguf"
    hub.lies[last] = bytes(50_000)
    with pytest.raises(ArtifactInvalid, match="arrived with other content than the hub says"):
        fetch(gguf(f"big/{name}"), tmp_path, endpoint=hub.url)
    assert not (tmp_path / "big").exists()
    hub.lies.clear()
    hub.gets.clear()
    found = fetch(gguf(f"big/{name}"), tmp_path, endpoint=hub.url)
    assert found.path == tmp_path / "big" / "big-Q8_0-00001-of-00003.gguf"
    assert [each.name for each, _ in [(Path(got), asked) for got, asked in hub.gets]] == [Path(last).name]
    for shard, content in SHARDS.items():
        assert (tmp_path / "big" / Path(shard).name).read_bytes() == content


def test_a_checkpoint_is_its_weights_configuration_and_tokenizer(hub: Hub, tmp_path: Path) -> None:
    reference = ArtifactReference(format="hf", location="Org/Model", hub=REPOSITORY, revision=COMMIT)
    found = fetch(reference, tmp_path, endpoint=hub.url)
    assert found.path == tmp_path / "Org" / "Model"
    assert sorted(path.name for path in found.path.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert found.files["config.json"] == blob_sha1(b"{}")


def test_without_a_revision_the_commit_of_main_is_taken_and_said(hub: Hub, tmp_path: Path) -> None:
    told: list[str] = []
    found = fetch(gguf("m-Q4_K_M.gguf", revision=None), tmp_path, endpoint=hub.url, on_progress=told.append)
    assert found.revision == COMMIT
    assert told[0] == f"{REPOSITORY} is at {COMMIT}; write it as the model's revision to keep it"


def test_offline_is_respected(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ArtifactMissing, match="HF_HUB_OFFLINE forbids to bring it"):
        fetch(gguf("m-Q4_K_M.gguf"), tmp_path, endpoint=hub.url)
    assert not hub.gets


def test_the_room_is_looked_at_before(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArtifactError, match=r"are still to come, and 976\.56 KiB are free"):
        fetch(gguf("m-Q4_K_M.gguf"), tmp_path, endpoint=hub.url)
    assert not hub.gets


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (gguf("x.gguf", hub=None), "names no hub"),
        (gguf("m-Q9.gguf"), r"has no m-Q9\.gguf; it has m-Q4_K_M\.gguf"),
        (gguf("m-Q4_K_M.gguf", hub="Org/Other"), "the hub has none"),
        (gguf("m-Q4_K_M.gguf", revision="f" * 40), "the hub has none"),
    ],
)
def test_what_the_hub_has_not_is_missing(hub: Hub, tmp_path: Path, reference: ArtifactReference, expected: str) -> None:
    with pytest.raises(ArtifactMissing, match=expected):
        fetch(reference, tmp_path, endpoint=hub.url)


@pytest.mark.parametrize("location", ["/etc/m-Q4_K_M.gguf", "../m-Q4_K_M.gguf"])
def test_nothing_is_brought_outside_the_root(hub: Hub, tmp_path: Path, location: str) -> None:
    with pytest.raises(ArtifactInvalid, match="not below a model root"):
        fetch(gguf(location), tmp_path, endpoint=hub.url)


def test_a_hub_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("time.sleep", lambda _s: None)
    with pytest.raises(ArtifactError, match="Org/Model-GGUF at"):
        fetch(gguf("m-Q4_K_M.gguf"), tmp_path, endpoint="http://127.0.0.1:9")
    assert not list(tmp_path.iterdir())
