"""Quants that are made from floats: once, whole or not at all, with their provenance."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.make import make_quant, source_of
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid

FAKE = """\
import sys
from pathlib import Path
sys.path.insert(0, {package!r})
log = Path({log!r})
log.write_text(log.read_text() + " ".join(sys.argv[1:]) + "\\n" if log.exists() else " ".join(sys.argv[1:]) + "\\n")
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
