"""Quants that are made from floats: once, whole or not at all, with their provenance."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts import kept
from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.kept import content_sha256
from pytest_thor.artifacts.make import make_quant, source_of
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid
from tests.unit.artifacts.conftest import Powerless

FAKE = """\
import sys
from pathlib import Path
sys.path.insert(0, {package!r})
with open({log!r}, "a", errors="surrogateescape") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
source, target, number, threads = sys.argv[-4:]
content = Path({made!r}).read_bytes()
print("main: build = 1 (fake)")
print("[   1/   1] done")
{extra}
Path(target).write_bytes(content)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BF16 file to quantize, and the F16 file that the stand-in for a quantizer gives out as the result."""
    folder = tmp_path_factory.mktemp("floats")
    for name in ("BF16", "F16"):
        write_weights(
            folder / f"tiny-{name}.gguf", ARCHITECTURES["qwen3-tiny"], name, seed=1, on_progress=lambda _: None
        )
    return folder


def quantizer(tmp_path: Path, files: Path, extra: str = "") -> Path:
    """A program that answers as llama-quantize does, with a result made before."""
    script = tmp_path / "fake.py"
    values = {
        "package": str(tmp_path),
        "log": str(tmp_path / "log"),
        "made": str(files / "tiny-F16.gguf"),
        "extra": extra,
    }
    script.write_text(FAKE.format(**values))
    program = tmp_path / "llama-quantize"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_a_quant_is_made_once_and_says_of_what(tmp_path: Path, files: Path) -> None:
    program = quantizer(tmp_path, files)
    source = files / "tiny-BF16.gguf"
    told: list[str] = []
    made = make_quant(source, "F16", cache=tmp_path / "cache", quantizer=program, on_progress=told.append)
    assert read_header(made.path).quant == "F16"
    assert made.provenance["made_from"] == str(source)
    assert made.provenance["quantizer_build"] == "1 (fake)"
    assert json.loads(made.path.with_suffix(".json").read_text()) == made.provenance
    again = make_quant(source, "f16", cache=tmp_path / "cache", quantizer=program)
    assert again == made
    assert len(calls(tmp_path)) == 1
    moved = tmp_path / "elsewhere-BF16.gguf"
    shutil.copyfile(source, moved)
    other = make_quant(moved, "F16", cache=tmp_path / "cache", quantizer=program)
    assert other.path.name.rsplit("-", 1)[1] == made.path.name.rsplit("-", 1)[1], "the same content has the same hash"


def test_an_importance_matrix_is_handed_over_and_is_part_of_the_name(tmp_path: Path, files: Path) -> None:
    program = quantizer(tmp_path, files)
    matrix = tmp_path / "imatrix.dat"
    matrix.write_bytes(b"importance")
    source = files / "tiny-BF16.gguf"
    plain = make_quant(source, "F16", cache=tmp_path / "cache", quantizer=program)
    guided = make_quant(source, "F16", cache=tmp_path / "cache", quantizer=program, imatrix=matrix)
    assert plain.path != guided.path
    assert calls(tmp_path)[1].startswith(f"--imatrix {matrix} ")
    assert guided.provenance["imatrix_sha256"]
    matrix.write_bytes(b"another importance")
    assert make_quant(source, "F16", cache=tmp_path / "cache", quantizer=program, imatrix=matrix).path != guided.path


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("Path(target).write_bytes(content[:1000]); sys.exit('No space left on device')", "No space left on device"),
        ("content = content[: len(content) - 4096]", "the file ends here"),
        ("Path(target).write_bytes(content[:1000]); import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
    ],
    ids=["full disk, said", "full disk, not said", "killed"],
)
def test_nothing_half_written_is_left_or_used(tmp_path: Path, files: Path, extra: str, expected: str) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ArtifactError, match=expected):
        make_quant(files / "tiny-BF16.gguf", "F16", cache=cache, quantizer=quantizer(tmp_path, files, extra))
    assert not [path for path in cache.rglob("*") if "unfinished" in path.name or path.suffix in {".gguf", ".json"}]
    made = make_quant(files / "tiny-BF16.gguf", "F16", cache=cache, quantizer=quantizer(tmp_path, files))
    assert made.path.exists()


@pytest.mark.parametrize("moment", ["the file reaches the disk", "its provenance is written", "it gets its name"])
def test_a_disk_that_fills_up_at_the_end_leaves_nothing(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    source, cache = files / "tiny-BF16.gguf", tmp_path / "cache"

    def full(path: object, *_: object) -> None:
        if not str(path).endswith(".sha256"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    program = quantizer(tmp_path, files)
    content_sha256(source, tmp_path / "cache" / "quantized", lambda _: None)
    with monkeypatch.context() as patch:
        if moment == "the file reaches the disk":
            patch.setattr(os, "fsync", full)
        elif moment == "its provenance is written":
            patch.setattr(kept, "atomic_write_text", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(ArtifactError, match="cannot be made: No space left on device; free some space or choose"):
            make_quant(source, "F16", cache=cache, quantizer=program)
    assert not [path for path in cache.rglob("*") if path.suffix == ".gguf" or "unfinished" in path.name]
    assert make_quant(source, "F16", cache=cache, quantizer=program).path.exists()
    assert len(calls(tmp_path)) == 2


def test_a_quantizer_that_hits_a_real_limit_leaves_nothing(tmp_path: Path, files: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))"
    cache = tmp_path / "cache"
    with pytest.raises(ArtifactError, match=r"(?s)was ended by signal 25|File too large"):
        make_quant(files / "tiny-BF16.gguf", "F16", cache=cache, quantizer=quantizer(tmp_path, files, limit))
    assert not [path for path in cache.rglob("*") if path.suffix in {".gguf", ".json"} or "unfinished" in path.name]


def test_a_cache_that_may_not_be_written_is_named(open_folder: Path, files: Path, powerless: Powerless) -> None:
    shutil.copyfile(files / "tiny-BF16.gguf", open_folder / "tiny-BF16.gguf")
    open_folder.chmod(0o555)
    with powerless(), pytest.raises(ArtifactError, match="cannot be made: Permission denied"):
        make_quant(open_folder / "tiny-BF16.gguf", "F16", cache=open_folder / "cache")
    open_folder.chmod(0o755)


@pytest.mark.parametrize("name", ["Größe 30B – BF16.gguf", "模型 a'b\"c BF16.gguf", "bad-\udcff-BF16.gguf"])
def test_names_with_spaces_and_letters_of_any_kind(tmp_path: Path, files: Path, name: str) -> None:
    source = tmp_path / "my models" / name
    source.parent.mkdir()
    shutil.copyfile(files / "tiny-BF16.gguf", source)
    made = make_quant(source, "F16", cache=tmp_path / "cache", quantizer=quantizer(tmp_path, files))
    assert read_header(made.path).quant == "F16"
    assert json.loads(made.path.with_suffix(".json").read_text())["made_from"] == str(source)


def test_a_shard_that_changed_is_other_content(tmp_path: Path) -> None:
    shards = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, path in enumerate(shards):
        writer = gguf.GGUFWriter(path, "qwen3")
        for key, add, value in (
            ("split.no", writer.add_uint16, number),
            ("split.count", writer.add_uint16, 2),
            ("split.tensors.count", writer.add_int32, 2),
        ):
            add(key, value)
        writer.add_tensor(f"t{number}.weight", np.zeros((4, 32), np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    first = content_sha256(shards[0], tmp_path, lambda _: None)
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:-1] + b"\1")
    os.utime(shards[1], ns=(1, 1))
    assert content_sha256(shards[0], tmp_path, lambda _: None) != first


def test_a_file_that_changed_since_is_made_again(tmp_path: Path, files: Path) -> None:
    program = quantizer(tmp_path, files)
    made = make_quant(files / "tiny-BF16.gguf", "F16", cache=tmp_path / "cache", quantizer=program)
    os.truncate(made.path, made.path.stat().st_size - 1)
    again = make_quant(files / "tiny-BF16.gguf", "F16", cache=tmp_path / "cache", quantizer=program)
    assert again.path.stat().st_size == again.provenance["size_bytes"]
    assert len(calls(tmp_path)) == 2


def test_no_room_is_said_before(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArtifactError, match=r"needs about .* but 1000 B are free"):
        make_quant(files / "tiny-BF16.gguf", "Q4_K_M", cache=tmp_path, quantizer=quantizer(tmp_path, files))


@pytest.mark.parametrize("quant", ["NVFP4", "AWQ", "Q4_0_8_8", "Q9_K"])
def test_what_the_quantizer_cannot_make_is_refused(tmp_path: Path, files: Path, quant: str) -> None:
    with pytest.raises(ArtifactError, match=f"makes no {quant}"):
        make_quant(files / "tiny-BF16.gguf", quant, cache=tmp_path)


def test_a_small_i_quant_wants_an_importance_matrix(tmp_path: Path, files: Path) -> None:
    with pytest.raises(ArtifactError, match="not made without an importance matrix"):
        make_quant(files / "tiny-BF16.gguf", "IQ2_XXS", cache=tmp_path)


def test_a_quant_of_a_quant_is_refused(tmp_path: Path, small_file: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="is Q8_0; a quant is made from F32, BF16 or F16"):
        make_quant(small_file, "Q4_K_M", cache=tmp_path)


def test_the_floats_beside_a_missing_quant_are_its_source(tmp_path: Path) -> None:
    folder = tmp_path / "Qwen"
    folder.mkdir()
    wanted = ArtifactReference(format="gguf", location="Qwen/Qwen3-8B-Q4_K_M.gguf")
    assert source_of(wanted, "Q4_K_M", [tmp_path]) is None
    (folder / "Qwen3-8B-Q8_0.gguf").touch()
    (folder / "Other-BF16.gguf").touch()
    assert source_of(wanted, "Q4_K_M", [tmp_path]) is None
    (folder / "qwen3-8b-bf16-00001-of-00002.gguf").touch()
    (folder / "qwen3-8b-bf16-00002-of-00002.gguf").touch()
    assert source_of(wanted, "Q4_K_M", [tmp_path / "gone", tmp_path]) == folder / "qwen3-8b-bf16-00001-of-00002.gguf"
    assert source_of(ArtifactReference(format="hf", location="Qwen/x"), "BF16", [tmp_path]) is None
